//! Segments of the collector's log → store, with the ledger of who was there.
//!
//! In: a segment. Out: rows, and a row of the ledger for each source and minute; the state that the next segment needs is written
//! before the segment may go. A segment that comes twice changes nothing: its files have its name, and the state tells how far it
//! reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::feeds::{Feeds, Told};
use crate::catalog::FeedKind;
use crate::collect::record::{MessageKind, Record};
use crate::collect::wal::{SegmentReader, segment_number};
use crate::collect::{Clock, Sealed, Sealer};
use crate::lake::{LakeError, LakeWriter, LedgerRow, compact, note_folding, note_retention, retain, write_atomically};
use crate::model::{Account, Batch, Excluded, Loss, Place, SourceKind, TextId, Timestamp, Vocabulary};
use crate::read::envelope::Envelope;
use crate::read::feed::{BROKEN_MESSAGE, Event, FeedDecoder, Heard};
use crate::read::{DnstapDecoder, HubbleDecoder, IpfixDecoder, u32_at};

/// Longer identities are cut, as the decoder does.
const IDENTITY_BYTES_MAX: usize = 256;
/// Whoever may connect may invent identities: no more are remembered.
const SENDERS_MAX: usize = 10_000;
const MINUTE: i64 = 60_000_000_000;
/// Where events are lost when a segment is damaged; how many is not known, and one is told.
const DAMAGED: &str = "collector: damaged segment of its log";
/// An event that a server sent again after a break.
const AGAIN: Excluded = Excluded("event sent again after a break");

/// Puts segments into a store.
pub struct StoreSealer {
    root: PathBuf,
    retention: Duration,
    clock: Clock,
    senders: Senders,
    folds: Option<bool>,
}

/// What is known of the senders, from segment to segment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Senders {
    /// The last segment that is in.
    through: Option<u64>,
    /// Open connections: when each was opened, and whose it is.
    sessions: BTreeMap<u64, Connected>,
    /// By cluster and identity.
    known: BTreeMap<String, Sender>,
    /// Sources that are asked.
    #[serde(default)]
    feeds: Feeds,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Connected {
    opened: i64,
    origin: String,
    sender: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sender {
    cluster: String,
    identity: String,
    #[serde(default)]
    sends_flows: bool,
    open: BTreeSet<u64>,
    /// Last arrival.
    last: i64,
    /// Since when no connection of it is open.
    away: Option<i64>,
}

impl StoreSealer {
    /// A sealer of the store at `root` that keeps days for `retention`.
    pub fn new(root: &Path, retention: Duration, clock: Clock) -> Self {
        let state = std::fs::read(state_path(root)).ok();
        let mut senders: Senders = state.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        // Each of the two may have been written last.
        let sealed = std::fs::read_to_string(root.join("state").join("sealed")).ok();
        senders.through = senders.through.max(sealed.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()));
        Self { root: root.to_owned(), retention, clock, senders, folds: None }
    }

    /// The same with a say in whether repeats are folded; without, the store keeps to what it was told before.
    #[must_use]
    pub fn folding(self, folds: Option<bool>) -> Self {
        Self { folds, ..self }
    }

    fn seal_segment(&mut self, segment: &Path) -> Result<Sealed, LakeError> {
        let number = segment_number(segment).unwrap_or(u64::MAX);
        if self.senders.through.is_some_and(|through| through >= number) {
            return Ok(Sealed::default());
        }
        if let Some(folds) = self.folds {
            note_folding(&self.root, folds)?;
        }
        let failed = LakeError::io(segment);
        let mut reader = SegmentReader::open(segment).map_err(failed)?;
        let mut sealing = Sealing {
            writer: LakeWriter::new(&self.root, &format!("wal-{number:016x}"))?,
            batch: Batch::default(),
            dnstap: DnstapDecoder::new(),
            hubble: HubbleDecoder::new(true),
            feed: FeedDecoder::default(),
            ledger: BTreeMap::new(),
            senders: self.senders.clone(),
            rejected: 0,
            lost: 0,
        };
        while let Some(record) = reader.next_record().map_err(LakeError::io(segment))? {
            sealing.take(record)?;
        }
        if reader.is_damaged {
            sealing.miss();
        }
        let rows: Vec<LedgerRow> = sealing.ledger.into_values().collect();
        sealing.writer.add_ledger(&rows)?;
        let written = sealing.writer.commit()?;
        let mut senders = sealing.senders;
        senders.through = Some(number);
        let text = serde_json::to_string(&senders).unwrap_or_default();
        write_atomically(&state_path(&self.root), text.as_bytes())?;
        write_atomically(&self.root.join("state").join("sealed"), format!("{number:x}\n").as_bytes())?;
        self.senders = senders;
        Ok(Sealed {
            flows: written.flows,
            answers: written.answers,
            questions: written.questions,
            rows: written.rows,
            rejected: sealing.rejected,
            lost: sealing.lost,
            cut_bytes: reader.cut_bytes,
            is_damaged: reader.is_damaged,
        })
    }
}

