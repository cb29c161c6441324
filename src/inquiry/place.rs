//! The place of a key among others, by its content alone.
//!
//! Numbers of a vocabulary depend on the order of reading, so what is kept of too many things is chosen by what the numbers stand for: texts and
//! addresses, the smallest first. Nothing is counted here.

use std::hash::Hash;
use std::net::IpAddr;

use super::ends::{Ends, Side};
use super::surroundings::AroundKey;
use crate::attribute::{Evidence, PartyId};
use crate::model::{AddressId, ChainId, NameId, Protocol};

/// A key whose content orders it.
pub(super) trait Placed: Copy + Eq + Hash {
    /// What orders it.
    type Place: Ord;

    /// The place of the key.
    fn place(self, evidence: &Evidence) -> Self::Place;

    /// Its number, where keys are numbered without gaps, so that one bit for each tells which of them were met.
    fn number(self) -> Option<u32> {
        None
    }
}

impl Placed for AddressId {
    type Place = IpAddr;

    fn place(self, evidence: &Evidence) -> IpAddr {
        evidence.vocabulary.address_of(self)
    }

    fn number(self) -> Option<u32> {
        // What stands in for an address that a record leaves out has no place among the numbers.
        (!self.is_unrecorded()).then_some(self.0)
    }
}

impl Placed for NameId {
    type Place = Box<str>;

    fn place(self, evidence: &Evidence) -> Box<str> {
        evidence.vocabulary.name_of(self).into()
    }

    fn number(self) -> Option<u32> {
        Some(self.0)
    }
}

impl Placed for ChainId {
    type Place = Vec<Box<str>>;

    fn place(self, evidence: &Evidence) -> Vec<Box<str>> {
        let vocabulary = &evidence.vocabulary;
        vocabulary.chain_of(self).iter().map(|name| vocabulary.name_of(*name).into()).collect()
    }

    fn number(self) -> Option<u32> {
        Some(self.0)
    }
}

/// Cluster, namespace, pod, workload.
type PartyPlace = (Box<str>, Box<str>, Box<str>, String);

impl Placed for PartyId {
    type Place = PartyPlace;

    fn place(self, evidence: &Evidence) -> PartyPlace {
        let Some(party) = evidence.parties.get(self) else { return PartyPlace::default() };
        let cluster = evidence.vocabulary.text_of(party.cluster).into();
        (cluster, party.namespace.clone(), party.pod.clone(), party.workload.to_string())
    }

    fn number(self) -> Option<u32> {
        Some(self.0)
    }
}

impl Placed for (NameId, AddressId) {
    type Place = (Box<str>, IpAddr);

    fn place(self, evidence: &Evidence) -> (Box<str>, IpAddr) {
        (self.0.place(evidence), self.1.place(evidence))
    }
}

/// One end as texts; workloads come first and what has no identity of its own last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SidePlace {
    Workload(Box<str>, Box<str>, String),
    Service(IpAddr),
    Name(Box<str>),
    Address(IpAddr),
    Other(u8),
}

fn side(side: Side, evidence: &Evidence) -> SidePlace {
    match side {
        // Which pod stands for the others is chance; the workload is not.
        Side::Workload(party) => {
            let (cluster, namespace, _, workload) = party.place(evidence);
            SidePlace::Workload(cluster, namespace, workload)
        }
        Side::Service(address) => SidePlace::Service(address.place(evidence)),
        Side::Name(name) => SidePlace::Name(name.place(evidence)),
        Side::Address(address) => SidePlace::Address(address.place(evidence)),
        Side::KubeApiserver => SidePlace::Other(0),
        Side::Node => SidePlace::Other(1),
        Side::Ingress => SidePlace::Other(2),
    }
}

/// What orders pairs of ends: cluster, client, server, port and protocol.
pub(super) type EndsPlace = (Box<str>, SidePlace, Box<str>, SidePlace, u16, Protocol);

impl Placed for Ends {
    type Place = EndsPlace;

    fn place(self, evidence: &Evidence) -> EndsPlace {
        let text = |id| evidence.vocabulary.text_of(id).into();
        let (client, server) = (side(self.client, evidence), side(self.server, evidence));
        (text(self.cluster), client, text(self.server_cluster), server, self.port, self.protocol)
    }
}

impl Placed for AroundKey {
    type Place = (EndsPlace, bool);

    fn place(self, evidence: &Evidence) -> (EndsPlace, bool) {
        (self.ends.place(evidence), self.inward)
    }
}
