//! Time servers: who may be asked for the time, and what stays closed although it speaks UDP/123.
//!
//! In: the settings, and the edges of the cluster at UDP/123. Out: seeds of rules for every pod of a namespace, questions, and which of the rules an
//! edge falls under. A rule for public time servers is wide, so it stands only where the baseline shows a public time server that
//! nothing speaks against, or where the settings ask for it; an address that was refused is a hole in it, named or not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::baseline::SeenEdge;
use super::blocks;
use super::closed::{HOLES_MAX, is_unbounded};
use super::gate::{self, Out};
use super::infrastructure::NTP_PORT;
use super::model::{NamePattern, PendingKind, Ports, RulePeer};
use super::plan::{DraftInput, Seed};
use crate::catalog::{Ntp, Pattern};
use crate::model::Protocol;
use crate::summary::Peer;

/// What a namespace's rules for time rest on.
pub(super) struct TimeServers {
    /// What a rule for public servers leaves out.
    holes: Vec<IpNet>,
    /// Whether a public server was used that nothing speaks against.
    is_seen: bool,
    /// A refused peer whose addresses are not all known.
    unbounded: Option<String>,
}

impl TimeServers {
    /// Looks at `edges`, those of the cluster at UDP/123: all of the own namespace, and suspects of the others.
    pub(super) fn new(
        input: &DraftInput<'_>,
        excluded: &[IpNet],
        edges: &[(&str, &SeenEdge)],
        namespace: &str,
    ) -> Self {
        let mut closed: BTreeSet<IpNet> = BTreeSet::new();
        let mut unbounded = None;
        let mut admitted: Vec<&BTreeMap<IpAddr, u64>> = Vec::new();
        for (name, edge) in edges {
            let refused = gate::passes(edge).and_then(|()| gate::admits(input, name, edge).map(drop)).err();
            let Some(out) = refused else {
                if *name == namespace {
                    admitted.push(&edge.addresses);
                }
                continue;
            };
            if *name != namespace && out.kind != PendingKind::Suspect {
                continue;
            }
            closed.extend(edge.addresses.keys().map(|address| blocks::host(*address).range));
            if let Peer::Address(address) = edge.peer {
                closed.insert(blocks::host(address).range);
            }
            if is_unbounded(edge) {
                unbounded = Some(super::growing::peer_text(&edge.peer));
            }
        }
        if closed.len() > HOLES_MAX {
            unbounded.get_or_insert_with(|| format!("{} addresses", closed.len()));
        }
        let holes: Vec<IpNet> = excluded.iter().copied().chain(closed).collect();
        let is_seen = admitted.into_iter().any(|addresses| is_open(addresses, &holes));
        Self { holes, is_seen, unbounded }
    }

    /// The rules, and questions about them.
    pub(super) fn rules(&self, input: &DraftInput<'_>) -> (Vec<Seed>, Vec<Out>) {
        let port: Ports = BTreeSet::from([(Protocol::UDP, NTP_PORT)]);
        let mut questions = Vec::new();
        let seeds = match &input.settings.draft.ntp {
            Ntp::None => Vec::new(),
            Ntp::Servers(servers) => configured(input, servers, &port, &mut questions),
            Ntp::Seen | Ntp::Public if self.is_public(&input.settings.draft.ntp) => {
                let mut proposal = Seed::new("ntp", RulePeer::Blocks(blocks::public_internet(&self.holes)), port);
                proposal.remarks.push(
                    "any public time server, UDP/123 only; narrow it with `ntp = [\"10.0.0.123\"]`, or `\"none\"`, in `[draft]`"
                        .to_owned(),
                );
                questions.push(question(
                    "UDP/123 is open to the public internet for every pod: any public time server may be asked",
                ));
                vec![proposal]
            }
            Ntp::Seen | Ntp::Public => {
                questions.push(match &self.unbounded {
                    Some(peer) => question(&format!(
                        "UDP/123 stays closed but for what has a rule of its own: `{peer}` was refused there, and not all of its addresses are known"
                    )),
                    None => question(
                        "no public time server was seen and none is configured, so UDP/123 stays closed; nodes keep the time for pods as a rule",
                    ),
                });
                Vec::new()
            }
        };
        (seeds, questions)
    }

    /// The rule that an edge to a time server falls under, if one does.
    pub(super) fn rule_of(&self, input: &DraftInput<'_>, edge: &SeenEdge) -> Option<String> {
        match &input.settings.draft.ntp {
            Ntp::None => None,
            ntp @ (Ntp::Seen | Ntp::Public) => {
                (self.is_public(ntp) && is_open(&edge.addresses, &self.holes)).then(|| "ntp".to_owned())
            }
            Ntp::Servers(servers) => {
                let inside = !edge.addresses.is_empty()
                    && edge.addresses.keys().all(|address| {
                        servers.iter().any(|server| matches!(server, Pattern::Network(net) if net.contains(address)))
                    });
                let named = match &edge.peer {
                    Peer::Name(name) if input.dialect.has_names() => servers
                        .iter()
                        .any(|server| matches!(server, Pattern::Exact(exact) if exact.as_str() == &**name))
                        .then(|| format!("ntp/{name}")),
                    _ => None,
                };
                if inside { Some("ntp".to_owned()) } else { named }
            }
        }
    }

    fn is_public(&self, ntp: &Ntp) -> bool {
        self.unbounded.is_none() && (*ntp == Ntp::Public || self.is_seen)
    }
}

fn is_open(addresses: &BTreeMap<IpAddr, u64>, holes: &[IpNet]) -> bool {
    !addresses.is_empty() && addresses.keys().all(|address| blocks::is_public(*address, holes))
}

fn question(why: &str) -> Out {
    Out::new(
        PendingKind::Question,
        why,
        "`ntp = [\"10.0.0.123\"]`, `ntp = \"public\"` or `ntp = \"none\"` in `[draft]` of egress-atlas.toml",
    )
}

fn configured(input: &DraftInput<'_>, servers: &[Pattern], port: &Ports, questions: &mut Vec<Out>) -> Vec<Seed> {
    let (mut ranges, mut seeds) = (Vec::new(), Vec::new());
    for server in servers {
        match server {
            Pattern::Network(net) => ranges.push(blocks::whole(*net)),
            Pattern::Exact(name) if input.dialect.has_names() => {
                let peer = RulePeer::Name(NamePattern::Exact(name.as_str().to_owned()));
                seeds.push(Seed::new(&format!("ntp/{name}"), peer, port.clone()));
            }
            _ => questions.push(Out::new(
                PendingKind::Question,
                format!("the time server `{server}` is not in the draft: {} holds no such name", input.dialect),
                "name the addresses of your time servers in `ntp`",
            )),
        }
    }
    if !ranges.is_empty() {
        ranges.sort();
        seeds.insert(0, Seed::new("ntp", RulePeer::Blocks(ranges), port.clone()));
    }
    seeds
}