fn state_path(root: &Path) -> PathBuf {
    root.join("state").join("senders.json")
}

impl Sealer for StoreSealer {
    fn seal(&mut self, segment: &Path) -> Result<Sealed, String> {
        self.seal_segment(segment).map_err(|error| error.to_string())
    }

    fn through(&self) -> Option<u64> {
        self.senders.through
    }

    fn tidy(&mut self) -> Result<Option<String>, String> {
        let now = (self.clock)();
        let nanos = u64::try_from(now.nanos()).unwrap_or(0);
        let system: SystemTime = UNIX_EPOCH + Duration::from_nanos(nanos);
        let kept = i64::try_from(self.retention.as_nanos()).unwrap_or(i64::MAX);
        let old = retain(&self.root, now.plus_nanos(kept.saturating_neg())).map_err(|error| error.to_string())?;
        note_retention(&self.root, self.retention).map_err(|error| error.to_string())?;
        let tidied = compact(&self.root, system).map_err(|error| error.to_string())?;
        let done = format!(
            "{} files merged into {}, {} leftovers and {old} files of days past retention removed",
            tidied.replaced, tidied.merged, tidied.removed
        );
        Ok((tidied.merged + tidied.removed + old > 0).then_some(done))
    }
}

/// Where a row of the ledger belongs: minute, cluster, kind, source, origin.
type Line = (Timestamp, String, SourceKind, String, String);

/// One segment on its way.
struct Sealing {
    writer: LakeWriter,
    batch: Batch,
    dnstap: DnstapDecoder,
    hubble: HubbleDecoder,
    feed: FeedDecoder,
    ledger: BTreeMap<Line, LedgerRow>,
    senders: Senders,
    rejected: u64,
    /// Events that the records themselves say are lost.
    lost: u64,
}

impl Sealing {
    fn take(&mut self, record: Record) -> Result<(), LakeError> {
        match record {
            Record::Frames { session, origin, cluster, arrived, frames } => {
                let identity = first_identity(&frames);
                let missing = self.senders.spoke(session, (&cluster, &identity, false), &origin, arrived);
                let line = (minute(arrived), cluster.clone(), SourceKind::Dns, identity, origin);
                let account = self.frames(&frames, &cluster);
                self.count(line, &account, arrived, missing);
            }
            Record::Lines { origin, cluster, arrived, from, lines, .. } => {
                let account = self.lines(&lines, from, &cluster);
                let node = self.batch.flows.first().map_or(TextId::NONE, |row| row.node);
                let source = self.writer.vocabulary.text_of(node).to_owned();
                let cluster = self.own_cluster(cluster);
                self.count((minute(arrived), cluster, SourceKind::Flows, source, origin), &account, arrived, 0);
            }
            Record::Opened { session, origin, at } => {
                let opened = || Connected { opened: at.nanos(), origin, sender: None };
                self.senders.sessions.entry(session).or_insert_with(opened);
            }
            Record::Messages {
                kind: MessageKind::Feed(kind), key, origin, cluster, source, arrived, messages, ..
            } => {
                self.feed(kind, key, &messages, (&origin, &cluster, &source), arrived);
            }
            Record::Messages {
                kind: MessageKind::Ipfix, session, origin, cluster, source, arrived, messages, ..
            } => {
                let missing = self.senders.spoke(session, (&cluster, &source, true), &origin, arrived);
                let account = self.ipfix(&messages, &cluster, &source);
                let cluster = self.own_cluster(cluster);
                self.count((minute(arrived), cluster, SourceKind::Flows, source, origin), &account, arrived, missing);
            }
            Record::Link { key, at, is_up } => self.senders.feeds.link(key, at, is_up),
            Record::Missed { origin, cluster, source, at, rejected, lost } => {
                self.batch.clear();
                self.rejected += rejected;
                let row = self.row((minute(at), cluster, SourceKind::Flows, source, origin));
                row.read += rejected;
                row.rejected += rejected;
                row.lost += lost;
            }
            Record::Closed { session, at, lost } => {
                let closed = self.senders.closed(session, at);
                if let (Some((cluster, identity, origin, kind)), true) = (closed, lost > 0) {
                    self.row((minute(at), cluster, kind, identity, origin)).lost += lost;
                }
            }
            Record::Started { .. } => self.senders.restarted(),
            Record::Gone { .. } => {}
        }
        if self.writer.is_full() {
            self.writer.flush()?;
            // The decoder remembers numbers of the vocabulary: both begin anew.
            self.writer.vocabulary = Vocabulary::default();
            self.hubble = HubbleDecoder::new(true);
            self.feed = FeedDecoder::default();
        }
        Ok(())
    }

