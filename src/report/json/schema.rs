//! The fields of `atlas.json`. Unlike text in documents, names stand here as they were recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Category, Confidence, Severity};

/// Version of the form; a field that changes its meaning changes the number.
pub const ATLAS_SCHEMA: &str = "egress-atlas/1";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtlasDocument {
    /// [`ATLAS_SCHEMA`].
    pub schema: String,
    /// The asked window.
    pub window: Window,
    /// What became of the records of each input.
    pub inputs: Vec<Input>,
    /// Sentences about the inputs as a whole.
    pub warnings: Vec<String>,
    /// By name.
    pub clusters: BTreeMap<String, ClusterDocument>,
}

/// A span of time; an end is null when it is open or unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// RFC 3339.
    pub since: Option<String>,
    /// RFC 3339.
    pub until: Option<String>,
}

/// The account of one input: `read = used + rejected + excluded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// File name without folders.
    pub name: String,
    /// `hubble`, `dnstap`, `kube`.
    pub format: String,
    /// Records read.
    pub read: u64,
    /// Records in the result.
    pub used: u64,
    /// Broken records by reason.
    pub rejected: BTreeMap<String, RejectedRecords>,
    /// Good records left out, by reason.
    pub excluded: BTreeMap<String, u64>,
    /// Things worth telling that change no count.
    pub notes: BTreeMap<String, u64>,
    /// Why it ended early.
    pub problem: Option<String>,
}

/// Broken records of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRecords {
    /// How many.
    pub records: u64,
    /// Where the first stands, `byte 90`.
    pub first: String,
}

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterDocument {
    /// Sources by kind and name.
    pub coverage: Vec<Source>,
    /// Nodes of the Kubernetes objects that no flow comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes_without_flows: Vec<String>,
    /// Clocks that disagree.
    pub clock_notes: Vec<String>,
    /// Counts over the cluster.
    pub totals: TotalsDocument,
    /// By name; the empty name holds clients that no record assigns to a namespace.
    pub namespaces: BTreeMap<String, NamespaceDocument>,
}

/// One source of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `flows` or `dns`.
    pub kind: String,
    /// Node or resolver; empty when not named.
    pub name: String,
    /// Records.
    pub records: u64,
    /// First record.
    pub first: Option<String>,
    /// Last record.
    pub last: Option<String>,
    /// Minutes of the window in which it was certainly there: between records that are no further apart than its rhythm explains.
    pub covered_minutes: u64,
    /// Minutes of the window in which it should have been there: all, or those in which its node lived.
    pub expected_minutes: u64,
    /// Silences of a busy source.
    pub gaps: Vec<Window>,
    /// Events lost, by place.
    pub lost: BTreeMap<String, u64>,
}

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsDocument {
    /// Connections that began here.
    pub egress_connections: u64,
    /// Of these to the outside, by grade.
    pub external_grades: BTreeMap<String, u64>,
    /// Connections whose direction was guessed.
    pub guessed_orientation: u64,
    /// Answers received.
    pub answers: u64,
    /// Of these, given to nodes.
    pub answers_to_nodes: u64,
}

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamespaceDocument {
    /// Path of its document below the output folder.
    pub document: String,
    /// Counts over the namespace.
    pub totals: TotalsDocument,
    /// Its workloads.
    pub workloads: Vec<WorkloadDocument>,
    /// Where its workloads connect to, one entry for each workload, peer, port and protocol.
    pub egress: Vec<EdgeDocument>,
    /// Who connects to its workloads.
    pub ingress: Vec<EdgeDocument>,
    /// Names resolved and never connected to.
    pub asked_only: Vec<AskedDocument>,
    /// Workloads of whose traffic nothing is known; empty without Kubernetes objects.
    #[serde(default)]
    pub blind_spots: Vec<BlindSpotDocument>,
    /// What is suspect about a workload as a whole.
    #[serde(default)]
    pub workload_findings: Vec<WorkloadFindingDocument>,
}

/// A workload of whose traffic a baseline knows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlindSpotDocument {
    /// The workload.
    pub workload: WorkloadName,
    /// `never-seen`, `scaled-to-zero`, `suspended`, `host-network`, `not-due`, `due-and-never-seen`.
    pub reason: String,
    /// The schedule of a `CronJob`.
    pub schedule: Option<String>,
    /// The first run after the window (`not-due`), or within it (`due-and-never-seen`).
    pub run: Option<String>,
}

