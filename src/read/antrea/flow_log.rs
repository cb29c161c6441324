//! The flow log that the aggregator writes (FlowLogger): commas, no header, no quotes, seven layouts.
//!
//! In: one line. Out: a record. The number of columns tells the layout; thirty columns are v1.15, or v2.7 when the
//! fifteenth is no number. Commas inside the HTTP values of v1.15 to v2.5 only lengthen a line: what is needed stands
//! before them. The log has no flow type, no labels and no bytes.

use super::record::Record;
use crate::model::{Account, Rejected};

const COLUMNS: Rejected = Rejected("flow log line with an unknown number of columns");
const V2_7: &str = "flow log layout of v2.7";

/// The columns before the service address that v2.7 added.
const BEFORE: [&str; 14] = [
    "flowStartSeconds",
    "flowEndSeconds",
    "sourceIP",
    "destinationIP",
    "sourceTransportPort",
    "destinationTransportPort",
    "protocolIdentifier",
    "sourcePodName",
    "sourcePodNamespace",
    "sourceNodeName",
    "destinationPodName",
    "destinationPodNamespace",
    "destinationNodeName",
    "destinationClusterIP",
];
const AFTER: [&str; 12] = [
    "destinationServicePort",
    "destinationServicePortName",
    "ingressNetworkPolicyName",
    "ingressNetworkPolicyNamespace",
    "ingressNetworkPolicyRuleName",
    "ingressNetworkPolicyRuleAction",
    "ingressNetworkPolicyType",
    "egressNetworkPolicyName",
    "egressNetworkPolicyNamespace",
    "egressNetworkPolicyRuleName",
    "egressNetworkPolicyRuleAction",
    "egressNetworkPolicyType",
];

/// The layout's name and whether a service address stands behind the cluster address.
fn layout(columns: &[&str]) -> Option<(&'static str, bool)> {
    Some(match columns.len() {
        26 => ("flow log layout of v1.12", false),
        28 => ("flow log layout of v1.13 and v1.14", false),
        29 => ("flow log layout of v2.6", false),
        30 if !is_number(columns.get(14)?) => (V2_7, true),
        30 => ("flow log layout of v1.15", false),
        31 => ("flow log layout of v2.0 to v2.5", false),
        32.. => ("flow log layout of v1.15 to v2.5 with commas in its HTTP values", false),
        _ => return None,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads one line.
pub(super) fn read(line: &str, account: &mut Account) -> Result<Record, Rejected> {
    let columns: Vec<&str> = line.split(',').collect();
    let (name, has_service_address) = layout(&columns).ok_or(COLUMNS)?;
    account.note(name);
    let mut record = Record { is_tracked: true, ..Record::default() };
    let shift = usize::from(has_service_address);
    let after = columns.iter().skip(BEFORE.len() + shift);
    for (name, value) in BEFORE.iter().zip(&columns).chain(AFTER.iter().zip(after)) {
        record.set(name, value.trim());
    }
    Ok(record)
}

/// Whether a line looks like one of this log: times, addresses, ports, in columns of a known number.
pub(in crate::read) fn is_flow_log_line(line: &str) -> bool {
    let columns: Vec<&str> = line.trim().split(',').collect();
    let at = |place: usize| columns.get(place).copied().unwrap_or_default();
    layout(&columns).is_some()
        && [0, 1, 4, 5].iter().all(|place| is_number(at(*place)))
        && [2, 3].iter().all(|place| at(*place).parse::<std::net::IpAddr>().is_ok())
}
