//! What content is, by its first lines or bytes: never by a file's name.
//!
//! In: the first piece of decompressed content. Out: the format and its framing, or what it is that cannot be used. Only
//! the keys and columns that no other source writes decide; the first line that is recognised does.

use super::calico::is_log_line;
use super::hubble;
use super::input::Format;
use super::json_records::{Keys, each_record};
use super::log_line::{Content, content};
use super::open::Framing;
use super::{antrea, framestream, ipfix};
use crate::model::Account;

/// How many lines are looked at.
const LINES_MAX: usize = 64;
/// The first record may be longer than what was looked at; then its beginning has to do.
const KEYS_MAX: usize = 4096;

/// Content of a kind that cannot carry the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// DNS questions without answers.
    QueryLog,
    /// The space-delimited form of old Calico Enterprise versions.
    OldCalico,
    /// A packet capture.
    Packets,
    /// What a table of `antctl` shows.
    Table,
}

/// The format and framing of some content, if it is recognised.
pub(super) fn recognise(head: &[u8]) -> Option<(Format, Framing)> {
    if framestream::sniff(head) {
        return Some((Format::Dnstap, Framing::Frames));
    }
    if ipfix::sniff(head) {
        return Some((Format::Ipfix, Framing::Messages));
    }
    if let Some(found) = json(head) {
        return Some(found);
    }
    if let Some(framing) = hubble::sniff(head) {
        return Some((Format::Hubble, hubble_framing(framing)));
    }
    lines(head).find_map(text).map(|format| (format, Framing::Lines))
}

/// How the content is framed, if its format is known already.
pub(super) fn framing(format: Format, head: &[u8]) -> Framing {
    match format {
        Format::Dnstap => Framing::Frames,
        Format::Ipfix => Framing::Messages,
        Format::Kube => Framing::Whole,
        Format::CalicoLog | Format::AntreaCsv => Framing::Lines,
        Format::Hubble => hubble::sniff(head).map_or(Framing::Lines, hubble_framing),
        Format::Calico | Format::CalicoDns | Format::Goldmane | Format::AntreaLog => {
            if is_laid_out(head) {
                Framing::Objects
            } else {
                Framing::Lines
            }
        }
    }
}

/// The first line, if it names the columns of a table.
pub(super) fn header(format: Format, head: &[u8]) -> Option<String> {
    let first = lines(head).next().filter(|_| format == Format::AntreaCsv)?;
    antrea::is_header(first).then(|| first.to_owned())
}

/// What content is that cannot be used, if that is known.
pub(super) fn unusable(head: &[u8]) -> Option<Unusable> {
    let has = |mark: &[u8]| memchr::memmem::find(head, mark).is_some();
    let magic = head.first_chunk::<4>();
    if magic.is_some_and(|magic| {
        matches!(
            magic,
            [0xd4, 0xc3, 0xb2, 0xa1] | [0xa1, 0xb2, 0xc3, 0xd4] | [0x0a, 0x0d, 0x0d, 0x0a] | [0x4d, 0x3c, 0xb2, 0xa1]
        )
    }) {
        return Some(Unusable::Packets);
    }
    // The `log` plugin of CoreDNS; BIND; dnsmasq.
    let is_bind = has(b" query: ") && has(b" IN A");
    if has(b"\"A IN ") || has(b"\"AAAA IN ") || is_bind || has(b" query[A] ") || has(b" query[AAAA] ") {
        return Some(Unusable::QueryLog);
    }
    let line = lines(head).next()?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let is_type = |place: usize| words.get(place).is_some_and(|word| matches!(*word, "wep" | "hep" | "ns" | "net"));
    if words.len() >= 20 && is_type(2) && words.iter().skip(4).any(|word| matches!(*word, "allow" | "deny")) {
        return Some(Unusable::OldCalico);
    }
    let heads = (words.first().copied(), words.get(1).copied());
    (heads == (Some("SRC_IP"), Some("DST_IP"))).then_some(Unusable::Table)
}

