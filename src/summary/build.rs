//! Counts → an [`Atlas`]: numbers become texts, parts become one.
//!
//! In: what every thread has counted, with the evidence that its numbers are of. Out: the atlas, sorted, with at most so many values in each list; of
//! addresses that a list has no room for it keeps what kinds there were. Nothing is judged.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::askers::Askers;
use super::blind_spot;
use super::builder::{Builder, Key, Other, Owner, Question, Seen};
use super::domains::{Answered, add_answered, add_unanswered};
use super::edge::keep_smallest;
use super::{Asked, Atlas, Cluster, Edge, EdgeKey, EdgeSeen, Namespace, Nodes, Peer, SourceCoverage, WorkloadSeen};
use crate::attribute::{Evidence, PartyId};
use crate::catalog::RuleRanges;
use crate::kube::Inventory;
use crate::model::{ChainId, NameId, TextId, Timestamp, Workload, WorkloadKind};

/// Makes the atlas of all parts. Addresses that an edge has no room to list are told apart by `ranges`.
pub fn build(evidence: &Evidence, inventory: &Inventory, ranges: &RuleRanges, parts: Vec<Builder<'_>>) -> Atlas {
    let mut edges: BTreeMap<Text, BTreeMap<Place, EdgeSeen>> = BTreeMap::new();
    let mut atlas = Atlas::default();
    let writer = Writer { evidence, inventory, ranges };
    let mut asked: HashMap<_, (u64, Timestamp, Timestamp)> = HashMap::new();
    let mut used = HashSet::new();
    let mut inside_answers: HashMap<Question, IpAddr> = HashMap::new();
    let mut askers = Askers::default();
    let mut parts = parts;
    for of_part in writer.edges(&mut parts) {
        for (cluster, place, seen) in of_part {
            match edges.entry(cluster).or_default().entry(place) {
                Entry::Vacant(entry) => {
                    entry.insert(seen);
                }
                Entry::Occupied(mut entry) => entry.get_mut().absorb_with(seen, ranges),
            }
        }
    }
    for part in parts {
        askers.absorb(part.askers);
        for (key, (answers, first, last)) in part.asked {
            let all = asked.entry(key).or_insert((0, first, last));
            *all = (all.0 + answers, all.1.earlier(first), all.2.max(last));
        }
        used.extend(part.used);
        for (key, address) in part.inside_answers {
            let known = inside_answers.entry(key).or_insert(address);
            *known = address.min(*known);
        }
        for (cluster, count) in part.guessed {
            atlas.clusters.entry(writer.text(cluster)).or_default().totals.guessed_orientation += count;
        }
        for (cluster, count) in part.answers_to_nodes {
            atlas.clusters.entry(writer.text(cluster)).or_default().totals.answers_to_nodes += count;
        }
    }
    for (name, rows) in edges {
        let cluster = atlas.clusters.entry(name).or_default();
        for ((namespace, ingress, key), seen) in rows {
            add_edge(cluster, namespace, ingress, Edge { key, seen });
        }
    }
    for (cluster, forwarder) in askers.forwarders(evidence) {
        let cluster = atlas.clusters.entry(writer.text(cluster)).or_default();
        // Without flows nobody connects.
        cluster.forwarder = (cluster.totals.egress_connections > 0).then_some(forwarder);
    }
    for ((cluster, owner, name), (answers, first, last)) in asked {
        let question = (cluster, owner, name);
        let is_used = used.contains(&question);
        writer.asked(&mut atlas, question, (answers, first, last), (is_used, inside_answers.get(&question).copied()));
    }
    writer.unanswered(&mut atlas);
    for ((kind, cluster, name), activity) in &evidence.activity {
        let coverage = SourceCoverage { kind: *kind, name: name.clone(), activity: activity.clone() };
        atlas.clusters.entry(cluster.clone()).or_default().coverage.push(coverage);
    }
    for (name, cluster) in &mut atlas.clusters {
        cluster.nodes = Nodes::of(inventory, name);
    }
    writer.workloads(&mut atlas);
    for namespace in atlas.clusters.values_mut().flat_map(|cluster| cluster.namespaces.values_mut()) {
        forget_reached_services(namespace);
    }
    blind_spot::find(&mut atlas, inventory);
    atlas
}

