//! Who takes part in the story: namespaces, workloads, and the names of the outside world. Tables only.

use std::net::Ipv4Addr;

/// The cluster.
pub(super) const CLUSTER: &str = "eu-1";
/// Its one node.
pub(super) const NODE: &str = "node-a";

/// Namespaces, and what each is for.
pub(super) const NAMESPACES: [(&str, &str); 4] =
    [("kube-system", "system"), ("orders", "production"), ("orders-staging", "staging"), ("reports", "production")];

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkloadCast {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// Port of its service; 0 when it has none.
    pub(super) port: u16,
}

const fn workload(namespace: &'static str, name: &'static str, kind: &'static str, port: u16) -> WorkloadCast {
    WorkloadCast { namespace, name, kind, port }
}

/// Everything that owns pods. The pods of jobs come and go with the script.
pub(super) const WORKLOADS: &[WorkloadCast] = &[
    workload("kube-system", "coredns", "Deployment", 53),
    workload("orders-staging", "storefront", "Deployment", 8080),
    workload("orders-staging", "orders-api", "Deployment", 8443),
    workload("orders-staging", "settlement", "CronJob", 0),
    workload("orders", "storefront", "Deployment", 8080),
    workload("orders", "orders-api", "Deployment", 8443),
    workload("orders", "settlement", "CronJob", 0),
    workload("reports", "exporter", "Deployment", 0),
    workload("orders-staging", "egress-atlas-probe", "Job", 0),
];

/// When the bank's files are sent: at four in the morning of the tenth.
pub(super) const SETTLEMENT_SCHEDULE: &str = "0 4 10 * *";

/// The outside world.
pub(super) const ZONES: &[(&str, &[Ipv4Addr])] = &[
    ("api.stripe.com", &[Ipv4Addr::new(54, 187, 119, 242), Ipv4Addr::new(54, 187, 159, 182)]),
    ("o450777.ingest.sentry.io", &[Ipv4Addr::new(34, 120, 195, 249)]),
    ("fx.rates.example.org", &[Ipv4Addr::new(93, 184, 216, 61)]),
    (
        "reports-nightly.s3.eu-central-1.amazonaws.com",
        &[Ipv4Addr::new(52, 219, 170, 10), Ipv4Addr::new(52, 219, 171, 66)],
    ),
    ("sftp.nordbank.example.net", &[Ipv4Addr::new(93, 184, 215, 77)]),
    ("webhook.site", &[Ipv4Addr::new(178, 63, 67, 106)]),
];

/// Addresses of a name.
pub(super) fn addresses(name: &str) -> &'static [Ipv4Addr] {
    ZONES.iter().find(|(zone, _)| *zone == name).map_or(&[], |(_, addresses)| addresses)
}
