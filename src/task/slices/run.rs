//! One slice → one partial result.
//!
//! In: the plan and a slice of it. Out: a file in the folder of partial results, the same bytes whenever and wherever it is run. One
//! thread; memory follows what is distinct in the slice.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::manifest::{PlanLine, SliceLine};
use super::partial::{self, Header, Rows, SliceError};
use super::taught::Taught;
use crate::lake::{Bucket, LakeError, Mirror, Piece, Table, file_bytes, read_ledger_file};
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
    run_at(plan, slice, &plan.store, out)
}

/// Runs a slice of a store in a bucket, of which only what the slice names is fetched.
pub fn run_bucket(bucket: &Bucket, plan: &PlanLine, slice: &SliceLine, out: &Path) -> Result<Outcome, SliceError> {
    let mut files = Vec::new();
    for input in &slice.inputs {
        let (table, _) = input.place(&plan.store)?;
        let last = input.groups.iter().fold(input.first, |last, group| last.saturating_add(*group));
        files.push((table, input.file.clone(), input.first..last));
    }
    let mirror = Mirror::of_rows(bucket, &files)?;
    run_at(plan, slice, mirror.root(), out).map_err(|error| match error {
        SliceError::Lake(error) => SliceError::Remote(mirror.retold(&error.to_string())),
        SliceError::OtherFile { path, found, planned } => {
            SliceError::OtherFile { path: mirror.retold(&path), found, planned }
        }
        error => error,
    })
}

/// Runs a slice of a store that is a folder here.
fn run_at(plan: &PlanLine, slice: &SliceLine, root: &Path, out: &Path) -> Result<Outcome, SliceError> {
    // What a partial result says must not depend on where it was made.
    let told = |error: &LakeError| error.to_string().replace(&*root.to_string_lossy(), &plan.store.to_string_lossy());
    let mut reader = PieceReader::new(plan.asked.limits());
    let mut header = Header::new(&plan.manifest, slice.slice, slice.digest());
    let mut taught = Taught::default();
    let (scan, ledger) = (plan.asked.scan(), plan.asked.ledger());
    let mut rows = 0;
    for input in &slice.inputs {
        let (table, path) = input.place(root)?;
        // A store that lost a file since, or got another in its place, would quietly give another result.
        let found = file_bytes(&path)?;
        if found != input.bytes {
            let path = path.display().to_string();
            return Err(SliceError::OtherFile { path, found, planned: input.bytes });
        }
        if table == Table::Ledger {
            match read_ledger_file(&path, &ledger) {
                Ok(rows) => rows.iter().for_each(|row| taught.add(row)),
                Err(error @ LakeError::Broken { .. }) => header.unreadable.push(told(&error)),
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
                Err(StoreError::Lake(error @ LakeError::Broken { .. })) => header.unreadable.push(told(&error)),
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
