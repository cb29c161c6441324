//! From what records and the inventory say of an end to an [`End`]: its kind, its labels at the time, its container ports.
//!
//! Labels of the record itself come first, since they are of the time of the flow; the inventory adds what such records leave
//! out, and speaks alone where they have no labels.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::end::{Behind, End, EndKind, ToldBy, is_left_out};
use super::services;
use crate::attribute::{Evidence, PartyId};
use crate::kube::{ContainerPort, Inventory, Labels, Pod, Service};
use crate::model::{
    ACCOUNT_CONTEXT, AddressId, Endpoint, EndpointId, IdentityKind, NAMESPACE_CONTEXT, TextId, Timestamp, Workload,
    is_private,
};

/// Ranges that pods are numbered from, as settings declare them: cluster (`None`: all), range.
pub type PodNetworks = Vec<(Option<Box<str>>, IpNet)>;

/// Services by namespace and name, with their labels.
pub type ServiceNames = BTreeMap<(Box<str>, Box<str>), Labels>;

/// By cluster, address and port of a service: the pods behind it, with the port there.
type Backends = HashMap<(Box<str>, IpAddr, u16), Vec<(Arc<End>, u16)>>;

/// Describes ends. One per run.
pub struct Resolver<'a> {
    inventory: &'a Inventory,
    pods: HashMap<Box<str>, Vec<IpNet>>,
    declared: PodNetworks,
    namespaces: BTreeMap<(Box<str>, Box<str>), Arc<Labels>>,
    nodes: BTreeMap<(Box<str>, Box<str>), Arc<Labels>>,
    /// By cluster and address: the services behind which it stands. Only clusters whose services are known.
    behind: BTreeMap<Box<str>, HashMap<IpAddr, Arc<[Behind]>>>,
    nobody: Arc<[Behind]>,
    /// What was found behind services, for a service is called over and over.
    backends: RefCell<Backends>,
    /// Labels of namespaces as records have them, for most ends of a namespace have the same.
    recorded: RefCell<Recorded>,
}

/// By cluster, namespace and what the record says: the labels of the namespace.
type Recorded = HashMap<(Box<str>, Box<str>, Box<[Box<str>]>), Arc<Labels>>;

/// An end as a connection names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Described {
    pub(super) cluster: TextId,
    pub(super) party: Option<PartyId>,
    pub(super) endpoint: EndpointId,
    pub(super) address: AddressId,
}

impl<'a> Resolver<'a> {
    /// A resolver of these objects and declared ranges.
    pub fn new(inventory: &'a Inventory, declared: PodNetworks) -> Self {
        let mut pods = HashMap::new();
        let mut namespaces = BTreeMap::new();
        for cluster in inventory.clusters() {
            pods.insert(Box::from(cluster), inventory.pod_networks(cluster));
            for (name, labels) in inventory.namespaces(cluster) {
                namespaces.insert((cluster.into(), name.into()), Arc::new(labels.clone()));
            }
        }
        let mut nodes = BTreeMap::new();
        for cluster in inventory.clusters() {
            for node in inventory.nodes(cluster) {
                nodes.insert((cluster.into(), node.name.clone()), Arc::new(node.labels.clone()));
            }
        }
        let behind = inventory.clusters().filter(|cluster| inventory.services(cluster).next().is_some());
        let behind = behind.map(|cluster| (cluster.into(), services::behind(inventory, cluster))).collect();
        Self {
            inventory,
            pods,
            declared,
            namespaces,
            nodes,
            behind,
            nobody: Arc::new([]),
            backends: RefCell::default(),
            recorded: RefCell::default(),
        }
    }

    /// The services of a cluster of which it is known what stands behind them.
    pub fn services(&self, cluster: &str) -> ServiceNames {
        let backends = self.inventory.backends(cluster);
        let with_slices: BTreeSet<(&str, &str)> =
            backends.map(|backend| (&*backend.namespace, &*backend.service)).collect();
        let is_told = |service: &&Service| {
            !service.selector.is_empty() || with_slices.contains(&(&*service.namespace, &*service.name))
        };
        let named = |service: &Service| ((service.namespace.clone(), service.name.clone()), service.labels.clone());
        let known: ServiceNames = self.inventory.services(cluster).filter(is_told).map(named).collect();
        let alone =
            with_slices.iter().map(|(namespace, name)| ((Box::from(*namespace), Box::from(*name)), Labels::new()));
        alone.chain(known).collect()
    }

    /// Describes one end of a connection to `port` that began at `time`.
    pub(super) fn end(&self, evidence: &Evidence, end: Described, port: u16, time: Timestamp) -> End {
        let mut described = self.described(evidence, end, port, time);
        if end.address.is_unrecorded() {
            // What the record left out must not match a range.
            described.address = None;
        }
        self.place(&mut described);
        described
    }