/// One reason to suspect a workload as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFindingDocument {
    /// The workload.
    pub workload: WorkloadName,
    /// The name that it is about as well; null when there is none.
    pub subject: Option<String>,
    /// The finding.
    pub finding: FindingDocument,
    /// Where the review stands.
    pub review: ReviewDocument,
}

/// A workload by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadName {
    /// `Deployment`, ...
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What is known of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadDocument {
    /// Kind and name.
    pub workload: WorkloadName,
    /// Whether the owner was guessed from pod names.
    pub guessed: bool,
    /// Its pods.
    pub pods: Vec<String>,
    /// Labels that all its pods carried; null when no record had labels.
    pub labels: Option<Vec<String>>,
    /// First event.
    pub first: Option<String>,
    /// Last event.
    pub last: Option<String>,
}

/// The other end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PeerDocument {
    /// A workload in a cluster.
    Workload {
        /// Empty when it is the same cluster.
        cluster: String,
        /// Its namespace.
        namespace: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A service that no record resolved to a pod.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Kubernetes API server.
    KubeApiserver,
    /// A node or a host-network pod.
    Node,
    /// A gateway of the CNI.
    Ingress,
    /// A destination by name.
    Name {
        /// Lower case, without the final dot.
        name: String,
    },
    /// A destination by address.
    Address {
        /// The address.
        address: String,
    },
    /// All clients outside.
    Outside,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeDocument {
    /// The namespace's side.
    pub workload: WorkloadName,
    /// The other side.
    pub peer: PeerDocument,
    /// The server's port; 0 when there is none or it is unknown.
    pub port: u16,
    /// `TCP`, ...
    pub protocol: String,
    /// All connections.
    pub connections: u64,
    /// Connections by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Connections by grade.
    pub grades: BTreeMap<String, u64>,
    /// Mean confidence in the name, 0 to 1.
    pub confidence: f64,
    /// First event.
    pub first: Option<String>,
    /// Last event.
    pub last: Option<String>,
    /// Days with traffic, `YYYY-MM-DD`.
    pub days: Vec<String>,
    /// Addresses → connections.
    pub addresses: BTreeMap<String, u64>,
    /// Pods of the workload.
    pub pods: Vec<String>,
    /// Names not chosen → connections they could explain.
    pub candidates: BTreeMap<String, u64>,
    /// Names by which an in-cluster peer was looked up, or that the CNI reported → connections.
    pub names: BTreeMap<String, u64>,
    /// CNAME chains.
    pub chains: Vec<String>,
    /// Bytes and packets, as the workload sees them; absent when no source counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BytesDocument>,
    /// What was judged; null for ingress.
    pub judgement: Option<JudgementDocument>,
}

/// Bytes and packets both ways, as the network plugin counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesDocument {
    /// Bytes from the workload to the peer.
    pub sent: u64,
    /// Bytes back.
    pub received: u64,
    /// Packets from the workload to the peer.
    pub packets_sent: u64,
    /// Packets back.
    pub packets_received: u64,
}

impl From<Bytes> for BytesDocument {
    fn from(counted: Bytes) -> Self {
        let Bytes { sent, received, packets_sent, packets_received } = counted;
        Self { sent, received, packets_sent, packets_received }
    }
}

/// What was judged of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgementDocument {
    /// What the destination is for.
    pub category: Category,
    /// The rule that decided.
    pub rule: String,
    /// The destination's product or owner.
    pub label: Option<String>,
    /// What is suspect.
    pub findings: Vec<FindingDocument>,
    /// Where the review stands.
    pub review: ReviewDocument,
}

/// One reason to suspect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingDocument {
    /// The rule.
    pub rule: String,
    /// The class.
    pub class: String,
    /// How bad if true.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What matched.
    pub matched: String,
    /// Why it is suspect.
    pub why: String,
    /// The innocent reading.
    pub false_positive: Option<String>,
    /// MITRE ATT&CK technique ids.
    pub attack: Vec<String>,
    /// What to do.
    pub advice: String,
    /// Why it is not held against the edge.
    pub exempted: Option<String>,
}

/// Where a review stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDocument {
    /// `pending`, `approved`, `rejected`, `expired`, `not needed`.
    pub state: String,
    /// Who decided.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Until when.
    pub expires: Option<String>,
}

/// A name that was resolved and never connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedDocument {
    /// The name.
    pub name: String,
    /// Answers.
    pub answers: u64,
    /// Who asked.
    pub workloads: Vec<WorkloadName>,
    /// First answer.
    pub first: Option<String>,
    /// Last answer.
    pub last: Option<String>,
}
