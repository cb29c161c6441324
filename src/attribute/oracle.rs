//! The join's rules once more, by nested loops over plain values: slow, and too simple to be wrong in the same way.
//!
//! For tests only. It knows nothing of partitions, indexes, interned numbers or habits; it says which names the evidence allows and
//! of which grade, not in which order.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::JoinOptions;
use super::join::VALID_GRACE_NANOS;
use crate::model::{Grade, Timestamp};

/// An answer in plain values.
#[derive(Clone, Debug)]
pub struct PlainAnswer {
    /// When.
    pub time: Timestamp,
    /// The pod that got it.
    pub pod: String,
    /// That pod's workload.
    pub workload: String,
    /// The name.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Time to live in seconds.
    pub ttl_seconds: u32,
}

/// A connection in plain values.
#[derive(Clone, Debug)]
pub struct PlainConnection {
    /// When it began.
    pub time: Timestamp,
    /// The pod that began it.
    pub pod: String,
    /// That pod's workload.
    pub workload: String,
    /// Where it went.
    pub address: IpAddr,
}

/// The grade, and every name that the evidence allows.
pub fn attribute_naively(
    connection: &PlainConnection,
    answers: &[PlainAnswer],
    options: &JoinOptions,
) -> (Grade, BTreeSet<String>) {
    let of_address: Vec<&PlainAnswer> = answers.iter().filter(|answer| answer.address == connection.address).collect();
    let own: Vec<&PlainAnswer> = of_address.iter().copied().filter(|answer| answer.pod == connection.pod).collect();
    if let Some((grade, names)) = look(connection, &own, options) {
        let grade = if grade == Grade::Pod && names.len() > 1 { Grade::PodAmbiguous } else { grade };
        return (grade, names);
    }
    let of_workload: Vec<&PlainAnswer> =
        of_address.iter().copied().filter(|answer| answer.workload == connection.workload).collect();
    if let Some((_, names)) = look(connection, &of_workload, options) {
        return (Grade::Workload, names);
    }
    match look(connection, &of_address, options) {
        Some((_, names)) => (Grade::Cluster, names),
        None => (Grade::None, BTreeSet::new()),
    }
}

fn look(
    connection: &PlainConnection,
    answers: &[&PlainAnswer],
    options: &JoinOptions,
) -> Option<(Grade, BTreeSet<String>)> {
    let age = |answer: &PlainAnswer| connection.time.nanos() - answer.time.nanos();
    // Only the last answer before the connection speaks for a name.
    let is_last = |answer: &PlainAnswer| {
        !answers
            .iter()
            .any(|other| other.name == answer.name && other.time > answer.time && other.time <= connection.time)
    };
    let usable = |answer: &PlainAnswer| {
        let valid = i64::from(answer.ttl_seconds) * 1_000_000_000 + VALID_GRACE_NANOS;
        age(answer) <= options.window_nanos.max(valid)
    };
    let names = |wanted: &dyn Fn(&PlainAnswer) -> bool| -> BTreeSet<String> {
        answers.iter().filter(|answer| wanted(answer)).map(|answer| answer.name.clone()).collect()
    };
    let past = |answer: &PlainAnswer| age(answer) >= 0 && is_last(answer);
    // Connections are told in whole seconds here, so that an answer within the second may have come first.
    let near = |answer: &PlainAnswer| age(answer) < 0 && -age(answer) < 1_000_000_000;
    let tiers: [(Grade, BTreeSet<String>); 4] = [
        (Grade::Pod, names(&|answer| near(answer) || past(answer) && usable(answer))),
        (Grade::Pod, names(&|answer| age(answer) < 0 && -age(answer) <= options.skew_nanos)),
        (Grade::PodStale, names(&|answer| past(answer))),
        (Grade::PodLater, names(&|answer| age(answer) < 0 && -age(answer) <= options.later_nanos)),
    ];
    tiers.into_iter().find(|(_, names)| !names.is_empty())
}