    /// Adds what the inventory knows of the node and of the services of an end.
    fn place(&self, end: &mut End) {
        if !end.node.is_empty() {
            end.node_labels = self.nodes.get(&(end.cluster.clone(), end.node.clone())).cloned();
        }
        end.is_external = end.kind == EndKind::KubeApiserver
            && end.node.is_empty()
            && self.inventory.nodes(&end.cluster).next().is_some();
        if let Some(address) = end.address.filter(|_| end.kind != EndKind::Service) {
            let known = self.behind.get(&end.cluster);
            end.services = known.map(|known| known.get(&address).unwrap_or(&self.nobody).clone());
        }
    }

    fn described(&self, evidence: &Evidence, end: Described, port: u16, time: Timestamp) -> End {
        let vocabulary = &evidence.vocabulary;
        let cluster = vocabulary.text_of(end.cluster);
        let address = vocabulary.address_of(end.address);
        let endpoint = vocabulary.endpoint_of(end.endpoint);
        let party = end.party.and_then(|party| evidence.parties.get(party)).filter(|party| !party.namespace.is_empty());
        if let Some(party) = party {
            let of_party: Vec<Box<str>> = party.labels.iter().cloned().collect();
            let known = endpoint.filter(|endpoint| !endpoint.labels.is_empty());
            let recorded = known.map_or(of_party.as_slice(), |endpoint| &endpoint.labels);
            let mut pod = self.pod(cluster, (&party.namespace, &party.pod), address, recorded, time);
            pod.workload = Some(party.workload.clone());
            self.add_context(&mut pod, endpoint.map(|endpoint| &*endpoint.context).unwrap_or_default());
            return pod;
        }
        let end = self.other(cluster, address, endpoint);
        if end.kind == EndKind::Service { self.with_backends(end, cluster, address, port) } else { end }
    }

    fn pod(&self, cluster: &str, name: (&str, &str), address: IpAddr, recorded: &[Box<str>], time: Timestamp) -> End {
        let (namespace, pod) = name;
        let is_it = |found: &&Pod| *found.namespace == *namespace && *found.name == *pod;
        let at_time = self.inventory.pod_at(cluster, address, time).filter(is_it);
        let object = at_time.or_else(|| self.inventory.pod(cluster, namespace, pod));
        let on_host = object.is_some_and(|object| object.host_network);
        let mut end = self.of_object(cluster, namespace, object);
        end.kind = if on_host { EndKind::HostPod } else { EndKind::Pod };
        end.name = pod.into();
        end.address = Some(address);
        if !recorded.is_empty() {
            let (labels, is_certain) = labels(recorded);
            end.labels = is_certain.then(|| complete(labels, object));
            end.labels_are_filtered = object.is_none();
        }
        end
    }

    /// Adds what the record says of the pod's namespace and account; it is of the time of the flow, and goes before the objects. A label
    /// that only the object has stays: clusters may keep some out of records.
    fn add_context(&self, end: &mut End, context: &[Box<str>]) {
        let label = |text: &str| {
            let (key, value) = text.strip_prefix(NAMESPACE_CONTEXT)?.split_once('=')?;
            Some((Box::from(key), Box::from(value)))
        };
        let account = context.iter().find_map(|text| text.strip_prefix(ACCOUNT_CONTEXT)?.strip_prefix('='));
        if let Some(account) = account.filter(|account| !account.is_empty()) {
            end.service_account = Some(account.into());
        }
        if !context.iter().any(|text| text.starts_with(NAMESPACE_CONTEXT)) {
            return;
        }
        end.namespace_told_by = if end.namespace_labels.is_some() { ToldBy::Both } else { ToldBy::Records };
        let key = (end.cluster.clone(), end.namespace.clone(), context.into());
        let mut recorded = self.recorded.borrow_mut();
        let labels = recorded.entry(key).or_insert_with(|| {
            let mut labels = end.namespace_labels.as_ref().map(|labels| Labels::clone(labels)).unwrap_or_default();
            labels.extend(context.iter().filter_map(|text| label(text)));
            Arc::new(labels)
        });
        end.namespace_labels = Some(labels.clone());
    }

    fn of_object(&self, cluster: &str, namespace: &str, object: Option<&Pod>) -> End {
        let ports = |object: &Pod| -> Arc<[ContainerPort]> { object.ports.iter().cloned().collect() };
        End {
            kind: EndKind::Pod,
            cluster: cluster.into(),
            namespace: namespace.into(),
            labels: object.map(|object| object.labels.clone()),
            namespace_labels: self.namespaces.get(&(cluster.into(), namespace.into())).cloned(),
            service_account: object.map(|object| object.service_account.clone()).filter(|name| !name.is_empty()),
            ports: object.map(ports),
            node: object.map(|object| object.node.clone()).unwrap_or_default(),
            ..End::default()
        }
    }

