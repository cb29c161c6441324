//! What records count, as columns of the store's flows, and back.
//!
//! In: counters of the records of one file. Out: columns that are there only when some record counted; older files, and files of
//! sources that count nothing, do not have them.

use super::codec::Word;
use super::frame::{Columns, Counts, Flags, Frame, FrameError, Texts, Times};
use crate::model::columns::STORED_COUNTS;
use crate::model::{Bytes, Counter, Opened, Timestamp, Volume};

/// Adds the columns.
pub(super) fn count_columns(columns: &mut Columns, volumes: &[Option<&Volume>]) {
    let [forward, backward, packets_forward, packets_backward, counted_at, since, is_total, began, open] =
        STORED_COUNTS;
    let bytes =
        |value: fn(Bytes) -> u64| volumes.iter().map(move |volume| volume.and_then(|volume| volume.bytes.map(value)));
    let opened = |value: fn(Opened) -> u32| {
        volumes
            .iter()
            .map(move |volume| volume.and_then(|volume| volume.connections.map(|opened| value(opened).into())))
    };
    columns.optional_count(forward, bytes(|bytes| bytes.sent));
    columns.optional_count(backward, bytes(|bytes| bytes.received));
    columns.optional_count(packets_forward, bytes(|bytes| bytes.packets_sent));
    columns.optional_count(packets_backward, bytes(|bytes| bytes.packets_received));
    columns.optional_text(counted_at, volumes.iter().map(|volume| volume.map(|volume| volume.counter.word())));
    columns.time(since, volumes.iter().map(|volume| volume.map_or(Timestamp::UNKNOWN, |volume| volume.since)));
    columns.flag(is_total, volumes.iter().map(|volume| volume.is_some_and(|volume| volume.is_total)));
    columns.optional_count(began, opened(|opened| opened.began));
    columns.optional_count(open, opened(|opened| opened.open));
}

/// The columns of a frame that has them.
pub(super) struct CountColumns<'a> {
    bytes: [Counts<'a>; 4],
    counted_at: Texts<'a>,
    since: Times<'a>,
    is_total: Flags<'a>,
    opened: [Counts<'a>; 2],
}

impl<'a> CountColumns<'a> {
    pub(super) fn of(frame: &'a Frame) -> Result<Option<Self>, FrameError> {
        let [forward, backward, packets_forward, packets_backward, counted_at, since, is_total, began, open] =
            STORED_COUNTS;
        if !frame.has(forward) {
            return Ok(None);
        }
        let count = |name: &str| frame.counts(name);
        Ok(Some(Self {
            bytes: [count(forward)?, count(backward)?, count(packets_forward)?, count(packets_backward)?],
            counted_at: frame.texts(counted_at)?,
            since: frame.times(since)?,
            is_total: frame.flags(is_total)?,
            opened: [count(began)?, count(open)?],
        }))
    }

    /// What the record of a row counts.
    pub(super) fn volume(&self, at: usize) -> Option<Volume> {
        let counter = self.counted_at.get(at)?;
        let [sent, received, packets_sent, packets_received] = self.bytes.map(|column| column.get(at));
        let known = |count: Option<u64>| count.unwrap_or(0);
        let bytes = sent.map(|sent| Bytes {
            sent,
            received: known(received),
            packets_sent: known(packets_sent),
            packets_received: known(packets_received),
        });
        let [began, open] =
            self.opened.map(|column| column.get(at).map(|count| u32::try_from(count).unwrap_or(u32::MAX)));
        Some(Volume {
            bytes,
            counter: Counter::of_word(counter).unwrap_or_default(),
            since: self.since.at(at),
            is_total: self.is_total.at(at),
            connections: began.zip(open).map(|(began, open)| Opened { began, open }),
        })
    }
}
