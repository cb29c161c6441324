//! Connections that come as regularly as a timer.
//!
//! In: connection starts of each pod, and the bytes that each connection sent where the source counts them. Out: a finding with the gap,
//! the share of gaps near it, and the score. Pods are scored one by one, since replicas with different phases look random together. A
//! record of an interval says when the interval ended and not when a connection began: a rhythm that is not much slower than the
//! intervals is theirs.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{BEACON_CONNECTIONS, BEACON_HOURS, BEACON_SCORE, BEACON_WORKLOADS};
use crate::model::{Confidence, Protocol, Severity};
use crate::summary::{Sizes, Starts};

const TEXTS: Texts = Texts {
    class: "beaconing",
    why: "connections that keep a rhythm over hours are how an implant asks for orders",
    attack: &["T1071.001", "T1573"],
    innocent: "polling, health checks, metric pushes and licence checks keep the same rhythm; the destination decides",
    advice: "Ask the owner which timer this is; if it is known, give the destination a category, else look at the process.",
};

/// Shorter gaps are plain traffic, in seconds.
const GAP_MIN: f64 = 5.0;
/// Bins of the evenness test hold so many connections on average.
const PER_BIN_MIN: u32 = 4;
/// So many bins at least make an evenness test.
const BINS_MIN: usize = 6;

/// Where records stand for intervals, a gap of so many of them at least is one of the connections.
const INTERVALS_MIN: f64 = 10.0;
/// So many sizes at least make a regularity.
const SIZES_MIN: usize = 6;

/// How regular the starts of one pod are. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rhythm {
    /// Connections.
    pub connections: u64,
    /// The median gap in seconds.
    pub gap: f64,
    /// One less the median deviation from the median gap, relative to it.
    pub steadiness: f64,
    /// Gaps that were looked at: those between the earliest connections, repetitions within a second left out.
    pub gaps: usize,
    /// Of these, within half of the median gap around it.
    pub near: usize,
    /// One less the dispersion of counts per bin (variance over mean; chance gives 1); `None` with too few connections.
    pub evenness: Option<f64>,
    /// One less the median deviation from the median size, relative to it; `None` where nobody counts bytes.
    pub sameness: Option<f64>,
    /// Hours from first to last.
    pub hours: f64,
    /// The mean of steadiness, share near the gap, and of evenness and sameness where they are known.
    pub score: f64,
}

