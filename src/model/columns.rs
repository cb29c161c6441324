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
pub const EGRESS: [&str; 31] = [
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

/// Columns of `review list`, in order.
pub const REVIEWS: [&str; 10] =
    ["state", "destination", "cluster", "namespace", "owner", "expires", "severity", "class", "in_use", "reason"];

/// Columns of `investigate --format csv`, in order: one row for each connection of the target.
pub const INVESTIGATED: [&str; 16] = [
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
];