    /// Something behind the last record that can be read is lost, and nobody knows how much or whose it was.
    fn miss(&mut self) {
        let time = self.ledger.keys().map(|(minute, ..)| *minute).max().unwrap_or(Timestamp::UNKNOWN);
        let place = self.writer.vocabulary.text(DAMAGED);
        self.batch.clear();
        self.batch.losses.push(Loss { time, cluster: TextId::NONE, node: TextId::NONE, place, events: 1 });
        self.lost = self.lost.saturating_add(1);
        self.writer.add(&self.batch, TextId::NONE);
    }

    /// The cluster that the rows of the batch name themselves, else the configured one.
    fn own_cluster(&self, configured: String) -> String {
        let named = self.batch.flows.first().map_or(TextId::NONE, |row| row.cluster);
        let own = self.writer.vocabulary.text_of(named);
        if own.is_empty() { configured } else { own.to_owned() }
    }

    /// Messages of a gRPC server: an account for each node.
    fn feed(&mut self, kind: FeedKind, key: u64, messages: &[u8], of: (&str, &str, &str), arrived: Timestamp) {
        let (origin, cluster, source) = of;
        let mut nodes: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        let (mut rest, mut broken) = (messages, Account::default());
        while let Some((message, next)) = first_message(rest) {
            match Heard::read(kind, message) {
                Ok(heard) => {
                    if let Some((state, nodes)) = &heard.status {
                        self.senders.feeds.status(key, *state, nodes, arrived);
                    }
                    for event in heard.events {
                        nodes.entry(event.node.clone()).or_default().push(event);
                    }
                }
                Err(_) => broken.reject(BROKEN_MESSAGE, Place::Byte((messages.len() - rest.len()) as u64)),
            }
            rest = next;
        }
        let number = self.writer.vocabulary.text(cluster);
        for (node, events) in nodes {
            let (mut account, mut missing) = (Account::default(), 0);
            self.batch.clear();
            for event in &events {
                let told = Told { node: &event.node, time: event.time, key: event.key };
                let judged = self.senders.feeds.judge(key, told, arrived);
                missing += judged.missing_nanos;
                if judged.is_again {
                    account.exclude(AGAIN);
                } else {
                    let place = Place::Byte(0);
                    self.feed.decode(event, place, &mut self.writer.vocabulary, &mut self.batch, &mut account);
                }
            }
            self.writer.add(&self.batch, number);
            let own = self.own_cluster(cluster.to_owned());
            // Cilium writes `cluster/node`; rows have the node alone.
            let node = node.split_once('/').map_or(node.as_str(), |(_, node)| node);
            let name = if node.is_empty() { source } else { node };
            let line = (minute(arrived), own, SourceKind::Flows, name.to_owned(), origin.to_owned());
            self.count(line, &account, arrived, missing);
        }
        if broken.read > 0 {
            self.batch.clear();
            let line = (minute(arrived), cluster.to_owned(), SourceKind::Flows, source.to_owned(), origin.to_owned());
            self.count(line, &broken, arrived, 0);
        }
    }

