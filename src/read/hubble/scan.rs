//! The fast way: the ordinary record of the Hubble exporter, key by key in the order of its schema.
//!
//! In: one line, of which every piece that is taken must be printable ASCII. Out: the same facts as the parser's, or nothing. It does not parse: it jumps from
//! one expected key to the next, and reads repeated pieces (endpoints, lists of names and labels) through a memory of
//! bytes that the real parser has read before. Any surprise (another order, an unknown key, an odd type, a blank) gives
//! the record up to the parser. Order of keys: `flow.proto` of Cilium 1.16 to 1.20 and records since 2021.

use crate::model::{ChainId, Protocol, Vocabulary};

use super::cursor::{Cursor, is_printable};
use super::endpoint::EndFacts;
use super::facts::{Clock, DropReason, Facts, FlowKind, FlowVerdict, Memory, chain};
use super::json::Texts;
use super::record::{End, Layer7};

/// Reads an ordinary exporter record; `None` for any other.
pub(super) fn record<'a>(line: &'a [u8], memory: &mut Memory, vocabulary: &mut Vocabulary) -> Option<Facts<'a>> {
    let mut cursor = Cursor::new(line);
    cursor.need(b"{\"flow\":{")?;
    let mut scan = Scan { cursor, memory, vocabulary, facts: Facts::default(), separator: false };
    let time = scan.head()?;
    scan.ends()?;
    let node_name = scan.middle()?;
    scan.tail()?;
    scan.close(time, node_name)?;
    Some(scan.facts)
}

/// Members of `flow.Service`.
const SERVICE: &[(&[u8], bool)] = &[(b"\"name\":\"", true), (b"\"namespace\":\"", true)];

struct Scan<'a, 'm> {
    cursor: Cursor<'a>,
    memory: &'m mut Memory,
    vocabulary: &'m mut Vocabulary,
    facts: Facts<'a>,
    /// Whether a key was read before, so that a comma comes first.
    separator: bool,
}