/// Measures a rhythm; `None` with fewer than four gaps.
#[expect(clippy::cast_precision_loss, reason = "counts of at most 96")]
pub fn rhythm(starts: &Starts, sizes: Option<&Sizes>) -> Option<Rhythm> {
    let (first, last) = starts.ends()?;
    let pairs = starts.earliest().windows(2);
    let mut gaps: Vec<f64> = pairs
        .filter_map(|pair| Some(f64::from(pair.get(1)?.checked_sub(*pair.first()?)?)))
        .filter(|gap| *gap > 0.0)
        .collect();
    if gaps.len() < 4 {
        return None;
    }
    let gap = median(&mut gaps)?;
    let mut deviations: Vec<f64> = gaps.iter().map(|other| (other - gap).abs()).collect();
    let steadiness = (1.0 - median(&mut deviations)? / gap).clamp(0.0, 1.0);
    let near = gaps.iter().filter(|other| (**other - gap).abs() <= gap / 2.0).count();
    let share = near as f64 / gaps.len() as f64;
    let evenness = evenness(starts);
    let sameness = sizes.and_then(sameness);
    let parts = [Some(steadiness), Some(share), evenness, sameness];
    let known: Vec<f64> = parts.into_iter().flatten().collect();
    Some(Rhythm {
        connections: starts.count(),
        gap,
        steadiness,
        gaps: gaps.len(),
        near,
        evenness,
        sameness,
        hours: f64::from(last - first) / 3_600.0,
        score: known.iter().sum::<f64>() / known.len() as f64,
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes of single connections")]
fn sameness(sizes: &Sizes) -> Option<f64> {
    let mut bytes: Vec<f64> = sizes.bytes().map(|bytes| bytes as f64).collect();
    if bytes.len() < SIZES_MIN {
        return None;
    }
    let usual = median(&mut bytes)?;
    let mut deviations: Vec<f64> = bytes.iter().map(|other| (other - usual).abs()).collect();
    (usual > 0.0).then_some((1.0 - median(&mut deviations)? / usual).clamp(0.0, 1.0))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(values.len() / 2 - 1)?, upper))
}

/// First and last bin are cut by the ends of the series and left out; neighbours are joined until a bin holds enough.
#[expect(clippy::cast_precision_loss, reason = "at most 64 bins")]
fn evenness(starts: &Starts) -> Option<f64> {
    let counts = starts.spread().counts();
    let inner = counts.get(1..counts.len().checked_sub(1)?)?;
    let total: u32 = inner.iter().sum();
    let joined = (1..=inner.len()).find(|joined| {
        let bins = u32::try_from(inner.len() / joined).unwrap_or(0);
        bins > 0 && total / bins >= PER_BIN_MIN
    })?;
    let bins: Vec<f64> = inner.chunks_exact(joined).map(|bins| f64::from(bins.iter().sum::<u32>())).collect();
    if bins.len() < BINS_MIN {
        return None;
    }
    let mean = bins.iter().sum::<f64>() / bins.len() as f64;
    let variance = bins.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / bins.len() as f64;
    Some((1.0 - variance / mean).clamp(0.0, 1.0))
}

/// The finding for the most regular pod.
pub(super) fn beaconing(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let key = &observed.edge.key;
    let resolves = key.port == 53 && observed.around.is_resolver(observed.namespace, &key.workload);
    // Clocks are set by a timer, and a resolver asks for others.
    // What many workloads do alike is a library or an agent.
    #[expect(clippy::cast_precision_loss, reason = "a number of workloads")]
    let is_common = observed.users() as f64 > detect.value(&BEACON_WORKLOADS);
    if is_common || observed.is_scheduled() || resolves || (key.port, key.protocol) == (123, Protocol::UDP) {
        return None;
    }
    let behaviour = &observed.seen().behaviour;
    let starts = &behaviour.starts;
    let gap_min = GAP_MIN.max(f64::from(behaviour.interval_seconds) * INTERVALS_MIN);
    #[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
    let is_beacon = |rhythm: &Rhythm| {
        rhythm.connections as f64 >= detect.value(&BEACON_CONNECTIONS)
            && rhythm.hours >= detect.value(&BEACON_HOURS)
            && rhythm.gap >= gap_min
            && rhythm.score >= detect.value(&BEACON_SCORE)
    };
    let rhythms = starts.iter().filter_map(|(pod, starts)| rhythm(starts, behaviour.sizes.get(pod)));
    let beacons: Vec<Rhythm> = rhythms.filter(is_beacon).collect();
    let best = *beacons
        .iter()
        .max_by(|one, two| one.score.total_cmp(&two.score).then(one.connections.cmp(&two.connections)))?;
    let alone = observed.users() <= 1;
    let severity = match (observed.is_suspect, observed.name().is_none(), alone) {
        (true, ..) => Severity::High,
        (_, true, _) | (.., true) => Severity::Medium,
        _ => Severity::Low,
    };
    let confidence = if best.score >= 0.9 && best.connections >= 24 { Confidence::High } else { Confidence::Medium };
    let evenness = best.evenness.map_or_else(|| "not measured".to_owned(), |evenness| format!("{evenness:.2}"));
    let sizes = best.sameness.map(|sameness| format!("; sizes alike {sameness:.2}")).unwrap_or_default();
    let measured = format!(
        "score {:.2}: {} of {} gaps within {:.0} s +- 50 %; steadiness {:.2}; evenness {evenness}{sizes}; {} connections in {:.1} h; {} of {} pods; used by {} of the cluster's workloads",
        best.score,
        best.near,
        best.gaps,
        best.gap,
        best.steadiness,
        best.connections,
        best.hours,
        beacons.len(),
        starts.len(),
        observed.users(),
    );
    Some(TEXTS.finding(severity, confidence, &observed.subject(), measured))
}