    fn ipfix(&mut self, chunk: &[u8], cluster: &str, source: &str) -> Account {
        let mut account = Account::default();
        self.batch.clear();
        let vocabulary = &mut self.writer.vocabulary;
        let mut decoder = IpfixDecoder::new().with_cluster_ids(cluster.is_empty());
        decoder.decode(chunk, 0, vocabulary, &mut self.batch, &mut account);
        let source = vocabulary.text(source);
        for loss in &mut self.batch.losses {
            loss.node = source;
        }
        let cluster = vocabulary.text(cluster);
        self.writer.add(&self.batch, cluster);
        account
    }

    fn frames(&mut self, frames: &[u8], cluster: &str) -> Account {
        let mut account = Account::default();
        self.batch.clear();
        self.dnstap.decode(frames, 0, &mut self.writer.vocabulary, &mut self.batch, &mut account);
        let cluster = self.writer.vocabulary.text(cluster);
        self.writer.add(&self.batch, cluster);
        account
    }

    fn lines(&mut self, lines: &[u8], from: u64, cluster: &str) -> Account {
        let mut account = Account::default();
        self.batch.clear();
        self.hubble.decode_lines(lines, from, &mut self.writer.vocabulary, &mut self.batch, &mut account);
        let cluster = self.writer.vocabulary.text(cluster);
        self.writer.add(&self.batch, cluster);
        account
    }

    fn count(&mut self, line: Line, account: &Account, arrived: Timestamp, missing: u64) {
        let Batch { flows, answers, questions, .. } = &self.batch;
        let of_dns = answers.iter().map(|row| row.time).chain(questions.iter().map(|row| row.time));
        let times = flows.iter().map(|row| row.time).chain(of_dns);
        let delays = times.filter(|time| time.is_known()).map(|time| arrived.nanos().saturating_sub(time.nanos()));
        let delay = if account.read > 0 { delays.min() } else { None };
        self.rejected += account.rejected_total();
        let lost = self.batch.losses.iter().map(|loss| loss.events).fold(0, u64::saturating_add);
        self.lost = self.lost.saturating_add(lost);
        let row = self.row(line);
        row.read += account.read;
        row.used += account.used;
        row.rejected += account.rejected_total();
        row.excluded += account.excluded_total();
        row.lost = row.lost.saturating_add(lost);
        row.missing_nanos += missing;
        row.delay_nanos = [row.delay_nanos, delay].into_iter().flatten().min();
    }

    fn row(&mut self, line: Line) -> &mut LedgerRow {
        let (minute, cluster, kind, source, origin) = line.clone();
        let empty = || LedgerRow {
            minute,
            cluster,
            kind,
            source,
            origin,
            read: 0,
            used: 0,
            rejected: 0,
            excluded: 0,
            lost: 0,
            missing_nanos: 0,
            delay_nanos: None,
        };
        self.ledger.entry(line).or_insert_with(empty)
    }
}

impl Senders {
    /// A sender spoke; for how long it had been away before that connection, in nanoseconds.
    fn spoke(&mut self, session: u64, of: (&str, &str, bool), origin: &str, arrived: Timestamp) -> u64 {
        let (cluster, identity, sends_flows) = of;
        let key = format!("{cluster}/{}{identity}", if sends_flows { "flows of " } else { "" });
        let connected = self.sessions.entry(session).or_insert_with(|| Connected {
            opened: arrived.nanos(),
            origin: origin.to_owned(),
            sender: None,
        });
        connected.sender.get_or_insert_with(|| key.clone());
        let opened = connected.opened;
        if !self.known.contains_key(&key) && self.known.len() >= SENDERS_MAX {
            return 0;
        }
        let sender = self.known.entry(key).or_insert_with(|| Sender {
            cluster: cluster.to_owned(),
            identity: identity.to_owned(),
            sends_flows,
            ..Sender::default()
        });
        sender.open.insert(session);
        sender.last = sender.last.max(arrived.nanos());
        sender.away.take().map_or(0, |away| u64::try_from(opened.saturating_sub(away)).unwrap_or(0))
    }

