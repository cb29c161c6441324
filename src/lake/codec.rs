//! Values as the store's texts, and back: words of small enumerations, lists, addresses.
//!
//! In and out: values of `model`. Every encoding is exact; an unknown word reads as the value that claims least.

use crate::model::{AnswerKind, Certainty, Counter, IdentityKind, Initiator, Verdict};

const VERDICTS: [(&str, Verdict); 5] = [
    ("unknown", Verdict::Unknown),
    ("allowed", Verdict::Allowed),
    ("audited", Verdict::Audited),
    ("denied", Verdict::Denied),
    ("failed", Verdict::Failed),
];

const INITIATORS: [(&str, Initiator); 3] =
    [("unknown", Initiator::Unknown), ("source", Initiator::Source), ("destination", Initiator::Destination)];

const CERTAINTIES: [(&str, Certainty); 5] = [
    ("none", Certainty::None),
    ("guess", Certainty::Guess),
    ("flags", Certainty::Flags),
    ("tracked", Certainty::Tracked),
    ("policy", Certainty::Policy),
];

const IDENTITIES: [(&str, IdentityKind); 10] = [
    ("unknown", IdentityKind::Unknown),
    ("pod", IdentityKind::Pod),
    ("host", IdentityKind::Host),
    ("remote-node", IdentityKind::RemoteNode),
    ("kube-apiserver", IdentityKind::KubeApiserver),
    ("ingress", IdentityKind::Ingress),
    ("health", IdentityKind::Health),
    ("init", IdentityKind::Init),
    ("unmanaged", IdentityKind::Unmanaged),
    ("world", IdentityKind::World),
];

const KINDS: [(&str, AnswerKind); 3] =
    [("address", AnswerKind::Address), ("hint", AnswerKind::Hint), ("additional", AnswerKind::Additional)];

const COUNTERS: [(&str, Counter); 3] =
    [("unknown", Counter::Unknown), ("source", Counter::Source), ("destination", Counter::Destination)];

/// A value that is written as one word.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Words and values; the first is what an unknown word reads as.
    const WORDS: &'static [(&'static str, Self)];

    /// The word of the value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }

    /// The value of a word.
    fn of_word(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word).or(Self::WORDS.first());
        known.map(|(_, value)| *value)
    }
}

impl Word for Verdict {
    const WORDS: &'static [(&'static str, Self)] = &VERDICTS;
}

impl Word for Initiator {
    const WORDS: &'static [(&'static str, Self)] = &INITIATORS;
}

impl Word for Certainty {
    const WORDS: &'static [(&'static str, Self)] = &CERTAINTIES;
}

impl Word for IdentityKind {
    const WORDS: &'static [(&'static str, Self)] = &IDENTITIES;
}

impl Word for Counter {
    const WORDS: &'static [(&'static str, Self)] = &COUNTERS;
}

impl Word for AnswerKind {
    const WORDS: &'static [(&'static str, Self)] = &KINDS;
}

/// Texts as one text: commas between them; a comma or backslash within one has a backslash before it. One empty text is
/// written as a lone backslash, so that it is not the empty list.
pub(super) fn join_list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    let mut count = 0_usize;
    for text in texts {
        if count > 0 {
            joined.push(',');
        }
        count += 1;
        for character in text.chars() {
            if matches!(character, ',' | '\\') {
                joined.push('\\');
            }
            joined.push(character);
        }
    }
    if joined.is_empty() && count == 1 { "\\".to_owned() } else { joined }
}

/// The texts of [`join_list`].
pub(super) fn split_list(joined: &str) -> Vec<String> {
    match joined {
        "" => return Vec::new(),
        "\\" => return vec![String::new()],
        _ => {}
    }
    let mut texts = vec![String::new()];
    let mut characters = joined.chars();
    while let Some(character) = characters.next() {
        let kept = match character {
            ',' => {
                texts.push(String::new());
                continue;
            }
            '\\' => characters.next(),
            other => Some(other),
        };
        if let (Some(last), Some(kept)) = (texts.last_mut(), kept) {
            last.push(kept);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_come_back(texts in prop::collection::vec("[a-c,\\\\=\u{0}ü]{0,4}", 0..5)) {
            prop_assert_eq!(split_list(&join_list(texts.iter().map(String::as_str))), texts);
        }
    }

    #[test]
    fn words_come_back() {
        for (_, verdict) in VERDICTS {
            assert_eq!(Verdict::of_word(verdict.word()), Some(verdict));
        }
        for (_, identity) in IDENTITIES {
            assert_eq!(IdentityKind::of_word(identity.word()), Some(identity));
        }
        assert_eq!(Verdict::of_word("ALLOWED"), Some(Verdict::Unknown));
    }
}
