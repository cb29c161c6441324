//! The policy audit log of nodes (`np.log`): what policies with logging allowed or denied.
//!
//! In: one line. Out: a record. Upstream promises no completeness, writes local time without a zone, and merges repeats
//! within a second into one line with a count, so that silence proves nothing. The named pod is the one that the policy
//! applies to: the client of an egress rule, the server of an ingress rule.

use super::record::{Record, action};
use crate::model::{Account, Rejected};

const CUT_OFF: Rejected = Rejected("audit line cut off");
const MERGED: &str = "audit lines that stand for several packets";
pub(in crate::read) const PARTIAL: &str =
    "audit log: only logged policies, local time read as UTC, no promise of completeness";

/// The places of the fields, counted in words.
struct Words<'a> {
    all: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn at(&self, place: usize) -> Option<&'a str> {
        self.all.get(place).copied().map(|word| if word == "<nil>" { "" } else { word })
    }
}

/// Reads one line.
pub(super) fn read(line: &str, account: &mut Account) -> Result<Record, Rejected> {
    let words = Words { all: line.split_ascii_whitespace().collect() };
    let word = |place: usize| words.at(place).ok_or(CUT_OFF);
    let time = [word(0)?.replace('/', "-").as_str(), "T", word(1)?].concat();
    let direction = word(5)?;
    let (namespace, pod) = word(8)?.split_once('/').unwrap_or_default();
    let mut record = Record { is_tracked: true, ..Record::default() };
    record.set("flowEndSeconds", &time);
    let (action_name, pod_name, pod_namespace) = if direction == "Ingress" {
        ("ingressNetworkPolicyRuleAction", "destinationPodName", "destinationPodNamespace")
    } else {
        ("egressNetworkPolicyRuleAction", "sourcePodName", "sourcePodNamespace")
    };
    let fields = [
        (action_name, word(6)?),
        (pod_name, pod),
        (pod_namespace, namespace),
        ("sourceIP", word(9)?),
        ("sourceTransportPort", word(10)?),
        ("destinationIP", word(11)?),
        ("destinationTransportPort", word(12)?),
        ("protocolIdentifier", word(13)?),
    ];
    for (name, value) in fields {
        record.set(name, value);
    }
    account.note(PARTIAL);
    if line.ends_with(']') {
        account.note(MERGED);
    }
    Ok(record)
}

/// Whether a line looks like one of this log.
pub(in crate::read) fn is_audit_line(line: &str) -> bool {
    let words = Words { all: line.split_ascii_whitespace().collect() };
    let at = |place: usize| words.at(place).unwrap_or_default();
    at(0).len() == 10
        && at(0).bytes().filter(|byte| *byte == b'/').count() == 2
        && matches!(at(5), "Ingress" | "Egress")
        && (action(at(6)) > 0 || at(6) == "Pass" || at(6) == "Redirect")
        && at(9).parse::<std::net::IpAddr>().is_ok()
        && at(11).parse::<std::net::IpAddr>().is_ok()
}
