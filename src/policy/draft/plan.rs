//! Edge by edge from the baseline to the draft of each namespace.
//!
//! In: the baseline of a cluster and everything that is known besides. Out: drafts in which each edge is cited by a rule or listed as
//! pending, and the namespaces that get none. Same input, same draft.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::baseline::{Baseline, SeenEdge, SeenNamespace};
use super::blocks;
use super::callers;
use super::closed::Closed;
use super::destination::{self, Covered, outside};
use super::dialect::Dialect;
use super::gate::{self, Out};
use super::growing::{Growing, peer_text};
use super::infrastructure::{self, DnsServers};
use super::inside;
use super::labels::is_valid;
use super::model::{Draft, PendingKind, Ports, RulePeer};
use super::subjects::{Template, Templates};
use super::through;
use super::time::TimeServers;
use crate::catalog::{Catalog, Date, Reviews, Settings};
use crate::kube::Inventory;
use crate::model::Category;
use crate::policy::Direction;
use crate::summary::Peer;

/// Everything that a draft rests on.
#[derive(Clone, Copy)]
pub struct DraftInput<'a> {
    /// What was seen.
    pub baseline: &'a Baseline,
    /// Kubernetes objects; may be empty.
    pub inventory: &'a Inventory,
    /// The user's settings.
    pub settings: &'a Settings,
    /// The embedded catalog.
    pub catalog: &'a Catalog,
    /// Reviews newer than the baseline, and the day that decides what has expired.
    pub reviews: Option<(&'a Reviews, Date)>,
    /// The dialect to plan for.
    pub dialect: Dialect,
}

/// The drafts of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// One for each namespace, by name.
    pub drafts: Vec<Draft>,
    /// Namespaces without a draft, and why.
    pub skipped: BTreeMap<String, String>,
}

/// A rule in the making.
pub(super) struct Seed {
    pub(super) slug: String,
    pub(super) peer: RulePeer,
    pub(super) ports: Ports,
    pub(super) is_dns: bool,
    pub(super) remarks: Vec<String>,
}

impl Seed {
    pub(super) fn new(slug: &str, peer: RulePeer, ports: Ports) -> Self {
        Self { slug: slug.to_owned(), peer, ports, is_dns: false, remarks: Vec::new() }
    }
}

/// Plans the drafts of a cluster: of the namespaces in `only`, or of all but the skipped ones.
pub fn plan(input: &DraftInput<'_>, only: &[String]) -> Planned {
    let planner = Planner::new(*input);
    let mut outcome = Planned { drafts: Vec::new(), skipped: BTreeMap::new() };
    for (namespace, seen) in &input.baseline.namespaces {
        match planner.refuses(namespace, only) {
            Some(why) => {
                outcome.skipped.insert(namespace.clone(), why);
            }
            None => outcome.drafts.push(planner.draft(namespace, seen)),
        }
    }
    outcome
}

struct Planner<'a> {
    input: DraftInput<'a>,
    templates: Templates,
    dns: DnsServers,
    excluded: Vec<IpNet>,
    closed: Closed<'a>,
    time: Vec<(&'a str, &'a SeenEdge)>,
}

impl<'a> Planner<'a> {
    fn new(input: DraftInput<'a>) -> Self {
        let templates = Templates::new(input.baseline, input.inventory);
        let dns = DnsServers::find(input.baseline, input.inventory, &templates);
        let cluster = input.baseline.cluster.as_str();
        let shared = [Some(&input.settings.networks), input.settings.clusters.get(cluster)];
        let own = shared.into_iter().flatten().flat_map(|networks| {
            [&networks.pods, &networks.services, &networks.nodes, &networks.internal].into_iter().flatten().copied()
        });
        let excluded = blocks::with_nat64(input.settings.draft.excluded.iter().copied().chain(own));
        let time = (input.baseline.namespaces.iter())
            .flat_map(|(name, seen)| seen.egress.iter().map(move |edge| (name.as_str(), edge)))
            .filter(|(_, edge)| infrastructure::is_time(edge))
            .collect();
        let closed = Closed::new(&input, &excluded);
        Self { input, templates, dns, excluded, closed, time }
    }

    fn refuses(&self, namespace: &str, only: &[String]) -> Option<String> {
        let label = !namespace.is_empty()
            && !namespace.contains(['.', '/'])
            && is_valid("name", namespace)
            && namespace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if namespace.is_empty() {
            return Some(
                "clients that no record assigns to a namespace; no policy of a namespace reaches them".to_owned(),
            );
        }
        if !label {
            return Some("not a name that a namespace can have".to_owned());
        }
        if !only.is_empty() {
            return (!only.iter().any(|own| own == namespace)).then(|| "not among --namespace".to_owned());
        }
        let skipped = self.input.settings.draft.skip_namespaces.iter().any(|own| **own == *namespace);
        skipped.then(|| {
            "in `skip_namespaces`; isolating it can take the cluster down (--namespace drafts it all the same)"
                .to_owned()
        })
    }