    /// A connection ended; whose it was.
    fn closed(&mut self, session: u64, at: Timestamp) -> Option<(String, String, String, SourceKind)> {
        let connected = self.sessions.remove(&session)?;
        // Behind one connection there may be several resolvers.
        for sender in self.known.values_mut() {
            if sender.open.remove(&session) && sender.open.is_empty() {
                sender.away = Some(at.nanos());
            }
        }
        let sender = self.known.get(&connected.sender?)?;
        let kind = if sender.sends_flows { SourceKind::Flows } else { SourceKind::Dns };
        Some((sender.cluster.clone(), sender.identity.clone(), connected.origin, kind))
    }

    /// The collector began anew: nothing is connected, and nothing was since the last arrival.
    fn restarted(&mut self) {
        self.sessions.clear();
        self.feeds.restarted();
        for sender in self.known.values_mut() {
            if !sender.open.is_empty() {
                sender.open.clear();
                sender.away = Some(sender.last);
            }
        }
    }
}

/// The first of several messages, each with its length before it.
fn first_message(messages: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32_at(messages, 0)? as usize;
    messages.get(4..)?.split_at_checked(length)
}

fn minute(time: Timestamp) -> Timestamp {
    Timestamp::from_nanos(time.nanos().div_euclid(MINUTE).saturating_mul(MINUTE))
}

/// The identity that the first frame names; all frames of a connection come from one server.
fn first_identity(frames: &[u8]) -> String {
    let first = u32_at(frames, 0).and_then(|length| frames.get(4..4 + length as usize));
    let identity = first.and_then(|frame| Envelope::read(frame).ok()).and_then(|envelope| envelope.identity);
    let identity = identity.unwrap_or_default();
    String::from_utf8_lossy(identity.get(..IDENTITY_BYTES_MAX).unwrap_or(identity)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn a_connection_with_two_resolvers_behind_it_ends_for_both() {
        let mut senders = Senders::default();
        senders.spoke(1, ("c", "dns-1", false), "tcp", at(10));
        senders.spoke(1, ("c", "dns-2", false), "tcp", at(11));
        assert_eq!(
            senders.closed(1, at(20)),
            Some(("c".to_owned(), "dns-1".to_owned(), "tcp".to_owned(), SourceKind::Dns))
        );
        assert!(senders.known.values().all(|sender| sender.open.is_empty()));
        assert_eq!(senders.spoke(2, ("c", "dns-2", false), "tcp", at(27)), 7_000_000_000);
        assert_eq!(senders.spoke(2, ("c", "dns-1", false), "tcp", at(28)), 7_000_000_000);
    }

    #[test]
    fn how_far_is_sealed_is_what_either_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let through = || {
            let sealer = StoreSealer::new(folder.path(), Duration::from_hours(1), || at(0));
            sealer.through()
        };
        assert_eq!(through(), None);
        std::fs::write(state.join("senders.json"), r#"{"through":26,"sessions":{},"known":{}}"#).unwrap();
        assert_eq!(through(), Some(26));
        std::fs::write(state.join("sealed"), "19\n").unwrap();
        assert_eq!(through(), Some(26));
        std::fs::write(state.join("sealed"), "1b\n").unwrap();
        assert_eq!(through(), Some(27));
    }

    #[test]
    fn absence_is_measured_from_the_last_connection_to_the_next() {
        let mut senders = Senders::default();
        let spoke =
            |senders: &mut Senders, session, second| senders.spoke(session, ("c", "dns-1", false), "tcp", at(second));
        assert_eq!(spoke(&mut senders, 1, 10), 0);
        assert_eq!(spoke(&mut senders, 2, 11), 0);
        senders.closed(1, at(20));
        assert_eq!(spoke(&mut senders, 2, 25), 0, "another connection of it is open");
        senders.closed(2, at(30));
        assert_eq!(spoke(&mut senders, 3, 42), 12_000_000_000);
        assert_eq!(spoke(&mut senders, 3, 50), 0);
        senders.restarted();
        assert_eq!(spoke(&mut senders, 4, 57), 7_000_000_000, "a crash: since the last arrival");
    }
}
