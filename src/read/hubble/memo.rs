//! A bounded memory from raw bytes to what they were read as, so that repeated pieces of records are read once.
//!
//! In: the bytes of a piece (an endpoint object, an address, a list of names). Out: the small value of the first
//! reading. Exact: bytes are compared, not only their hash. When it is full it is emptied, so its memory stays flat.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// Bytes → value, up to a limit of bytes.
#[derive(Debug)]
pub(super) struct Memo<V> {
    table: HashTable<(Box<[u8]>, V)>,
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
        Self { table: HashTable::new(), hasher: foldhash::fast::RandomState::default(), bytes: 0, limit }
    }

    /// The value of `key`, read by `read` when it is new. What cannot be read is not kept.
    pub(super) fn get_or_read(&mut self, key: &[u8], read: impl FnOnce() -> Option<V>) -> Option<V> {
        let hash = piece_hash(&self.hasher, key);
        if let Some((_, value)) = self.table.find(hash, |(known, _)| **known == *key) {
            return Some(*value);
        }
        let value = read()?;
        if key.len() > LONGEST_KEY {
            return Some(value);
        }
        if self.bytes > self.limit {
            self.clear();
        }
        self.bytes = self.bytes.saturating_add(key.len()).saturating_add(ENTRY_BYTES);
        let hasher = &self.hasher;
        self.table.insert_unique(hash, (key.into(), value), |(known, _)| piece_hash(hasher, known));
        Some(value)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.bytes = 0;
    }
}

/// A long piece is told apart by its length, beginning, middle and end; the comparison that follows sees all of it.
fn piece_hash(hasher: &foldhash::fast::RandomState, key: &[u8]) -> u64 {
    const EDGE: usize = 64;
    let (Some(first), Some(last)) = (key.first_chunk::<EDGE>(), key.last_chunk::<EDGE>()) else {
        return hasher.hash_one(key);
    };
    let middle = key.len() / 2;
    hasher.hash_one((key.len(), first, last, key.get(middle..(middle + EDGE / 2).min(key.len()))))
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
        for number in 0_u32..10_000 {
            assert_eq!(memo.get_or_read(&number.to_be_bytes(), || Some(number)), Some(number));
            assert!(memo.table.len() < 20);
        }
    }
}
