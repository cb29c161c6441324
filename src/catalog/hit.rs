//! Matches of one name or address, and which of them wins.
//!
//! More labels (or the longer prefix) win; among equals exact before glob before suffix before below, and a row
//! that is bound to ports before one that is not.

use std::collections::BTreeMap;

use super::lookup::CategoryMatch;
use super::row::{Answer, Group, Kind, Row};
use crate::model::Category;

/// How good a match is among those of one subject: labels or prefix length, then kind, then being bound to ports.
pub(super) type Rank = (u8, Kind, bool);

/// A row that matches.
#[derive(Clone, Copy)]
pub(super) struct Hit<'c> {
    pub(super) rank: Rank,
    pub(super) row: &'c Row,
    pub(super) group: &'c Group,
}

impl<'c> Hit<'c> {
    /// The match as the answer to what the subject is for; `None` when its group does not say.
    pub(super) fn category(self, subject: &str) -> Option<CategoryMatch<'c>> {
        let category = self.group.category()?;
        Some(self.as_category(subject, category, false))
    }

    /// The match as the reason why nobody knows what the subject is for.
    pub(super) fn withheld(self, subject: &str) -> CategoryMatch<'c> {
        self.as_category(subject, Category::Unclassified, true)
    }

    fn as_category(self, subject: &str, category: Category, withheld: bool) -> CategoryMatch<'c> {
        CategoryMatch {
            category,
            class: &self.group.class,
            label: &self.row.label,
            why: &self.group.why,
            matched: &self.row.text,
            subject: subject.into(),
            scope: self.group.scope,
            via_chain: false,
            withheld,
        }
    }
}

/// The best match; among exactly equal ones the row that stands first.
pub(super) fn best<'h, 'c: 'h>(hits: impl Iterator<Item = &'h Hit<'c>>) -> Option<Hit<'c>> {
    hits.copied().reduce(|best, hit| if hit.rank > best.rank { hit } else { best })
}

/// The category of a name, taken away where a longer match says that anybody can be behind it.
pub(super) fn decide<'c>(name: &str, hits: &[Hit<'c>]) -> Option<CategoryMatch<'c>> {
    let known = best(hits.iter().filter(|hit| hit.group.category().is_some()))?;
    match best(hits.iter().filter(|hit| hit.group.answer == Answer::Review)) {
        Some(review) if review.rank.0 > known.rank.0 => Some(review.withheld(name)),
        _ => known.category(name),
    }
}

/// The best match of each class that answers `answer`; reviews that a longer benign match clears are left out.
pub(super) fn longest_by_class<'c>(hits: &[Hit<'c>], answer: Answer) -> Vec<Hit<'c>> {
    let benign = best(hits.iter().filter(|hit| matches!(hit.group.answer, Answer::Category(_))));
    let cleared = |hit: &Hit<'_>| answer == Answer::Review && benign.is_some_and(|benign| benign.rank.0 > hit.rank.0);
    let mut by_class: BTreeMap<&str, Hit<'c>> = BTreeMap::new();
    for hit in hits.iter().filter(|hit| hit.group.answer == answer && !cleared(hit)) {
        let known = by_class.entry(&hit.group.class).or_insert(*hit);
        if hit.rank > known.rank {
            *known = *hit;
        }
    }
    by_class.into_values().collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::{Catalog, Subject};

    /// The rows that match, given as `kind text` with the ports they are bound to; the best has the label.
    fn best_label(rows: &[(&str, &str, &str)], subject: Subject<'_>) -> String {
        let mut file = "class = \"c\"\nanswer = \"suspect\"\n".to_owned();
        for (kind, text, more) in rows {
            let group =
                format!("[[group]]\nwhy = \"w\"\n{more}\n{kind} = [[\"{text}\", \"{kind} {text} {more}\", \"a\"]]\n");
            file.push_str(&group);
        }
        let sources =
            "source = [{ key = \"a\", name = \"A\", licence = \"MIT\", use = \"data\", snapshot = \"2026\" }]";
        let catalog = Catalog::read(&[("x.toml", &file)], sources).unwrap();
        let flags = catalog.flags(&subject);
        assert_eq!(flags.len(), 1, "one flag for each class");
        flags[0].label.trim().to_owned()
    }

    #[test]
    fn longer_wins_and_among_equals_exact_before_glob_before_suffix_before_below() {
        let check = |rows: &[(&str, &str)], expected: &str| {
            let mut rows: Vec<_> = rows.iter().map(|(kind, text)| (*kind, *text, "")).collect();
            for _ in 0..2 {
                let subject = Subject { name: Some("a.b.c.d"), port: Some(443), ..Subject::default() };
                assert_eq!(best_label(&rows, subject), expected, "{rows:?}");
                rows.reverse();
            }
        };
        check(&[("exact", "a.b.c.d"), ("glob", "*.b.c.d"), ("suffix", "a.b.c.d")], "exact a.b.c.d");
        check(&[("glob", "*.c.d"), ("suffix", "b.c.d"), ("below", "b.c.d")], "glob *.c.d");
        check(&[("suffix", "b.c.d"), ("below", "b.c.d")], "suffix b.c.d");
        check(&[("below", "b.c.d"), ("suffix", "c.d"), ("glob", "*.d")], "below b.c.d");
    }

    #[test]
    fn the_longer_prefix_wins_and_among_equals_the_row_that_is_bound_to_ports() {
        let check = |rows: &[(&str, &str)], expected: &str| {
            let mut rows: Vec<_> = rows.iter().map(|(net, more)| ("network", *net, *more)).collect();
            for _ in 0..2 {
                let addresses = ["10.1.2.3".parse().unwrap()];
                let subject = Subject { addresses: &addresses, port: Some(443), ..Subject::default() };
                assert_eq!(best_label(&rows, subject), expected, "{rows:?}");
                rows.reverse();
            }
        };
        check(&[("10.0.0.0/8", "ports = [443]"), ("10.1.0.0/16", "")], "network 10.1.0.0/16");
        check(&[("10.1.0.0/16", "ports = [443]"), ("10.1.0.0/16", "")], "network 10.1.0.0/16 ports = [443]");
        check(&[("10.1.0.0/16", "ports = [80]"), ("10.0.0.0/8", "")], "network 10.0.0.0/8");
    }
}
