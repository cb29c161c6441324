//! What was asked below one domain without getting an address: tunnels, generated names and typing errors live there.
//!
//! In: queried names with type and response code. Out: counters and bounded samples. Merging is commutative and associative.

use std::collections::BTreeMap;

use super::{AddressId, Distinct, EndpointId, NameId, TextId, Timestamp, stable_hash};

/// One response to a client that held no address. The queried name is `Batch::question_text[start..end]`.
#[derive(Clone, Copy, Debug)]
pub struct QuestionRow {
    /// When the response was sent.
    pub time: Timestamp,
    /// The cluster that the input named; none when it named none.
    pub cluster: TextId,
    /// Who asked.
    pub client: AddressId,
    /// Pod and namespace that the source claims for the client; none without.
    pub client_hint: EndpointId,
    /// The registrable domain of the queried name.
    pub domain: NameId,
    /// The queried type (IANA DNS parameters).
    pub kind: u16,
    /// Whether the name does not exist (NXDOMAIN).
    pub is_missing: bool,
    /// Where the queried name begins in the batch's text.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

/// Names kept as examples: those with the smallest hash, so that the choice does not depend on order.
const EXAMPLES_MAX: usize = 3;
/// Distinct types counted by name; more are counted under [`OTHER_TYPES`].
const TYPES_MAX: usize = 16;
/// Stands for all types beyond the bound; a reserved value (RFC 6895 section 3.1).
pub const OTHER_TYPES: u16 = u16::MAX;

/// Questions below one registrable domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Different names.
    pub names: Distinct,
    /// Questions.
    pub questions: u64,
    /// Of these, for names that do not exist.
    pub missing: u64,
    /// Sum over all questions of the characters left of the domain, without dots.
    pub characters: u64,
    /// Sum over all questions of the entropy of these characters, in thousandths of a bit per character.
    pub entropy_millibits: u64,
    /// Questions by type.
    pub kinds: BTreeMap<u16, u64>,
    /// A few of the names, by hash.
    pub examples: BTreeMap<u64, Box<str>>,
    /// First question with a known time.
    pub first: Option<Timestamp>,
    /// Last question.
    pub last: Option<Timestamp>,
}

impl Asking {
    /// Counts `times` questions for `name`, which is `domain` or below it. Without a type, only the name counts.
    pub fn add(&mut self, name: &str, domain: &str, kind: Option<u16>, is_missing: bool, times: u64) {
        let hash = stable_hash(name);
        self.names.add(hash);
        self.questions += times;
        if is_missing {
            self.missing += times;
        }
        let (characters, millibits) = entropy_millibits(left_of(name, domain));
        self.characters += characters * times;
        self.entropy_millibits += millibits * times;
        if let Some(kind) = kind {
            *self.kinds.entry(kind).or_default() += times;
            self.bound_kinds();
        }
        let is_example = self.examples.len() < EXAMPLES_MAX
            || self.examples.last_key_value().is_some_and(|(largest, _)| hash < *largest);
        if is_example && !self.examples.contains_key(&hash) {
            self.examples.insert(hash, name.into());
            if self.examples.len() > EXAMPLES_MAX {
                self.examples.pop_last();
            }
        }
    }

    /// Notes when.
    pub fn at(&mut self, time: Timestamp) {
        let known = Some(time).filter(|time| time.is_known());
        self.first = Timestamp::earliest(self.first, known);
        self.last = self.last.max(known);
    }

    /// Adds what was asked elsewhere below the same domain.
    pub fn absorb(&mut self, other: Self) {
        self.names.absorb(&other.names);
        self.questions += other.questions;
        self.missing += other.missing;
        self.characters += other.characters;
        self.entropy_millibits += other.entropy_millibits;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.bound_kinds();
        self.examples.extend(other.examples);
        while self.examples.len() > EXAMPLES_MAX {
            self.examples.pop_last();
        }
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
    }

    /// Moves the largest types beyond the bound into one count. Types with smaller numbers stay, in any order of merging.
    fn bound_kinds(&mut self) {
        while self.kinds.len() > TYPES_MAX {
            let largest = self.kinds.range(..OTHER_TYPES).next_back().map(|(kind, _)| *kind);
            let Some(moved) = largest.and_then(|kind| self.kinds.remove(&kind)) else { return };
            *self.kinds.entry(OTHER_TYPES).or_default() += moved;
        }
    }

    /// Mean number of characters left of the domain.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean_characters(&self) -> f64 {
        self.characters as f64 / self.questions.max(1) as f64
    }

    /// Mean entropy of these characters, in bits per character.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean_entropy(&self) -> f64 {
        self.entropy_millibits as f64 / 1_000.0 / self.questions.max(1) as f64
    }
}

/// What stands left of `domain` in `name`, without the dot between.
pub fn left_of<'a>(name: &'a str, domain: &str) -> &'a str {
    name.strip_suffix(domain).map_or("", |left| left.strip_suffix('.').unwrap_or(left))
}

/// Number of characters without dots, and their Shannon entropy in thousandths of a bit per character.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "at most eight bits per octet"
)]
pub fn entropy_millibits(text: &str) -> (u64, u64) {
    let mut counts = [0_u32; 256];
    let mut total = 0_u64;
    for byte in text.bytes().filter(|byte| *byte != b'.') {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
            total += 1;
        }
    }
    if total == 0 {
        return (0, 0);
    }
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total as f64;
            -share * share.log2()
        })
        .sum();
    (total, (bits * 1_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_time_hides_no_known_one_in_any_order() {
        let known = Timestamp::from_nanos(5);
        for times in [[Timestamp::UNKNOWN, known], [known, Timestamp::UNKNOWN]] {
            let mut asking = Asking::default();
            times.into_iter().for_each(|time| asking.at(time));
            assert_eq!((asking.first, asking.last), (Some(known), Some(known)));
        }
    }

    #[test]
    fn entropy_is_that_of_the_characters_left_of_the_domain() {
        let check = |name: &str, expected: (u64, u64)| {
            assert_eq!(entropy_millibits(left_of(name, "example.com")), expected, "{name}");
        };
        check("example.com", (0, 0));
        check("aaaa.example.com", (4, 0));
        check("abab.example.com", (4, 1_000));
        check("ab.cd.example.com", (4, 2_000));
    }

    #[test]
    fn any_slicing_gives_the_same_counters() {
        let add = |asking: &mut Asking, number: u32| {
            let kind = u16::try_from(number % 40).unwrap();
            asking.add(
                &format!("n{}.example.com", number % 500),
                "example.com",
                Some(kind),
                number.is_multiple_of(3),
                1,
            );
            asking.at(Timestamp::from_nanos(i64::from(number) + 1));
        };
        let mut whole = Asking::default();
        (0..1_000).for_each(|number| add(&mut whole, number));
        let mut parts = [Asking::default(), Asking::default(), Asking::default()];
        (0..1_000_u32).rev().for_each(|number| add(&mut parts[(number % 7 % 3) as usize], number));
        let [mut merged, second, third] = parts;
        let mut rest = third;
        rest.absorb(second);
        merged.absorb(rest);
        assert_eq!(merged, whole);
        assert_eq!((whole.names.count() > 450, whole.missing, whole.examples.len()), (true, 334, 3));
    }
}
