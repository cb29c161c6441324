//! The stream of one gRPC server, for as long as the collector runs: asked for, written down, asked for again.
//!
//! In: settings, and how far an earlier run came. Out: records for the log. After a break the server is asked for everything since
//! the last event that was seen, and a little more, because nodes are not in step; what comes twice is known by its id and left out on
//! the way into the store. Reconnecting waits longer and longer, up to half a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::grpc::{Call, GrpcError};
use super::record::{MessageKind, Record};
use super::server::Shared;
use crate::catalog::{Feed, FeedKind};
use crate::model::Timestamp;
use crate::read::feed::{Heard, fnv, method, request};
use crate::read::hubble::NodeState;

/// The first pause behind a break, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A stream that held for so long was no mistake of ours.
const HELD: Duration = Duration::from_mins(1);
/// Messages wait for each other for so long, or until they are so many bytes.
const BATCH: (Duration, usize) = (Duration::from_millis(200), 256 << 10);
/// How much is asked for again after a break: the order of nodes in a stream is loose.
const OVERLAP_NANOS: i64 = 5_000_000_000;
/// As long after a restart, where only the latest time of all nodes is known.
const RESTART_OVERLAP_NANOS: i64 = 60_000_000_000;
/// A node that was silent for longer does not hold the others back.
const ACTIVE_NANOS: i64 = 600_000_000_000;
/// Whoever serves may invent nodes: no more are remembered.
const NODES_MAX: usize = 10_000;
/// A failure that stays the same is told again after so many tries.
const TELL_EVERY: u32 = 20;

/// What a source is known by from run to run.
pub(super) fn feed_key(feed: &Feed) -> u64 {
    fnv([feed.kind.as_str(), &feed.cluster, &feed.address].join("\n").as_bytes())
}

/// How far each node came.
#[derive(Debug, Default)]
struct Resume {
    /// The latest event of an earlier run, by the times of the nodes.
    before: Option<i64>,
    nodes: BTreeMap<String, i64>,
}

impl Resume {
    fn saw(&mut self, node: &str, time: i64) {
        if let Some(last) = self.nodes.get_mut(node) {
            *last = (*last).max(time);
        } else if self.nodes.len() < NODES_MAX {
            self.nodes.insert(node.to_owned(), time);
        }
    }

    /// Where to go on.
    fn since(&self) -> Option<Timestamp> {
        let newest = self.nodes.values().max();
        let active = newest
            .and_then(|newest| self.nodes.values().filter(|last| **last >= newest.saturating_sub(ACTIVE_NANOS)).min());
        let since = match active {
            Some(last) => last.saturating_sub(OVERLAP_NANOS),
            None => self.before?.saturating_sub(RESTART_OVERLAP_NANOS),
        };
        Some(Timestamp::from_nanos(since.max(0)))
    }
}

/// Messages on their way to the log.
#[derive(Debug, Default)]
struct Waiting {
    messages: Vec<u8>,
    count: u64,
    until: i64,
    since: Option<Instant>,
}

/// Why a stream is over.
enum End {
    Stopping,
    Broken(GrpcError),
    Silent,
}

/// Everything of one source.
struct Following<'a> {
    feed: &'a Feed,
    shared: &'a Shared,
    key: u64,
    resume: Resume,
    waiting: Waiting,
    /// What the server dropped in this stream, as far as it is written down.
    dropped: u64,
}

