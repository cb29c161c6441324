//! Traffic against policies.

/// What commands ask of records because policies do.
mod asked;
/// A small cluster as files, asked connection by connection.
mod cluster;
/// The command on the demo's data.
mod command;
/// What is particular to the dialects, and to the CNIs.
mod dialects;
/// A second evaluator, written from the text of the API alone.
mod naive;
/// The same for Antrea, around `NetworkPolicy`.
mod naive_antrea;
/// The same for Calico, with `NetworkPolicy` among its own.
mod naive_calico;
/// The same for `CiliumNetworkPolicy`.
mod naive_cilium;
/// The same for `ClusterNetworkPolicy` around `NetworkPolicy`.
mod naive_tiers;
/// Another tool's cases with its answers.
mod oracle;
/// Truth tables over nine pods in three namespaces.
mod tables;
/// What flow records tell of namespaces and accounts.
mod told;
/// Verdicts of the command, dialect by dialect.
mod verdicts;
/// The walk that the naive evaluators share.
mod walk;

use egress_atlas::model::Protocol;
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Connection, End, Evaluator, Judgement, Names, Profile};

/// The policies of a text.
pub(crate) fn set(text: &str) -> PolicySet {
    PolicySet::parse(&[PolicySource { file: "test.yaml", text, cluster: None }])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// One connection, by its ends.
pub(crate) struct Case<'a> {
    pub(crate) client: &'a End,
    pub(crate) server: &'a End,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) names: Names,
}

pub(crate) fn judge(set: &PolicySet, profile: Profile, case: &Case<'_>) -> Judgement {
    let evaluator = Evaluator::new(set, profile);
    let (client, server) = (evaluator.prepare(case.client.clone()), evaluator.prepare(case.server.clone()));
    evaluator.judge(&Connection {
        client: &client,
        server: &server,
        port: case.port,
        client_port: 0,
        icmp: None,
        protocol: case.protocol,
        names: &case.names,
        guessed: false,
    })
}
