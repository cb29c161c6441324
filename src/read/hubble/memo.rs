//! A bounded memory from raw bytes to what they were read as, so that repeated pieces of records are read once.
//!
//! In: the bytes of a piece (an endpoint object, an address, a list of names). Out: the small value of the first
//! reading. Exact: bytes are compared, not only their hash. When it is full it is emptied, so its memory stays flat.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// Bytes → value, up to a limit of bytes.
#[derive(Debug)]
pub(super) struct Memo<V> {
    pieces: Vec<(Box<[u8]>, V)>,
    /// Places in `pieces`.
    table: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    bytes: usize,
    limit: usize,
}

/// What one entry costs beside its key, roughly.
const ENTRY_BYTES: usize = 64;

/// Longer pieces are not worth keeping.
const LONGEST_KEY: usize = 16 * 1024;

impl<V: Copy> Memo<V> {
    /// A memory that holds about `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        Self { pieces: Vec::new(), table: HashTable::new(), hasher, bytes: 0, limit }
    }

    /// The value of `key`, if it is known.
    pub(super) fn get(&self, key: &[u8]) -> Option<V> {
        self.place(key, self.hasher.hash_one(key))
            .and_then(|place| self.pieces.get(place as usize))
            .map(|known| known.1)
    }

    /// The value of `key`, read by `read` when it is new. What cannot be read is not kept.
    pub(super) fn get_or_read(&mut self, key: &[u8], read: impl FnOnce() -> Option<V>) -> Option<V> {
        self.place_or_read(key, read).map(|(_, value)| value)
    }

    /// Like [`Self::get_or_read`]; gives the place too, for [`Self::beginning`]. What is not kept has no valid place.
    pub(super) fn place_or_read(&mut self, key: &[u8], read: impl FnOnce() -> Option<V>) -> Option<(u32, V)> {
        let hash = self.hasher.hash_one(key);
        if let Some(place) = self.place(key, hash) {
            return self.pieces.get(place as usize).map(|known| (place, known.1));
        }
        let value = read()?;
        Some((self.keep(key, hash, value), value))
    }

    /// Keeps the value of a `key` that is new.
    pub(super) fn insert(&mut self, key: &[u8], value: V) {
        let hash = self.hasher.hash_one(key);
        if self.place(key, hash).is_none() {
            self.keep(key, hash, value);
        }
    }

    fn place(&self, key: &[u8], hash: u64) -> Option<u32> {
        let known = |place: &u32| self.pieces.get(*place as usize).is_some_and(|(known, _)| **known == *key);
        self.table.find(hash, known).copied()
    }

    fn keep(&mut self, key: &[u8], hash: u64, value: V) -> u32 {
        if key.len() > LONGEST_KEY {
            return u32::MAX;
        }
        if self.bytes > self.limit {
            self.clear();
        }
        self.bytes = self.bytes.saturating_add(key.len()).saturating_add(ENTRY_BYTES);
        let place = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.pieces.push((key.into(), value));
        let Self { pieces, table, hasher, .. } = self;
        let rehash = |place: &u32| pieces.get(*place as usize).map_or(0, |(known, _)| hasher.hash_one(&**known));
        table.insert_unique(hash, place, rehash);
        place
    }

    /// The length and the value of the piece at `place`, if `text` begins with it. A place is only a guess: one that is
    /// out of date finds another piece or none.
    #[inline]
    pub(super) fn beginning(&self, place: u32, text: &[u8]) -> Option<(usize, V)> {
        let (piece, value) = self.pieces.get(place as usize)?;
        text.starts_with(piece).then_some((piece.len(), *value))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.table.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_piece_once_and_stays_within_its_limit() {
        let mut memo = Memo::new(1_000);
        assert_eq!(memo.get_or_read(b"a", || Some(1)), Some(1));
        assert_eq!(memo.get_or_read(b"a", || None), Some(1));
        assert_eq!(memo.get_or_read(b"b", || None), None);
        assert_eq!((memo.get(b"a"), memo.get(b"b")), (Some(1), None));
        for number in 0_u32..10_000 {
            assert_eq!(memo.get_or_read(&number.to_be_bytes(), || Some(number)), Some(number));
            assert!(memo.table.len() < 20 && memo.pieces.len() < 20);
        }
    }

    #[test]
    fn a_place_is_only_good_for_a_text_that_begins_with_its_piece() {
        let mut memo = Memo::new(1_000);
        let (place, _) = memo.place_or_read(b"{\"a\":1}", || Some('a')).unwrap();
        assert_eq!(memo.beginning(place, b"{\"a\":1},\"b\""), Some((7, 'a')));
        assert_eq!(memo.beginning(place, b"{\"a\":2},\"b\""), None);
        assert_eq!(memo.beginning(place, b"{\"a\""), None);
        assert_eq!(memo.beginning(place + 1, b"{\"a\":1}"), None);
        memo.clear();
        assert_eq!(memo.beginning(place, b"{\"a\":1}"), None);
    }
}