    /// An end that is no pod, by what the CNI calls it and by its address.
    fn other(&self, cluster: &str, address: IpAddr, endpoint: Option<&Endpoint>) -> End {
        let identity = endpoint.map_or(IdentityKind::Unknown, |endpoint| endpoint.identity);
        let node = self.inventory.node_at(cluster, address).map(|node| node.name.clone());
        let service = self.inventory.service_at(cluster, address);
        let inside = service.filter(|service| service.cluster_addresses.contains(&address));
        let kind = match identity {
            IdentityKind::KubeApiserver => EndKind::KubeApiserver,
            IdentityKind::Host | IdentityKind::RemoteNode | IdentityKind::Health => EndKind::Node,
            IdentityKind::Ingress => EndKind::Gateway,
            _ if inside.is_some() => EndKind::Service,
            _ if self.inventory.is_api_server(cluster, address) => EndKind::KubeApiserver,
            _ if node.is_some() => EndKind::Node,
            IdentityKind::World => EndKind::Outside,
            _ if self.may_be_pod(cluster, address) => EndKind::Unknown,
            _ => EndKind::Outside,
        };
        let (namespace, name) = match inside {
            Some(Service { namespace, name, .. }) if kind == EndKind::Service => (namespace.clone(), name.clone()),
            _ => Default::default(),
        };
        End {
            kind,
            cluster: cluster.into(),
            namespace,
            name,
            address: Some(address),
            node: node.unwrap_or_default(),
            ..End::default()
        }
    }

    /// Whether a pod could have an address: within the ranges of pods where these are known, else anywhere private.
    fn may_be_pod(&self, cluster: &str, address: IpAddr) -> bool {
        let known = self.pods.get(cluster).map(Vec::as_slice).unwrap_or_default();
        let declared = self.declared.iter().filter(|(of, _)| of.as_deref().is_none_or(|of| of == cluster));
        let mut ranges = known.iter().chain(declared.map(|(_, net)| net)).peekable();
        if ranges.peek().is_some() {
            return ranges.any(|net| net.contains(&address));
        }
        is_private(address)
    }

    fn with_backends(&self, mut end: End, cluster: &str, address: IpAddr, port: u16) -> End {
        let key = (cluster.into(), address, port);
        if let Some(known) = self.backends.borrow().get(&key) {
            end.backends.clone_from(known);
            return end;
        }
        let Some(service) = self.inventory.service_at(cluster, address) else { return end };
        let names = service.ports.iter().filter(|known| known.port == port).map(|known| &known.name);
        let names: Vec<_> = names.collect();
        for backend in self.inventory.backends(cluster) {
            if backend.namespace != service.namespace || backend.service != service.name {
                continue;
            }
            let Some(target) = backend.ports.iter().find(|target| names.contains(&&target.name)) else { continue };
            let behind = match &backend.pod {
                Some((namespace, name)) => {
                    self.pod(cluster, (namespace, name), backend.address, &[], Timestamp::UNKNOWN)
                }
                None => self.other(cluster, backend.address, None),
            };
            self.push_backend(&mut end, behind, target.port);
        }
        if end.backends.is_empty() {
            for (pod, target) in services::selected(self.inventory, cluster, service, port) {
                let Some(address) = pod.addresses.first() else { continue };
                let name = (&*pod.namespace, &*pod.name);
                let behind = self.pod(cluster, name, *address, &[], Timestamp::UNKNOWN);
                self.push_backend(&mut end, behind, target);
            }
        }
        end.backends.sort();
        end.backends.dedup();
        self.backends.borrow_mut().insert(key, end.backends.clone());
        end
    }

    fn push_backend(&self, end: &mut End, mut behind: End, port: u16) {
        if behind.kind != EndKind::Service {
            self.place(&mut behind);
            end.backends.push((Arc::new(behind), port));
        }
    }
}

/// Labels of a record; not certain when one key has two values (records of different times).
fn labels(recorded: &[Box<str>]) -> (Labels, bool) {
    let mut labels = Labels::new();
    let mut is_certain = true;
    for text in recorded {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let before = labels.insert(key.into(), value.into());
        is_certain &= before.is_none_or(|before| *before == *value);
    }
    (labels, is_certain)
}

/// Adds what records leave out.
fn complete(mut labels: Labels, object: Option<&Pod>) -> Labels {
    for (key, value) in object.into_iter().flat_map(|object| &object.labels) {
        if is_left_out(key) {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    labels
}

/// The workload of an end, or what stands for it.
pub(super) fn workload_of(end: &End) -> Workload {
    let unnamed = || Workload { kind: crate::model::WorkloadKind("".into()), name: end.name.clone() };
    end.workload.clone().unwrap_or_else(unnamed)
}