    fn draft(&self, namespace: &str, seen: &SeenNamespace) -> Draft {
        let mut growing = Growing::new(namespace, self.templates.of_namespace(namespace));
        let time = TimeServers::new(&self.input, &self.excluded, &self.time, namespace);
        growing.plant(self.dns.seed());
        if self.dns.is_assumed {
            growing.ask(
                "",
                "cluster DNS",
                &Out::new(
                    PendingKind::Question,
                    "the cluster's DNS pods are not known; the usual label in `kube-system` is assumed",
                    "--kube with services and pods, or a baseline that holds DNS traffic",
                ),
            );
        }
        let (seeds, questions) = time.rules(&self.input);
        for proposal in seeds {
            growing.plant(proposal);
        }
        for question in questions {
            growing.ask("", "time (NTP)", &question);
        }
        if self.input.settings.draft.pod_to_pod {
            let mut proposal = Seed::new("pod-to-pod", RulePeer::EveryPod, Ports::new());
            proposal.remarks.push(
                "every pod of the cluster, at every port; `pod_to_pod = false` in `[draft]` allows only what was seen"
                    .to_owned(),
            );
            growing.plant(proposal);
        }
        for edge in &seen.egress {
            self.egress(&mut growing, &time, edge);
        }
        for edge in &seen.ingress {
            self.ingress(&mut growing, edge);
        }
        self.through_services(&mut growing);
        self.registry_proxy(&mut growing);
        self.ask_about_templates(&mut growing, seen);
        self.ask_about_public(&mut growing);
        self.tell_of_closed(&mut growing, seen);
        growing.finish(&self.input)
    }

    fn egress(&self, growing: &mut Growing<'_>, time: &TimeServers, edge: &SeenEdge) {
        match self.route_egress(growing, time, edge) {
            Ok(()) => {}
            Err(out) => growing.leave(Direction::Egress, edge, edge.connections, out),
        }
    }

    fn route_egress(&self, growing: &mut Growing<'_>, time: &TimeServers, edge: &SeenEdge) -> Result<(), Out> {
        let in_cluster = matches!(&edge.peer, Peer::Workload { cluster, .. } if cluster.is_empty())
            || matches!(edge.peer, Peer::Service { .. });
        if self.dns.serves(edge) {
            gate::passes(edge)?;
            return growing.cite_baseline("dns", edge);
        }
        if in_cluster && self.input.settings.draft.pod_to_pod && !inside::is_on_host(&self.input, edge) {
            // The rule has no ports: whatever the protocol, it passes.
            return match gate::passes(edge) {
                Err(out) if out.kind == PendingKind::Denied => Err(out),
                _ => growing.cite_baseline("pod-to-pod", edge),
            };
        }
        gate::passes(edge)?;
        let approval = gate::admits(&self.input, growing.namespace, edge)?;
        if let Some(proposal) = infrastructure::link_local_dns(edge) {
            let slug = growing.plant(proposal);
            return growing.cite_baseline(&slug, edge);
        }
        if infrastructure::is_time(edge)
            && let Some(slug) = time.rule_of(&self.input, edge)
        {
            return growing.cite_baseline(&slug, edge);
        }
        let index = self.template(growing.namespace, edge)?;
        let mut proposal = match &edge.peer {
            Peer::KubeApiserver => {
                let (proposal, question) = infrastructure::api_server(&self.input, edge)?;
                if let Some(question) = question {
                    growing.ask(&edge.workload.to_string(), "kube-apiserver", &question);
                }
                proposal
            }
            Peer::Node => infrastructure::nodes(&self.input, edge)?,
            Peer::Name(_) | Peer::Address(_) => {
                let closed = (self.excluded.as_slice(), &self.closed);
                let covered = outside(&self.input, closed, growing.namespace, edge, approval.is_some())?;
                ask_what_it_is(growing, edge, approval.as_deref());
                if let Some((connections, out)) = covered.rest {
                    growing.leave(Direction::Egress, edge, connections, out);
                }
                covered.seed
            }
            Peer::Ingress => callers::gateway(&self.input, edge)?,
            _ => inside::peer(&self.input, &self.templates, edge)?,
        };
        if let Some(by) = approval {
            proposal.remarks.push(format!("review: {by}"));
        }
        growing.own(Direction::Egress, index, proposal, Some(edge));
        Ok(())
    }

