//! One slice → one partial result.
//!
//! In: the plan and a slice of it. Out: a file in the folder of partial results, the same bytes whenever and wherever it is run. One
//! thread; memory follows what is distinct in the slice.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::manifest::{PlanLine, SliceLine};
use super::partial::{self, Header, Rows, SliceError};
use super::taught::Taught;
use crate::lake::{LakeError, Piece, Table, file_bytes, read_ledger_file};
use crate::task::store::{PieceReader, StoreError};

/// What became of a slice, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The slice.
    pub slice: u32,
    /// The manifest that it is of.
    pub manifest: String,
    /// The file that holds the partial result.
    pub partial: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Rows read.
    pub rows: u64,
    /// Connections that they became, as far as one slice can tell.
    pub connections: u64,
    /// Answers.
    pub answers: u64,
    /// Files that cannot be read.
    pub unreadable: usize,
}

/// Runs a slice.
pub fn run(plan: &PlanLine, slice: &SliceLine, out: &Path) -> Result<Outcome, SliceError> {
    let mut reader = PieceReader::new(plan.asked.limits());
    let mut header = Header::new(&plan.manifest, slice.slice, slice.digest());
    let mut taught = Taught::default();
    let (scan, ledger) = (plan.asked.scan(), plan.asked.ledger());
    let mut rows = 0;
    for input in &slice.inputs {
        let (table, path) = input.place(&plan.store)?;
        // A store that lost a file since, or got another in its place, would quietly give another result.
        let found = file_bytes(&path)?;
        if found != input.bytes {
            let path = path.display().to_string();
            return Err(SliceError::OtherFile { path, found, planned: input.bytes });
        }
        if table == Table::Ledger {
            match read_ledger_file(&path, &ledger) {
                Ok(rows) => rows.iter().for_each(|row| taught.add(row)),
                Err(error @ LakeError::Broken { .. }) => header.unreadable.push(error.to_string()),
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        let mut first = input.first;
        for group in &input.groups {
            let piece = Piece { table, path: path.clone(), rows: (first, *group) };
            first = first.saturating_add(*group);
            match reader.read(&piece, &scan) {
                Ok(read) => rows += read,
                Err(StoreError::Lake(error @ LakeError::Broken { .. })) => header.unreadable.push(error.to_string()),
                Err(StoreError::Lake(error)) => return Err(error.into()),
                Err(StoreError::Park(error)) => return Err(SliceError::Park(error)),
            }
        }
    }
    header.accounts =
        reader.accounts.iter().map(|(table, account)| (table.as_str().to_owned(), Rows::of(account))).collect();
    let (path, bytes, folded) = partial::write(out, &header, &taught, reader.fold)?;
    Ok(Outcome {
        slice: slice.slice,
        manifest: plan.manifest.clone(),
        partial: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes,
        rows,
        connections: folded.connections,
        answers: folded.answers,
        unreadable: header.unreadable.len(),
    })
}
