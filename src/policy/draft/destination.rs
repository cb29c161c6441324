//! Destinations outside the cluster: by name where the dialect has names, else by ranges that somebody answers for.
//!
//! In: an edge that the gate let through. Out: the proposal of a rule, what of the edge it does not cover, or why there is none. The order: the
//! registry proxy, databases by their subnets, access that an owner asked for, the name, the vendor's published ranges, stable
//! addresses. Nothing is ever widened to make a destination fit.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::baseline::SeenEdge;
use super::blocks;
use super::closed::Closed;
use super::dialect::Dialect;
use super::gate::{Out, addresses};
use super::infrastructure::day;
use super::model::{NamePattern, PendingKind, Ports, RulePeer};
use super::plan::{DraftInput, Seed};
use crate::catalog::Harbor;
use crate::model::Category;
use crate::summary::Peer;

/// A rule, and the connections of the edge that it does not cover.
pub(super) struct Covered {
    pub(super) seed: Seed,
    pub(super) rest: Option<(u64, Out)>,
}

impl From<Seed> for Covered {
    fn from(proposal: Seed) -> Self {
        Self { seed: proposal, rest: None }
    }
}

/// The rule for a destination outside.
pub(super) fn outside(
    input: &DraftInput<'_>,
    (excluded, closed): (&[IpNet], &Closed<'_>),
    namespace: &str,
    edge: &SeenEdge,
    is_approved: bool,
) -> Result<Covered, Out> {
    let draft = &input.settings.draft;
    let seen = addresses(edge);
    let name = match &edge.peer {
        Peer::Name(name) => Some(&**name),
        _ => None,
    };
    if let Some(harbor) = &draft.harbor
        && edge.judgement.as_ref().is_some_and(|judgement| judgement.category == Category::Registries)
        && name != Some(harbor.host.as_str())
    {
        return Err(Out::new(
            PendingKind::Replaced,
            format!("`{}` stands in front of the registries", harbor.host),
            "point the client at the proxy, or remove `harbor` from `[draft]`",
        ));
    }
    if let Some(database) = draft.database(&input.baseline.cluster, name, &seen, edge.port) {
        let ranges = closed.carved(&database.subnets);
        let slug = format!("database/{}", slug(&database.name));
        let mut proposal = Seed::new(&slug, RulePeer::Blocks(ranges), ports(edge));
        proposal
            .remarks
            .push(format!("subnets of the database `{}` in the settings: a failover moves its address", database.name));
        return partly(proposal, edge, "`subnets` of the database in egress-atlas.toml");
    }
    if let Some(access) = draft.public_access(namespace, &edge.workload.name, edge.port)
        && closed.unbounded.is_none()
        && !seen.is_empty()
        && seen.iter().all(|address| blocks::is_public(*address, &closed.outside_public))
    {
        let ranges = blocks::public_internet(&closed.outside_public);
        let mut proposal = Seed::new("public-internet", RulePeer::Blocks(ranges), ports(edge));
        proposal.remarks.push(format!("all of the public internet, asked for by {}: {}", access.owner, access.reason));
        if let Some(text) = closed.remark() {
            proposal.remarks.push(text);
        }
        return Ok(proposal.into());
    }
    match name {
        Some(name) if input.dialect.has_names() => by_name(input, name, edge, &seen).map(Covered::from),
        _ if name.is_none() && is_approved => by_address(input, edge, &seen, true).map(Covered::from),
        Some(name) => without_names(input, (excluded, closed), name, edge, &seen, (namespace, is_approved)),
        None => {
            closed.refuses(namespace, edge)?;
            by_address(input, edge, &seen, false).map(Covered::from)
        }
    }
}

fn ports(edge: &SeenEdge) -> Ports {
    BTreeSet::from([(edge.protocol, edge.port)])
}

fn by_name(input: &DraftInput<'_>, name: &str, edge: &SeenEdge, seen: &[IpAddr]) -> Result<Seed, Out> {
    if !is_name(input.dialect, name) {
        return Err(Out::new(
            PendingKind::NotExpressible,
            format!("a {} rule cannot hold this name", input.dialect),
            "a rule by hand for its addresses",
        ));
    }
    let cluster = input.baseline.cluster.as_str();
    if let Some(inside) = seen.iter().find(|address| is_of_cluster(input, cluster, **address)) {
        return Err(Out::new(
            PendingKind::NotExpressible,
            format!("the name answers with {inside}, an address of pods or services, which rules by name do not open"),
            "--kube with services and pods, so that the peer is known as what it is",
        ));
    }
    Ok(Seed::new(name, RulePeer::Name(NamePattern::Exact(name.to_owned())), ports(edge)))
}

/// Whether a dialect's rules hold a name: the patterns of the CRDs, in small letters.
pub(super) fn is_name(dialect: Dialect, name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let outer = |byte: Option<u8>| {
        byte.is_some_and(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || (byte == b'_' && dialect == Dialect::Cilium)
        })
    };
    let label = |label: &str| {
        label.len() <= 63
            && label.bytes().all(inner)
            && outer(label.bytes().next())
            && (outer(label.bytes().next_back()))
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && name.parse::<IpAddr>().is_err()
}

fn is_of_cluster(input: &DraftInput<'_>, cluster: &str, address: IpAddr) -> bool {
    matches!(input.settings.network(cluster, address), Some(("pods" | "services", _)))
        || input.inventory.service_addresses(cluster).contains(&address)
        || input.inventory.pod_networks(cluster).iter().any(|net| net.contains(&address))
}

/// A named destination in a dialect without names.
fn without_names(
    input: &DraftInput<'_>,
    (excluded, closed): (&[IpNet], &Closed<'_>),
    name: &str,
    edge: &SeenEdge,
    seen: &[IpAddr],
    (namespace, is_approved): (&str, bool),
) -> Result<Covered, Out> {
    let draft = &input.settings.draft;
    if let Some(vendor) = draft.vendor(name) {
        let mut proposal = Seed::new(name, RulePeer::Blocks(closed.carved(&vendor.ranges)), ports(edge));
        proposal.remarks.push(format!("published ranges, {} read on {}", vendor.source, vendor.checked));
        return partly(proposal, edge, "`ranges` of the vendor in egress-atlas.toml");
    }
    let cluster = input.baseline.cluster.as_str();
    let few = seen.len() <= usize::try_from(draft.stable_addresses).unwrap_or(usize::MAX);
    let private = seen.iter().all(|address| !blocks::is_public(*address, excluded));
    let lasting = edge.days.len() >= usize::try_from(draft.stable_days).unwrap_or(usize::MAX);
    let inside = seen.iter().any(|address| is_of_cluster(input, cluster, *address));
    if !seen.is_empty() && few && !inside && (private || lasting) {
        if !is_approved {
            closed.refuses(namespace, edge)?;
        }
        let ranges = seen.iter().map(|address| blocks::host(*address)).collect();
        let mut proposal = Seed::new(name, RulePeer::Blocks(ranges), ports(edge));
        let (first, last) = (day(edge.first.as_deref()), day(edge.last.as_deref()));
        proposal.remarks.push(format!(
            "{} as seen, on {} day(s), {first} to {last}: when the name moves, this rule has to follow",
            if private { "private addresses" } else { "stable addresses" },
            edge.days.len()
        ));
        return Ok(proposal.into());
    }
    Err(Out::new(
        PendingKind::NotExpressible,
        format!(
            "{} holds no names; observed: {} public address{} on {} day{}",
            input.dialect,
            seen.len(),
            if seen.len() == 1 { "" } else { "es" },
            edge.days.len(),
            if edge.days.len() == 1 { "" } else { "s" }
        ),
        format!(
            "a dialect with names (cilium, antrea, cluster-network-policy); or published ranges as `[[draft.vendor]]`; or {} days of baseline with at most {} addresses",
            draft.stable_days, draft.stable_addresses
        ),
    ))
}

/// A destination without a name that the gate let through: reviewed, or inside.
fn by_address(input: &DraftInput<'_>, edge: &SeenEdge, seen: &[IpAddr], is_approved: bool) -> Result<Seed, Out> {
    let cluster = input.baseline.cluster.as_str();
    let Peer::Address(address) = edge.peer else {
        return Err(Out::new(
            PendingKind::Unknown,
            "no record says who this is",
            "a baseline with identities of both ends",
        ));
    };
    if address.is_unspecified() {
        return Err(Out::new(
            PendingKind::Unknown,
            "the records leave the address out (aggregated flow logs do); no rule can mean it",
            "flow logs that keep addresses (docs/sources.md), and a baseline made from them",
        ));
    }
    if seen.iter().chain([&address]).any(|address| is_of_cluster(input, cluster, *address)) {
        return Err(Out::new(
            PendingKind::Unknown,
            "an address of pods or services that no record assigns to one; rules select pods, never their addresses",
            "--kube with the pods and services of that time",
        ));
    }
    if !is_approved && !blocks::is_public(address, &[]) && input.settings.network(cluster, address).is_none() {
        return Err(Out::new(
            PendingKind::Unknown,
            "a private address without a name, which no record, object or setting explains",
            "`internal = [...]` in `[networks]` or a `[[draft.database]]` in egress-atlas.toml, or an owner's `[[review]]` with `decision = \"approved\"`",
        ));
    }
    let mut proposal = Seed::new(&address.to_string(), RulePeer::Blocks(vec![blocks::host(address)]), ports(edge));
    proposal.remarks.push(format!("no name is known; the address as seen until {}", day(edge.last.as_deref())));
    Ok(proposal)
}

/// A rule by ranges, and the connections to addresses outside of them; none where suspects leave nothing of the ranges.
fn partly(proposal: Seed, edge: &SeenEdge, admit: &str) -> Result<Covered, Out> {
    let RulePeer::Blocks(blocks) = &proposal.peer else { return Ok(proposal.into()) };
    let strays: Vec<(&IpAddr, &u64)> =
        edge.addresses.iter().filter(|(address, _)| !blocks.iter().any(|block| block.contains(**address))).collect();
    let out = || {
        let listed: Vec<String> = strays.iter().take(4).map(|(address, _)| address.to_string()).collect();
        let is_hole = |address: &IpAddr| blocks.iter().any(|block| block.range.contains(address));
        let of_suspects = blocks.is_empty() || strays.iter().any(|(address, _)| is_hole(address));
        let why = format!(
            "{} address(es) outside the configured ranges{}: {}",
            strays.len(),
            if of_suspects { ", or closed as those of suspects" } else { "" },
            listed.join(", ")
        );
        Out::new(PendingKind::Unknown, why, format!("check and extend {admit}"))
    };
    if blocks.is_empty() {
        return Err(out());
    }
    let count = strays.iter().map(|(_, count)| **count).fold(0, u64::saturating_add);
    let rest = (!strays.is_empty()).then(|| (count, out()));
    Ok(Covered { seed: proposal, rest })
}

/// The rule for the registry proxy.
pub(super) fn proxy(input: &DraftInput<'_>, harbor: &Harbor) -> Result<Seed, Out> {
    let ports: Ports = BTreeSet::from([(crate::model::Protocol::TCP, harbor.port)]);
    let peer = if !harbor.addresses.is_empty() && !input.dialect.has_names() {
        RulePeer::Blocks(harbor.addresses.iter().map(|net| blocks::whole(*net)).collect())
    } else if input.dialect.has_names() && is_name(input.dialect, harbor.host.as_str()) {
        RulePeer::Name(NamePattern::Exact(harbor.host.as_str().to_owned()))
    } else {
        return Err(Out::new(
            PendingKind::Unknown,
            format!("{} holds no names, and the addresses of `{}` are not configured", input.dialect, harbor.host),
            "`harbor_addresses = [...]` in `[draft]` of egress-atlas.toml",
        ));
    };
    let mut proposal = Seed::new("registry-proxy", peer, ports);
    proposal.remarks.push(format!("registries through `{}`", harbor.host));
    Ok(proposal)
}

/// A text as part of an id.
pub(super) fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' }).collect()
}
