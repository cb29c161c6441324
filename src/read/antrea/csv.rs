//! Table exports: the objects of the S3 uploader, and `CSVWithNames` of `ClickHouse`.
//!
//! In: one line, and the header of the file if it has one. Out: a record. Without a header the number of columns tells
//! the version; fifty-three are v1.15, or v2.7 when the twenty-sixth is no number. Labels are JSON: in single quotes,
//! in doubled double quotes, or (v1.9) bare, so that a comma inside braces or quotes separates nothing.

use std::borrow::Cow;

use super::record::Record;
use crate::model::{Account, Rejected};

const COLUMNS: Rejected = Rejected("table line with an unknown number of columns");
const HEADER_COLUMNS: Rejected = Rejected("table line with other columns than its header");

/// All columns up to the time of insertion; `destinationServiceIP` only from v2.7.
const BEFORE: [&str; 25] = [
    "flowStartSeconds",
    "flowEndSeconds",
    "flowEndSecondsFromSourceNode",
    "flowEndSecondsFromDestinationNode",
    "flowEndReason",
    "sourceIP",
    "destinationIP",
    "sourceTransportPort",
    "destinationTransportPort",
    "protocolIdentifier",
    "packetTotalCount",
    "octetTotalCount",
    "packetDeltaCount",
    "octetDeltaCount",
    "reversePacketTotalCount",
    "reverseOctetTotalCount",
    "reversePacketDeltaCount",
    "reverseOctetDeltaCount",
    "sourcePodName",
    "sourcePodNamespace",
    "sourceNodeName",
    "destinationPodName",
    "destinationPodNamespace",
    "destinationNodeName",
    "destinationClusterIP",
];
const AFTER: [&str; 24] = [
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
    "tcpState",
    "flowType",
    "sourcePodLabels",
    "destinationPodLabels",
    "throughput",
    "reverseThroughput",
    "throughputFromSourceNode",
    "throughputFromDestinationNode",
    "reverseThroughputFromSourceNode",
    "reverseThroughputFromDestinationNode",
    "clusterUUID",
    "timeInserted",
];

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The layout's name and whether a service address stands behind the cluster address.
fn layout(columns: &[Cow<'_, str>]) -> Option<(&'static str, bool)> {
    Some(match columns.len() {
        49 => ("table layout of v1.9 to v1.12", false),
        51 => ("table layout of v1.13 and v1.14", false),
        52 => ("table layout of v2.6", false),
        53 if !is_number(columns.get(BEFORE.len())?) => ("table layout of v2.7", true),
        53 => ("table layout of v1.15", false),
        54 => ("table layout of v2.0 to v2.5", false),
        _ => return None,
    })
}

/// The values of one line.
pub(super) fn split(line: &str) -> Vec<Cow<'_, str>> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let (value, length) = first_value(rest);
        values.push(value);
        match rest.get(length..).and_then(|tail| tail.strip_prefix(',')) {
            Some(tail) => rest = tail,
            None => return values,
        }
    }
}

/// The first value and how many bytes it takes up to its comma.
fn first_value(text: &str) -> (Cow<'_, str>, usize) {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'\'') => {
            // Kubernetes allows no quote in a label, so that the next one ends the value.
            let inner = text.get(1..).unwrap_or_default();
            let end = inner.find('\'').unwrap_or(inner.len());
            (Cow::Borrowed(inner.get(..end).unwrap_or_default()), (end + 2).min(text.len()))
        }
        Some(b'"') => quoted(text),
        Some(b'{') => {
            let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
            let end = bytes.iter().position(|byte| {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => depth += 1,
                    b'}' if !in_text => depth = depth.saturating_sub(1),
                    b',' if !in_text && depth == 0 => return true,
                    _ => {}
                }
                false
            });
            let end = end.unwrap_or(text.len());
            (Cow::Borrowed(text.get(..end).unwrap_or_default()), end)
        }
        _ => {
            let end = memchr::memchr(b',', bytes).unwrap_or(text.len());
            (Cow::Borrowed(text.get(..end).unwrap_or_default()), end)
        }
    }
}

/// A value in double quotes, where two of them are one.
fn quoted(text: &str) -> (Cow<'_, str>, usize) {
    let mut at = 1;
    loop {
        let Some(found) = text.get(at..).and_then(|rest| rest.find('"')) else {
            return (Cow::Borrowed(text.get(1..).unwrap_or_default()), text.len());
        };
        at += found + 1;
        if text.as_bytes().get(at) == Some(&b'"') {
            at += 1;
            continue;
        }
        let inner = text.get(1..at - 1).unwrap_or_default();
        let value = if inner.contains('"') { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        return (value, at);
    }
}

/// Reads one line; `header` is the first line of a file that has one.
pub(super) fn read(line: &str, header: Option<&str>, account: &mut Account) -> Result<Record, Rejected> {
    let columns = split(line);
    let mut record = Record { is_tracked: true, ..Record::default() };
    if let Some(header) = header {
        let names = split(header);
        if names.len() != columns.len() {
            return Err(HEADER_COLUMNS);
        }
        for (name, value) in names.iter().zip(&columns) {
            record.set(name.trim(), value.trim());
        }
        return Ok(record);
    }
    let (name, has_service_address) = layout(&columns).ok_or(COLUMNS)?;
    account.note(name);
    let shift = usize::from(has_service_address);
    let after = columns.iter().skip(BEFORE.len() + shift);
    for (name, value) in BEFORE.iter().zip(&columns).chain(AFTER.iter().zip(after)) {
        record.set(name, value.trim());
    }
    Ok(record)
}

/// Whether a line names the columns of a table of flows.
pub(in crate::read) fn is_header(line: &str) -> bool {
    let names = split(line.trim());
    let has = |wanted: &str| names.iter().any(|name| name.trim() == wanted);
    has("sourceIP") && has("destinationIP") && has("destinationTransportPort")
}

/// Whether a line looks like a row of such a table without a header.
pub(in crate::read) fn is_row(line: &str) -> bool {
    let columns = split(line.trim());
    let at = |place: usize| columns.get(place).map_or("", AsRef::as_ref);
    layout(&columns).is_some()
        && [7, 8].iter().all(|place| is_number(at(*place)))
        && [5, 6].iter().all(|place| at(*place).parse::<std::net::IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_labels_separate_nothing() {
        let check = |line: &str, expected: &[&str]| assert_eq!(split(line), expected, "{line}");
        check("a,,b", &["a", "", "b"]);
        check("", &[""]);
        check("a,'{\"x\":\"y\",\"z\":\"w\"}','',b", &["a", "{\"x\":\"y\",\"z\":\"w\"}", "", "b"]);
        check("{\"x\":\"y,}\",\"z\":\"w\"},b", &["{\"x\":\"y,}\",\"z\":\"w\"}", "b"]);
        check("\"{\"\"x\"\":\"\"y\"\",\"\"z\"\":1}\",\"b\"", &["{\"x\":\"y\",\"z\":1}", "b"]);
        check("'never closed, b", &["never closed, b"]);
        check("\"never closed, b", &["never closed, b"]);
        check("\"a\"x,b", &["a"]);
    }
}
