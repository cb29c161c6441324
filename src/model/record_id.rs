//! The ids that sources give their records: as many as records, so a UUID takes its sixteen bytes and nothing more.
//!
//! In: the id as the record spells it. Out: a number to carry in rows. Nothing is looked up or kept once: ids differ by nature.

use std::borrow::Cow;

use super::{TextId, VocabularyMap};

/// Numbers of UUIDs; texts stay far below.
const UUID: u32 = 1 << 31;

/// The id of a record: the number of a UUID, or of a text in the vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecordId(pub u32);

impl RecordId {
    /// No id.
    pub const NONE: Self = Self(0);

    /// Whether there is no id.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The text that this id is, if it is no UUID.
    pub(super) const fn text(self) -> Option<TextId> {
        if self.0 & UUID == 0 { Some(TextId(self.0)) } else { None }
    }

    /// The same id in the numbers of another vocabulary.
    #[must_use]
    pub fn renumbered(self, map: &VocabularyMap) -> Self {
        match self.text() {
            Some(text) => map.text(text).into(),
            None => Self(self.0.saturating_add(map.uuids_before)),
        }
    }
}

impl From<TextId> for RecordId {
    fn from(text: TextId) -> Self {
        Self(text.0)
    }
}

/// The UUIDs of records, in the order of reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Uuids(Vec<u128>);

impl Uuids {
    /// Keeps an id in the canonical form of RFC 9562, so that it is written as it was read; `None` for any other text.
    pub(super) fn keep(&mut self, text: &str) -> Option<RecordId> {
        let number = u32::try_from(self.0.len()).ok().filter(|number| *number < UUID - 1)?;
        self.0.push(canonical(text.as_bytes())?);
        Some(RecordId(UUID | number))
    }

    /// The text of an id.
    pub(super) fn get(&self, id: RecordId) -> Cow<'_, str> {
        let Some(uuid) = self.0.get((id.0 & !UUID) as usize) else { return Cow::Borrowed("") };
        let digits = format!("{uuid:032x}");
        let mut text = String::with_capacity(36);
        for (place, digit) in digits.chars().enumerate() {
            if matches!(place, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        Cow::Owned(text)
    }

    /// Takes the ids of `other` in; their numbers grow by the result.
    pub(super) fn absorb(&mut self, other: Self) -> u32 {
        let before = u32::try_from(self.0.len()).unwrap_or(UUID);
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            self.0.extend(other.0);
        }
        before
    }
}

fn canonical(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut uuid = 0;
    for (place, byte) in text.iter().enumerate() {
        let digit = match byte {
            b'-' if matches!(place, 8 | 13 | 18 | 23) => continue,
            b'0'..=b'9' if !matches!(place, 8 | 13 | 18 | 23) => byte - b'0',
            b'a'..=b'f' if !matches!(place, 8 | 13 | 18 | 23) => byte - b'a' + 10,
            _ => return None,
        };
        uuid = uuid << 4 | u128::from(digit);
    }
    Some(uuid)
}

#[cfg(test)]
mod tests {
    use crate::model::{RecordId, Vocabulary};

    #[test]
    fn every_id_is_written_as_it_was_read() {
        let (mut left, mut right) = (Vocabulary::default(), Vocabulary::default());
        left.record_id("00000000-0000-0000-0000-000000000001");
        for text in [
            "0f9a3b5c-7d1e-4f20-8a6b-0c1d2e3f4a5b",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "00000000-0000-0000-0000-000000000000",
            "0F9A3B5C-7D1E-4F20-8A6B-0C1D2E3F4A5B",
            "0f9a3b5c7d1e4f208a6b0c1d2e3f4a5b----",
            "0f9a3b5c-7d1e-4f20-8a6b-0c1d2e3f4a5g",
            "0f9a3b5c-7d1e-4f20-8a6b-0c1d2e3f4a5",
            "-f9a3b5c-7d1e-4f20-8a6b-0c1d2e3f4a5b",
            "42",
            "",
        ] {
            let id = right.record_id(text);
            assert_eq!(right.record_id_text(id), text);
            assert_eq!(id.is_none(), text.is_empty());
            let mut merged = left.clone();
            let map = merged.absorb(right.clone());
            assert_eq!(merged.record_id_text(id.renumbered(&map)), text);
        }
        assert_eq!(right.record_id_text(RecordId(u32::MAX)), "");
    }
}