/// Follows until the collector stops. `before` is the time of the last event of an earlier run, in nanoseconds.
pub(super) async fn follow(feed: Feed, before: Option<u64>, shared: Shared) {
    let before = before.and_then(|before| i64::try_from(before).ok());
    let mut following = Following {
        feed: &feed,
        shared: &shared,
        key: feed_key(&feed),
        resume: Resume { before, ..Resume::default() },
        waiting: Waiting::default(),
        dropped: 0,
    };
    let mut stop = shared.stop.clone();
    let (mut pause, mut failures, mut told) = (PAUSES.0, 0_u32, String::new());
    shared.metrics.stream(&feed.address, false);
    while !*stop.borrow() {
        let begun = Instant::now();
        let end = following.stream().await;
        shared.metrics.stream(&feed.address, false);
        let why = match end {
            End::Stopping => return,
            End::Broken(error) => error.to_string(),
            End::Silent => format!("nothing for {:?}", feed.idle),
        };
        if begun.elapsed() >= HELD {
            (pause, failures) = (PAUSES.0, 0);
        }
        if why != told || failures.is_multiple_of(TELL_EVERY) {
            let fields: [(&str, &dyn std::fmt::Display); 3] =
                [("address", &feed.address), ("why", &why), ("tries", &(failures + 1))];
            shared.journal.warn("no stream; it is tried again", &fields);
            told = why;
        }
        failures = failures.saturating_add(1);
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

impl Following<'_> {
    /// One stream, from its beginning to its end.
    async fn stream(&mut self) -> End {
        let since = self.resume.since();
        let request = request(self.feed.kind, since);
        let mut stop = self.shared.stop.clone();
        let opened = tokio::select! {
            opened = Call::open(self.feed, method(self.feed.kind), &request) => opened,
            _ = stop.wait_for(|stop| *stop) => return End::Stopping,
        };
        let mut call = match opened {
            Ok(call) => call,
            Err(error) => return End::Broken(error),
        };
        self.shared.metrics.stream(&self.feed.address, true);
        let from = since.map_or_else(|| "now".to_owned(), |since| since.to_string());
        self.shared.journal.info("stream opened", &[("address", &self.feed.address), ("from", &from)]);
        self.dropped = 0;
        self.link(true).await;
        let end = self.listen(&mut call).await;
        self.flush().await;
        self.link(false).await;
        end
    }

    async fn listen(&mut self, call: &mut Call) -> End {
        let mut stop = self.shared.stop.clone();
        let mut silent_at = Instant::now() + self.feed.idle;
        loop {
            let until = self.waiting.since.map_or(silent_at, |since| silent_at.min(since + BATCH.0));
            let read = tokio::select! {
                read = timeout_at(until, call.read()) => read,
                _ = stop.wait_for(|stop| *stop) => return End::Stopping,
            };
            match read {
                Ok(Ok(())) => silent_at = Instant::now() + self.feed.idle,
                Ok(Err(error)) => return End::Broken(error),
                Err(_) if Instant::now() >= silent_at => return End::Silent,
                Err(_) => self.flush().await,
            }
            loop {
                match call.take() {
                    Ok(Some(message)) => self.take(&message).await,
                    Ok(None) => break,
                    Err(error) => return End::Broken(error),
                }
            }
        }
    }

    async fn take(&mut self, message: &[u8]) {
        let now = (self.shared.clock)().nanos();
        // What is no message is written down like any other, and rejected and counted on the way into the store.
        if let Ok(heard) = Heard::read(self.feed.kind, message) {
            for event in &heard.events {
                // A node whose clock is ahead must not make us ask for the future.
                if let Some(time) = event.time.map(|time| time.nanos().min(now)) {
                    self.resume.saw(&event.node, time);
                    self.waiting.until = self.waiting.until.max(time);
                }
            }
            if let Some((state, nodes)) = heard.status {
                self.tell(state, &nodes);
            }
            if heard.dropped > self.dropped {
                let lost = heard.dropped - self.dropped;
                self.dropped = heard.dropped;
                self.missed(lost).await;
            }
        }
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.waiting.messages.extend(length.to_be_bytes());
        self.waiting.messages.extend_from_slice(message);
        self.waiting.count += 1;
        self.waiting.since.get_or_insert_with(Instant::now);
        if self.waiting.messages.len() >= BATCH.1 {
            self.flush().await;
        }
    }

    fn tell(&self, state: NodeState, nodes: &[String]) {
        let shown: Vec<&str> = nodes.iter().take(20).map(String::as_str).collect();
        let (count, names) = (nodes.len(), shown.join(", "));
        let fields: [(&str, &dyn std::fmt::Display); 3] =
            [("address", &self.feed.address), ("count", &count), ("nodes", &names)];
        match state {
            NodeState::Connected => self.shared.journal.info("nodes connected", &fields),
            NodeState::Away => self.shared.journal.warn("nodes away", &fields),
            NodeState::Unknown => {}
        }
    }

    /// Hands what waits to the log; waits as long as the log does.
    async fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.count == 0 {
            return;
        }
        let record = Record::Messages {
            kind: MessageKind::Feed(self.feed.kind),
            session: self.key,
            key: self.key,
            origin: self.feed.address.clone(),
            cluster: self.feed.cluster.clone(),
            source: self.source(),
            arrived: (self.shared.clock)(),
            until: u64::try_from(waiting.until).unwrap_or(0),
            messages: waiting.messages,
        };
        if self.shared.queue.send(record.into()).await.is_ok() {
            super::metrics::Metrics::add(&self.shared.metrics.messages, waiting.count);
        }
    }

    async fn link(&self, is_up: bool) {
        let record = Record::Link { key: self.key, at: (self.shared.clock)(), is_up };
        // The log has ended before this stream only when the program has.
        drop(self.shared.queue.send(record.into()).await);
    }

    async fn missed(&self, lost: u64) {
        super::metrics::Metrics::add(&self.shared.metrics.lost, lost);
        let record = Record::Missed {
            origin: self.feed.address.clone(),
            cluster: self.feed.cluster.clone(),
            source: self.source(),
            at: (self.shared.clock)(),
            rejected: 0,
            lost,
        };
        drop(self.shared.queue.send(record.into()).await);
    }

    /// A relay's events name their node; the others speak for all.
    fn source(&self) -> String {
        if self.feed.kind == FeedKind::Relay { String::new() } else { self.feed.kind.as_str().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_break_is_resumed_where_the_slowest_active_node_was() {
        let mut resume = Resume::default();
        assert_eq!(resume.since(), None, "nothing was seen: from now on");
        resume.before = Some(5_000 * SECOND);
        assert_eq!(resume.since(), Some(Timestamp::from_nanos(4_940 * SECOND)));
        resume.saw("a", 10_000 * SECOND);
        resume.saw("b", 9_990 * SECOND);
        resume.saw("b", 9_980 * SECOND);
        assert_eq!(resume.since(), Some(Timestamp::from_nanos(9_985 * SECOND)));
        resume.saw("gone", 1_000 * SECOND);
        assert_eq!(resume.since(), Some(Timestamp::from_nanos(9_985 * SECOND)), "a silent node holds nobody back");
    }
}
