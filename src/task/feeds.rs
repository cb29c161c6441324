//! What is known of gRPC sources from segment to segment: which events were seen, and when nothing could be.
//!
//! In: beginnings and ends of streams, states of nodes, events. Out: whether an event was seen before, and for how long its node was
//! out of sight. A server sends again what it still holds; when the first event after a break was seen before it, nothing is missing,
//! and else the hole reaches from the break to that event. Bounded: an id leaves the memory when others need its place, and then
//! the time of its node tells.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::read::hubble::NodeState;

/// Ids that are remembered for each source.
const SEEN_MAX: usize = 16_384;
/// Whoever serves may invent nodes: no more are remembered.
const NODES_MAX: usize = 10_000;

/// All sources.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Feeds(BTreeMap<u64, Feed>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Feed {
    is_up: bool,
    /// The last arrival, in nanoseconds.
    last: i64,
    nodes: BTreeMap<String, Node>,
    seen: Seen,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Node {
    /// The latest event, by the node's clock.
    last: i64,
    /// Since when its events cannot arrive.
    away: Option<i64>,
    /// Since when they can again.
    back: Option<i64>,
}

/// The latest ids, oldest first, with the times of their events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Remembered", into = "Remembered")]
struct Seen {
    order: VecDeque<(u64, i64)>,
    known: HashSet<u64>,
    /// The latest time of an id that had to make room.
    forgotten: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Remembered {
    order: VecDeque<(u64, i64)>,
    forgotten: Option<i64>,
}

impl From<Remembered> for Seen {
    fn from(Remembered { order, forgotten }: Remembered) -> Self {
        let known = order.iter().map(|(key, _)| *key).collect();
        Self { order, known, forgotten }
    }
}

impl From<Seen> for Remembered {
    fn from(Seen { order, forgotten, .. }: Seen) -> Self {
        Self { order, forgotten }
    }
}

impl Seen {
    /// Remembers an id; whether it is new.
    fn insert(&mut self, key: u64, time: i64) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back((key, time));
        while self.order.len() > SEEN_MAX {
            if let Some((old, time)) = self.order.pop_front() {
                self.known.remove(&old);
                self.forgotten = self.forgotten.max(Some(time));
            }
        }
        true
    }
}

/// What an event says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// Its node.
    pub(super) node: &'a str,
    /// Its time, by the node's clock.
    pub(super) time: Option<Timestamp>,
    /// Its id.
    pub(super) key: Option<u64>,
}

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// Whether it was seen before.
    pub(super) is_again: bool,
    /// For how long its node was out of sight before it, in nanoseconds.
    pub(super) missing_nanos: u64,
}

impl Feeds {
    /// A stream began or ended.
    pub(super) fn link(&mut self, key: u64, at: Timestamp, is_up: bool) {
        let feed = self.0.entry(key).or_default();
        feed.is_up = is_up;
        feed.last = feed.last.max(at.nanos());
        for node in feed.nodes.values_mut() {
            if is_up {
                node.back = node.back.or(Some(at.nanos())).filter(|_| node.away.is_some());
            } else {
                node.away.get_or_insert(at.nanos());
                node.back = None;
            }
        }
    }

    /// The collector began anew: no stream was open since the last arrival.
    pub(super) fn restarted(&mut self) {
        let open: Vec<(u64, i64)> =
            self.0.iter().filter(|(_, feed)| feed.is_up).map(|(key, feed)| (*key, feed.last)).collect();
        for (key, last) in open {
            self.link(key, Timestamp::from_nanos(last), false);
        }
    }

    /// A server tells the state of nodes.
    pub(super) fn status(&mut self, key: u64, state: NodeState, nodes: &[String], arrived: Timestamp) {
        let feed = self.0.entry(key).or_default();
        for name in nodes {
            if !feed.nodes.contains_key(name) && feed.nodes.len() >= NODES_MAX {
                continue;
            }
            let node = feed.nodes.entry(name.clone()).or_default();
            match state {
                NodeState::Away => {
                    node.away.get_or_insert(arrived.nanos());
                    node.back = None;
                }
                NodeState::Connected if node.away.is_some() => {
                    node.back.get_or_insert(arrived.nanos());
                }
                NodeState::Connected | NodeState::Unknown => {}
            }
        }
    }

