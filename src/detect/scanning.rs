//! Many new addresses on one port, or many new ports of one address, within ten minutes.
//!
//! In: all edges of one workload. Out: a finding with the peak. Destinations that the workload uses more than a few times are left out: who scrapes or serves many
//! peers comes back to them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::finding::Finding;
use super::raised::Texts;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{SCAN_ADDRESSES, SCAN_PORTS};
use crate::model::{Confidence, Severity, Verdict};
use crate::summary::{Edge, Peer};

const TEXTS: Texts = Texts {
    class: "scanning",
    why: "who tries many addresses or ports once each looks for something that it does not know",
    attack: &["T1046", "T1018"],
    innocent: "monitoring that discovers its targets, peer-to-peer protocols, crawlers, security scanners of your own",
    advice: "Find the process; if it is a scanner of your own, exempt the workload by name.",
};

/// A destination with more connections than this is used, not tried.
const TRIES_MAX: u64 = 3;
/// The length of the window in seconds.
const WINDOW: f64 = 600.0;

/// One try: second (relative to the first), address, port.
type Try = (f64, IpAddr, u16);

/// The finding for the busiest ten minutes.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn scanning(edges: &[&Edge], detect: &Detect) -> Option<Finding> {
    let tries = tries(edges);
    let mut by_port: BTreeMap<u16, Vec<(f64, IpAddr)>> = BTreeMap::new();
    let mut by_address: BTreeMap<IpAddr, Vec<(f64, u16)>> = BTreeMap::new();
    for (second, address, port) in &tries {
        by_port.entry(*port).or_default().push((*second, *address));
        by_address.entry(*address).or_default().push((*second, *port));
    }
    let wide = by_port.iter().map(|(port, tries)| (peak(tries), *port)).max();
    let deep = by_address.iter().map(|(address, tries)| (peak(tries), *address)).max();
    let failed: u64 = edges
        .iter()
        .map(|edge| edge.seen.with_verdict(Verdict::Denied) + edge.seen.with_verdict(Verdict::Failed))
        .sum();
    let raise = |what: String| {
        let measured = format!(
            "{what} within ten minutes, at most {TRIES_MAX} connections each; {failed} denied or failed over all"
        );
        Some(TEXTS.finding(
            Severity::High,
            if failed > 0 { Confidence::High } else { Confidence::Medium },
            "",
            measured,
        ))
    };
    match (wide, deep) {
        (Some((addresses, port)), _) if addresses as f64 >= detect.value(&SCAN_ADDRESSES) => {
            raise(format!("{addresses} new addresses on port {port}"))
        }
        (_, Some((ports, address))) if ports as f64 >= detect.value(&SCAN_PORTS) => {
            raise(format!("{ports} new ports of {address}"))
        }
        _ => None,
    }
}

fn tries(edges: &[&Edge]) -> Vec<Try> {
    let Some(begin) = edges.iter().filter_map(|edge| edge.seen.first).min() else { return Vec::new() };
    let mut tries: Vec<Try> = Vec::new();
    for edge in edges {
        // Who looks a name up knows what it wants.
        let is_named = matches!(edge.key.peer, Peer::Name(_));
        let Some(first) = edge.seen.first.filter(|_| !is_named) else { continue };
        let span = edge.seen.last.map_or(0.0, |last| last.seconds_since(first));
        for (address, connections) in &edge.seen.addresses {
            if *connections <= TRIES_MAX && span <= WINDOW {
                tries.push((first.seconds_since(begin), *address, edge.key.port));
            }
        }
    }
    tries.sort_by(|one, two| one.0.total_cmp(&two.0).then_with(|| (one.1, one.2).cmp(&(two.1, two.2))));
    tries
}

/// The most different values within a window, of tries in order of time.
fn peak<T: Ord + Copy>(tries: &[(f64, T)]) -> usize {
    let mut counts: BTreeMap<T, u32> = BTreeMap::new();
    let (mut start, mut most) = (0, 0);
    for (second, value) in tries {
        *counts.entry(*value).or_default() += 1;
        while let Some((_, gone)) = tries.get(start).filter(|(early, _)| second - early > WINDOW) {
            if let Some(count) = counts.get_mut(gone) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(gone);
                }
            }
            start += 1;
        }
        most = most.max(counts.len());
    }
    most
}
