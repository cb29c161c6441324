//! Counting distinct things without trusting that there are few of them.
//!
//! In: keys in any order. Out: values of at most so many of them, those whose content comes first ([`Placed`]). A key that is once left out has the
//! bound's number of others before it for ever, so what is kept, and every value of it, is the same whatever the order and the slicing. How many were left
//! out is known wherever keys are numbered: a bit for each.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::place::Placed;
use crate::attribute::Evidence;

/// A map that holds at most so many keys; several whose content is the same count as one.
#[derive(Debug)]
pub(super) struct Bounded<K: Placed, V> {
    pub(super) known: HashMap<K, V>,
    /// The known keys by content; empty until there are too many.
    places: BTreeMap<K::Place, Vec<K>>,
    /// Numbers of the keys that were left out.
    left_out: Numbers,
    /// Whether any key was left out.
    pub(super) is_cut: bool,
    keys_max: usize,
}

impl<K: Placed, V: Default> Bounded<K, V> {
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            known: HashMap::new(),
            places: BTreeMap::new(),
            left_out: Numbers::default(),
            is_cut: false,
            keys_max: keys_max.max(1),
        }
    }

    /// The value of a key; `None` when enough others come before it.
    pub(super) fn entry(&mut self, evidence: &Evidence, key: K) -> Option<&mut V> {
        if !self.known.contains_key(&key) && !self.makes_room(evidence, key) {
            self.leave_out(key);
            return None;
        }
        Some(self.known.entry(key).or_default())
    }

    /// Whether there is room for a new key, if need be in place of those that come last.
    fn makes_room(&mut self, evidence: &Evidence, key: K) -> bool {
        if self.places.is_empty() {
            if self.known.len() < self.keys_max {
                return true;
            }
            for known in self.known.keys() {
                self.places.entry(known.place(evidence)).or_default().push(*known);
            }
        }
        let place = key.place(evidence);
        if self.places.len() >= self.keys_max && self.places.last_key_value().is_some_and(|(last, _)| *last < place) {
            return false;
        }
        self.places.entry(place).or_default().push(key);
        while self.places.len() > self.keys_max
            && let Some((_, keys)) = self.places.pop_last()
        {
            for key in keys {
                self.known.remove(&key);
                self.leave_out(key);
            }
        }
        true
    }

    fn leave_out(&mut self, key: K) {
        self.is_cut = true;
        if let Some(number) = key.number() {
            self.left_out.insert(number);
        }
    }

    /// Numbers of the keys that were left out, where keys are numbered.
    pub(super) const fn left_out(&self) -> &Numbers {
        &self.left_out
    }

    /// The number of every key that there was, kept or not, once each, where keys are numbered.
    pub(super) fn met(&self) -> impl Iterator<Item = u32> {
        self.known.keys().filter_map(|key| key.number()).chain(self.left_out.iter())
    }

    /// Takes the keys of another part in.
    pub(super) fn absorb(&mut self, evidence: &Evidence, other: Self, mut merge: impl FnMut(&mut V, V)) {
        self.is_cut |= other.is_cut;
        self.left_out.absorb(&other.left_out);
        for (key, value) in other.known {
            if let Some(known) = self.entry(evidence, key) {
                merge(known, value);
            }
        }
    }
}

/// A set of numbers that begin at 0 and have few gaps: one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        self.words.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// The numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = (0_u32..).zip(&self.words);
        words.flat_map(|(word, bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::Inventory;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Key(u32);

    impl Placed for Key {
        type Place = u32;

        /// Far from the order of the numbers, and the same for two neighbours.
        fn place(self, _: &Evidence) -> u32 {
            (self.0 / 2).wrapping_mul(0x9e37_79b1)
        }

        fn number(self) -> Option<u32> {
            Some(self.0)
        }
    }

    fn counted(evidence: &Evidence, keys: &[Key], keys_max: usize) -> Bounded<Key, u64> {
        let mut counts = Bounded::new(keys_max);
        for key in keys {
            if let Some(count) = counts.entry(evidence, *key) {
                *count += 1;
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn any_order_and_slicing_keeps_the_same(
            (keys, shuffled) in prop::collection::vec((0_u32..60).prop_map(Key), 1..200)
                .prop_flat_map(|keys| (Just(keys.clone()), Just(keys).prop_shuffle())),
            keys_max in 1_usize..40,
            parts in 1_usize..5,
        ) {
            let evidence = Evidence::gather(Vec::new(), &Inventory::default(), "test", 1).unwrap();
            let mut all: BTreeMap<u32, BTreeMap<u32, u64>> = BTreeMap::new();
            for key in &keys {
                *all.entry(key.place(&evidence)).or_default().entry(key.0).or_default() += 1;
            }
            let distinct: usize = all.values().map(BTreeMap::len).sum();
            let expected: BTreeMap<u32, u64> = all.into_values().take(keys_max).flatten().collect();
            let mut counts = Bounded::new(keys_max);
            for part in shuffled.chunks(shuffled.len().div_ceil(parts)) {
                counts.absorb(&evidence, counted(&evidence, part, keys_max), |mine, theirs| *mine += theirs);
            }
            prop_assert_eq!(counts.met().count(), distinct);
            prop_assert_eq!(counts.met().collect::<BTreeSet<u32>>().len(), distinct);
            prop_assert_eq!(counts.is_cut, expected.len() < distinct);
            prop_assert!(counts.left_out().iter().all(|number| !expected.contains_key(&number)));
            let kept: BTreeMap<u32, u64> = counts.known.into_iter().map(|(key, count)| (key.0, count)).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