/// A service's name is answered with an address that the CNI translates before the flow is recorded, so the connection shows
/// only the pod behind it. Asking for a service of a namespace that was then reached is nothing to tell.
fn forget_reached_services(namespace: &mut Namespace) {
    let reached: BTreeSet<&str> = namespace
        .egress
        .iter()
        .filter_map(|edge| match &edge.key.peer {
            Peer::Workload { namespace, .. } | Peer::Service { namespace, .. } => Some(&**namespace),
            _ => None,
        })
        .collect();
    namespace.asked_only.retain(|name, _| {
        let of_service = name.split_once(".svc.").and_then(|(service, _)| service.rsplit('.').next());
        of_service.is_none_or(|namespace| !reached.contains(namespace))
    });
}

type Text = Box<str>;
/// Namespace, whether ingress, edge.
type Place = (Text, bool, EdgeKey);

fn add_edge(cluster: &mut Cluster, namespace: Text, ingress: bool, edge: Edge) {
    let external = matches!(edge.key.peer, Peer::Name(_) | Peer::Address(_));
    let target = cluster.namespaces.entry(namespace).or_default();
    if ingress {
        target.ingress.push(edge);
        return;
    }
    for totals in [&mut target.totals, &mut cluster.totals] {
        totals.egress_connections += edge.seen.connections();
        if external {
            for (grade, count) in &edge.seen.grades {
                *totals.external_grades.entry(*grade).or_default() += count;
            }
        }
    }
    target.egress.push(edge);
}

/// Turns numbers into texts.
struct Writer<'a> {
    evidence: &'a Evidence,
    inventory: &'a Inventory,
    ranges: &'a RuleRanges,
}

