//! Rows by name: every suffix of a name, cut at label borders, is one probe.
//!
//! In: normalised names. Out: the values of all rows that match, with the number of labels that matched. A glob
//! sits under its last labels without a star and is compared label by label from there.

use hashbrown::HashMap;

use super::row::Kind;

/// Values by name.
#[derive(Clone, Debug, Default)]
pub(super) struct NameMap {
    by_suffix: HashMap<Box<str>, Vec<Item>>,
}

#[derive(Clone, Debug)]
struct Item {
    kind: Kind,
    value: usize,
    /// The whole text of a glob; empty otherwise.
    glob: Box<str>,
    labels: u8,
}

/// A row that matches: how many labels of the name it covers, how it compares, and its value.
pub(super) type NameHit = (u8, Kind, usize);

impl NameMap {
    /// Adds a value; `false` when the text cannot be indexed (empty, or a glob that ends in a star).
    pub(super) fn insert(&mut self, kind: Kind, text: &str, value: usize) -> bool {
        let key = if kind == Kind::Glob { literal_tail(text) } else { text };
        let is_plain = kind == Kind::Glob || !text.contains('*');
        let Ok(labels) = u8::try_from(text.split('.').count()) else {
            return false;
        };
        if key.is_empty() || !is_plain || text.split('.').any(str::is_empty) {
            return false;
        }
        let glob = if kind == Kind::Glob { text.into() } else { "".into() };
        self.by_suffix.entry(key.into()).or_default().push(Item { kind, value, glob, labels });
        true
    }

    /// Every match for a normalised name, in no particular order.
    pub(super) fn find(&self, name: &str) -> Vec<NameHit> {
        let mut found = Vec::new();
        let mut suffix = name;
        loop {
            for item in self.by_suffix.get(suffix).into_iter().flatten() {
                if item.matches(name, suffix) {
                    found.push((item.labels, item.kind, item.value));
                }
            }
            match suffix.split_once('.') {
                Some((_, rest)) => suffix = rest,
                None => return found,
            }
        }
    }
}

impl Item {
    /// Whether the item that sits under `suffix` means `name`.
    fn matches(&self, name: &str, suffix: &str) -> bool {
        match self.kind {
            Kind::Exact => name.len() == suffix.len(),
            Kind::Suffix => true,
            Kind::Below => !matches!(name.strip_suffix(suffix), None | Some("" | "www.")),
            Kind::Glob => glob_matches(&self.glob, name),
            Kind::Network | Kind::Port => false,
        }
    }
}

/// The labels after the last star: `s3.*.amazonaws.com` gives `amazonaws.com`.
fn literal_tail(glob: &str) -> &str {
    let after_star = glob.rsplit_once('*').map_or(glob, |(_, tail)| tail);
    if after_star.len() == glob.len() { glob } else { after_star.split_once('.').map_or("", |(_, tail)| tail) }
}

/// Whether the last labels of `name` are those of `glob`.
fn glob_matches(glob: &str, name: &str) -> bool {
    let mut labels = name.rsplit('.');
    glob.rsplit('.').all(|pattern| labels.next().is_some_and(|label| label_matches(pattern, label)))
}

/// Whether one label fits a pattern in which `*` stands for any run of characters.
fn label_matches(pattern: &str, label: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let Some(mut label) = label.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, after)) = label.split_once(part) else {
            return false;
        };
        label = after;
    }
    label.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(kind: Kind, text: &str, name: &str) -> bool {
        let mut map = NameMap::default();
        assert!(map.insert(kind, text, 7), "{text}");
        !map.find(name).is_empty()
    }

    #[test]
    fn each_kind_means_its_own_names() {
        let check = |kind, text, name, expected| {
            assert_eq!(matches(kind, text, name), expected, "{kind:?} {text} {name}");
        };
        check(Kind::Exact, "hooks.slack.com", "hooks.slack.com", true);
        check(Kind::Exact, "hooks.slack.com", "a.hooks.slack.com", false);
        check(Kind::Suffix, "ddns.net", "ddns.net", true);
        check(Kind::Suffix, "ddns.net", "a.b.ddns.net", true);
        check(Kind::Suffix, "ddns.net", "notddns.net", false);
        check(Kind::Below, "duckdns.org", "duckdns.org", false);
        check(Kind::Below, "duckdns.org", "www.duckdns.org", false);
        check(Kind::Below, "duckdns.org", "a.www.duckdns.org", true);
        check(Kind::Below, "duckdns.org", "myhome.duckdns.org", true);
        check(Kind::Below, "duckdns.org", "notduckdns.org", false);
        check(Kind::Glob, "s3.*.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com", true);
        check(Kind::Glob, "s3.*.amazonaws.com", "s3.eu-west-1.amazonaws.com", true);
        check(Kind::Glob, "s3.*.amazonaws.com", "s3.amazonaws.com", false);
        check(Kind::Glob, "s3.*.amazonaws.com", "s3.a.b.amazonaws.com", false);
        check(Kind::Glob, "s3-*.amazonaws.com", "b.s3-eu-west-1.amazonaws.com", true);
        check(Kind::Glob, "s3-*.amazonaws.com", "b.xs3-eu-west-1.amazonaws.com", false);
        check(Kind::Glob, "a-*-b-*-c.x.y", "a-1-b-2-c.x.y", true);
        check(Kind::Glob, "a-*-b-*-c.x.y", "a-1-2-c.x.y", false);
        check(Kind::Glob, "a-*-b.x.y", "a-b.x.y", false);
        check(Kind::Suffix, "onion", "abc.onion", true);
    }

    #[test]
    fn texts_that_cannot_be_indexed_are_refused() {
        for (kind, text) in
            [(Kind::Glob, "a.*"), (Kind::Suffix, "*.a.b"), (Kind::Exact, ""), (Kind::Suffix, "a..b"), (Kind::Glob, "*")]
        {
            assert!(!NameMap::default().insert(kind, text, 0), "{text}");
        }
    }

    #[test]
    fn the_number_of_labels_is_that_of_the_row() {
        let mut map = NameMap::default();
        map.insert(Kind::Suffix, "example.org", 1);
        map.insert(Kind::Glob, "*.api.example.org", 2);
        let mut found = map.find("x.api.example.org");
        found.sort_unstable();
        assert_eq!(found, [(2, Kind::Suffix, 1), (4, Kind::Glob, 2)]);
    }
}
