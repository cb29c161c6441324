//! The ledger: what each source delivered in each minute, what it lost, and how long it was away.
//!
//! In: rows of the collector, minute of arrival by minute. Out: the same rows, summed over files. It tells what rows of
//! traffic cannot: that a source was there and had nothing to say, or that it was not there.

use std::path::Path;

use super::error::LakeError;
use super::frame::{Columns, Frame, FrameError};
use super::layout::Table;
use super::scan::{Piece, ScanOptions, files, frames, metadata};
use crate::model::columns::STORED_LEDGER;
use crate::model::{SourceKind, Timestamp};

/// One source in one minute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerRow {
    /// Start of the minute of arrival.
    pub minute: Timestamp,
    /// The cluster of the source; empty when nobody names one.
    pub cluster: String,
    /// What it delivers.
    pub kind: SourceKind,
    /// Node or resolver.
    pub source: String,
    /// The listener or file it came through.
    pub origin: String,
    /// Records that arrived.
    pub read: u64,
    /// Of these, in the store.
    pub used: u64,
    /// Of these, broken.
    pub rejected: u64,
    /// Of these, left out by name.
    pub excluded: u64,
    /// Events lost, by its own account or by ours.
    pub lost: u64,
    /// How long the source had been away when it came back, in nanoseconds; the minute is that of its return.
    pub missing_nanos: u64,
    /// The shortest time from event to arrival, in nanoseconds: delivery delay plus difference of clocks.
    pub delay_nanos: Option<i64>,
}

pub(super) fn ledger_frame(rows: &[&LedgerRow]) -> Frame {
    let [time, cluster, kind, source, origin, read, used, rejected, excluded, lost, missing, delay] = STORED_LEDGER;
    let mut columns = Columns::default();
    columns.time(time, rows.iter().map(|row| row.minute));
    columns.text(cluster, rows.iter().map(|row| row.cluster.as_str()));
    columns.text(kind, rows.iter().map(|row| row.kind.as_str()));
    columns.text(source, rows.iter().map(|row| row.source.as_str()));
    columns.text(origin, rows.iter().map(|row| row.origin.as_str()));
    columns.count(read, rows.iter().map(|row| row.read));
    columns.count(used, rows.iter().map(|row| row.used));
    columns.count(rejected, rows.iter().map(|row| row.rejected));
    columns.count(excluded, rows.iter().map(|row| row.excluded));
    columns.count(lost, rows.iter().map(|row| row.lost));
    columns.count(missing, rows.iter().map(|row| row.missing_nanos));
    columns.signed(delay, rows.iter().map(|row| row.delay_nanos));
    columns.frame()
}

fn rows_of(frame: &Frame, rows: &mut Vec<LedgerRow>) -> Result<(), FrameError> {
    let [time, cluster, kind, source, origin, read, used, rejected, excluded, lost, missing, delay] = STORED_LEDGER;
    let (time, cluster, kind) = (frame.times(time)?, frame.texts(cluster)?, frame.texts(kind)?);
    let (source, origin) = (frame.texts(source)?, frame.texts(origin)?);
    let (read, used, rejected) = (frame.counts(read)?, frame.counts(used)?, frame.counts(rejected)?);
    let (excluded, lost, missing) = (frame.counts(excluded)?, frame.counts(lost)?, frame.counts(missing)?);
    let delay = frame.signed(delay)?;
    rows.extend((0..frame.rows()).map(|row| LedgerRow {
        minute: time.at(row),
        cluster: cluster.at(row).to_owned(),
        kind: if kind.at(row) == SourceKind::Dns.as_str() { SourceKind::Dns } else { SourceKind::Flows },
        source: source.at(row).to_owned(),
        origin: origin.at(row).to_owned(),
        read: read.at(row),
        used: used.at(row),
        rejected: rejected.at(row),
        excluded: excluded.at(row),
        lost: lost.at(row),
        missing_nanos: missing.at(row),
        delay_nanos: delay.get(row),
    }));
    Ok(())
}

/// The ledger of a store.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Rows, in order.
    pub rows: Vec<LedgerRow>,
    /// Files that cannot be read, with the reason.
    pub broken: Vec<String>,
}

/// The files of the ledger within a window, each as one piece, and those that cannot be read, with the reason.
pub fn ledger_pieces(root: &Path, options: &ScanOptions) -> Result<(Vec<Piece>, Vec<String>), LakeError> {
    let (mut pieces, mut broken) = (Vec::new(), Vec::new());
    for (partition, path) in files(root, Table::Ledger)? {
        if !options.asks_for_partition(&partition) {
            continue;
        }
        match metadata(&path) {
            Ok(metadata) => pieces.push(Piece { table: Table::Ledger, path, rows: (0, metadata.num_rows) }),
            // Retention took it away since the folder was listed.
            Err(error) if error.is_gone() => {}
            Err(error) => broken.push(error.to_string()),
        }
    }
    Ok((pieces, broken))
}

/// The rows of one file of the ledger that lie within a window.
pub fn read_ledger_file(path: &Path, options: &ScanOptions) -> Result<Vec<LedgerRow>, LakeError> {
    let mut rows = read_rows(path)?;
    rows.retain(|row| options.asks_for(row.minute, row.minute));
    Ok(rows)
}

/// The rows of one file of the ledger.
pub(super) fn read_rows(path: &Path) -> Result<Vec<LedgerRow>, LakeError> {
    let mut rows = Vec::new();
    for frame in frames(path)? {
        rows_of(&frame?, &mut rows).map_err(|error| LakeError::broken(path, &error))?;
    }
    Ok(rows)
}

/// The ledger of a store within a window. A store without one has none; a broken file costs only its own rows.
pub fn read_ledger(root: &Path, options: &ScanOptions) -> Result<Ledger, LakeError> {
    let mut ledger = Ledger::default();
    for (partition, path) in files(root, Table::Ledger)? {
        if !options.asks_for_partition(&partition) {
            continue;
        }
        match read_ledger_file(&path, options) {
            Ok(mut rows) => ledger.rows.append(&mut rows),
            // Retention took it away since the folder was listed.
            Err(error) if error.is_gone() => {}
            Err(error) => ledger.broken.push(error.to_string()),
        }
    }
    ledger.rows.sort();
    Ok(ledger)
}
