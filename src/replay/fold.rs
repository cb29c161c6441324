//! Attributed connections → distinct edges, so that each is judged once however often it was seen.
//!
//! In: what the join hands over, in any order, on any number of threads. Out: edges in the order of their content.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::asked::Asked;
use super::end::{End, NameEvidence, Names};
use super::evaluator::{Connection, Prepared};
use super::resolve::{Described, Resolver};
use crate::attribute::{Answer, Evidence, Named, PartyId, Sink};
use crate::model::{Grade, IcmpMessage, NameId, Protocol, Timestamp, Verdict};

/// First port of the ephemeral range of Linux (`ip_local_port_range`).
const EPHEMERAL_FIRST: u16 = 32_768;

/// How often and when an edge was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections.
    pub flows: u64,
    /// First event; unknown when no record carried a time.
    pub first: Option<Timestamp>,
    /// Last event.
    pub last: Option<Timestamp>,
}

impl Seen {
    /// Adds what was seen elsewhere.
    pub fn absorb(&mut self, other: Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
    }
}

/// A distinct connection, ends by their place in [`Recorded::ends`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEdge {
    /// Who began it.
    pub client: usize,
    /// Who was called.
    pub server: usize,
    /// The server's port; 0 when not known or when the protocol has none.
    pub port: u16,
    /// The client's port as far as rules tell it from others, see [`Asked`]; 0 when not known or not asked for.
    pub client_port: u16,
    /// Type and code of ICMP; none when not known or not asked for.
    pub icmp: Option<IcmpMessage>,
    /// Transport.
    pub protocol: Protocol,
    /// Names of the server's address.
    pub names: Names,
    /// Whether only the ports told client from server.
    pub guessed: bool,
    /// What the CNI did.
    pub recorded: Verdict,
    /// How often and when.
    pub seen: Seen,
}

impl ReplayEdge {
    /// What an evaluator judges, with both ends prepared.
    pub const fn connection<'a>(&'a self, client: &'a Prepared, server: &'a Prepared) -> Connection<'a> {
        Connection {
            client,
            server,
            port: self.port,
            client_port: self.client_port,
            icmp: self.icmp,
            protocol: self.protocol,
            names: &self.names,
            guessed: self.guessed,
        }
    }
}

/// All distinct connections of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Every end, once.
    pub ends: Vec<End>,
    /// Every distinct connection.
    pub edges: Vec<ReplayEdge>,
}

/// How client and server were told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    /// By the records.
    Recorded,
    /// By the ports: only the client's is ephemeral.
    ByPorts,
    /// Not at all.
    Guessed,
}

impl Told {
    fn of(named: &Named<'_>) -> Self {
        let is_ephemeral = |port: u16| port >= EPHEMERAL_FIRST;
        match named.guessed {
            false => Self::Recorded,
            true if is_ephemeral(named.client_port) && !is_ephemeral(named.port) && named.port != 0 => Self::ByPorts,
            true => Self::Guessed,
        }
    }

