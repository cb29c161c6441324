//! Callers that are no pods: clients outside the cluster, and the gateway of the network plugin.
//!
//! In: an ingress edge. Out: the seed of a rule. Many public clients make a port a public one; a few are not written down, since clients
//! change their addresses; private ones are let in by the ranges that the settings name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::baseline::SeenEdge;
use super::blocks;
use super::destination::Covered;
use super::gate::Out;
use super::model::{Block, PendingKind, Ports, RulePeer};
use super::plan::{DraftInput, Seed};

/// Clients outside the cluster.
pub(super) fn outside(input: &DraftInput<'_>, excluded: &[IpNet], edge: &SeenEdge) -> Result<Covered, Out> {
    let cluster = input.baseline.cluster.as_str();
    let ports: Ports = BTreeSet::from([(edge.protocol, edge.port)]);
    let mut ranges: BTreeSet<Block> = BTreeSet::new();
    let (mut public, mut left) = (BTreeSet::new(), Vec::new());
    for address in edge.addresses.keys() {
        match input.settings.network(cluster, *address) {
            Some(("internal" | "nodes", net)) => {
                ranges.insert(blocks::whole(net));
            }
            _ if blocks::is_public(*address, excluded) => {
                public.insert(*address);
            }
            _ => left.push(*address),
        }
    }
    let many = public.len() >= usize::try_from(input.settings.draft.public_clients).unwrap_or(usize::MAX);
    let mut remarks = Vec::new();
    if many {
        ranges.extend(blocks::public_internet(excluded));
        remarks.push(format!(
            "a public port: {} public clients were seen, any may call; behind a load balancer that hides them, name its range instead",
            public.len()
        ));
    } else {
        left.extend(public);
    }
    if !ranges.is_empty() && remarks.is_empty() {
        remarks.push("callers by the ranges of the settings".to_owned());
    }
    left.sort();
    let out = || {
        let listed: Vec<String> = left.iter().take(4).map(IpAddr::to_string).collect();
        Out::new(
            PendingKind::Unknown,
            format!(
                "{} client(s) outside, too few to call the port public and in no known range: {}",
                left.len(),
                listed.join(", ")
            ),
            "`internal = [...]` in `[networks]` for your own ranges; a lower `public_clients` in `[draft]` if the port is public",
        )
    };
    if ranges.is_empty() {
        return Err(out());
    }
    let mut seed = Seed::new("outside", RulePeer::Blocks(ranges.into_iter().collect()), ports);
    // Ports of different kinds of callers must not meet in one rule.
    (if many { "public-clients" } else { "known-clients" }).clone_into(&mut seed.slug);
    seed.remarks = remarks;
    let missed =
        left.iter().filter_map(|address| edge.addresses.get(address)).fold(0_u64, |sum, n| sum.saturating_add(*n));
    Ok(Covered { seed, rest: (!left.is_empty()).then(|| (missed, out())) })
}

/// The gateway or ingress proxy of the network plugin.
pub(super) fn gateway(input: &DraftInput<'_>, edge: &SeenEdge) -> Result<Seed, Out> {
    if input.dialect.has_entities() {
        return Ok(Seed::new("gateway", RulePeer::Gateway, BTreeSet::from([(edge.protocol, edge.port)])));
    }
    Err(Out::new(
        PendingKind::NotExpressible,
        format!("{} has no word for the gateway of the network plugin", input.dialect),
        "a rule by hand with the addresses of the gateway",
    ))
}