    fn ingress(&self, growing: &mut Growing<'_>, edge: &SeenEdge) {
        match self.route_ingress(growing.namespace, edge) {
            Ok((index, covered)) => {
                if let Some((connections, out)) = covered.rest {
                    growing.leave(Direction::Ingress, edge, connections, out);
                }
                growing.own(Direction::Ingress, index, covered.seed, Some(edge));
            }
            Err(out) => growing.leave(Direction::Ingress, edge, edge.connections, out),
        }
    }

    fn route_ingress(&self, namespace: &str, edge: &SeenEdge) -> Result<(usize, Covered), Out> {
        gate::passes(edge)?;
        let index = self.template(namespace, edge)?;
        let by_address =
            matches!(edge.peer, Peer::Outside | Peer::Node | Peer::KubeApiserver | Peer::Name(_) | Peer::Address(_));
        if by_address && !self.input.dialect.has_ingress_blocks() {
            return Err(Out::new(
                PendingKind::NotExpressible,
                format!("{} selects callers in the cluster only, not by address", self.input.dialect),
                "the ingress files of another dialect, which may be mixed with this one for egress",
            ));
        }
        let covered = match &edge.peer {
            Peer::Outside | Peer::Name(_) | Peer::Address(_) => callers::outside(&self.input, &self.excluded, edge)?,
            Peer::Node => infrastructure::nodes(&self.input, edge)?.into(),
            Peer::KubeApiserver => infrastructure::api_server(&self.input, edge)?.0.into(),
            Peer::Ingress => callers::gateway(&self.input, edge)?.into(),
            Peer::Workload { .. } | Peer::Service { .. } => {
                let mut proposal = inside::peer(&self.input, &self.templates, edge)?;
                // Our own pods listen; no service stands in between any more.
                proposal.ports = Ports::from([(edge.protocol, edge.port)]);
                proposal.into()
            }
        };
        Ok((index, covered))
    }

    /// Lets in who calls the namespace's services, where records show the service's address alone.
    fn through_services(&self, growing: &mut Growing<'_>) {
        for (client, seen) in &self.input.baseline.namespaces {
            for edge in seen.egress.iter().filter(|edge| gate::passes(edge).is_ok()) {
                let Peer::Service { namespace, name } = &edge.peer else { continue };
                if **namespace != *growing.namespace {
                    continue;
                }
                for own in through::mirrored(&self.input, client, edge) {
                    match self.route_ingress(growing.namespace, &own) {
                        Ok((index, mut covered)) => {
                            covered.seed.remarks.push(format!("called through the service `{name}`"));
                            growing.own(Direction::Ingress, index, covered.seed, Some(&own));
                        }
                        Err(out) => growing.leave(Direction::Ingress, &own, own.connections, out),
                    }
                }
            }
        }
    }

    /// The template that an edge's workload belongs to.
    fn template(&self, namespace: &str, edge: &SeenEdge) -> Result<usize, Out> {
        let found = self.templates.of_workload(namespace, &edge.workload).map_err(|refused| {
            Out::new(
                PendingKind::NoSelector,
                format!("nothing stable selects this workload: {refused}"),
                "a label such as `app.kubernetes.io/name` in its pod template",
            )
        })?;
        let all: &[Template] = self.templates.of_namespace(namespace);
        all.iter()
            .position(|template| template.name == found.name)
            .ok_or_else(|| Out::new(PendingKind::NoSelector, "its template is not known", "a baseline with labels"))
    }

    /// Where the proxy replaces registries, it has to be reachable.
    fn registry_proxy(&self, growing: &mut Growing<'_>) {
        let Some(harbor) = &self.input.settings.draft.harbor else { return };
        let replaced: BTreeSet<_> = growing
            .pending
            .iter()
            .filter(|pending| pending.kind == PendingKind::Replaced)
            .filter_map(|pending| pending.edge.clone())
            .collect();
        let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for citation in replaced {
            let found = self.templates.of_workload(growing.namespace, &citation.workload).ok();
            let all = self.templates.of_namespace(growing.namespace);
            let index = found.and_then(|found| all.iter().position(|template| template.name == found.name));
            if let (Some(index), Peer::Name(name)) = (index, &citation.peer) {
                names.entry(index).or_default().insert(name.to_string());
            }
        }
        for (index, names) in names {
            match destination::proxy(&self.input, harbor) {
                Ok(mut proposal) => {
                    let listed: Vec<String> = names.into_iter().collect();
                    proposal.remarks.push(format!("replaces {}", listed.join(", ")));
                    growing.own(Direction::Egress, index, proposal, None);
                }
                Err(out) => growing.ask("", "registry proxy", &out),
            }
        }
    }

