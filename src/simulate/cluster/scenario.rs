//! The knobs of a random cluster.
//!
//! Plain values and presets; [`super::generate`] turns them into traffic. Shares and chances are 0 to 1,
//! durations nanoseconds.

use crate::simulate::connection::SECOND;

/// A random cluster with known truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Everything follows from it.
    pub seed: u64,
    /// How many connections are made at most.
    pub connections: u64,
    /// No new connection begins once this many flow records exist; those under way are finished.
    pub flows: u64,
    /// Mean time between two connections of the whole cluster.
    pub interval: i64,
    /// Nodes, each with its own log.
    pub nodes: usize,
    /// Namespaces.
    pub namespaces: usize,
    /// Workloads in each.
    pub workloads_per_namespace: usize,
    /// Pods of each workload.
    pub pods_per_workload: usize,
    /// Names of the outside world.
    pub names: usize,
    /// How many of them one workload uses at most.
    pub names_per_workload: usize,
    /// Share of connections between pods.
    pub internal: f64,
    /// Share of connections from outside into pods.
    pub inbound: f64,
    /// Share of connections to an address that nobody looked up.
    pub direct: f64,
    /// Chance that an internal connection looks its service up first.
    pub service_lookups: f64,
    /// Chance that a name sits on the shared addresses of a CDN.
    pub shared_edges: f64,
    /// Chance that a name is an alias.
    pub aliased: f64,
    /// Chance that the resolver rotates the addresses of an answer.
    pub rotation: f64,
    /// Share of workloads that take the first address; the rest after `last_address` takes a random one.
    pub first_address: f64,
    /// Share of workloads that take the last address.
    pub last_address: f64,
    /// Share of workloads whose stub asks for the alias target too, within 0.2 s.
    pub chasing: f64,
    /// Share of nodes with a node-local cache: the DNS client is the node.
    pub node_caches: f64,
    /// Share of workloads behind a forwarder with a cache of its own: its one address asks for all of them.
    pub forwarders: f64,
    /// Share of workloads that never ask twice.
    pub eternal_caches: f64,
    /// Chance that an ordinary client uses an answer again while it is valid.
    pub reuse: f64,
    /// Chance, per connection, that a pod is replaced and its address taken over by the next new pod.
    pub churn: f64,
    /// How far the resolver's clock is ahead of true time.
    pub resolver_skew: i64,
    /// How far a node's clock is ahead of or behind true time at most.
    pub node_skew: i64,
    /// How late a DNS frame is written at most; its event time stays.
    pub late: i64,
    /// Chance that a DNS frame is lost.
    pub lost: f64,
    /// Share of workloads that ask over IPv4 and connect over IPv6 where a name has both.
    pub dual_stack: f64,
    /// Share of workloads that use encrypted DNS, which nobody taps.
    pub encrypted_dns: f64,
    /// Chance that a connection lasts minutes.
    pub long_connections: f64,
    /// Share of workloads that try search suffixes first.
    pub search: f64,
    /// Chance that a DNS frame names its pod in `extra`.
    pub hints: f64,
    /// Chance that such a hint names another pod.
    pub wrong_hints: f64,
    /// Chance that a reply record is written.
    pub replies: f64,
    /// Chance that default deny stops an external connection.
    pub denied: f64,
    /// Share of workloads under a policy, which then records verdicts.
    pub governed: f64,
    /// Chance that a lookup shows up as a flow.
    pub dns_flows: f64,
    /// Whether a workload uses all its names alike, and always the same address without a lookup: then more records show more of
    /// the same, and nothing new.
    pub fixed_edges: bool,
}

impl Scenario {
    /// What throughput is measured on: 70 % of the records internal, replies, drops, and about one DNS message per
    /// three records.
    pub fn bench(seed: u64) -> Self {
        Self {
            seed,
            connections: u64::MAX,
            flows: 1_000_000,
            interval: SECOND / 200,
            nodes: 6,
            namespaces: 12,
            workloads_per_namespace: 8,
            pods_per_workload: 4,
            names: 400,
            names_per_workload: 12,
            internal: 0.54,
            inbound: 0.02,
            direct: 0.01,
            service_lookups: 0.28,
            shared_edges: 0.3,
            aliased: 0.4,
            rotation: 0.5,
            first_address: 0.85,
            last_address: 0.02,
            chasing: 0.05,
            node_caches: 0.0,
            forwarders: 0.0,
            eternal_caches: 0.05,
            reuse: 0.35,
            churn: 0.0,
            resolver_skew: 0,
            node_skew: 2_000_000,
            late: SECOND,
            lost: 0.0,
            dual_stack: 0.1,
            encrypted_dns: 0.02,
            long_connections: 0.002,
            search: 0.3,
            hints: 0.0,
            wrong_hints: 0.0,
            replies: 1.0,
            denied: 0.02,
            governed: 0.3,
            dns_flows: 0.5,
            fixed_edges: false,
        }
    }

    /// The same with edges that are all there early on: for what must not grow with the number of records.
    pub fn fixed(seed: u64) -> Self {
        Self { fixed_edges: true, names_per_workload: 6, ..Self::bench(seed) }
    }

    /// One name per address, fresh answers, no tricks: whatever is wrong here is a fault of the join.
    pub fn easy(seed: u64) -> Self {
        Self {
            interval: SECOND / 10,
            nodes: 3,
            namespaces: 4,
            workloads_per_namespace: 4,
            pods_per_workload: 2,
            names: 80,
            internal: 0.4,
            direct: 0.0,
            shared_edges: 0.0,
            rotation: 0.0,
            first_address: 1.0,
            last_address: 0.0,
            chasing: 0.0,
            eternal_caches: 0.0,
            reuse: 0.0,
            node_skew: 0,
            late: 0,
            dual_stack: 0.0,
            encrypted_dns: 0.0,
            denied: 0.0,
            ..Self::bench(seed)
        }
    }

    /// Everything that goes wrong in real clusters, at once.
    pub fn hard(seed: u64) -> Self {
        Self {
            interval: SECOND / 4,
            nodes: 4,
            namespaces: 6,
            workloads_per_namespace: 5,
            pods_per_workload: 3,
            names: 200,
            names_per_workload: 16,
            internal: 0.4,
            shared_edges: 0.7,
            aliased: 0.7,
            rotation: 0.7,
            first_address: 0.7,
            last_address: 0.05,
            chasing: 0.3,
            node_caches: 0.2,
            forwarders: 0.1,
            eternal_caches: 0.15,
            reuse: 0.7,
            churn: 0.005,
            resolver_skew: -30_000_000,
            node_skew: 200_000_000,
            late: 9 * SECOND,
            lost: 0.01,
            dual_stack: 0.3,
            encrypted_dns: 0.05,
            long_connections: 0.02,
            search: 0.5,
            hints: 0.5,
            wrong_hints: 0.05,
            replies: 0.9,
            ..Self::bench(seed)
        }
    }

    /// The same, with the resolver's clock three quarters of a minute ahead.
    pub fn skewed(seed: u64) -> Self {
        Self { resolver_skew: 45 * SECOND, ..Self::hard(seed) }
    }
}
