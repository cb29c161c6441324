//! The fields of an investigation's JSON. Times are RFC 3339 in UTC, null when unknown; counts are connections.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::json::{AskedDocument, BytesDocument, EdgeDocument, PeerDocument, Source, Window, WorkloadName};

/// Version of the form; a field that changes its meaning changes the number.
pub const INVESTIGATION_SCHEMA: &str = "egress-atlas-investigation/1";

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InvestigationDocument {
    /// [`INVESTIGATION_SCHEMA`].
    pub schema: &'static str,
    /// What was asked for.
    pub target: TargetDocument,
    /// The asked window, else the span of the evidence.
    pub window: Window,
    /// Whether the window was asked for.
    pub window_asked: bool,
    /// Whether the evidence covers the window: if not, what is missing here may still have happened.
    pub covered: bool,
    /// Whether what was not seen did not happen: the window is covered, and no source that tells has a gap or reports losses.
    pub silence_proves: bool,
    /// Sources by cluster.
    pub coverage: BTreeMap<String, Vec<Source>>,
    /// Sentences that a reader must know.
    pub notes: Vec<String>,
    /// Counts.
    pub totals: TotalsOfTarget,
    /// The policies that were given, and what they say to all connections; null without any.
    pub policies: Option<PoliciesDocument>,
    /// When.
    pub timeline: TimelineDocument,
    /// Who with whom; suspects first, then the busiest.
    pub pairs: Vec<PairDocument>,
    /// Names of the target: those it has, or those given for its addresses.
    pub names: Vec<NameTold>,
    /// Addresses of the target: those it has, or those given for its names.
    pub addresses: Vec<AddressTold>,
    /// Other names that were answered with the same addresses.
    pub sibling_names: Vec<NameTold>,
    /// Other addresses that the same names were answered with.
    pub sibling_addresses: Vec<AddressTold>,
    /// Names that pods of the target asked for and never connected to.
    pub asked_only: Vec<AskedDocument>,
    /// What the same pods did around it; null when the target is pods itself, since all that they did is in `pairs`.
    pub around: Option<AroundDocument>,
    /// The earliest connections one by one.
    pub connections: ConnectionsDocument,
}

impl InvestigationDocument {
    /// The same with at most so many of the earliest connections one by one.
    #[must_use]
    pub fn with_earliest(mut self, rows: usize) -> Self {
        self.connections.rows.truncate(rows);
        self.connections.shown = self.connections.rows.len();
        self
    }

    /// Connections that are told one by one nowhere.
    pub fn connections_left_out(&self) -> u64 {
        self.connections.total.saturating_sub(u64::try_from(self.connections.shown).unwrap_or(u64::MAX))
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetDocument {
    /// As understood.
    pub text: String,
    /// `address`, `name`, `pod`, `workload`, `pod or workload`, `namespace`.
    pub kind: &'static str,
    /// The cluster that it was limited to.
    pub cluster: Option<String>,
    /// Whether the evidence knows it at all.
    pub known: bool,
    /// What it stands for in the evidence, at most 64.
    pub meant: Vec<String>,
    /// How many that are.
    pub meant_total: usize,
    /// When it is not known: what looks most like it.
    pub nearest: Vec<String>,
}

/// Counts over all connections of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TotalsOfTarget {
    /// Connections, whatever the number of records that tell of each.
    pub connections: u64,
    /// Of these, to the target.
    pub to_target: u64,
    /// Of these, from the target.
    pub from_target: u64,
    /// Of these, only possibly to the target: its name is one of several candidates and not the likeliest.
    pub possibly_to_target: u64,
    /// Bytes from the clients to the servers and back; null when no source counted them.
    pub bytes: Option<BytesDocument>,
    /// Distinct client workloads (or other clients).
    pub clients: usize,
    /// Distinct servers.
    pub servers: usize,
    /// Verdict → connections.
    pub verdicts: BTreeMap<String, u64>,
    /// Evidence grade → connections to destinations outside the cluster.
    pub grades: BTreeMap<String, u64>,
    /// First event.
    pub first: Option<String>,
    /// Last event.
    pub last: Option<String>,
}

/// Time in equal buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineDocument {
    /// Start of the first bucket.
    pub from: Option<String>,
    /// Length of a bucket in seconds.
    pub step_seconds: i64,
    /// In order.
    pub buckets: Vec<BucketDocument>,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketDocument {
    /// Its start.
    pub at: String,
    /// Connections that began.
    pub began: u64,
    /// Connections that were open.
    pub open: u64,
    /// Of those that began, denied.
    pub denied: u64,
    /// Of those that began and went outside the cluster, by evidence grade.
    pub grades: BTreeMap<String, u64>,
    /// Whether some flow source covered some of it.
    pub covered: bool,
}

/// One client, one server, one port, one protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairDocument {
    /// The client's cluster.
    pub cluster: String,
    /// The client's namespace; empty when it is no pod.
    pub namespace: String,
    /// Role of the target → connections: `server`, `client`, `possible`.
    pub roles: BTreeMap<String, u64>,
    /// Connections that began in each bucket of the timeline.
    pub began: Vec<u32>,
    /// Distinct addresses of the server; the edge lists at most 64.
    pub addresses_total: usize,
    /// Distinct pods of the client; the edge lists at most 64.
    pub pods_total: usize,
    /// Whether the given policies allow it, by reason, the worst first; empty without policies.
    pub policies: Vec<ReasonDocument>,
    /// Everything else, in the form of `atlas.json`.
    pub edge: EdgeDocument,
}