    /// An event arrived.
    pub(super) fn judge(&mut self, key: u64, event: Told<'_>, arrived: Timestamp) -> Judged {
        let feed = self.0.entry(key).or_default();
        feed.last = feed.last.max(arrived.nanos());
        let time = event.time.map_or(arrived.nanos(), Timestamp::nanos);
        let is_new = event.key.is_none_or(|key| feed.seen.insert(key, time));
        if !feed.nodes.contains_key(event.node) && feed.nodes.len() >= NODES_MAX {
            return Judged { is_again: !is_new, missing_nanos: 0 };
        }
        let node = feed.nodes.entry(event.node.to_owned()).or_default();
        // Its id is forgotten, and its node was further long ago: only what is sent again comes so late.
        let is_old =
            event.time.is_some() && feed.seen.forgotten.is_some_and(|forgotten| time <= forgotten) && time < node.last;
        let is_again = !is_new || is_old;
        node.last = node.last.max(time);
        let missing = node.away.take().map_or(0, |away| {
            let back = node.back.take().unwrap_or(arrived.nanos());
            if is_again { 0 } else { time.min(back).saturating_sub(away) }
        });
        Judged { is_again, missing_nanos: u64::try_from(missing).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    /// An event of a second that arrived in another: whether it is again, and how many seconds are missing before it.
    fn judge(feeds: &mut Feeds, node: &str, second: i64, arrived: i64) -> (bool, u64) {
        let key = Some(crate::read::feed::fnv(format!("{node}{second}").as_bytes()));
        let judged = feeds.judge(1, Told { node, time: Some(at(second)), key }, at(arrived));
        (judged.is_again, judged.missing_nanos / 1_000_000_000)
    }

    #[test]
    fn a_hole_reaches_from_the_break_to_the_first_event_that_is_new() {
        let mut feeds = Feeds::default();
        feeds.link(1, at(0), true);
        for node in ["whole", "holed", "silent", "late"] {
            assert_eq!(judge(&mut feeds, node, 90, 91), (false, 0));
        }
        feeds.link(1, at(100), false);
        feeds.link(1, at(130), true);
        assert_eq!(judge(&mut feeds, "whole", 90, 131), (true, 0), "what was there before is there again");
        assert_eq!(judge(&mut feeds, "whole", 101, 131), (false, 0));
        assert_eq!(judge(&mut feeds, "holed", 112, 131), (false, 12), "the server held what came since");
        assert_eq!(judge(&mut feeds, "holed", 113, 131), (false, 0));
        assert_eq!(judge(&mut feeds, "silent", 500, 501), (false, 30), "no longer than the break");
        assert_eq!(judge(&mut feeds, "late", 99, 131), (false, 0), "it was on its way");
    }

    #[test]
    fn nodes_come_and_go_and_a_crash_is_a_break_since_the_last_arrival() {
        let mut feeds = Feeds::default();
        feeds.link(1, at(0), true);
        assert_eq!(judge(&mut feeds, "a", 10, 11), (false, 0));
        feeds.status(1, NodeState::Away, &["a".to_owned()], at(20));
        feeds.status(1, NodeState::Away, &["a".to_owned()], at(25));
        feeds.status(1, NodeState::Connected, &["a".to_owned()], at(40));
        assert_eq!(judge(&mut feeds, "a", 70, 71), (false, 20));
        feeds.restarted();
        feeds.link(1, at(90), true);
        assert_eq!(judge(&mut feeds, "a", 95, 96), (false, 19));
        let kept: Feeds = serde_json::from_str(&serde_json::to_string(&feeds).unwrap()).unwrap();
        assert_eq!(judge(&mut kept.clone(), "a", 95, 97), (true, 0), "from run to run");
    }

    #[test]
    fn what_is_forgotten_is_known_by_its_time() {
        let mut feeds = Feeds::default();
        let many = i64::try_from(SEEN_MAX).unwrap() + 100;
        for second in 0..many {
            assert_eq!(judge(&mut feeds, "a", second, second), (false, 0));
        }
        for second in [0, 50, 99, 100, many - 1] {
            assert!(judge(&mut feeds, "a", second, many).0, "{second}");
        }
        assert!(!judge(&mut feeds, "b", 50, many).0, "another node was never that far");
        assert_eq!(feeds.0[&1].seen.order.len(), SEEN_MAX);
    }
}
