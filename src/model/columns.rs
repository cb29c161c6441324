//! Column names of every table that is written or read. They occur nowhere else.

/// Columns of `attribute`, in output order: a contract.
pub const ATTRIBUTE: [&str; 17] = [
    "flow_id",
    "time",
    "cluster",
    "source_namespace",
    "source_pod",
    "source_workload",
    "source_ip",
    "destination_ip",
    "destination_port",
    "protocol",
    "verdict",
    "name",
    "candidates",
    "evidence",
    "answered_at",
    "answer_age_seconds",
    "confidence",
];

/// Columns of `egress.parquet`, in order: one row for each workload, peer, port and protocol.
pub const EGRESS: [&str; 35] = [
    "cluster",
    "namespace",
    "workload_kind",
    "workload",
    "peer_type",
    "peer_cluster",
    "peer_namespace",
    "peer",
    "port",
    "protocol",
    "category",
    "rule",
    "label",
    "connections",
    "allowed",
    "audited",
    "denied",
    "unknown",
    "evidence",
    "confidence",
    "first_seen",
    "last_seen",
    "days",
    "pods",
    "addresses",
    "candidates",
    "names",
    "chains",
    "suspect",
    "severity",
    "review",
    "bytes_sent",
    "bytes_received",
    "packets_sent",
    "packets_received",
];

/// Columns of `replay --format csv`, in order: one row for each group of connections, and one for each rule.
pub const REPLAY: [&str; 17] = [
    "cluster",
    "namespace",
    "workload_kind",
    "workload",
    "outcome",
    "way",
    "side",
    "reason",
    "peer",
    "port",
    "protocol",
    "connections",
    "first_seen",
    "last_seen",
    "policies",
    "rule",
    "detail",
];

/// Columns of `ingress.parquet`, in order: one row for each workload, caller, port and protocol.
pub const INGRESS: [&str; 20] = [
    "cluster",
    "namespace",
    "workload_kind",
    "workload",
    "peer_type",
    "peer_cluster",
    "peer_namespace",
    "peer",
    "port",
    "protocol",
    "connections",
    "allowed",
    "audited",
    "denied",
    "unknown",
    "first_seen",
    "last_seen",
    "days",
    "pods",
    "addresses",
];

/// Columns of the summary of `draft`, in order: one row for each namespace.
pub const DRAFT: [&str; 10] = [
    "cluster",
    "namespace",
    "dialect",
    "templates",
    "objects",
    "rules",
    "allowed_connections",
    "left_out_connections",
    "decisions",
    "questions",
];

/// Columns of the summary of `discover`, in order: one row for each namespace.
pub const SUMMARY: [&str; 11] = [
    "cluster",
    "namespace",
    "destinations",
    "outside",
    "unclassified",
    "open_suspects",
    "worst",
    "ip_only",
    "outside_connections",
    "named_by_own_answer",
    "rejected_in_use",
];

/// Columns of `preflight`, in order: one row for each input, check, source and way into the store, as `kind` says.
pub const PREFLIGHT: [&str; 11] =
    ["kind", "cluster", "name", "outcome", "detail", "records", "first", "last", "covered_percent", "gaps", "lost"];

/// Columns of `audit`, in order: one row for each finding.
pub const AUDIT: [&str; 10] =
    ["severity", "rule", "cluster", "kind", "namespace", "name", "file", "line", "message", "fix"];

/// Columns of `review list`, in order.
pub const REVIEWS: [&str; 10] =
    ["state", "destination", "cluster", "namespace", "owner", "expires", "severity", "class", "in_use", "reason"];

/// Columns of `investigate --format csv`, in order: one row for each connection of the target.
pub const INVESTIGATED: [&str; 19] = [
    "first",
    "last",
    "role",
    "cluster",
    "client",
    "client_ip",
    "server",
    "server_ip",
    "port",
    "protocol",
    "verdict",
    "name",
    "candidates",
    "evidence",
    "answered_at",
    "confidence",
    "connections",
    "bytes_sent",
    "bytes_received",
];

/// Columns that describe one end of a stored row; each stands behind a prefix such as `source_`.
pub const STORED_END: [&str; 8] =
    ["namespace", "pod", "workload_kind", "workload", "labels", "identity", "local", "cluster"];

/// Columns of the store's `flows` beside those of its two ends, in order. `began` and `also_to` are what one record says
/// beyond its row: an earlier time of the same connection, further destinations of the same client.
pub const STORED_FLOWS: [&str; 15] = [
    "time",
    "began",
    "cluster",
    "node",
    "source_address",
    "source_port",
    "destination_address",
    "destination_port",
    "also_to",
    "protocol",
    "verdict",
    "initiator",
    "certainty",
    "reported",
    "id",
];

/// Columns of the store's `flows` that only files with counted records have, in order. "Forward" is from the record's source to its
/// destination; `counted_since` is the start of the interval, or of the connection where `is_total` says that counts go on.
pub const STORED_COUNTS: [&str; 9] = [
    "bytes_forward",
    "bytes_backward",
    "packets_forward",
    "packets_backward",
    "counted_at",
    "counted_since",
    "is_total",
    "connections_began",
    "connections_open",
];

/// Columns of the store's `flows`, `answers` and `questions` that tell of repeats, in order; stores of older versions do not have them.
/// `records` is how many records the row stands for, `last` the time of the last of them where there are several, and `repeats` how
/// long after `time` each further one came, in nanoseconds.
pub const STORED_REPEATS: [&str; 3] = ["records", "last", "repeats"];

/// Columns of the store's `answers` beside those of the client's claimed identity, in order.
pub const STORED_ANSWERS: [&str; 11] = [
    "time",
    "cluster",
    "client",
    "name",
    "address",
    "chain",
    "ttl_seconds",
    "position",
    "addresses",
    "kind",
    "resolver",
];

/// Columns of the store's `questions` beside those of the client's claimed identity, in order.
pub const STORED_QUESTIONS: [&str; 7] = ["time", "cluster", "client", "name", "domain", "type", "is_missing"];

/// Columns of the store's `losses`, in order.
pub const STORED_LOSSES: [&str; 5] = ["time", "cluster", "node", "place", "events"];

/// Columns of the store's `ledger`, in order: one row for each source and minute of arrival.
pub const STORED_LEDGER: [&str; 12] = [
    "time",
    "cluster",
    "kind",
    "source",
    "origin",
    "read",
    "used",
    "rejected",
    "excluded",
    "lost",
    "missing_nanos",
    "delay_nanos",
];

/// Prefixes of [`STORED_END`].
pub const END_PREFIXES: [&str; 3] = ["source_", "destination_", "client_"];
