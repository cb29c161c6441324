//! What nearly every pod needs and nobody lists: DNS, the API server, nodes.
//!
//! In: the baseline of the whole cluster, its objects, the settings. Out: seeds of rules, and questions where neither records nor
//! objects nor settings know. Cluster DNS is looked for in this order: the service `kube-dns`, workloads that serve port 53
//! in a system namespace, any workload that serves port 53 and says so in its name, the label that nearly every distribution uses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::baseline::{Baseline, SeenEdge};
use super::blocks;
use super::gate::Out;
use super::inside::pod_port;
use super::labels::{self, Selector};
use super::model::{Block, PendingKind, Ports, RulePeer};
use super::plan::{DraftInput, Seed};
use super::subjects::Templates;
use crate::kube::{Inventory, Service};
use crate::model::{Protocol, Workload, is_link_local};
use crate::summary::Peer;

/// Namespaces in which distributions run the cluster's DNS.
const DNS_NAMESPACES: [&str; 3] = ["kube-dns", "kube-system", "openshift-dns"];
/// Ports of DNS servers in pods; `OpenShift`'s listen on the second.
const DNS_PORTS: [u16; 2] = [53, 5353];
pub(super) const NTP_PORT: u16 = 123;

/// The DNS servers of a cluster.
#[derive(Clone, Debug)]
pub(super) struct DnsServers {
    pub(super) namespace: String,
    pub(super) selector: Selector,
    pub(super) ports: BTreeSet<u16>,
    /// How they were found.
    pub(super) found: String,
    pub(super) is_assumed: bool,
    workloads: BTreeSet<(String, Workload)>,
    services: BTreeSet<(String, String)>,
}

impl DnsServers {
    pub(super) fn find(baseline: &Baseline, inventory: &Inventory, templates: &Templates) -> Self {
        let served = served(baseline);
        let services = services(baseline, inventory);
        let named = |workload: &Workload| workload.name.contains("dns");
        let system: Vec<_> =
            served.iter().filter(|((namespace, _), _)| DNS_NAMESPACES.contains(&namespace.as_str())).collect();
        let chosen = if system.is_empty() {
            served.iter().filter(|((_, workload), _)| named(workload)).collect()
        } else {
            system
        };
        let mut ports: BTreeSet<u16> = chosen.iter().flat_map(|(_, ports)| ports.iter().copied()).collect();
        let workloads: BTreeSet<(String, Workload)> = chosen.iter().map(|(key, _)| (*key).clone()).collect();
        let keys = services.iter().map(|service| (service.namespace.to_string(), service.name.to_string())).collect();
        let by_service = services.iter().find_map(|service| {
            let selector = Selector::new(labels::stable(&service_labels(service)))?;
            let from = format!("the service `{}/{}` selects these pods", service.namespace, service.name);
            let port = pod_port(inventory, &baseline.cluster, service, 53, Protocol::UDP);
            Some((service.namespace.to_string(), selector, from, port))
        });
        let by_workload = || {
            let (namespace, workload) = workloads.first()?;
            let template = templates.of_workload(namespace, workload).ok()?;
            let from = format!("`{namespace}` {workload} served DNS in the baseline");
            Some((namespace.clone(), template.selector.clone(), from, None))
        };
        let Some((namespace, selector, found, port)) = by_service.or_else(by_workload) else {
            return Self::assumed(workloads, keys);
        };
        if ports.is_empty() {
            ports.insert(port.unwrap_or(53));
        }
        Self { namespace, selector, ports, found, is_assumed: false, workloads, services: keys }
    }

    fn assumed(workloads: BTreeSet<(String, Workload)>, services: BTreeSet<(String, String)>) -> Self {
        Self {
            namespace: "kube-system".to_owned(),
            selector: Selector::of_one("k8s-app", "kube-dns"),
            ports: BTreeSet::from([53]),
            found: "assumed: neither the baseline nor --kube shows the cluster's DNS pods".to_owned(),
            is_assumed: true,
            workloads,
            services,
        }
    }

    /// Whether an edge asks the cluster's DNS.
    pub(super) fn serves(&self, edge: &SeenEdge) -> bool {
        match &edge.peer {
            Peer::Workload { cluster, namespace, workload } => {
                cluster.is_empty()
                    && DNS_PORTS.contains(&edge.port)
                    && self.workloads.contains(&(namespace.to_string(), workload.clone()))
            }
            Peer::Service { namespace, name } => {
                edge.port == 53 && self.services.contains(&(namespace.to_string(), name.to_string()))
            }
            _ => false,
        }
    }

