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
