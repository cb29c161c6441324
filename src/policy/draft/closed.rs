//! Addresses of suspects without an approval: what no rule by ranges may open on the way to something else.
//!
//! In: the settings and all edges of a cluster. Out: holes for ranges, and whether an address is a suspect's too. A rule that would open
//! a suspect gets a hole where it is a range and is refused where it is a single address; rules by name cannot have holes, so what
//! they open beside their name is said (see [`Closed::beside`]).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::baseline::SeenEdge;
use super::blocks;
use super::gate::{self, Out};
use super::growing::peer_text;
use super::model::{Block, PendingKind};
use super::plan::DraftInput;
use crate::summary::Peer;

/// A baseline lists no more addresses of one peer than this; a peer with as many may have others.
pub(super) const ADDRESSES_MAX: usize = 64;
/// A range with more holes than this is not written: CRDs bound the lists that they become.
pub(super) const HOLES_MAX: usize = 200;

/// What stays closed in a cluster.
pub(super) struct Closed<'a> {
    /// What "the public internet" leaves out: the ranges of the settings and the suspects' addresses.
    pub(super) outside_public: Vec<IpNet>,
    /// Why "the public internet" cannot be written without opening a suspect.
    pub(super) unbounded: Option<String>,
    suspects: Vec<(&'a str, &'a SeenEdge)>,
    addresses: Vec<IpNet>,
}

impl<'a> Closed<'a> {
    pub(super) fn new(input: &DraftInput<'a>, excluded: &[IpNet]) -> Self {
        let edges = input.baseline.namespaces.iter();
        let edges = edges.flat_map(|(name, seen)| seen.egress.iter().map(move |edge| (name.as_str(), edge)));
        let outside = |edge: &SeenEdge| matches!(edge.peer, Peer::Name(_) | Peer::Address(_));
        let suspects: Vec<(&str, &SeenEdge)> =
            edges.filter(|(name, edge)| outside(edge) && gate::is_suspect(input, name, edge)).collect();
        let of = |edge: &SeenEdge| -> BTreeSet<IpNet> { dialled(edge).map(|one| blocks::host(one).range).collect() };
        let addresses: BTreeSet<IpNet> = suspects.iter().flat_map(|(_, edge)| of(edge)).collect();
        let mut unbounded = suspects.iter().map(|(_, edge)| *edge).filter(|edge| is_unbounded(edge));
        let unbounded = unbounded.next().map(|edge| {
            format!(
                "not all addresses of the suspect `{}` are known, so the range would open it",
                peer_text(&edge.peer)
            )
        });
        let too_many = (addresses.len() > HOLES_MAX)
            .then(|| format!("suspects have {} addresses, more than a rule can leave out", addresses.len()));
        let unbounded = unbounded.or(too_many);
        let addresses: Vec<IpNet> = addresses.into_iter().collect();
        let outside_public = excluded.iter().chain(&addresses).copied().collect();
        Self { outside_public, unbounded, suspects, addresses }
    }

    /// These ranges with holes where suspects are; what would be nothing but a hole, or has too many, is left out.
    pub(super) fn carved(&self, ranges: &[IpNet]) -> Vec<Block> {
        let is_free = |range: &&IpNet| !self.addresses.iter().any(|closed| closed.contains(*range));
        let carve =
            |range: &IpNet| Block { range: range.trunc(), except: blocks::holes(range.trunc(), &self.addresses) };
        ranges.iter().filter(is_free).map(carve).filter(|block| block.except.len() <= HOLES_MAX).collect()
    }

    /// Why a rule by the addresses of an edge cannot be: the namespace has a suspect there, at the same port.
    pub(super) fn refuses(&self, namespace: &str, edge: &SeenEdge) -> Result<(), Out> {
        let mut found = self.suspects.iter().filter(|(own, suspect)| {
            *own == namespace && suspect.port == edge.port && suspect.protocol == edge.protocol
        });
        let shared = |suspect: &SeenEdge| dialled(suspect).find(|one| dials(edge, *one));
        match found.find_map(|(_, suspect)| Some((suspect, shared(suspect)?))) {
            None => Ok(()),
            Some((suspect, address)) => {
                let name = peer_text(&suspect.peer);
                Err(Out::new(
                    PendingKind::NotExpressible,
                    format!(
                        "{address} is an address of the suspect `{name}` too, and a rule by address would open both"
                    ),
                    format!("an owner's `[[review]]` of `{name}`, or a dialect with names"),
                ))
            }
        }
    }

    /// How many addresses were taken out of "the public internet", for the reader of the rule.
    pub(super) fn remark(&self) -> Option<String> {
        (!self.addresses.is_empty())
            .then(|| format!("without {} address(es) of suspects that no approval admits", self.addresses.len()))
    }

    /// An address that a suspect shares with something that a rule by name opens.
    pub(super) fn beside(suspect: &SeenEdge, other: &SeenEdge) -> Option<IpAddr> {
        let same = suspect.port == other.port && suspect.protocol == other.protocol;
        dialled(suspect).filter(|_| same).find(|one| dials(other, *one))
    }
}

/// The addresses that an edge went to.
fn dialled(edge: &SeenEdge) -> impl Iterator<Item = IpAddr> {
    let own = match edge.peer {
        Peer::Address(address) => Some(address),
        _ => None,
    };
    edge.addresses.keys().copied().chain(own).map(|address| address.to_canonical())
}

fn dials(edge: &SeenEdge, address: IpAddr) -> bool {
    edge.addresses.contains_key(&address) || matches!(edge.peer, Peer::Address(own) if own.to_canonical() == address)
}

/// Whether an edge may have gone to addresses that nobody wrote down.
pub(super) fn is_unbounded(edge: &SeenEdge) -> bool {
    edge.addresses.len() >= ADDRESSES_MAX || (edge.addresses.is_empty() && matches!(edge.peer, Peer::Name(_)))
}
