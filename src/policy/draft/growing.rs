//! The draft of one namespace while its edges are gone through.
//!
//! In: seeds with the edges that they are for, and edges that stay out. Out: the finished draft, sorted. A seed with the peer and the
//! name of a known rule joins it: ports and evidence add up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::baseline::SeenEdge;
use super::gate::Out;
use super::model::{Citation, Draft, Evidence, NamePattern, Pending, PendingKind, Rule, RulePeer, Subject};
use super::plan::{DraftInput, Seed};
use super::subjects::Template;
use super::wildcard;
use crate::policy::Direction;
use crate::summary::Peer;

pub(super) struct Growing<'p> {
    pub(super) namespace: &'p str,
    pub(super) pending: Vec<Pending>,
    baseline: Vec<(String, Rule)>,
    subjects: Vec<Subject>,
    egress: BTreeMap<(usize, String), Rule>,
    ingress: BTreeMap<(usize, String), Rule>,
    questions: BTreeSet<Pending>,
}

impl<'p> Growing<'p> {
    pub(super) fn new(namespace: &'p str, templates: &[Template]) -> Self {
        let subjects = templates
            .iter()
            .map(|template| Subject {
                name: template.name.clone(),
                selector: template.selector.clone(),
                workloads: template.workloads.clone(),
                egress: Vec::new(),
                ingress: Vec::new(),
            })
            .collect();
        Self {
            namespace,
            pending: Vec::new(),
            baseline: Vec::new(),
            subjects,
            egress: BTreeMap::new(),
            ingress: BTreeMap::new(),
            questions: BTreeSet::new(),
        }
    }

    /// Adds a rule for every pod, and says under which name it stands. It may be there already: then ports and ranges add up.
    pub(super) fn plant(&mut self, mut seed: Seed) -> String {
        let mut number = 2_u32;
        let wanted = seed.slug.clone();
        while let Some((_, rule)) = self.baseline.iter_mut().find(|(slug, _)| *slug == seed.slug) {
            if joined(&mut rule.peer, &seed.peer) {
                rule.ports.extend(seed.ports);
                return seed.slug;
            }
            seed.slug = format!("{wanted}-{number}");
            number = number.saturating_add(1);
        }
        let slug = seed.slug.clone();
        let id = format!("baseline/{slug}");
        self.baseline.push((slug.clone(), rule(id, seed)));
        slug
    }

    /// Cites a rule for every pod.
    pub(super) fn cite_baseline(&mut self, slug: &str, edge: &SeenEdge) -> Result<(), Out> {
        let Some((_, rule)) = self.baseline.iter_mut().find(|(own, _)| own == slug) else {
            return Err(Out::new(
                PendingKind::Unknown,
                "no rule of the baseline policy is meant for it",
                "a rule by hand",
            ));
        };
        rule.evidence.add(edge, cite(Direction::Egress, edge));
        Ok(())
    }

    /// Adds a rule of one subject, with the edge that it is for.
    pub(super) fn own(&mut self, direction: Direction, index: usize, seed: Seed, edge: Option<&SeenEdge>) {
        let Some(subject) = self.subjects.get(index) else { return };
        let (rules, way) = match direction {
            Direction::Egress => (&mut self.egress, "egress"),
            Direction::Ingress => (&mut self.ingress, "ingress"),
        };
        // One peer, one rule: names on the same addresses would only say it twice.
        let same = rules.iter().find(|((own, _), known)| *own == index && known.peer == seed.peer);
        let mut slug = same.map_or_else(|| seed.slug.clone(), |((_, slug), _)| slug.clone());
        let mut number = 2_u32;
        // Same name, other peer: both have to stand, under different names.
        while rules.get(&(index, slug.clone())).is_some_and(|known| known.peer != seed.peer) {
            slug = format!("{}-{number}", seed.slug);
            number = number.saturating_add(1);
        }
        let id = format!("{}/{way}/{slug}", subject.name);
        let remarks = seed.remarks.clone();
        let ports = seed.ports.clone();
        let known = rules.entry((index, slug)).or_insert_with(|| rule(id, seed));
        known.ports.extend(ports);
        for remark in remarks {
            if !known.remarks.contains(&remark) {
                known.remarks.push(remark);
            }
        }
        if let Some(edge) = edge {
            known.evidence.add(edge, cite(direction, edge));
        }
    }

