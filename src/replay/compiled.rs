//! Rules with their peers numbered, so that what depends on one end alone is worked out once per end.
//!
//! In: policies. Out: their rules as trees of numbered leaves, and the distinct leaves. Decides nothing.

use hashbrown::HashMap;

use crate::policy::{Dialect, Direction, Entity, NamePattern, Peer, Policy, Rule, ServicePart};

/// A peer of a rule, its leaves numbered.
#[derive(Clone, Debug)]
pub(super) enum Compiled<'s> {
    /// Depends on the other end alone; answered once per end.
    Leaf(usize),
    /// The same for pods of a dialect whose API says that those on the host's network are none, whatever the CNI.
    OwnNetwork(usize),
    /// Depends on the names of the connection.
    Name(&'s NamePattern),
    /// Depends on both ends.
    Relative(Entity),
    /// Depends on the namespaces of both ends.
    SameLabels(&'s [Box<str>]),
    /// Depends on the other end and on how it was called: its leaf, and the service.
    Service(usize, (&'s str, &'s str), ServicePart),
    Either(Vec<Self>),
    Both(Vec<Self>),
    Not(Box<Self>),
}

/// The peers of a rule, and its condition on the pod itself.
#[derive(Clone, Debug)]
pub(super) struct CompiledRule<'s> {
    pub(super) rule: &'s Rule,
    pub(super) peers: Option<Vec<Compiled<'s>>>,
    pub(super) local: Option<Compiled<'s>>,
}

/// Numbers the distinct peers.
#[derive(Default)]
pub(super) struct Compiler<'s> {
    pub(super) leaves: Vec<&'s Peer>,
    numbers: HashMap<&'s Peer, usize>,
}

impl<'s> Compiler<'s> {
    /// The rules of a policy in one direction.
    pub(super) fn rules(&mut self, policy: &'s Policy, direction: Direction) -> Vec<CompiledRule<'s>> {
        let rules = policy.section(direction).map(|section| section.rules.as_slice()).unwrap_or_default();
        rules
            .iter()
            .map(|rule| CompiledRule {
                rule,
                peers: rule.peers.as_ref().map(|peers| peers.iter().map(|peer| self.of(policy, peer)).collect()),
                local: rule.local.as_ref().map(|local| self.of(policy, local)),
            })
            .collect()
    }

    fn of(&mut self, policy: &Policy, peer: &'s Peer) -> Compiled<'s> {
        match peer {
            Peer::Pods { .. } if policy.dialect == Dialect::ClusterNetworkPolicy => {
                Compiled::OwnNetwork(self.leaf(peer))
            }
            _ => self.peer(peer),
        }
    }

    fn peer(&mut self, peer: &'s Peer) -> Compiled<'s> {
        match peer {
            Peer::Name(pattern) => Compiled::Name(pattern),
            Peer::Entity(entity @ (Entity::Host | Entity::RemoteNode | Entity::SameNamespace)) => {
                Compiled::Relative(*entity)
            }
            Peer::Either(parts) => Compiled::Either(parts.iter().map(|part| self.peer(part)).collect()),
            Peer::Both(parts) => Compiled::Both(parts.iter().map(|part| self.peer(part)).collect()),
            Peer::Not(part) => Compiled::Not(Box::new(self.peer(part))),
            Peer::SameLabels(keys) => Compiled::SameLabels(keys),
            Peer::Service { namespace, name, part } => Compiled::Service(self.leaf(peer), (namespace, name), *part),
            leaf => Compiled::Leaf(self.leaf(leaf)),
        }
    }

    fn leaf(&mut self, leaf: &'s Peer) -> usize {
        let next = self.leaves.len();
        let number = *self.numbers.entry(leaf).or_insert(next);
        if number == next {
            self.leaves.push(leaf);
        }
        number
    }
}