/// The policies that connections were judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoliciesDocument {
    /// How many there are.
    pub count: usize,
    /// Cluster → what its network plugin does where the API leaves it open.
    pub profiles: BTreeMap<String, &'static str>,
    /// Answer → connections: `would-break`, `undecidable`, `allowed`, `not-isolated`, `not-subject`.
    pub answers: BTreeMap<String, u64>,
    /// The same for those that were denied when they were recorded.
    pub denied_when_recorded: BTreeMap<String, u64>,
    /// What of the policies has no part in the answers.
    pub caveats: Vec<String>,
}

/// One reason why connections are allowed, stopped, or cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReasonDocument {
    /// `would-break`, `undecidable`, `allowed`, `not-isolated`, `not-subject`.
    pub answer: &'static str,
    /// Connections.
    pub connections: u64,
    /// Of these, denied when they were recorded.
    pub denied_when_recorded: u64,
    /// On whose side it is stopped or cannot be told: `egress`, `ingress`.
    pub side: Option<&'static str>,
    /// The rules that allow it.
    pub rules: Vec<String>,
    /// The policies that stop it.
    pub policies: Vec<String>,
    /// The rule that comes closest, and what it lacks.
    pub nearest: Option<String>,
    /// Why it cannot be told, as a code.
    pub reason: Option<&'static str>,
    /// What would settle it.
    pub remedy: Option<&'static str>,
    /// First event.
    pub first: Option<String>,
    /// Last event.
    pub last: Option<String>,
}

/// A name, by the answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NameTold {
    /// The name.
    pub name: String,
    /// Addresses that it was answered with, of those concerned; at most 64.
    pub addresses: Vec<String>,
    /// How many that are.
    pub addresses_total: usize,
    /// Answers.
    pub answers: u64,
    /// First answer.
    pub first: Option<String>,
    /// Last answer.
    pub last: Option<String>,
}

/// An address, by the answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressTold {
    /// The address.
    pub address: String,
    /// Names that were answered with it, of those concerned; at most 64.
    pub names: Vec<String>,
    /// How many that are.
    pub names_total: usize,
    /// Answers.
    pub answers: u64,
    /// First answer.
    pub first: Option<String>,
    /// Last answer.
    pub last: Option<String>,
}

/// What the same pods did around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AroundDocument {
    /// How far around, in minutes before the first and after the last record of each connection of the target.
    pub minutes: u32,
    /// Nearest first.
    pub rows: Vec<AroundRow>,
    /// Connections that found no room in the list.
    pub left_out: u64,
}

/// Other connections of the same pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AroundRow {
    /// Whether the pods that had to do with the target are the server here.
    pub inward: bool,
    /// The client's cluster.
    pub cluster: String,
    /// The client's namespace.
    pub namespace: String,
    /// The client.
    pub client: WorkloadName,
    /// The server.
    pub server: PeerDocument,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: String,
    /// Connections.
    pub connections: u64,
    /// Of these, denied.
    pub denied: u64,
    /// The first.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
    /// Least distance to a connection of the target, in minutes.
    pub nearest_minutes: Option<u32>,
}

/// Connections one by one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionsDocument {
    /// How many there are. Where records stand for intervals, a row is one interval, and `connections` of the row says for how many it stands.
    pub total: u64,
    /// How many stand here: the earliest.
    pub shown: usize,
    /// In order of time.
    pub rows: Vec<ConnectionRow>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionRow {
    /// First record.
    pub first: Option<String>,
    /// Last record.
    pub last: Option<String>,
    /// Role of the target: `server`, `client`, `possible`.
    pub role: &'static str,
    /// The client's cluster.
    pub cluster: String,
    /// The client's pod as `namespace/pod`, or `namespace/Kind/name` where records name no pod; empty when it is none.
    pub client: String,
    /// The client's address; empty where the record leaves it out.
    pub client_address: String,
    /// The server's pod as `namespace/pod`, or `namespace/Kind/name` where records name no pod; empty when it is none.
    pub server: String,
    /// The server's address; empty where the record leaves it out.
    pub server_address: String,
    /// The server's port.
    pub port: u16,
    /// Transport.
    pub protocol: String,
    /// What the CNI did.
    pub verdict: &'static str,
    /// Every name that the evidence allows, best first.
    pub names: Vec<String>,
    /// How the name is known.
    pub evidence: &'static str,
    /// When the answer behind the best name came.
    pub answered_at: Option<String>,
    /// How likely the best name is right.
    pub confidence: f64,
    /// How many connections it stands for: more than one where the source gives intervals; none where they had begun before.
    pub connections: u64,
    /// Bytes from the client to the server and back; null when the source does not count them.
    pub bytes: Option<BytesDocument>,
}