    /// Whether the direction is a guess. A privileged port, or one that the pod declares, is a server's; the one server that calls its
    /// clients from such a port is that of FTP (RFC 959, section 3.2).
    fn is_guess(self, server: &End, port: u16, protocol: Protocol) -> bool {
        const FTP_DATA: u16 = 20;
        let is_privileged = port < 1_024 && port != FTP_DATA;
        let is_declared = |server: &End| {
            server.ports.iter().flat_map(|ports| ports.iter()).any(|own| own.port == port && own.protocol == protocol)
        };
        match self {
            Self::Recorded => false,
            Self::ByPorts => !is_privileged && !is_declared(server),
            Self::Guessed => true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: Described,
    server: Described,
    port: u16,
    client_port: u16,
    icmp: Option<IcmpMessage>,
    protocol: Protocol,
    names: u32,
    told: Told,
    verdict: Verdict,
}

/// What one thread has seen.
#[derive(Debug, Default)]
pub struct ReplayFold {
    asked: Asked,
    edges: HashMap<Key, Seen>,
    names: HashMap<Box<[NameId]>, u32>,
    lists: Vec<(Box<[NameId]>, NameEvidence)>,
    numbers: HashMap<(u32, NameEvidence), u32>,
}

impl ReplayFold {
    /// A fold that keeps clients' ports and types of ICMP as far as the policies ask for them.
    pub fn asking(asked: Asked) -> Self {
        Self { asked, ..Self::default() }
    }

    /// The number of a list of names with its evidence.
    fn list(&mut self, names: &[NameId], evidence: NameEvidence) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let list = match self.names.get(names) {
            Some(list) => *list,
            None => *self.names.entry(names.into()).or_insert(next),
        };
        let next = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry((list, evidence)).or_insert(next);
        if number == next {
            self.lists.push((names.into(), evidence));
        }
        number
    }

    /// Makes the edges of all threads' parts.
    pub fn finish(parts: Vec<Self>, evidence: &Evidence, resolver: &Resolver<'_>) -> Recorded {
        let mut edges: BTreeMap<Observed, Seen> = BTreeMap::new();
        for part in parts {
            for (key, seen) in part.edges {
                let (names, value) = part.lists.get(key.names as usize).cloned().unwrap_or_default();
                let time = seen.first.unwrap_or(Timestamp::UNKNOWN);
                let list = names.iter().map(|name| evidence.vocabulary.name_of(*name).into()).collect();
                let server = resolver.end(evidence, key.server, key.port, time);
                let content = Observed {
                    client: resolver.end(evidence, key.client, 0, time),
                    guessed: key.told.is_guess(&server, key.port, key.protocol),
                    server,
                    port: key.port,
                    client_port: key.client_port,
                    icmp: key.icmp,
                    protocol: key.protocol,
                    names: Names { list, evidence: value },
                    recorded: key.verdict,
                };
                edges.entry(content).or_default().absorb(seen);
            }
        }
        Recorded::of(edges)
    }
}

/// A distinct connection by its content, so that order does not depend on reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    /// Who began it.
    pub client: End,
    /// Who was called.
    pub server: End,
    /// The server's port; 0 when not known or when the protocol has none.
    pub port: u16,
    /// The client's port as far as rules tell it from others; 0 when not known or not asked for.
    pub client_port: u16,
    /// Type and code of ICMP; none when not known or not asked for.
    pub icmp: Option<IcmpMessage>,
    /// Transport.
    pub protocol: Protocol,
    /// Names of the server's address.
    pub names: Names,
    /// Whether only the ports told client from server.
    pub guessed: bool,
    /// What the CNI did.
    pub recorded: Verdict,
}

impl Recorded {
    /// Sums up connections; equal ones become one edge.
    pub fn collect(observed: impl IntoIterator<Item = (Observed, Seen)>) -> Self {
        let mut edges: BTreeMap<Observed, Seen> = BTreeMap::new();
        for (one, seen) in observed {
            edges.entry(one).or_default().absorb(seen);
        }
        Self::of(edges)
    }

    fn of(edges: BTreeMap<Observed, Seen>) -> Self {
        let mut recorded = Self::default();
        let mut places: BTreeMap<End, usize> = BTreeMap::new();
        for (content, seen) in edges {
            let [client, server] = [content.client, content.server].map(|end| {
                let next = recorded.ends.len();
                let place = *places.entry(end.clone()).or_insert(next);
                if place == next {
                    recorded.ends.push(end);
                }
                place
            });
            recorded.edges.push(ReplayEdge {
                client,
                server,
                port: content.port,
                client_port: content.client_port,
                icmp: content.icmp,
                protocol: content.protocol,
                names: content.names,
                guessed: content.guessed,
                recorded: content.recorded,
                seen,
            });
        }
        recorded
    }
}

/// What a grade is worth to a rule that goes by name.
const fn evidence_of(grade: Grade) -> NameEvidence {
    match grade {
        Grade::Pod | Grade::PodAmbiguous | Grade::PodLater | Grade::Reported => NameEvidence::Own,
        Grade::PodStale | Grade::Workload | Grade::Node | Grade::Cluster => NameEvidence::Weak,
        Grade::None => NameEvidence::None,
    }
}

impl Sink for ReplayFold {
    fn connection(&mut self, _: &Evidence, named: &Named<'_>) {
        let candidates: Vec<NameId> = named.attributed.candidates.iter().map(|candidate| candidate.name).collect();
        let key = Key {
            client: Described {
                cluster: named.cluster,
                party: named.client,
                endpoint: named.client_endpoint,
                address: named.client_address,
            },
            server: Described {
                cluster: named.server_cluster,
                party: named.server,
                endpoint: named.server_endpoint,
                address: named.server_address,
            },
            port: named.port,
            client_port: self.asked.client_ports.representative(named.client_port),
            icmp: named.icmp.filter(|_| self.asked.icmp),
            protocol: named.protocol,
            names: self.list(&candidates, evidence_of(named.attributed.grade)),
            told: Told::of(named),
            verdict: named.verdict,
        };
        let time = |time: Timestamp| time.is_known().then_some(time);
        let seen = Seen { flows: named.counts.connections, first: time(named.first), last: time(named.last) };
        self.edges.entry(key).or_default().absorb(seen);
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}
