//! Counting distinct things without trusting that there are few of them.
//!
//! Beyond the bound, new keys are refused and counted; known ones go on being counted. Which keys were first depends on the order of
//! reading, so the bound is far above what an investigation needs, and a refusal is always told.

use std::hash::Hash;

use hashbrown::HashMap;

/// A map that holds at most so many keys.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    pub(super) known: HashMap<K, V>,
    /// How often a new key was refused.
    pub(super) refused: u64,
    keys_max: usize,
}

impl<K: Eq + Hash, V: Default> Bounded<K, V> {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { known: HashMap::new(), refused: 0, keys_max }
    }

    /// The value of a key; `None` when it is new and there is no room.
    pub(super) fn entry(&mut self, key: K) -> Option<&mut V> {
        if self.known.len() >= self.keys_max && !self.known.contains_key(&key) {
            self.refused += 1;
            return None;
        }
        Some(self.known.entry(key).or_default())
    }

    /// Takes the keys of another part in.
    pub(super) fn absorb(&mut self, other: Self, mut merge: impl FnMut(&mut V, V)) {
        self.refused += other.refused;
        for (key, value) in other.known {
            if let Some(known) = self.entry(key) {
                merge(known, value);
            }
        }
    }
}
