//! The fast way: the ordinary record of the Hubble exporter, key by key in the order of its schema.
//!
//! In: the beginning of a line, of which every piece that is taken must be printable ASCII. Out: the same facts as the parser's, or nothing. It does not parse: it jumps from
//! one expected key to the next, and reads repeated pieces (endpoints, lists of names and labels) through a memory of
//! bytes that the real parser has read before. Any surprise (another order, an unknown key, an odd type, a blank) gives
//! the record up to the parser. Order of keys: `flow.proto` of Cilium 1.16 to 1.20 and records since 2021.

use memchr::memchr;

use crate::model::{ChainId, Protocol, Vocabulary};

use super::cursor::{Cursor, is_printable};
use super::endpoint::EndFacts;
use super::facts::{Address, Clock, DropReason, Facts, FlowKind, FlowVerdict, Memory, chain, icmp_ports};
use super::json::Texts;
use super::recall::Tail;
use super::record::{End, Layer7};

/// Reads an ordinary exporter record at the beginning of `lines`; `None` for any other. Gives the length of its line, too, with the
/// newline if there is one.
///
/// No piece that is taken may hold a newline, so that the end of the line is looked for only behind the pieces that repeat.
pub(super) fn record<'a>(
    lines: &'a [u8],
    memory: &mut Memory,
    vocabulary: &mut Vocabulary,
) -> Option<(Facts<'a>, usize)> {
    let mut cursor = Cursor::new(lines);
    cursor.need(b"{\"flow\":{")?;
    let mut scan = Scan {
        cursor,
        memory,
        vocabulary,
        facts: Facts::default(),
        separator: false,
        given: lines.len(),
        line_length: None,
    };
    let time = scan.head()?;
    scan.ends()?;
    let node_name = scan.middle()?;
    let length = scan.keep_to_line()?;
    if !scan.known_ending(time, node_name) {
        scan.ending(time, node_name)?;
    }
    Some((scan.facts, length))
}

struct Scan<'a, 'm> {
    cursor: Cursor<'a>,
    memory: &'m mut Memory,
    vocabulary: &'m mut Vocabulary,
    facts: Facts<'a>,
    /// Whether a key was read before, so that a comma comes first.
    separator: bool,
    /// How many bytes there were.
    given: usize,
    /// The length of the line, once its end was looked for: nothing behind it is looked at from then on.
    line_length: Option<usize>,
}