    /// The rule that opens them.
    pub(super) fn seed(&self) -> Seed {
        let ports = self.ports.iter().flat_map(|port| [(Protocol::UDP, *port), (Protocol::TCP, *port)]).collect();
        let peer = RulePeer::Pods {
            cluster: String::new(),
            namespace: self.namespace.clone(),
            selector: self.selector.clone(),
        };
        let mut proposal = Seed::new("dns", peer, ports);
        proposal.is_dns = true;
        proposal.remarks.push(format!("cluster DNS: {}", self.found));
        proposal.remarks.push("TCP as well: long answers and some resolvers need it".to_owned());
        proposal
    }
}

/// Workloads that serve DNS ports to anybody, with these ports.
fn served(baseline: &Baseline) -> BTreeMap<(String, Workload), BTreeSet<u16>> {
    let mut served: BTreeMap<(String, Workload), BTreeSet<u16>> = BTreeMap::new();
    let edges = baseline.namespaces.values().flat_map(|namespace| &namespace.egress);
    for edge in edges.filter(|edge| DNS_PORTS.contains(&edge.port)) {
        if let Peer::Workload { cluster, namespace, workload } = &edge.peer
            && cluster.is_empty()
        {
            served.entry((namespace.to_string(), workload.clone())).or_default().insert(edge.port);
        }
    }
    served
}

/// The services that distributions put in front of the cluster's DNS.
fn services<'i>(baseline: &Baseline, inventory: &'i Inventory) -> Vec<&'i Service> {
    inventory
        .services(&baseline.cluster)
        .filter(|service| DNS_NAMESPACES.contains(&&*service.namespace))
        .filter(|service| {
            matches!(&*service.name, "kube-dns" | "coredns" | "dns-default" | "rke2-coredns-rke2-coredns")
        })
        .collect()
}

