//! Many denied connections to several destinations within minutes: somebody tries the walls.
//!
//! In: all edges of one workload, with their denials over time. Out: a finding with the busiest bin. One destination that is denied again and again is a broken
//! application, and the document says so in its own place.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::raised::Texts;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{DENIED_ATTEMPTS, DENIED_TARGETS};
use crate::model::{Confidence, Severity, Timestamp};
use crate::summary::{Edge, Peer};

const TEXTS: Texts = Texts {
    class: "denied_burst",
    why: "a workload that is denied many destinations at once tries what it was not made for",
    attack: &["T1046", "T1018"],
    innocent: "a new release under an old policy, a policy that was tightened, a mesh or client library that tries all its peers",
    advice: "Compare the time with releases and policy changes; if there was none, look at the process.",
};

/// The finest bin that counts together, in seconds.
const BIN: u32 = 512;

/// The finding for the busiest minutes.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn denied_burst(edges: &[&Edge], detect: &Detect) -> Option<Finding> {
    let histograms: Vec<_> =
        edges.iter().filter_map(|edge| Some((&edge.key.peer, edge.seen.behaviour.denied.as_deref()?))).collect();
    // All bins are powers of two and aligned, so that the widest holds all others.
    let width = histograms.iter().map(|(_, histogram)| histogram.width()).max()?.max(BIN);
    let mut bins: BTreeMap<u32, (u64, BTreeSet<&Peer>)> = BTreeMap::new();
    for (peer, histogram) in histograms {
        for (second, count) in histogram.bins() {
            let (attempts, targets) = bins.entry(second / width).or_default();
            *attempts += u64::from(count);
            // Several ports of one peer are one target.
            targets.insert(peer);
        }
    }
    let bins = bins.into_iter().map(|(bin, (attempts, targets))| (bin, (attempts, targets.len() as u64)));
    let is_burst = |(attempts, targets): &(u64, u64)| {
        *attempts as f64 >= detect.value(&DENIED_ATTEMPTS) && *targets as f64 >= detect.value(&DENIED_TARGETS)
    };
    let (bin, (attempts, targets)) =
        bins.filter(|(_, counts)| is_burst(counts)).max_by_key(|(bin, counts)| (*counts, std::cmp::Reverse(*bin)))?;
    let begin = Timestamp::from_parts(u64::from(bin) * u64::from(width), 0)?;
    let measured = format!(
        "{attempts} denied connections to {targets} destinations within {} minutes from {}",
        width.div_ceil(60),
        begin.to_second()
    );
    Some(TEXTS.finding(Severity::Medium, Confidence::Medium, "", measured))
}