impl<'a> Scan<'a, '_> {
    /// Looks for the end of the line, and stays before it; gives the line's length with the newline. Whoever looks for the end of
    /// something first does this: a broken line must not cost more than itself.
    fn keep_to_line(&mut self) -> Option<usize> {
        if self.line_length.is_none() {
            let rest = self.cursor.rest();
            let newline = memchr(b'\n', rest);
            let end = newline.unwrap_or(rest.len());
            self.line_length = Some(self.given - rest.len() + end + usize::from(newline.is_some()));
            self.cursor.go_on_at(rest.get(..end)?);
        }
        self.line_length
    }

    /// Takes `,"key":` (without the comma if it is the first) if it comes next. `key` is written with quotes, colon and
    /// as much of the value as is the same in every record.
    #[inline]
    fn key<const N: usize>(&mut self, key: &[u8; N]) -> bool {
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
    fn skip_text<const N: usize>(&mut self, key: &[u8; N]) -> Option<()> {
        if self.key(key) { self.cursor.skip_text() } else { Some(()) }
    }

    /// Takes a number that is not needed, if its key comes next.
    fn skip_number<const N: usize>(&mut self, key: &[u8; N]) -> Option<()> {
        if self.key(key) { self.cursor.number().map(|_| ()) } else { Some(()) }
    }

    /// Takes an object if its key comes next; `members` takes what is in it.
    fn object<const N: usize>(&mut self, key: &[u8; N], members: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if !self.key(key) {
            return Some(());
        }
        self.separator = false;
        members(self)?;
        self.separator = true;
        self.cursor.need(b"}")
    }

    /// Takes a list that is not needed and ends in `ending` and `]`, if its key comes next.
    fn skip_list<const N: usize>(&mut self, key: &[u8; N], ending: u8) -> Option<()> {
        if self.key(key) { self.list(ending) } else { Some(()) }
    }

    fn list(&mut self, ending: u8) -> Option<()> {
        self.keep_to_line()?;
        let length = self.cursor.list_length(ending)?;
        let list = self.cursor.advance(length)?;
        let well_formed = || {
            let is_json = is_printable(list) && serde_json::from_slice::<serde::de::IgnoredAny>(list).is_ok();
            is_json.then_some(())
        };
        if list.first() == Some(&b'[') { self.memory.well_formed.get_or_read(list, well_formed) } else { None }
    }

    /// From the start to the transport; gives the time's text.
    fn head(&mut self) -> Option<&'a [u8]> {
        let time = if self.key(b"\"time\":\"") { self.time()? } else { b"" };
        if self.key(b"\"uuid\":\"") {
            self.uuid()?;
        }
        self.emitter()?;
        if self.key(b"\"verdict\":\"FORWARDED\"") {
            self.facts.verdict = FlowVerdict::Forwarded;
        } else if self.key(b"\"verdict\":\"") {
            self.facts.verdict = FlowVerdict::named(self.cursor.text()?);
        }
        if self.key(b"\"drop_reason\":") {
            self.facts.drop_reason = DropReason::numbered(self.cursor.number()?);
        }
        self.skip_text(b"\"auth_type\":\"")?;
        self.object(b"\"ethernet\":{", |scan| {
            scan.mac(b"\"source\":\"")?;
            scan.mac(b"\"destination\":\"")
        })?;
        self.object(b"\"IP\":{", Self::addresses)?;
        self.facts.ports = Some((0, 0));
        self.facts.protocol = Protocol::UNKNOWN;
        if self.key(b"\"l4\":{") {
            self.transport()?;
            self.cursor.need(b"}")?;
        }
        Some(time)
    }

    fn time(&mut self) -> Option<&'a [u8]> {
        let before = self.cursor.rest();
        if let Some((time, rest)) = self.memory.recall.time(before) {
            self.facts.time = Clock::Known(time);
            self.cursor.go_on_at(rest);
            return before.get(..before.len() - rest.len() - 1);
        }
        let text = self.cursor.text()?;
        self.facts.time = Clock::read(text, b"");
        if let Clock::Known(time) = self.facts.time {
            self.memory.recall.remember_time(text, time);
        }
        Some(text)
    }

    fn uuid(&mut self) -> Option<()> {
        if self.memory.keep_ids {
            self.facts.uuid = self.vocabulary.record_id(std::str::from_utf8(self.cursor.text()?).ok()?);
            Some(())
        } else if self.cursor.skip_plain::<36>() {
            Some(())
        } else {
            self.cursor.text().map(|_| ())
        }
    }

    fn mac<const N: usize>(&mut self, key: &[u8; N]) -> Option<()> {
        if self.key(key) && !self.cursor.skip_plain::<17>() { self.cursor.skip_text() } else { Some(()) }
    }

    fn emitter(&mut self) -> Option<()> {
        if !self.key(b"\"emitter\":{") {
            return Some(());
        }
        let before = self.cursor.rest();
        if !self.memory.recall.emitter.is_empty() && self.cursor.eat_piece(&self.memory.recall.emitter) {
            return Some(());
        }
        self.separator = false;
        self.skip_text(b"\"name\":\"")?;
        self.skip_text(b"\"version\":\"")?;
        self.separator = true;
        self.cursor.need(b"}")?;
        let emitter = before.get(..before.len() - self.cursor.rest().len())?;
        self.memory.recall.emitter.clear();
        self.memory.recall.emitter.extend_from_slice(emitter);
        Some(())
    }

    fn addresses(&mut self) -> Option<()> {
        if self.key(b"\"source\":\"") {
            self.facts.source_address = self.address()?;
        }
        self.skip_text(b"\"source_xlated\":\"")?;
        if self.key(b"\"destination\":\"") {
            self.facts.destination_address = self.address()?;
        }
        if !self.key(b"\"ipVersion\":\"IPv4\"") {
            self.skip_text(b"\"ipVersion\":\"")?;
        }
        if self.key(b"\"encrypted\":") {
            self.cursor.truth()?;
        }
        Some(())
    }

    fn address(&mut self) -> Option<Address> {
        let short = self.cursor.short_text();
        if let Some((number, rest)) = short
            && let Some(known) = self.memory.recall.address(number)
        {
            self.cursor.go_on_at(rest);
            return Some(known);
        }
        let address = self.memory.address(self.cursor.text()?, self.vocabulary);
        if let Some((number, _)) = short {
            self.memory.recall.remember_address(number, address);
        }
        Some(address)
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
            let kind = if self.key(b"\"type\":") { self.cursor.number()? } else { 0 };
            let code = if self.key(b"\"code\":") { self.cursor.number()? } else { 0 };
            self.facts.ports = Some(icmp_ports(protocol, kind, code));
        }
        self.separator = true;
        self.cursor.need(b"}")
    }

    fn port(&mut self) -> Option<u16> {
        u16::try_from(self.cursor.number()?).ok()
    }

    fn flags(&mut self) -> Option<()> {
        if self.cursor.eat(b"\"ACK\":true}") || self.cursor.eat(b"\"PSH\":true,\"ACK\":true}") {
            self.facts.ack = true;
            return Some(());
        }
        self.separator = false;
        self.key(b"\"FIN\":true");
        self.facts.syn = self.key(b"\"SYN\":true");
        self.key(b"\"RST\":true");
        self.key(b"\"PSH\":true");
        self.facts.ack = self.key(b"\"ACK\":true");
        self.key(b"\"URG\":true");
        self.key(b"\"ECE\":true");
        self.key(b"\"CWR\":true");
        self.key(b"\"NS\":true");
        self.cursor.need(b"}")
    }

    /// Source and destination.
    fn ends(&mut self) -> Option<()> {
        if self.key(b"\"source\":") {
            self.facts.source = self.end(self.facts.source_address)?;
        }
        if self.key(b"\"destination\":") {
            self.facts.destination = self.end(self.facts.destination_address)?;
        }
        Some(())
    }

    /// What an address had around it before, it most likely has again.
    fn end(&mut self, address: Address) -> Option<EndFacts> {
        for place in self.memory.recall.ends(address) {
            if let Some((length, end)) = self.memory.ends.beginning(place, self.cursor.rest()) {
                self.cursor.advance(length)?;
                return Some(end);
            }
        }
        self.keep_to_line()?;
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
        let (place, end) = memory.ends.place_or_read(object, read)?;
        memory.recall.remember_end(address, place);
        Some(end)
    }

    /// From the type to the layer 7 part; gives the node's name.
    fn middle(&mut self) -> Option<&'a [u8]> {
        let node_name = match self.memory.recall.node_part.recall(self.cursor.rest()).filter(|_| self.separator) {
            Some((kind, name, rest)) => {
                self.facts.kind = kind;
                self.cursor.go_on_at(rest);
                name
            }
            None => self.node_part()?,
        };
        if self.key(b"\"source_names\":") {
            self.facts.source_names = self.names()?;
        }
        if self.key(b"\"destination_names\":") {
            self.facts.destination_names = self.names()?;
        }
        if self.key(b"\"l7\":") {
            self.keep_to_line()?;
            let mut values = serde_json::Deserializer::from_slice(self.cursor.rest()).into_iter::<Layer7<'a>>();
            self.facts.l7 = Some(Box::new(values.next()?.ok()?));
            let object = self.cursor.advance(values.byte_offset())?;
            if object.first() != Some(&b'{') || !is_printable(object) {
                return None;
            }
        }
        Some(node_name)
    }

    fn node_part(&mut self) -> Option<&'a [u8]> {
        let (before, separated) = (self.cursor.rest(), self.separator);
        let taken = |scan: &Self| before.len() - scan.cursor.rest().len();
        if self.key(b"\"Type\":\"") {
            self.facts.kind = FlowKind::named(self.cursor.text()?);
        }
        let mut name: &[u8] = b"";
        let mut place = 0..0;
        if self.key(b"\"node_name\":\"") {
            let start = taken(self);
            name = self.cursor.text()?;
            place = start..start + name.len();
        }
        if self.key(b"\"node_labels\":") {
            self.list(b'"')?;
            // Without the labels at its end, a part would also fit records that go on with labels.
            if separated {
                self.memory.recall.node_part.remember(before.get(..taken(self))?, self.facts.kind, place);
            }
        }
        Some(name)
    }

    fn names(&mut self) -> Option<ChainId> {
        self.keep_to_line()?;
        let length = self.cursor.list_length(b'"')?;
        let list = self.cursor.advance(length)?;
        let Self { memory, vocabulary, .. } = self;
        let read = || {
            let names = is_printable(list).then(|| serde_json::from_slice::<Texts<'_>>(list).ok()).flatten()?;
            Some(chain(&names.0, vocabulary))
        };
        memory.name_lists.get_or_read(list, read)
    }

    /// Takes everything from the reply flag to the end of the line, if all of it was seen before but for the time, which must
    /// be the flow's own.
    fn known_ending(&mut self, time: &[u8], node_name: &[u8]) -> bool {
        let (rest, memory) = (self.cursor.rest(), &*self.memory);
        let outer = memory.recall.outer.as_slice();
        if !self.separator || time.is_empty() || node_name.is_empty() || outer.is_empty() {
            return false;
        }
        let Some(after) = rest.strip_suffix(b"\"}").and_then(|rest| rest.strip_suffix(time)) else { return false };
        let Some(tail) = after.strip_suffix(outer) else { return false };
        let Some(tail) = memory.tails.get(tail) else { return false };
        self.facts.node = self.memory.node(node_name, self.vocabulary);
        self.take(tail);
        true
    }

    fn take(&mut self, tail: Tail) {
        let facts = &mut self.facts;
        facts.old_reply = tail.old_reply;
        facts.event = tail.event;
        facts.drop_reason = tail.drop_reason.or(facts.drop_reason);
        facts.is_reply = tail.is_reply;
        facts.has_summary = tail.has_summary;
    }

    fn ending(&mut self, time: &'a [u8], node_name: &'a [u8]) -> Option<()> {
        let (before, separated) = (self.cursor.rest(), self.separator);
        let tail = self.tail()?;
        let bytes = before.get(..before.len() - self.cursor.rest().len())?;
        self.close(time, node_name)?;
        if separated {
            self.memory.tails.insert(bytes, tail);
        }
        self.take(tail);
        Some(())
    }

    /// From the reply flag to the end of the flow.
    fn tail(&mut self) -> Option<Tail> {
        let mut tail = Tail::default();
        if self.key(b"\"reply\":") {
            tail.old_reply = self.cursor.truth()?;
        }
        self.object(b"\"event_type\":{", |scan| {
            if scan.key(b"\"type\":") {
                tail.event = scan.cursor.number()?;
            }
            scan.skip_number(b"\"sub_type\":")
        })?;
        self.object(b"\"source_service\":{", Self::service)?;
        self.object(b"\"destination_service\":{", Self::service)?;
        self.skip_text(b"\"traffic_direction\":\"")?;
        self.skip_number(b"\"policy_match_type\":")?;
        self.skip_text(b"\"trace_observation_point\":\"")?;
        self.skip_text(b"\"trace_reason\":\"")?;
        self.object(b"\"file\":{", |scan| {
            scan.skip_text(b"\"name\":\"")?;
            scan.skip_number(b"\"line\":")
        })?;
        if self.key(b"\"drop_reason_desc\":\"") {
            tail.drop_reason = DropReason::named(self.cursor.text()?);
        }
        if self.key(b"\"is_reply\":") {
            tail.is_reply = Some(self.cursor.truth()?);
        }
        self.object(b"\"interface\":{", |scan| {
            scan.skip_number(b"\"index\":")?;
            scan.skip_text(b"\"name\":\"")
        })?;
        self.skip_number(b"\"proxy_port\":")?;
        if self.key(b"\"Summary\":\"") {
            self.cursor.skip_text()?;
            tail.has_summary = true;
        }
        self.skip_list(b"\"egress_allowed_by\":", b'}')?;
        self.skip_list(b"\"ingress_allowed_by\":", b'}')?;
        self.skip_list(b"\"egress_denied_by\":", b'}')?;
        self.skip_list(b"\"ingress_denied_by\":", b'}')?;
        self.skip_list(b"\"policy_log\":", b'"')?;
        self.cursor.need(b"}")?;
        Some(tail)
    }

    /// `flow.Service`.
    fn service(&mut self) -> Option<()> {
        self.skip_text(b"\"name\":\"")?;
        self.skip_text(b"\"namespace\":\"")
    }

    /// The wrapper's own node and time, which repeat the flow's.
    fn close(&mut self, time: &'a [u8], node_name: &'a [u8]) -> Option<()> {
        let before = self.cursor.rest();
        let (mut outer_name, mut outer_time): (&[u8], &[u8]) = (b"", b"");
        if self.cursor.eat(b",\"node_name\":\"") {
            outer_name = self.cursor.text()?;
        }
        if self.cursor.eat(b",\"time\":\"") {
            let repeated = before.get(..before.len() - self.cursor.rest().len())?;
            self.memory.recall.outer.clear();
            self.memory.recall.outer.extend_from_slice(repeated);
            outer_time = self.cursor.text()?;
        }
        self.cursor.need(b"}")?;
        if !self.cursor.rest().is_empty() {
            return None;
        }
        if time.is_empty() {
            self.facts.time = Clock::read(time, outer_time);
        }
        let name = if node_name.is_empty() { outer_name } else { node_name };
        self.facts.node = self.memory.node(name, self.vocabulary);
        Some(())
    }
}