    /// Lists what stays out.
    pub(super) fn leave(&mut self, direction: Direction, edge: &SeenEdge, connections: u64, out: Out) {
        let what = match direction {
            Direction::Egress => format!("to {} {}/{}", peer_text(&edge.peer), edge.protocol, edge.port),
            Direction::Ingress => format!("from {} at {}/{}", peer_text(&edge.peer), edge.protocol, edge.port),
        };
        self.pending.push(Pending {
            kind: out.kind,
            who: edge.workload.to_string(),
            what,
            connections,
            last: edge.last.clone(),
            why: out.why,
            admit: out.admit,
            edge: Some(cite(direction, edge)),
        });
    }

    /// Whether an edge was left out because a policy in force denies it, or as a suspect.
    pub(super) fn is_left_as_closed(&self, direction: Direction, edge: &SeenEdge) -> bool {
        let cited = cite(direction, edge);
        let is_closed = |one: &Pending| matches!(one.kind, PendingKind::Denied | PendingKind::Suspect);
        self.pending.iter().any(|one| is_closed(one) && one.edge.as_ref() == Some(&cited))
    }

    /// Adds to the entry of such an edge what the draft makes of it; `pods` is the rule's peer where the other side is in the cluster,
    /// `beside` are other peers that were seen at one of its addresses.
    pub(super) fn tell_of_closed(
        &mut self,
        direction: Direction,
        edge: &SeenEdge,
        index: Option<usize>,
        pods: Option<&RulePeer>,
        beside: &[(IpAddr, Peer)],
    ) {
        let opens = |rule: &&Rule| {
            let at_port = rule.ports.is_empty() || rule.ports.contains(&(edge.protocol, edge.port));
            at_port && covers(&rule.peer, edge, pods)
        };
        let own = match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        };
        let own = own.iter().filter(|((subject, _), _)| Some(*subject) == index).map(|(_, rule)| rule);
        let shared = self.baseline.iter().filter(|_| direction == Direction::Egress).map(|(_, rule)| rule);
        let named = |rule: &Rule| {
            let at_port = rule.ports.is_empty() || rule.ports.contains(&(edge.protocol, edge.port));
            beside.iter().filter(|_| at_port).find(|(_, peer)| names(&rule.peer, peer)).map(|(address, _)| *address)
        };
        let rules: Vec<&Rule> = shared.chain(own).collect();
        let fate = match rules.iter().copied().find(opens) {
            Some(rule) => Some(format!("this side of the draft would open it, by rule `{}`", rule.id)),
            None => rules.iter().find_map(|rule| {
                let address = named(rule)?;
                Some(format!("rule `{}` opens {address} by its name, which is an address of this one too", rule.id))
            }),
        };
        let cited = cite(direction, edge);
        let entries = self.pending.iter_mut().filter(|one| one.edge.as_ref() == Some(&cited));
        for entry in entries {
            match (entry.kind, &fate) {
                (PendingKind::Denied | PendingKind::Suspect, Some(fate)) => {
                    entry.why = format!("{}; {fate}", entry.why);
                }
                (PendingKind::Denied, None) => entry.why.push_str("; the draft keeps it closed"),
                _ => {}
            }
        }
    }

    /// Asks something that changes no traffic of the baseline.
    pub(super) fn ask(&mut self, who: &str, what: &str, out: &Out) {
        self.questions.insert(Pending {
            kind: PendingKind::Question,
            who: who.to_owned(),
            what: what.to_owned(),
            connections: 0,
            last: None,
            why: out.why.clone(),
            admit: out.admit.clone(),
            edge: None,
        });
    }

    pub(super) fn finish(mut self, input: &DraftInput<'_>) -> Draft {
        for ((index, _), rule) in std::mem::take(&mut self.egress) {
            if let Some(subject) = self.subjects.get_mut(index) {
                subject.egress.push(rule);
            }
        }
        for ((index, _), rule) in std::mem::take(&mut self.ingress) {
            if let Some(subject) = self.subjects.get_mut(index) {
                subject.ingress.push(rule);
            }
        }
        for subject in &mut self.subjects {
            subject.egress = wildcard::fold(input, std::mem::take(&mut subject.egress), &self.pending);
        }
        self.pending.extend(std::mem::take(&mut self.questions));
        self.pending.sort();
        Draft {
            dialect: input.dialect,
            cluster: input.baseline.cluster.clone(),
            namespace: self.namespace.to_owned(),
            baseline: self.baseline.into_iter().map(|(_, rule)| rule).collect(),
            subjects: self.subjects,
            pending: self.pending,
        }
    }
}

