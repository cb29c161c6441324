//! Kernel LOG lines and eBPF trace lines of open-source Calico, as the kernel log, syslog, journald or a shipper has them.
//!
//! In: chunks of lines. Out: one flow row per packet. A LOG line says that a Log rule was hit by the first packet of a
//! connection: who called whom, after service translation, and neither whether it passed nor which pod it was. Pods are
//! named later, by address and time. A trace line has the verdict, the destination before translation, and uptime for
//! a time. Whether rules were sampled cannot be seen; messages that a logger says it dropped are losses.

use hashbrown::HashSet;

use crate::model::{
    Account, Batch, Certainty, ChainId, Endpoint, EndpointId, Excluded, FlowRow, IdentityKind, Initiator, Loss, Place,
    RecordId, Rejected, TextId, Timestamp, Verdict, Vocabulary,
};

use super::super::fields::{epoch, instant};
use super::super::json::{Scalar, loose_object};
use super::super::json_records::{BROKEN_JSON, FOREIGN_LINE, each_line};
use super::super::log_line::{Content, content};
use super::kernel_line::{self, Fault, Packet, is_workload_interface, namespace_in};

loose_object! {
    /// A line as journald or a shipper keeps it.
    Shipped {
        message: Scalar<'de> = "MESSAGE" | "message" | "log" | "line" | "msg",
        realtime: Scalar<'de> = "__REALTIME_TIMESTAMP" | "_SOURCE_REALTIME_TIMESTAMP",
        time: Scalar<'de> = "@timestamp" | "timestamp" | "time" | "ts",
        host: Scalar<'de> = "_HOSTNAME" | "host" | "hostname" | "node" | "node_name",
    }
}

const BROKEN_UTF8: Rejected = Rejected("invalid UTF-8");
const PARTIAL_LINE: Rejected = Rejected("line that the container runtime split");
const BROKEN_ADDRESS: Rejected = Rejected("address that does not parse");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");
const CUT_OFF: Rejected = Rejected("line cut off before its addresses or ports");
const REPEATED: Excluded = Excluded("the same packet logged twice");
const SUPPRESSED: Excluded = Excluded("report of suppressed log messages");

pub(in crate::read) const NO_VERDICT: &str = "LOG line: a Log rule was hit; whether the packet passed is not known";
const NO_TIME: &str = "line without a time (uptime only)";
const NO_YEAR: &str = "syslog time without a year: give --until, so that the year before it is taken";
const YEAR_TAKEN: &str = "syslog time without year and zone, read as UTC and as the last such date before --until";
const SAMPLED: &str = "Log rules may be sampled (logActionRateLimit): silence of a log proves nothing";

/// Decodes log lines.
#[derive(Debug, Default)]
pub struct CalicoLogDecoder {
    latest: Option<Timestamp>,
    // Packets of the current chunk, so that the result does not depend on who reads which chunk.
    seen: HashSet<Seen>,
}

/// What makes a logged packet distinct.
type Seen = (TextId, Timestamp, Box<str>, u64, [std::net::IpAddr; 2], [u16; 2], u32);

impl CalicoLogDecoder {
    /// A decoder. Times without a year are the last such date not after `latest`, or unknown without one.
    pub fn new(latest: Option<Timestamp>) -> Self {
        Self { latest, seen: HashSet::new() }
    }

    /// Decodes whole lines; `base` is the byte offset of the chunk in its stream.
    pub fn decode(
        &mut self,
        chunk: &[u8],
        base: u64,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        self.seen.clear();
        each_line(chunk, base, |line, place| match content(line) {
            Content::Blank => {}
            Content::Part => account.reject(PARTIAL_LINE, place),
            Content::Whole(line) => match std::str::from_utf8(line) {
                Ok(line) => self.line(line, place, vocabulary, batch, account),
                Err(_) => account.reject(BROKEN_UTF8, place),
            },
        });
    }

