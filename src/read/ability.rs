//! What a source cannot tell by its nature or by how it was set up, in a sentence with the remedy.
//!
//! In: a format and the account of one input. Out: the limit that matters most, if there is one.

use super::antrea::PARTIAL;
use super::calico::{NO_CLIENT, NO_DESTINATION_ADDRESS, NO_VERDICT};
use super::input::Format;
use crate::model::Account;

/// The limit of an input that a reader of its results must know.
pub fn limit(format: &str, account: &Account) -> Option<&'static str> {
    let noted = |what: &str| account.notes.contains_key(what);
    match Format::parse(format)? {
        Format::Goldmane => Some(
            "Goldmane records have no addresses: who talks to whom inside the cluster is known, an outside destination only as public or private; add Log rules (calico-log) or flows.log to name destinations",
        ),
        Format::CalicoLog if !noted(NO_VERDICT) => Some(
            "trace lines have uptime for a time unless a shipper adds one, and destinations before service translation: pods are named through --kube",
        ),
        Format::CalicoLog => Some(
            "LOG lines tell attempts and neither verdict nor pod: pods are named through --kube, and rules that rate limits sample prove nothing by silence",
        ),
        Format::Calico if noted(NO_DESTINATION_ADDRESS) => Some(
            "aggregated records lack addresses: set flowLogsFileAggregationKindForAllowed to 1 so that destinations can be joined with DNS answers",
        ),
        Format::CalicoDns if noted(NO_CLIENT) => Some(
            "answers without the client's address name only by workload or cluster: set dnsLogsFileAggregationKind to 0",
        ),
        Format::AntreaLog if noted(PARTIAL) => {
            Some("the audit log holds only what logged policies met, and upstream promises no completeness")
        }
        _ => None,
    }
}