    /// Says of what is denied today, and of suspects, whether a rule of the draft opens it: rules are for peers, a peer may be denied at
    /// one port only, and a name may stand for the address of a suspect.
    fn tell_of_closed(&self, growing: &mut Growing<'_>, seen: &SeenNamespace) {
        let sides = [(Direction::Egress, &seen.egress), (Direction::Ingress, &seen.ingress)];
        for (direction, edge) in sides.into_iter().flat_map(|(way, edges)| edges.iter().map(move |edge| (way, edge))) {
            if !growing.is_left_as_closed(direction, edge) {
                continue;
            }
            let index = self.template(growing.namespace, edge).ok();
            let pods = match &edge.peer {
                Peer::Workload { .. } | Peer::Service { .. } => {
                    inside::peer(&self.input, &self.templates, edge).ok().map(|proposal| proposal.peer)
                }
                _ => None,
            };
            let shared = |other: &SeenEdge| Some((Closed::beside(edge, other)?, other.peer.clone()));
            let beside: Vec<(IpAddr, Peer)> = match direction {
                Direction::Egress => seen.egress.iter().filter(|other| *other != edge).filter_map(shared).collect(),
                Direction::Ingress => Vec::new(),
            };
            growing.tell_of_closed(direction, edge, index, pods.as_ref(), &beside);
        }
    }

    /// A range that may hold a suspect whose addresses nobody knows is not written.
    fn ask_about_public(&self, growing: &mut Growing<'_>) {
        let is_asked_for = self.input.settings.draft.public.iter().any(|access| {
            access.namespaces.is_empty() || access.namespaces.iter().any(|own| **own == *growing.namespace)
        });
        if let Some(why) = self.closed.unbounded.as_ref().filter(|_| is_asked_for) {
            growing.ask(
                "",
                "public internet",
                &Out::new(
                    PendingKind::Question,
                    format!("the public internet asked for in `[[draft.public]]` stays closed: {why}"),
                    "an owner's `[[review]]` of the suspects",
                ),
            );
        }
    }

    fn ask_about_templates(&self, growing: &mut Growing<'_>, seen: &SeenNamespace) {
        for template in self.templates.of_namespace(growing.namespace) {
            if !template.also.is_empty() {
                let also: Vec<String> = template.also.iter().map(ToString::to_string).collect();
                growing.ask(
                    &template.name,
                    &template.selector.to_string(),
                    &Out::new(
                        PendingKind::Question,
                        format!("this selector also selects {}, which gets the same rules", also.join(", ")),
                        "a label in one of the pod templates that tells them apart",
                    ),
                );
            }
        }
        let scraped = seen.ingress.iter().any(|edge| match &edge.peer {
            Peer::Workload { namespace, workload, .. } => is_scraper(namespace) || is_scraper(&workload.name),
            _ => false,
        });
        if !scraped && !self.templates.of_namespace(growing.namespace).is_empty() {
            growing.ask("", "metrics", &Out::new(
                PendingKind::Question,
                "nobody was seen that collects metrics from these workloads; a scraper that the baseline missed would be shut out",
                "a baseline that covers a scrape, if metrics are collected by calling the pods",
            ));
        }
    }
}

/// A destination that nobody classified is allowed, and somebody should say what it is.
fn ask_what_it_is(growing: &mut Growing<'_>, edge: &SeenEdge, approval: Option<&str>) {
    let unclassified = edge.judgement.as_ref().is_some_and(|judged| judged.category == Category::Unclassified);
    if unclassified && approval.is_none() {
        let what = format!("{} {}/{}", peer_text(&edge.peer), edge.protocol, edge.port);
        growing.ask(
            &edge.workload.to_string(),
            &what,
            &Out::new(
                PendingKind::Question,
                "no rule says what this destination is for; nothing is suspect about it, so it is in the draft as it was seen",
                "a `[[category]]` in egress-atlas.toml, or an owner's `[[review]]` in `reviews.toml`",
            ),
        );
    }
}

/// Words that name collectors of metrics.
fn is_scraper(name: &str) -> bool {
    const WORDS: [&str; 8] =
        ["alloy", "datadog", "grafana", "metrics", "monitoring", "observability", "prometheus", "vmagent"];
    WORDS.iter().any(|word| name.contains(word))
}