/// Whether a rule's peer means the other side of an edge.
fn covers(peer: &RulePeer, edge: &SeenEdge, pods: Option<&RulePeer>) -> bool {
    let in_cluster = matches!(&edge.peer, Peer::Workload { cluster, .. } if cluster.is_empty())
        || matches!(edge.peer, Peer::Service { .. });
    match peer {
        RulePeer::EveryPod => in_cluster,
        RulePeer::Pods { .. } => pods == Some(peer),
        RulePeer::Name(_) => names(peer, &edge.peer),
        RulePeer::Blocks(blocks) => {
            !in_cluster && edge.addresses.keys().any(|address| blocks.iter().any(|block| block.contains(*address)))
        }
        RulePeer::ApiServer(_) => edge.peer == Peer::KubeApiserver,
        RulePeer::Nodes(_) => edge.peer == Peer::Node,
        RulePeer::Gateway => edge.peer == Peer::Ingress,
    }
}

/// Whether a rule means a destination by its name.
fn names(peer: &RulePeer, other: &Peer) -> bool {
    let Peer::Name(own) = other else { return false };
    match peer {
        RulePeer::Name(NamePattern::Exact(name)) => **own == **name,
        RulePeer::Name(NamePattern::OneLabelBelow(parent)) => {
            own.split_once('.').is_some_and(|(_, rest)| rest == parent)
        }
        _ => false,
    }
}

/// Lets `known` stand for `other` too; `false` where one peer cannot say both.
fn joined(known: &mut RulePeer, other: &RulePeer) -> bool {
    match (known, other) {
        (RulePeer::Blocks(own), RulePeer::Blocks(more)) | (RulePeer::Nodes(own), RulePeer::Nodes(more)) => {
            own.extend(more.iter().cloned());
            own.sort();
            own.dedup();
            true
        }
        (known, other) => known == other,
    }
}

fn rule(id: String, seed: Seed) -> Rule {
    Rule {
        id,
        peer: seed.peer,
        ports: seed.ports,
        is_dns: seed.is_dns,
        evidence: Evidence::default(),
        remarks: seed.remarks,
    }
}

fn cite(direction: Direction, edge: &SeenEdge) -> Citation {
    Citation {
        direction,
        workload: edge.workload.clone(),
        peer: edge.peer.clone(),
        port: edge.port,
        protocol: edge.protocol,
    }
}

/// The other side of an edge, as people call it.
pub(super) fn peer_text(peer: &Peer) -> String {
    match peer {
        Peer::Workload { cluster, namespace, workload } if cluster.is_empty() => format!("{namespace}/{workload}"),
        Peer::Workload { cluster, namespace, workload } => format!("{cluster}:{namespace}/{workload}"),
        Peer::Service { namespace, name } => format!("service {namespace}/{name}"),
        Peer::KubeApiserver => "the API server".to_owned(),
        Peer::Node => "nodes".to_owned(),
        Peer::Ingress => "the gateway".to_owned(),
        Peer::Name(name) => name.to_string(),
        Peer::Address(address) => address.to_string(),
        Peer::Outside => "clients outside".to_owned(),
    }
}