impl<'a> Scan<'a, '_> {
    /// Takes `,"key":` (without the comma if it is the first) if it comes next. `key` is written with quotes, colon and
    /// as much of the value as is the same in every record.
    #[inline]
    fn key(&mut self, key: &[u8]) -> bool {
        let mut ahead = self.cursor;
        if self.separator && !ahead.eat(b",") {
            return false;
        }
        if !ahead.eat(key) {
            return false;
        }
        self.cursor = ahead;
        self.separator = true;
        true
    }

    /// Takes a text that is not needed, if its key comes next.
    fn skip_text(&mut self, key: &[u8]) -> Option<()> {
        if self.key(key) { self.cursor.skip_text() } else { Some(()) }
    }

    /// Takes a number that is not needed, if its key comes next.
    fn skip_number(&mut self, key: &[u8]) -> Option<()> {
        if self.key(key) { self.cursor.number().map(|_| ()) } else { Some(()) }
    }

    /// Takes an object of texts (`true`) and numbers (`false`), each of which may be missing, if its key comes next.
    fn skip_object(&mut self, key: &[u8], members: &[(&[u8], bool)]) -> Option<()> {
        if !self.key(key) {
            return Some(());
        }
        self.separator = false;
        for (member, is_text) in members {
            if *is_text { self.skip_text(member)? } else { self.skip_number(member)? }
        }
        self.separator = true;
        self.cursor.need(b"}")
    }

    /// Takes a list that is not needed and ends in `ending` and `]`, if its key comes next.
    fn skip_list(&mut self, key: &[u8], ending: u8) -> Option<()> {
        if self.key(key) { self.list(ending) } else { Some(()) }
    }

    fn list(&mut self, ending: u8) -> Option<()> {
        let length = self.cursor.list_length(ending)?;
        let list = self.cursor.advance(length)?;
        let well_formed = || {
            let is_json = is_printable(list) && serde_json::from_slice::<serde::de::IgnoredAny>(list).is_ok();
            is_json.then_some(())
        };
        if list.first() == Some(&b'[') { self.memory.well_formed.get_or_read(list, well_formed) } else { None }
    }

    /// The labels of the emitting node are those of the record before, as long as one node's file is read.
    fn node_labels(&mut self) -> Option<()> {
        if !self.key(b"\"node_labels\":") {
            return Some(());
        }
        if !self.memory.node_labels.is_empty() && self.cursor.eat(&self.memory.node_labels) {
            return Some(());
        }
        let before = self.cursor.rest();
        self.list(b'"')?;
        let labels = before.len() - self.cursor.rest().len();
        self.memory.node_labels.clear();
        self.memory.node_labels.extend_from_slice(before.get(..labels)?);
        Some(())
    }

    /// From the start to the transport; gives the time's text.
    fn head(&mut self) -> Option<&'a [u8]> {
        let time = if self.key(b"\"time\":\"") { self.cursor.text()? } else { b"" };
        if self.key(b"\"uuid\":\"") {
            let uuid = self.cursor.text()?;
            if self.memory.keep_ids {
                self.facts.uuid = self.vocabulary.text(std::str::from_utf8(uuid).ok()?);
            }
        }
        self.skip_object(b"\"emitter\":{", &[(b"\"name\":\"", true), (b"\"version\":\"", true)])?;
        if self.key(b"\"verdict\":\"") {
            self.facts.verdict = FlowVerdict::named(self.cursor.text()?);
        }
        if self.key(b"\"drop_reason\":") {
            self.facts.drop_reason = DropReason::numbered(self.cursor.number()?);
        }
        self.skip_text(b"\"auth_type\":\"")?;
        self.skip_object(b"\"ethernet\":{", &[(b"\"source\":\"", true), (b"\"destination\":\"", true)])?;
        if self.key(b"\"IP\":{") {
            self.addresses()?;
        }
        self.facts.ports = Some((0, 0));
        self.facts.protocol = Protocol::UNKNOWN;
        if self.key(b"\"l4\":{") {
            self.transport()?;
            self.cursor.need(b"}")?;
        }
        Some(time)
    }

    fn addresses(&mut self) -> Option<()> {
        self.separator = false;
        if self.key(b"\"source\":\"") {
            self.facts.source_address = self.memory.address(self.cursor.text()?, self.vocabulary);
        }
        self.skip_text(b"\"source_xlated\":\"")?;
        if self.key(b"\"destination\":\"") {
            self.facts.destination_address = self.memory.address(self.cursor.text()?, self.vocabulary);
        }
        self.skip_text(b"\"ipVersion\":\"")?;
        if self.key(b"\"encrypted\":") {
            self.cursor.truth()?;
        }
        self.separator = true;
        self.cursor.need(b"}")
    }

    fn transport(&mut self) -> Option<()> {
        let (protocol, has_ports) = if self.cursor.eat(b"\"TCP\":{") {
            (Protocol::TCP, true)
        } else if self.cursor.eat(b"\"UDP\":{") {
            (Protocol::UDP, true)
        } else if self.cursor.eat(b"\"ICMPv4\":{") {
            (Protocol::ICMPV4, false)
        } else if self.cursor.eat(b"\"ICMPv6\":{") {
            (Protocol::ICMPV6, false)
        } else if self.cursor.eat(b"\"SCTP\":{") {
            (Protocol::SCTP, true)
        } else {
            return None;
        };
        self.facts.protocol = protocol;
        self.separator = false;
        if has_ports {
            let source = if self.key(b"\"source_port\":") { self.port()? } else { 0 };
            let destination = if self.key(b"\"destination_port\":") { self.port()? } else { 0 };
            self.facts.ports = Some((source, destination));
            if protocol == Protocol::TCP && self.key(b"\"flags\":{") {
                self.flags()?;
            }
        } else {
            self.skip_number(b"\"type\":")?;
            self.skip_number(b"\"code\":")?;
        }
        self.separator = true;
        self.cursor.need(b"}")
    }

    fn port(&mut self) -> Option<u16> {
        u16::try_from(self.cursor.number()?).ok()
    }

    fn flags(&mut self) -> Option<()> {
        self.separator = false;
        self.key(b"\"FIN\":true");
        self.facts.syn = self.key(b"\"SYN\":true");
        self.key(b"\"RST\":true");
        self.key(b"\"PSH\":true");
        self.facts.ack = self.key(b"\"ACK\":true");
        for rare in [b"\"URG\":true".as_slice(), b"\"ECE\":true", b"\"CWR\":true", b"\"NS\":true"] {
            self.key(rare);
        }
        self.cursor.need(b"}")
    }

    /// Source and destination.
    fn ends(&mut self) -> Option<()> {
        if self.key(b"\"source\":") {
            self.facts.source = self.end()?;
        }
        if self.key(b"\"destination\":") {
            self.facts.destination = self.end()?;
        }
        Some(())
    }

    fn end(&mut self) -> Option<EndFacts> {
        let length = self.cursor.object_length()?;
        let object = self.cursor.advance(length)?;
        if object.first() != Some(&b'{') {
            return None;
        }
        let Self { memory, vocabulary, .. } = self;
        let read = || {
            let end = is_printable(object).then(|| serde_json::from_slice::<End<'_>>(object).ok()).flatten()?;
            Some(EndFacts::read(&end, vocabulary))
        };
        memory.ends.get_or_read(object, read)
    }

    /// From the type to the layer 7 part; gives the node's name.
    fn middle(&mut self) -> Option<&'a [u8]> {
        if self.key(b"\"Type\":\"") {
            self.facts.kind = FlowKind::named(self.cursor.text()?);
        }
        let node_name = if self.key(b"\"node_name\":\"") { self.cursor.text()? } else { b"" };
        self.node_labels()?;
        if self.key(b"\"source_names\":") {
            self.facts.source_names = self.names()?;
        }
        if self.key(b"\"destination_names\":") {
            self.facts.destination_names = self.names()?;
        }
        if self.key(b"\"l7\":") {
            let mut values = serde_json::Deserializer::from_slice(self.cursor.rest()).into_iter::<Layer7<'a>>();
            self.facts.l7 = Some(values.next()?.ok()?);
            let object = self.cursor.advance(values.byte_offset())?;
            if object.first() != Some(&b'{') || !is_printable(object) {
                return None;
            }
        }
        Some(node_name)
    }

    fn names(&mut self) -> Option<ChainId> {
        let length = self.cursor.list_length(b'"')?;
        let list = self.cursor.advance(length)?;
        let Self { memory, vocabulary, .. } = self;
        let read = || {
            let names = is_printable(list).then(|| serde_json::from_slice::<Texts<'_>>(list).ok()).flatten()?;
            Some(chain(&names.0, vocabulary))
        };
        memory.name_lists.get_or_read(list, read)
    }

    /// From the reply flag to the end of the flow.
    fn tail(&mut self) -> Option<()> {
        if self.key(b"\"reply\":") {
            self.facts.old_reply = self.cursor.truth()?;
        }
        if self.key(b"\"event_type\":{") {
            self.event_type()?;
        }
        self.skip_object(b"\"source_service\":{", SERVICE)?;
        self.skip_object(b"\"destination_service\":{", SERVICE)?;
        self.skip_text(b"\"traffic_direction\":\"")?;
        self.skip_number(b"\"policy_match_type\":")?;
        self.skip_text(b"\"trace_observation_point\":\"")?;
        self.skip_text(b"\"trace_reason\":\"")?;
        self.skip_object(b"\"file\":{", &[(b"\"name\":\"", true), (b"\"line\":", false)])?;
        if self.key(b"\"drop_reason_desc\":\"") {
            self.facts.drop_reason = DropReason::named(self.cursor.text()?).or(self.facts.drop_reason);
        }
        if self.key(b"\"is_reply\":") {
            self.facts.is_reply = Some(self.cursor.truth()?);
        }
        self.skip_object(b"\"interface\":{", &[(b"\"index\":", false), (b"\"name\":\"", true)])?;
        self.skip_number(b"\"proxy_port\":")?;
        if self.key(b"\"Summary\":\"") {
            self.cursor.skip_text()?;
            self.facts.has_summary = true;
        }
        let rules = [b"\"egress_allowed_by\":".as_slice(), b"\"ingress_allowed_by\":", b"\"egress_denied_by\":"];
        for key in rules {
            self.skip_list(key, b'}')?;
        }
        self.skip_list(b"\"ingress_denied_by\":", b'}')?;
        self.skip_list(b"\"policy_log\":", b'"')?;
        self.cursor.need(b"}")
    }

    fn event_type(&mut self) -> Option<()> {
        self.separator = false;
        if self.key(b"\"type\":") {
            self.facts.event = self.cursor.number()?;
        }
        self.skip_number(b"\"sub_type\":")?;
        self.separator = true;
        self.cursor.need(b"}")
    }

    /// The wrapper's own node and time, which repeat the flow's.
    fn close(&mut self, time: &'a [u8], node_name: &'a [u8]) -> Option<()> {
        let outer_name = if self.cursor.eat(b",\"node_name\":\"") { self.cursor.text()? } else { b"" };
        let outer_time = if self.cursor.eat(b",\"time\":\"") { self.cursor.text()? } else { b"" };
        self.cursor.need(b"}")?;
        if !self.cursor.rest().is_empty() {
            return None;
        }
        self.facts.time = Clock::read(time, outer_time);
        let name = if node_name.is_empty() { outer_name } else { node_name };
        self.facts.node = self.memory.node(name, self.vocabulary);
        Some(())
    }
}
