//! The ledger: what each source delivered in each minute, what it lost, and how long it was away.
//!
//! In: rows of the collector, minute of arrival by minute. Out: the same rows, summed over files. It tells what rows of
//! traffic cannot: that a source was there and had nothing to say, or that it was not there.

use std::path::Path;

use polars::prelude::{DataFrame, PolarsResult};

use super::error::LakeError;
use super::frame::{Columns, counts, signed, texts, time_at, times};
use super::layout::Table;
use super::scan::{Piece, ScanOptions, files, metadata, read_whole};
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

pub(super) fn ledger_frame(rows: &[&LedgerRow]) -> Result<DataFrame, String> {
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
    columns.frame(rows.len())
}

fn rows_of(frame: &DataFrame, rows: &mut Vec<LedgerRow>) -> PolarsResult<()> {
    let [time, cluster, kind, source, origin, read, used, rejected, excluded, lost, missing, delay] = STORED_LEDGER;
    let time = times(frame, time)?;
    let [cluster, kind, source, origin] = [cluster, kind, source, origin].map(|name| texts(frame, name));
    let (cluster, kind, source, origin) = (cluster?, kind?, source?, origin?);
    let [read, used, rejected, excluded, lost, missing] =
        [read, used, rejected, excluded, lost, missing].map(|name| counts(frame, name));
    let (read, used, rejected, excluded) = (read?, used?, rejected?, excluded?);
    let (lost, missing, delay) = (lost?, missing?, signed(frame, delay)?);
    for row in 0..frame.height() {
        let text = |column: &polars::prelude::StringChunked| column.get(row).unwrap_or_default().to_owned();
        let count = |column: &polars::prelude::UInt64Chunked| column.get(row).unwrap_or(0);
        rows.push(LedgerRow {
            minute: time_at(&time, row),
            cluster: text(cluster),
            kind: if kind.get(row) == Some(SourceKind::Dns.as_str()) { SourceKind::Dns } else { SourceKind::Flows },
            source: text(source),
            origin: text(origin),
            read: count(read),
            used: count(used),
            rejected: count(rejected),
            excluded: count(excluded),
            lost: count(lost),
            missing_nanos: count(missing),
            delay_nanos: delay.get(row),
        });
    }
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
    // A footer that cannot be read is told as for every other table.
    metadata(path)?;
    let mut rows = Vec::new();
    rows_of(&read_whole(path)?, &mut rows).map_err(|error| LakeError::broken(path, &error))?;
    rows.retain(|row| options.asks_for(row.minute, row.minute));
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
