//! What the next record most likely repeats: guesses that are only taken when the bytes agree.
//!
//! In: pieces of records that were read key by key. Out: how long the same piece is in the next record, and what it was
//! read as. A piece counts only if all its bytes are there again, so that a guess is wrong at no cost but its own.

use crate::model::{AddressId, Timestamp};

use super::facts::{Address, DropReason, FlowKind, Node};

/// Sets of guesses about ends, by address.
const END_SETS: usize = 4_096;
/// Remembered addresses.
const ADDRESSES: usize = 4_096;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// What the end of a flow says, from the reply flag on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) old_reply: bool,
    pub(super) event: u64,
    /// By name; more precise than the number.
    pub(super) drop_reason: DropReason,
    pub(super) is_reply: Option<bool>,
    pub(super) has_summary: bool,
}

/// From the type to the labels of the node: the same for one node's packets.
#[derive(Debug, Default)]
pub(super) struct NodePart {
    bytes: Vec<u8>,
    kind: FlowKind,
    name: std::ops::Range<usize>,
}

impl NodePart {
    /// Remembers a part with its kind and where the node's name is in it.
    pub(super) fn remember(&mut self, bytes: &[u8], kind: FlowKind, name: std::ops::Range<usize>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.kind = kind;
        self.name = name;
    }

    /// The kind, the node's name and what follows, if `rest` begins with the part.
    #[inline]
    pub(super) fn recall<'a>(&self, rest: &'a [u8]) -> Option<(FlowKind, &'a [u8], &'a [u8])> {
        if self.bytes.is_empty() {
            return None;
        }
        let after = rest.strip_prefix(self.bytes.as_slice())?;
        Some((self.kind, rest.get(self.name.clone())?, after))
    }
}

/// The guesses.
#[derive(Debug)]
pub(super) struct Recall {
    /// `{"name":..,"version":..}`.
    pub(super) emitter: Vec<u8>,
    pub(super) node_part: NodePart,
    /// From the end of the flow to the text of the outer time.
    pub(super) outer: Vec<u8>,
    /// Date and time to the second, and the second itself.
    second: ([u8; 19], i64),
    /// Places of endpoint objects: those last seen at the addresses of a set.
    ends: Box<[[u32; 2]]>,
    addresses: Box<[(u128, Address)]>,
    node: (Vec<u8>, Node),
}

impl Recall {
    /// No guesses.
    pub(super) fn new() -> Self {
        Self {
            emitter: Vec::new(),
            node_part: NodePart::default(),
            outer: Vec::new(),
            second: ([0; 19], 0),
            ends: vec![[u32::MAX; 2]; END_SETS].into(),
            addresses: vec![(0, Address::Missing); ADDRESSES].into(),
            node: (Vec::new(), Node::default()),
        }
    }

    /// Forgets what belongs to a vocabulary.
    pub(super) fn clear(&mut self) {
        self.addresses.fill((0, Address::Missing));
        self.node.0.clear();
    }

    /// The time that `rest` begins with, and what follows its closing quote: RFC 3339 in UTC with nine digits of a second, in
    /// the second of the time before.
    #[inline]
    pub(super) fn time<'a>(&self, rest: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let (second, rest) = rest.split_first_chunk::<19>()?;
        let ([b'.', digits @ .., b'Z', b'"'], rest) = rest.split_first_chunk::<12>()? else { return None };
        if *second != self.second.0 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let nanos = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        self.second.1.checked_add(nanos).map(|nanos| (Timestamp::from_nanos(nanos), rest))
    }

    /// Remembers the second of a time that `text` was read as.
    pub(super) fn remember_time(&mut self, text: &[u8], time: Timestamp) {
        if let Some(second) = text.first_chunk()
            && text.last() == Some(&b'Z')
        {
            self.second = (*second, time.nanos() - time.nanos().rem_euclid(NANOS_PER_SECOND));
        }
    }

    /// Places of the two endpoint objects that were last seen at `address`.
    #[inline]
    pub(super) fn ends(&self, address: Address) -> [u32; 2] {
        end_set(address).and_then(|set| self.ends.get(set)).copied().unwrap_or([u32::MAX; 2])
    }

    /// Remembers the place of the endpoint object at `address`.
    pub(super) fn remember_end(&mut self, address: Address, place: u32) {
        if let Some(places) = end_set(address).and_then(|set| self.ends.get_mut(set)) {
            *places = [place, places[0]];
        }
    }

    /// What the text of number `text` (see [`super::cursor::Cursor::short_text`]) was read as.
    #[inline]
    pub(super) fn address(&self, text: u128) -> Option<Address> {
        self.addresses.get(address_slot(text)).filter(|(known, _)| *known == text).map(|(_, address)| *address)
    }

    /// Remembers what a text that is not empty was read as.
    pub(super) fn remember_address(&mut self, text: u128, address: Address) {
        if let Some(slot) = self.addresses.get_mut(address_slot(text)) {
            *slot = (text, address);
        }
    }

    /// What the text of a node was read as, if it is the one before.
    #[inline]
    pub(super) fn node(&self, text: &[u8]) -> Option<Node> {
        (!text.is_empty() && self.node.0 == text).then_some(self.node.1)
    }

    /// Remembers what the text of a node was read as.
    pub(super) fn remember_node(&mut self, text: &[u8], node: Node) {
        self.node.0.clear();
        self.node.0.extend_from_slice(text);
        self.node.1 = node;
    }
}

fn end_set(address: Address) -> Option<usize> {
    match address {
        Address::Known(AddressId(number)) => Some(number as usize % END_SETS),
        Address::Missing | Address::Broken => None,
    }
}

/// Neighbouring addresses differ in few digits, which multiplication spreads.
fn address_slot(text: u128) -> usize {
    let mixed = (text ^ (text >> 67)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    usize::try_from(mixed >> 116).unwrap_or(0) % ADDRESSES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_same_second_are_read_from_their_digits() {
        let mut recall = Recall::new();
        let text = b"2026-03-02T00:00:00.016142270Z";
        recall.remember_time(text, Timestamp::parse(text).unwrap());
        let check = |text: &str, expected: Option<&str>| {
            let found = recall.time(text.as_bytes()).map(|(time, rest)| (time.to_string(), rest.len()));
            assert_eq!(found, expected.map(|time| (time.to_owned(), 1)), "{text}");
        };
        check("2026-03-02T00:00:00.999999999Z\",", Some("2026-03-02T00:00:00.999999999Z"));
        check("2026-03-02T00:00:00.000000001Z\",", Some("2026-03-02T00:00:00.000000001Z"));
        check("2026-03-02T00:00:01.000000001Z\",", None);
        check("2026-03-02T00:00:00.00000001Z\",,", None);
        check("2026-03-02T00:00:00.00000000:Z\",", None);
        check("2026-03-02T00:00:00.000000001+\",", None);
        check("2026-03-02T00:00:00.000000001Z", None);
    }

    #[test]
    fn the_last_second_before_the_end_of_time_does_not_wrap() {
        let mut recall = Recall::new();
        let text = b"2262-04-11T23:47:16.000000000Z";
        recall.remember_time(text, Timestamp::parse(text).unwrap());
        assert!(recall.time(b"2262-04-11T23:47:16.854775807Z\",").is_some());
        assert!(recall.time(b"2262-04-11T23:47:16.854775808Z\",").is_none());
    }
}
