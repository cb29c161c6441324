//! Whether policies allow what an investigation found: the connections of each pair of ends, judged by rule.
//!
//! In: evidence, what matches the target, and the evaluators of the clusters. Out: reasons by cluster, namespace and edge, in the
//! order of their content. One more pass over the connections; only those of pairs that are held take memory.

use std::collections::BTreeMap;
use std::io;

use hashbrown::HashMap;

use crate::attribute::{Answer, Evidence, Named, Parted, PartyId, Passes, Sink};
use crate::inquiry::{Ends, Found, Matcher, Writer};
use crate::kube::Inventory;
use crate::replay::{Asked, Evaluator, Reasoned, ReplayFold, Resolver, reasons};
use crate::report::ReasonsByEdge;

struct Matching<'a> {
    matcher: &'a Matcher,
    inventory: &'a Inventory,
    found: &'a Found,
    asked: &'a Asked,
    folds: HashMap<Ends, ReplayFold>,
}

impl Sink for Matching<'_> {
    fn wants(&self, evidence: &Evidence, parted: &Parted) -> bool {
        self.matcher.may_concern(evidence, parted)
    }

    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        if self.matcher.role(evidence, named).is_none() {
            return;
        }
        let ends = Ends::of(evidence, self.inventory, named);
        if self.found.pairs.contains_key(&ends) {
            let fold = self.folds.entry(ends).or_insert_with(|| ReplayFold::asking(self.asked.clone()));
            fold.connection(evidence, named);
        }
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

/// Judges the connections of every pair that was found.
///
/// # Errors
///
/// Only when a temporary file cannot be read.
pub fn enforced(
    writer: Writer<'_>,
    passes: &Passes,
    (matcher, found): (&Matcher, &Found),
    resolver: &Resolver<'_>,
    (evaluators, asked): (&BTreeMap<Box<str>, Evaluator<'_>>, &Asked),
) -> io::Result<ReasonsByEdge> {
    let Writer { evidence, inventory } = writer;
    let new = || Matching { matcher, inventory, found, asked, folds: HashMap::new() };
    let mut folds: BTreeMap<Ends, Vec<ReplayFold>> = BTreeMap::new();
    for part in passes.attribute(evidence, new)? {
        for (ends, fold) in part.folds {
            folds.entry(ends).or_default().push(fold);
        }
    }
    // Several pairs of ends may be one edge for the reader, such as the addresses of one service.
    let mut by_edge: BTreeMap<_, Vec<ReplayFold>> = BTreeMap::new();
    for (ends, parts) in folds {
        by_edge.entry(writer.place(&ends)).or_default().extend(parts);
    }
    let judge = |parts| -> Vec<Reasoned> {
        reasons(&ReplayFold::finish(parts, evidence, resolver), |cluster| evaluators.get(cluster))
    };
    Ok(by_edge.into_iter().map(|(place, parts)| (place, judge(parts))).collect())
}