    fn line(
        &mut self,
        line: &str,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        if !line.starts_with('{') {
            let head = Head::read(line, self.latest);
            return self.message(line, &head, place, vocabulary, batch, account);
        }
        let Ok(shipped) = serde_json::from_str::<Shipped<'_>>(line) else {
            return account.reject(BROKEN_JSON, place);
        };
        let Some(message) = shipped.message.text() else { return account.exclude(FOREIGN_LINE) };
        let message = message.trim_end();
        let own = Head::read(message, self.latest);
        let outer = shipped.realtime.number().and_then(epoch).or_else(|| instant(&shipped.time));
        let head = Head {
            time: if own.time.is_known() { own.time } else { outer.unwrap_or(Timestamp::UNKNOWN) },
            host: shipped.host.text().unwrap_or(own.host),
            // A shipper's time makes the missing year harmless.
            yearless: own.yearless && outer.is_none(),
        };
        self.message(message, &head, place, vocabulary, batch, account);
    }

    fn message(
        &mut self,
        message: &str,
        head: &Head<'_>,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let packet = match kernel_line::logged(message).or_else(|| kernel_line::traced(message)) {
            Some(Ok(packet)) => packet,
            Some(Err(fault)) => {
                let reason = match fault {
                    Fault::Address => BROKEN_ADDRESS,
                    Fault::Port => BROKEN_PORT,
                    Fault::CutOff => CUT_OFF,
                };
                return account.reject(reason, place);
            }
            None => return other(message, head, vocabulary, batch, account),
        };
        let node = vocabulary.text(head.host);
        let seen = (
            node,
            head.time,
            uptime(packet.prefix).into(),
            u64::from(packet.protocol.0),
            [packet.source, packet.destination],
            [packet.source_port, packet.destination_port],
            packet.id,
        );
        if packet.id != 0 && !self.seen.insert(seen) {
            return account.exclude(REPEATED);
        }
        account.accept();
        note(&packet, head, account);
        let (source, destination) = ends(&packet, vocabulary);
        batch.flows.push(FlowRow {
            time: head.time,
            cluster: TextId::NONE,
            node,
            source,
            destination,
            source_address: vocabulary.address(packet.source),
            destination_address: vocabulary.address(packet.destination),
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            protocol: packet.protocol,
            verdict: packet.verdict,
            initiator: Initiator::Source,
            // Only the first packets of a connection meet policy.
            certainty: if packet.verdict == Verdict::Unknown { Certainty::Tracked } else { Certainty::Policy },
            reported: ChainId::NONE,
            id: RecordId::NONE,
        });
    }
}

fn note(packet: &Packet<'_>, head: &Head<'_>, account: &mut Account) {
    if packet.verdict == Verdict::Unknown {
        account.note(NO_VERDICT);
        account.note(SAMPLED);
    }
    match (head.yearless, head.time.is_known()) {
        (true, true) => account.note(YEAR_TAKEN),
        (true, false) => account.note(NO_YEAR),
        (false, false) => account.note(NO_TIME),
        (false, true) => {}
    }
}

/// The ends, as far as interfaces and prefix tell: a pod's host interface makes its end a pod.
fn ends(packet: &Packet<'_>, vocabulary: &mut Vocabulary) -> (EndpointId, EndpointId) {
    let (from_pod, to_pod) = (is_workload_interface(packet.incoming), is_workload_interface(packet.outgoing));
    let namespace = namespace_in(packet.prefix);
    let mut end = |is_pod: bool, other_is_pod: bool| {
        let identity = if is_pod { IdentityKind::Pod } else { IdentityKind::Unknown };
        // With pods at both ends nobody knows whose policy it was.
        let namespace = namespace.filter(|_| is_pod && !other_is_pod).unwrap_or_default();
        vocabulary.endpoint(Endpoint { namespace: namespace.into(), identity, local: is_pod, ..Endpoint::default() })
    };
    (end(from_pod, to_pod), end(to_pod, from_pod))
}

/// What stands between brackets right before the prefix.
fn uptime(prefix: &str) -> &str {
    let inner = prefix.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or("", |(uptime, _)| uptime.trim())
}

/// Reports of loggers that dropped messages; anything else is no record.
fn other(message: &str, head: &Head<'_>, vocabulary: &mut Vocabulary, batch: &mut Batch, account: &mut Account) {
    let Some(events) = suppressed(message) else { return account.exclude(FOREIGN_LINE) };
    batch.losses.push(Loss {
        time: head.time,
        cluster: TextId::NONE,
        node: vocabulary.text(head.host),
        place: vocabulary.text("LOG_RATE_LIMIT"),
        events,
    });
    account.exclude(SUPPRESSED);
}

