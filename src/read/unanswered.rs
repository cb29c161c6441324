//! Questions that got no address: kept as counters below their registrable domain, because tunnels and generated names show there.
//!
//! In: the queried name of a response without an address. Out: a row of the batch. Names of the cluster, reverse lookups and search-path
//! expansions give none: with `ndots:5` they would outnumber everything else.

use crate::model::{Batch, NameId, QuestionRow, Vocabulary, left_of, registrable, within};

/// Longer left sides are no search-path expansion: data of a tunnel may well contain a label such as `com`. In characters.
const EXPANDED_MAX: usize = 64;

/// Adds `row` for `name`, with domain and place in the text filled in.
pub(super) fn add_question(name: &str, row: QuestionRow, vocabulary: &mut Vocabulary, batch: &mut Batch) {
    if name.len() > 1_100 || ["local", "arpa", "internal"].iter().any(|zone| within(name, zone)) {
        return;
    }
    let Some(domain) = registrable(name) else { return };
    let left = left_of(name, domain);
    if left.len() <= EXPANDED_MAX && is_whole_name(left) {
        return;
    }
    let Ok(start) = u32::try_from(batch.question_text.len()) else { return };
    let Ok(end) = u32::try_from(batch.question_text.len() + name.len()) else { return };
    batch.question_text.push_str(name);
    let domain = vocabulary.name(domain);
    if domain != NameId::NONE {
        batch.questions.push(QuestionRow { domain, start, end, ..row });
    }
}

/// Whether a name is complete without what a resolver has appended: up to three labels before its end, it ends in a public suffix of its own.
fn is_whole_name(left: &str) -> bool {
    let has_suffix = |name: &str| {
        psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes().len() < name.len())
    };
    let shorter = std::iter::successors(Some(left), |name: &&str| (*name).rsplit_once('.').map(|(rest, _)| rest));
    shorter.take(4).any(has_suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AddressId, EndpointId, TextId, Timestamp};

    #[test]
    fn names_of_the_cluster_and_expansions_are_no_questions() {
        let check = |name: &str, expected: Option<&str>| {
            let (mut vocabulary, mut batch) = (Vocabulary::default(), Batch::default());
            let row = QuestionRow {
                time: Timestamp::UNKNOWN,
                cluster: TextId::NONE,
                client: AddressId::NONE,
                client_hint: EndpointId::NONE,
                domain: NameId::NONE,
                kind: 1,
                is_missing: true,
                start: 0,
                end: 0,
            };
            add_question(name, row, &mut vocabulary, &mut batch);
            let found = batch.questions.first().map(|row| vocabulary.name_of(row.domain));
            assert_eq!(found, expected, "{name}");
        };
        check("api.github.com.shop.svc.cluster.local", None);
        check("4.3.2.1.in-addr.arpa", None);
        check("api.github.com.eu-west-1.compute.internal", None);
        check("api.github.com.corp.example.org", None);
        check("localhost", None);
        check("kx3mzq.tunnel.example.org", Some("example.org"));
        check("kx3mzq.user.workers.dev", Some("user.workers.dev"));
        check(&format!("{}.com.example.org", ["a"; 40].join("b.")), Some("example.org"));
    }
}
