//! What each workload asked below each registrable domain, answered or not.
//!
//! In: names with addresses, as the builder counts them, and the questions that got none. Out: one [`DomainAsked`] for each workload and
//! domain. Names of the cluster and reverse lookups are left out. No opinion: detectors judge.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{Asking, Timestamp, Workload, is_link_local, is_private, is_shared, registrable, within};

/// What a workload asked below one registrable domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainAsked {
    /// All questions, with and without an address in the answer. Types are known for those without.
    pub asking: Asking,
    /// Answers (name, address).
    pub answers: u64,
    /// Names that got an address.
    pub answered_names: u64,
    /// Of these, names that explain a connection.
    pub connected_names: u64,
    /// Name → the smallest address inside (link-local, unique-local or shared) among its answers; the smallest such names.
    pub inside: BTreeMap<Box<str>, IpAddr>,
}

/// Names kept with an address inside.
const INSIDE_MAX: usize = 16;

/// By workload and domain.
pub type Domains = BTreeMap<(Workload, Box<str>), DomainAsked>;

/// A name that got addresses.
pub(super) struct Answered<'a> {
    pub(super) name: &'a str,
    pub(super) answers: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) is_connected: bool,
    pub(super) inside: Option<IpAddr>,
}

/// Counts a name that a workload got addresses for.
pub(super) fn add_answered(domains: &mut Domains, workload: &Workload, answered: &Answered<'_>) {
    let Answered { name, answers, first, last, is_connected, inside } = *answered;
    if ["local", "arpa"].iter().any(|zone| within(name, zone)) {
        return;
    }
    let domain = registrable(name).unwrap_or(name);
    let asked = domains.entry((workload.clone(), domain.into())).or_default();
    asked.asking.add(name, domain, None, false, answers);
    asked.asking.at(first);
    asked.asking.at(last);
    asked.answers += answers;
    asked.answered_names += 1;
    asked.connected_names += u64::from(is_connected);
    if let Some(address) = inside {
        let known = asked.inside.entry(name.into()).or_insert(address);
        *known = address.min(*known);
        if asked.inside.len() > INSIDE_MAX {
            asked.inside.pop_last();
        }
    }
}

/// Counts what a workload asked below a domain without getting an address.
pub(super) fn add_unanswered(domains: &mut Domains, workload: &Workload, domain: &str, asking: &Asking) {
    domains.entry((workload.clone(), domain.into())).or_default().asking.absorb(asking.clone());
}

/// Whether an answer with this address is worth keeping for an outside name: nobody outside has such an address.
pub(super) fn is_inside_answer(address: IpAddr) -> bool {
    is_link_local(address)
        || address.is_loopback()
        || is_shared(address)
        || matches!(address, IpAddr::V6(_) if is_private(address))
}