/// `Suppressed 12 messages`, `Missed 3 kernel messages`, `12 messages lost due to rate-limiting`, `7 callbacks
/// suppressed`, `printk messages dropped`.
fn suppressed(message: &str) -> Option<u64> {
    let is_report = ["messages lost", "callbacks suppressed", "printk messages dropped", "messages dropped"];
    let (before, after) = ([("Suppressed ", " messages"), ("Missed ", " kernel messages")], is_report);
    let led = before.iter().find_map(|(lead, trail)| {
        let (_, rest) = message.split_once(lead)?;
        rest.split_once(trail)?.0.trim().parse().ok()
    });
    led.or_else(|| {
        let (head, _) = after.iter().find_map(|mark| message.split_once(mark))?;
        head.split_ascii_whitespace().next_back()?.parse().ok()
    })
}

/// Time and host before the message.
#[derive(Debug)]
struct Head<'a> {
    time: Timestamp,
    host: &'a str,
    yearless: bool,
}

impl<'a> Head<'a> {
    fn read(line: &'a str, latest: Option<Timestamp>) -> Self {
        let line = line.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(line, |(_, rest)| rest);
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let unknown = Self { time: Timestamp::UNKNOWN, host: "", yearless: false };
        if let Some(time) = Timestamp::parse(first.as_bytes()) {
            return Self { time, host: words.next().unwrap_or_default(), yearless: false };
        }
        let Some(month) = MONTHS.iter().position(|month| *month == first) else { return unknown };
        let (Some(day), Some(clock), Some(host)) = (words.next(), words.next(), words.next()) else { return unknown };
        let time = latest.and_then(|latest| last_before(month + 1, day, clock, latest));
        Self { time: time.unwrap_or(Timestamp::UNKNOWN), host, yearless: true }
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last such date not after `latest`; the 29th of February may lie eight years back.
fn last_before(month: usize, day: &str, clock: &str, latest: Timestamp) -> Option<Timestamp> {
    let year: u32 = latest.date().get(..4)?.parse().ok()?;
    let day: u32 = day.parse().ok()?;
    (0..=8)
        .filter_map(|back| {
            let text = format!("{:04}-{month:02}-{day:02}T{clock}Z", year.checked_sub(back)?);
            Timestamp::parse(text.as_bytes())
        })
        .find(|time| *time <= latest)
}

/// Whether a line is one of ours, bare or inside a shipper's JSON.
pub(in crate::read) fn is_log_line(line: &str) -> bool {
    let is_one = |text: &str| kernel_line::is_logged(text) || matches!(kernel_line::traced(text), Some(Ok(_)));
    if !line.starts_with('{') {
        return is_one(line);
    }
    serde_json::from_str::<Shipped<'_>>(line).is_ok_and(|shipped| shipped.message.text().is_some_and(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_the_last_that_fits() {
        let latest = Timestamp::parse(b"2026-01-02T00:00:00Z").unwrap();
        let check = |line: &str, expected: &str| {
            assert_eq!(Head::read(line, Some(latest)).time.to_string(), expected, "{line}");
        };
        check("Dec  3 04:05:06 node-1 kernel: x", "2025-12-03T04:05:06Z");
        check("Jan 01 04:05:06 node-1 kernel: x", "2026-01-01T04:05:06Z");
        check("Jan  3 04:05:06 node-1 kernel: x", "2025-01-03T04:05:06Z");
        check("Feb 29 04:05:06 node-1 kernel: x", "2024-02-29T04:05:06Z");
        check("Feb 30 04:05:06 node-1 kernel: x", "");
        check("<4>2026-01-01T00:00:00+01:00 node-1 kernel: x", "2025-12-31T23:00:00Z");
        assert!(!Head::read("Dec  3 04:05:06 node-1 kernel: x", None).time.is_known());
    }

    #[test]
    fn loggers_that_drop_messages_say_how_many() {
        let check = |line: &str, expected: Option<u64>| assert_eq!(suppressed(line), expected, "{line}");
        check("systemd-journald[1]: Suppressed 1234 messages from kernel", Some(1234));
        check("systemd-journald[1]: Missed 12 kernel messages", Some(12));
        check("rsyslogd: imklog: 77 messages lost due to rate-limiting", Some(77));
        check("kernel: net_ratelimit: 9 callbacks suppressed", Some(9));
        check("kernel: eth0: link up", None);
    }
}
