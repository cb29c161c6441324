//! Who takes part in the demo: nodes, workloads, services, and the names of the outside world.
//!
//! Tables only. Names under `example.com`, `example.net` and `example.org` (RFC 2606) stand for the business's own
//! partners; well-known services have their public names, so that the catalog recognises them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkloadCast {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// One replica on each of these nodes.
    pub(super) nodes: &'static [usize],
    /// Ports of its service; none when it has no service.
    pub(super) ports: &'static [(u16, &'static str)],
    /// Whether policies govern it, and so verdicts are recorded.
    pub(super) governed: bool,
    /// Whether Cilium's DNS proxy sees its lookups.
    pub(super) proxied: bool,
}

const fn workload(
    namespace: &'static str,
    name: &'static str,
    kind: &'static str,
    nodes: &'static [usize],
) -> WorkloadCast {
    WorkloadCast { namespace, name, kind, nodes, ports: &[], governed: false, proxied: false }
}

impl WorkloadCast {
    const fn serving(mut self, ports: &'static [(u16, &'static str)]) -> Self {
        self.ports = ports;
        self
    }

    const fn governed(mut self) -> Self {
        self.governed = true;
        self
    }

    const fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }
}

/// Every workload that runs all day. Jobs are in the script.
pub(super) const WORKLOADS: &[WorkloadCast] = &[
    workload("kube-system", "coredns", "Deployment", &[0]).serving(&[(53, "UDP"), (53, "TCP")]),
    workload("shop", "storefront", "Deployment", &[0, 1]).serving(&[(8080, "TCP")]),
    workload("shop", "cart", "Deployment", &[1]).serving(&[(8080, "TCP")]),
    workload("shop", "search", "Deployment", &[0]).serving(&[(9200, "TCP")]),
    workload("payments", "charges-api", "Deployment", &[0, 1]).serving(&[(8443, "TCP")]).governed(),
    workload("payments", "settlement-worker", "Deployment", &[1]).governed(),
    workload("payments", "ledger", "StatefulSet", &[0]).serving(&[(5432, "TCP")]).governed(),
    workload("platform", "gateway", "Deployment", &[1]).serving(&[(443, "TCP")]),
    workload("platform", "build-runner", "Deployment", &[0]).proxied(),
    workload("platform", "telemetry-agent", "DaemonSet", &[0, 1]),
];

/// A name of the outside world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) v4: &'static [Ipv4Addr],
    pub(super) v6: &'static [Ipv6Addr],
    pub(super) ttl: u32,
}

impl Zone {
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.v4.iter().copied().map(IpAddr::V4).chain(self.v6.iter().copied().map(IpAddr::V6)).collect()
    }
}

const fn zone(name: &'static str, ttl: u32, v4: &'static [Ipv4Addr]) -> Zone {
    Zone { name, aliases: &[], v4, v6: &[], ttl }
}

impl Zone {
    const fn through(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn with_v6(mut self, v6: &'static [Ipv6Addr]) -> Self {
        self.v6 = v6;
        self
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// Two names of the shop share these edge addresses.
const EDGE: &[Ipv4Addr] = &[v4(18, 165, 83, 21), v4(18, 165, 83, 47), v4(18, 165, 83, 92)];
const EDGE_ALIAS: &[&str] = &["d3u7shopassets.cloudfront.net"];

/// The outside world.
pub(super) const ZONES: &[Zone] = &[
    zone("api.stripe.com", 60, &[v4(54, 187, 119, 242), v4(54, 187, 159, 182), v4(3, 18, 12, 63)]),
    zone("agent-intake.logs.datadoghq.com", 60, &[v4(3, 233, 150, 12), v4(3, 233, 150, 88)]),
    zone("trace.agent.datadoghq.com", 60, &[v4(3, 233, 151, 40)]),
    zone("o450777.ingest.sentry.io", 300, &[v4(34, 120, 195, 249)])
        .with_v6(&[Ipv6Addr::new(0x2600, 0x1901, 0, 0x5e8a, 0, 0, 0, 0)]),
    zone(
        "registry.npmjs.org",
        300,
        &[v4(104, 16, 24, 34), v4(104, 16, 25, 34), v4(104, 16, 26, 34), v4(104, 16, 27, 34)],
    )
    .with_v6(&[Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0x6810, 0x1822)]),
    zone("files.pythonhosted.org", 30, &[v4(151, 101, 0, 223), v4(151, 101, 64, 223)])
        .through(&["dualstack.python.map.fastly.net"]),
    zone("api.github.com", 60, &[v4(140, 82, 121, 5)]),
    zone("assets.shop.example.com", 60, EDGE).through(EDGE_ALIAS),
    zone("media.shop.example.com", 60, EDGE).through(EDGE_ALIAS),
    zone("orders.customer-one.example.com", 300, &[v4(93, 184, 216, 40)])
        .through(&["edge.customer-one.example.com", "lb-7.hosting.example.net"]),
    zone("sftp.nordbank.example.net", 600, &[v4(93, 184, 215, 77)]),
    zone("git.corp.example.net", 300, &[v4(10, 200, 4, 12)]),
    zone("reports-nightly.s3.eu-central-1.amazonaws.com", 5, &[v4(52, 219, 170, 10), v4(52, 219, 171, 66)]),
    zone("fx.rates.example.org", 120, &[v4(93, 184, 216, 61)]),
    zone("crm.vendor.example.org", 120, &[v4(93, 184, 216, 52)]),
    zone("hooks.slack.com", 60, &[v4(3, 68, 170, 153)]),
    zone("0.pool.ntp.org", 130, &[v4(162, 159, 200, 1)]),
    zone("a1b2c3d4.ngrok-free.app", 60, &[v4(18, 192, 31, 165), v4(3, 125, 102, 39)]),
    zone("webhook.site", 300, &[v4(178, 63, 67, 106)]),
    zone("stock-cam.ddns.net", 60, &[v4(86, 121, 44, 19)]),
    zone("pastebin.com", 300, &[v4(104, 20, 67, 143), v4(172, 67, 34, 170)]),
];

/// The zone of `name`.
pub(super) fn zone_of(name: &str) -> Option<&'static Zone> {
    ZONES.iter().find(|zone| zone.name == name)
}