impl Writer<'_> {
    fn text(&self, id: TextId) -> Text {
        self.evidence.vocabulary.text_of(id).into()
    }

    /// Takes the edges out of each part, with texts for numbers, in the order of clusters and places.
    fn edges(&self, parts: &mut [Builder<'_>]) -> Vec<Vec<(Text, Place, EdgeSeen)>> {
        let texts = |edges: HashMap<Key, Seen>| {
            let mut texts: Vec<_> = edges
                .into_iter()
                .map(|(key, seen)| {
                    let (namespace, edge) = self.key(&key);
                    (self.text(key.cluster), (namespace, key.ingress, edge), self.seen(seen, key.ingress))
                })
                .collect();
            texts.sort_by(|one, two| (&one.0, &one.1).cmp(&(&two.0, &two.1)));
            texts
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (parts.iter_mut())
                .map(|part| std::mem::take(&mut part.edges))
                .map(|edges| scope.spawn(move || texts(edges)))
                .collect();
            let finished = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            running.into_iter().map(finished).collect()
        })
    }

    fn key(&self, key: &Key) -> (Text, EdgeKey) {
        let stand_in = |name: &str| Workload { kind: WorkloadKind("".into()), name: name.into() };
        let (namespace, workload) = match key.owner {
            Owner::Of(party) => match self.evidence.parties.get(party) {
                Some(known) => (known.namespace.clone(), known.workload.clone()),
                None => ("".into(), stand_in("unknown")),
            },
            Owner::Node => ("".into(), stand_in("node")),
            Owner::Unnamed => ("".into(), stand_in("unnamed client")),
        };
        let peer = self.peer(key);
        (namespace, EdgeKey { workload, peer, port: key.port, protocol: key.protocol })
    }

    fn peer(&self, key: &Key) -> Peer {
        let vocabulary = &self.evidence.vocabulary;
        match key.other {
            Other::Of(party) => match self.evidence.parties.get(party) {
                Some(known) => Peer::Workload {
                    cluster: if known.cluster == key.cluster { "".into() } else { self.text(known.cluster) },
                    namespace: known.namespace.clone(),
                    workload: known.workload.clone(),
                },
                None => Peer::Node,
            },
            Other::Service(address) => {
                let address = vocabulary.address_of(address);
                let cluster = vocabulary.text_of(key.cluster);
                let service = self.inventory.service_at_port(cluster, address, key.port);
                match service.or_else(|| self.inventory.service_at(cluster, address)) {
                    Some(service) => Peer::Service { namespace: service.namespace.clone(), name: service.name.clone() },
                    None => Peer::Address(address),
                }
            }
            Other::Name(name) => Peer::Name(vocabulary.name_of(name).into()),
            Other::Address(address) => Peer::Address(vocabulary.address_of(address)),
            Other::KubeApiserver => Peer::KubeApiserver,
            Other::Node => Peer::Node,
            Other::Ingress => Peer::Ingress,
            Other::Outside => Peer::Outside,
        }
    }

    fn seen(&self, seen: Seen, ingress: bool) -> EdgeSeen {
        let vocabulary = &self.evidence.vocabulary;
        let names = |counts: HashMap<NameId, u64>| {
            let mut texts: BTreeMap<Text, u64> =
                counts.into_iter().map(|(name, count)| (vocabulary.name_of(name).into(), count)).collect();
            keep_smallest(&mut texts);
            texts
        };
        let addresses =
            seen.addresses.into_iter().map(|(address, count)| (vocabulary.address_of(address), count)).collect();
        let chain = |chain: ChainId| {
            let targets: Vec<&str> = vocabulary.chain_of(chain).iter().map(|name| vocabulary.name_of(*name)).collect();
            Text::from(targets.join(" → "))
        };
        let pods = seen.pods.into_iter().filter_map(|party| self.evidence.parties.get(party));
        let seen = EdgeSeen {
            verdicts: seen.verdicts,
            grades: if ingress { BTreeMap::new() } else { seen.grades },
            confidence_permille: seen.confidence_permille,
            first: seen.first,
            last: seen.last,
            days: seen.days,
            addresses,
            beyond: BTreeMap::new(),
            pods: pods.map(|party| party.pod.clone()).filter(|pod| !pod.is_empty()).collect(),
            candidates: names(seen.candidates),
            names: names(seen.names),
            chains: seen.chains.into_iter().map(chain).collect(),
            behaviour: seen.behaviour.named(|party| self.evidence.parties.get(party).map(|known| &*known.pod)),
        };
        let mut made = EdgeSeen::default();
        made.absorb_with(seen, self.ranges);
        made
    }

    fn asked(
        &self,
        atlas: &mut Atlas,
        (cluster, owner, name): (TextId, Option<PartyId>, NameId),
        (answers, first, last): (u64, Timestamp, Timestamp),
        (used, inside): (bool, Option<IpAddr>),
    ) {
        let cluster = atlas.clusters.entry(self.text(cluster)).or_default();
        cluster.totals.answers += answers;
        let Some(party) = owner.and_then(|owner| self.evidence.parties.get(owner)) else { return };
        let namespace = cluster.namespaces.entry(party.namespace.clone()).or_default();
        namespace.totals.answers += answers;
        let text = self.evidence.vocabulary.name_of(name);
        let answered = Answered { name: text, answers, first, last, is_connected: used, inside };
        add_answered(&mut namespace.domains, &party.workload, &answered);
        if used {
            return;
        }
        let asked: &mut Asked = namespace.asked_only.entry(self.evidence.vocabulary.name_of(name).into()).or_default();
        asked.answers += answers;
        asked.workloads.insert(party.workload.clone());
        asked.first = Timestamp::earliest(asked.first, Some(first));
        asked.last = asked.last.max(Some(last));
    }

    /// Adds the questions that got no address.
    fn unanswered(&self, atlas: &mut Atlas) {
        let Evidence { vocabulary, parties, .. } = self.evidence;
        self.evidence.questions.each_of_pods(vocabulary, parties, |cluster, party, domain, asking| {
            let Some(party) = parties.get(party) else { return };
            let cluster = atlas.clusters.entry(self.text(cluster)).or_default();
            let namespace = cluster.namespaces.entry(party.namespace.clone()).or_default();
            add_unanswered(&mut namespace.domains, &party.workload, vocabulary.name_of(domain), asking);
        });
    }

    /// Lists the workloads of every namespace that has traffic, with the labels that all their pods share.
    fn workloads(&self, atlas: &mut Atlas) {
        for (_, party) in self.evidence.parties.iter() {
            let Some(cluster) = atlas.clusters.get_mut(self.evidence.vocabulary.text_of(party.cluster)) else {
                continue;
            };
            let Some(namespace) = cluster.namespaces.get_mut(&party.namespace) else { continue };
            let seen: &mut WorkloadSeen = namespace.workloads.entry(party.workload.clone()).or_default();
            if !party.pod.is_empty() {
                seen.pods.insert(party.pod.clone());
            }
            seen.guessed |= party.guessed;
            if !party.labels.is_empty() {
                seen.labels = Some(match seen.labels.take() {
                    Some(shared) => shared.intersection(&party.labels).cloned().collect(),
                    None => party.labels.clone(),
                });
            }
        }
        for cluster in atlas.clusters.values_mut() {
            for namespace in cluster.namespaces.values_mut() {
                let times = namespace.egress.iter().chain(&namespace.ingress);
                for edge in times {
                    if let Some(seen) = namespace.workloads.get_mut(&edge.key.workload) {
                        seen.first = Timestamp::earliest(seen.first, edge.seen.first);
                        seen.last = seen.last.max(edge.seen.last);
                    }
                }
            }
        }
    }
}