fn hubble_framing(framing: hubble::Framing) -> Framing {
    match framing {
        hubble::Framing::Objects => Framing::Objects,
        hubble::Framing::Lines => Framing::Lines,
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &str> {
    head.split(|byte| *byte == b'\n').take(LINES_MAX).filter_map(|line| match content(line) {
        Content::Whole(line) => std::str::from_utf8(line).ok(),
        _ => None,
    })
}

fn text(line: &str) -> Option<Format> {
    if is_log_line(line) {
        Some(Format::CalicoLog)
    } else if antrea::is_header(line) || antrea::is_row(line) {
        Some(Format::AntreaCsv)
    } else if antrea::is_flow_log_line(line) || antrea::is_audit_line(line) {
        Some(Format::AntreaLog)
    } else {
        None
    }
}

/// Whether the first object spans lines or sits in a list.
fn is_laid_out(head: &[u8]) -> bool {
    let Some(line) = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty()) else {
        return false;
    };
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    match line.first() {
        Some(b'[') => true,
        Some(b'{') => {
            serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err() && !line.ends_with(b"}") && line.len() < 64
        }
        _ => false,
    }
}

fn json(head: &[u8]) -> Option<(Format, Framing)> {
    let framing = if is_laid_out(head) { Framing::Objects } else { Framing::Lines };
    if framing == Framing::Objects {
        // Hubble's own recognition claims nobody else's records.
        let format = if hubble::sniff(head).is_some() { None } else { by_keys(&keys(head, framing)) };
        return format.map(|format| (format, framing));
    }
    let mut offset = 0;
    for line in head.split(|byte| *byte == b'\n').take(LINES_MAX) {
        // A list's or a page's first line may be longer than what was looked at.
        if let Some(format) = by_keys(&keys(line, framing)).or_else(|| by_text(line)) {
            let before = head.get(..offset).unwrap_or_default();
            return hubble::sniff(before).is_none().then_some((format, framing));
        }
        offset += line.len() + 1;
    }
    None
}

fn keys(chunk: &[u8], framing: Framing) -> Vec<String> {
    let (mut keys, mut account) = (Keys::default(), Account::default());
    each_record(chunk, 0, framing, &mut keys, &mut account);
    keys.0.truncate(KEYS_MAX);
    keys.0
}

fn by_keys(keys: &[String]) -> Option<Format> {
    let has = |wanted: &str| keys.iter().any(|key| key == wanted);
    let any = |wanted: &[&str]| wanted.iter().any(|key| has(key));
    if (has("qname") && any(&["rrsets", "rcode", "client_name_aggr"]))
        || (has("count") && has("type") && has("client_namespace"))
    {
        Some(Format::CalicoDns)
    } else if has("source_name_aggr")
        || has("dest_name_aggr")
        || (has("dest_ip") && has("source_ip") && has("reporter"))
    {
        Some(Format::Calico)
    } else if any(&["sourceIPv4Address", "sourceIPv6Address"]) || (has("sourceIP") && has("destinationTransportPort")) {
        Some(Format::AntreaLog)
    } else if any(&["Key", "sourceName"]) || (has("source_name") && has("dest_name") && has("reporter")) {
        Some(Format::Goldmane)
    } else {
        None
    }
}

/// A record that is cut off, by keys that nobody else writes.
fn by_text(line: &[u8]) -> Option<Format> {
    if !line.trim_ascii_start().starts_with(b"{") || line.trim_ascii_end().ends_with(b"}") {
        return None;
    }
    let has = |mark: &str| memchr::memmem::find(line, mark.as_bytes()).is_some();
    if has("\"qname\"") && has("\"client_namespace\"") {
        Some(Format::CalicoDns)
    } else if has("\"source_name_aggr\"") {
        Some(Format::Calico)
    } else if has("\"sourceIPv4Address\"") {
        Some(Format::AntreaLog)
    } else if (has("\"items\"") || has("\"flows\"") || has("\"Key\"")) && has("\"dest_name\"") {
        Some(Format::Goldmane)
    } else {
        None
    }
}