fn service_labels(service: &Service) -> BTreeMap<String, String> {
    service.selector.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// DNS that no selector can choose: a node-local cache or a cloud's resolver on a link-local address.
pub(super) fn link_local_dns(edge: &SeenEdge) -> Option<Seed> {
    if edge.port != 53 || !matches!(edge.protocol, Protocol::UDP | Protocol::TCP) {
        return None;
    }
    let local: Vec<IpAddr> = edge.addresses.keys().copied().filter(|address| is_link_local(*address)).collect();
    if local.is_empty() || local.len() != edge.addresses.len() {
        return None;
    }
    let ranges: Vec<Block> = local.iter().map(|address| blocks::host(*address)).collect();
    let peer = match &edge.peer {
        Peer::Address(_) => RulePeer::Blocks(ranges),
        Peer::Node => RulePeer::Nodes(ranges),
        _ => return None,
    };
    let slug = format!("dns/{}", local.first().map(ToString::to_string).unwrap_or_default());
    let mut proposal = Seed::new(&slug, peer, BTreeSet::from([(Protocol::UDP, 53), (Protocol::TCP, 53)]));
    proposal.is_dns = true;
    proposal.remarks.push(
        "node-local DNS cache, or the cloud's resolver: it answers on the node, where no pod selector reaches"
            .to_owned(),
    );
    proposal.remarks.push("port 53 only: cloud metadata on the same address stays closed".to_owned());
    Some(proposal)
}

/// Whether an edge asks a time server outside.
pub(super) fn is_time(edge: &SeenEdge) -> bool {
    edge.port == NTP_PORT && edge.protocol == Protocol::UDP && matches!(edge.peer, Peer::Name(_) | Peer::Address(_))
}

/// The API server: a word of the dialect, configured or published addresses, or those that were seen.
pub(super) fn api_server(input: &DraftInput<'_>, edge: &SeenEdge) -> Result<(Seed, Option<Out>), Out> {
    let cluster = input.baseline.cluster.as_str();
    let mut ports: Ports = BTreeSet::from([(edge.protocol, edge.port)]);
    if input.dialect.has_entities() {
        return Ok((Seed::new("kube-apiserver", RulePeer::ApiServer(Vec::new()), ports), None));
    }
    let configured = input.settings.draft.api_servers(cluster);
    let services = input.inventory.service_addresses(cluster);
    // A rule for addresses that nobody called helps nobody.
    let stray = |ranges: &[Block]| -> Option<Out> {
        let mut seen = edge.addresses.keys().filter(|address| !services.contains(*address));
        let missed = seen.find(|address| !ranges.iter().any(|block| block.contains(**address)))?;
        Some(Out::new(
            PendingKind::Unknown,
            format!("the API server was called at {missed}, which is none of its configured or published addresses"),
            format!("its addresses as `api_servers = [...]` in `[clusters.{cluster}.draft]`"),
        ))
    };
    if !configured.is_empty() {
        let ranges: Vec<Block> = configured.iter().map(|net| blocks::whole(*net)).collect();
        if let Some(out) = stray(&ranges) {
            return Err(out);
        }
        let mut proposal = Seed::new("kube-apiserver", RulePeer::ApiServer(ranges), ports);
        proposal.remarks.push("addresses from `api_servers` in the settings".to_owned());
        return Ok((proposal, None));
    }
    let published = input
        .inventory
        .backends(cluster)
        .filter(|backend| &*backend.namespace == "default" && &*backend.service == "kubernetes");
    let mut ranges = BTreeSet::new();
    for backend in published {
        ranges.insert(blocks::host(backend.address));
        ports.extend(backend.ports.iter().map(|port| (Protocol::TCP, port.port)));
    }
    if !ranges.is_empty() {
        let ranges: Vec<Block> = ranges.into_iter().collect();
        if let Some(out) = stray(&ranges) {
            return Err(out);
        }
        let peer = RulePeer::ApiServer(ranges);
        let mut proposal = Seed::new("kube-apiserver", peer, ports);
        proposal.remarks.push("endpoints of the service `default/kubernetes` in --kube".to_owned());
        return Ok((proposal, None));
    }
    let seen: Vec<Block> =
        edge.addresses.keys().filter(|address| !services.contains(*address)).map(|a| blocks::host(*a)).collect();
    let admit = format!("`api_servers = [...]` in `[clusters.{cluster}.draft]`, or --kube with endpointslices");
    if seen.is_empty() || edge.addresses.len() > seen.len() {
        return Err(Out::new(PendingKind::Unknown, "the addresses of the API server are not known", admit));
    }
    let mut proposal = Seed::new("kube-apiserver", RulePeer::ApiServer(seen), ports);
    proposal
        .remarks
        .push(format!("addresses as seen until {}; they change with the control plane", day(edge.last.as_deref())));
    let question = Out::new(
        PendingKind::Question,
        "the API server is allowed at the addresses that were seen, which may move",
        admit,
    );
    Ok((proposal, Some(question)))
}

/// Nodes and host-network pods.
pub(super) fn nodes(input: &DraftInput<'_>, edge: &SeenEdge) -> Result<Seed, Out> {
    let ports: Ports = BTreeSet::from([(edge.protocol, edge.port)]);
    if input.dialect.has_entities() {
        return Ok(Seed::new("nodes", RulePeer::Nodes(Vec::new()), ports));
    }
    let cluster = input.baseline.cluster.as_str();
    let mut ranges = BTreeSet::new();
    for address in edge.addresses.keys() {
        match input.settings.network(cluster, *address) {
            Some(("nodes", net)) => ranges.insert(blocks::whole(net)),
            _ => {
                return Err(Out::new(
                    PendingKind::Unknown,
                    "nodes and host-network pods carry node addresses, which no pod selector reaches; probes of a pod's own node pass without a rule",
                    "`nodes = [...]` in `[networks]` of egress-atlas.toml, if other nodes have to get through",
                ));
            }
        };
    }
    if ranges.is_empty() {
        return Err(Out::new(
            PendingKind::Unknown,
            "no record says which node this was",
            "`nodes = [...]` in `[networks]` of egress-atlas.toml, and a baseline with addresses",
        ));
    }
    let mut proposal = Seed::new("nodes", RulePeer::Nodes(ranges.into_iter().collect()), ports);
    proposal.remarks.push("the node range of the settings, and with it every host-network pod".to_owned());
    Ok(proposal)
}

/// The day of an RFC 3339 time.
pub(super) fn day(time: Option<&str>) -> &str {
    time.and_then(|time| time.get(..10)).unwrap_or("an unknown day")
}
