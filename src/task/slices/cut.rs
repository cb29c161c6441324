//! From a store to slices of bounded size.
//!
//! In: the store and what is asked. Out: a manifest. Cut by cluster first, then by days, by buckets of client addresses within a
//! day that is too large, by row groups within a bucket that is too large. How it is cut changes costs and never a result.

use std::path::Path;

use super::manifest::{Asked, FORM, Manifest, PlanLine, SliceInput, SliceLine, VERSION};
use crate::lake::{
    Bucket, Imports, LakeError, Mirror, Partition, Piece, Plan, Wanted, file_bytes, ledger_pieces, scan,
};
use crate::model::Timestamp;

/// Rows of a slice, unless told otherwise: some seconds of work, so that starting a process costs little beside it, and few enough
/// that a task is tried again cheaply.
pub const SLICE_ROWS: u64 = 4_000_000;

/// A piece of the store with its place.
struct Unit {
    partition: Partition,
    file: String,
    bytes: u64,
    rows: (usize, usize),
}

/// What may share a slice: nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Days,
    Buckets(Option<u32>),
    Groups(Option<u32>, u8),
}

/// Plans slices of about `slice_rows` rows. Reads footers only.
pub fn plan(store: &Path, asked: &Asked, slice_rows: u64) -> Result<Manifest, LakeError> {
    let absolute = std::path::absolute(store).map_err(LakeError::io(store))?;
    plan_at(&absolute, (store, &absolute), asked, slice_rows, scan(&absolute, &asked.scan())?)
}

/// The same of a store in a bucket, which outputs call `store`. Of its objects footers are fetched only.
pub fn plan_bucket(bucket: &Bucket, store: &Path, asked: &Asked, slice_rows: u64) -> Result<Manifest, LakeError> {
    let mirror = Mirror::footers(bucket, Wanted { scan: &asked.scan(), ledger: &asked.ledger() })?;
    let mut scanned = scan(mirror.root(), &asked.scan())?;
    scanned.files_passed_over += mirror.passed_over;
    for broken in &mut scanned.broken {
        *broken = mirror.retold(broken);
    }
    plan_at(mirror.root(), (store, store), asked, slice_rows, scanned)
}

fn plan_at(
    root: &Path,
    (given, shared): (&Path, &Path),
    asked: &Asked,
    slice_rows: u64,
    mut scanned: Plan,
) -> Result<Manifest, LakeError> {
    let (ledger, broken) = ledger_pieces(root, &asked.ledger())?;
    let told = |broken: String| broken.replace(&*root.to_string_lossy(), &shared.to_string_lossy());
    scanned.broken.extend(broken.into_iter().map(told));
    scanned.broken.sort();
    let mut units = Vec::new();
    for piece in std::mem::take(&mut scanned.pieces).into_iter().chain(ledger) {
        units.extend(unit(root, &piece)?);
    }
    units.sort_by(|one, two| {
        (&one.partition.cluster, one.partition.day, one.partition.bucket, &one.file, one.rows).cmp(&(
            &two.partition.cluster,
            two.partition.day,
            two.partition.bucket,
            &two.file,
            two.rows,
        ))
    });
    let mut slices = Vec::new();
    for of_cluster in units.chunk_by(|one, two| one.partition.cluster == two.partition.cluster) {
        for units in packed(of_cluster, slice_rows) {
            let number = u32::try_from(slices.len()).unwrap_or(u32::MAX);
            slices.extend(slice(number, units));
        }
    }
    let rows = slices.iter().map(|slice| slice.rows).sum();
    let line = plan_line(&Imports::read(root)?, (given, shared), asked, &scanned, rows);
    Ok(Manifest::new(line, slices))
}

fn plan_line(imports: &Imports, (given, shared): (&Path, &Path), asked: &Asked, scanned: &Plan, rows: u64) -> PlanLine {
    let told = imports.told().into_iter().filter(|import| {
        import.problem.is_some() || import.rejected.values().chain(import.excluded.values()).any(|count| *count > 0)
    });
    PlanLine {
        manifest: String::new(),
        form: FORM,
        version: VERSION.to_owned(),
        slices: 0,
        rows,
        imports: told.collect(),
        store: shared.to_owned(),
        store_as_given: given.to_owned(),
        asked: asked.clone(),
        passed_over: [scanned.files_passed_over, scanned.groups_passed_over, scanned.rows_passed_over],
        broken: scanned.broken.clone(),
    }
}

fn unit(root: &Path, piece: &Piece) -> Result<Option<Unit>, LakeError> {
    let Ok(below) = piece.path.strip_prefix(root) else { return Ok(None) };
    let Some(partition) = below.parent().and_then(Partition::of_folder) else { return Ok(None) };
    let file = below.to_string_lossy().into_owned();
    Ok(Some(Unit { partition, file, bytes: file_bytes(&piece.path)?, rows: piece.rows }))
}

fn rows_of(units: &[Unit]) -> u64 {
    units.iter().map(|unit| unit.rows.1 as u64).sum()
}

/// The units of one cluster, in stretches of at most `slice_rows` rows; a single row group may have more.
fn packed(units: &[Unit], slice_rows: u64) -> Vec<&[Unit]> {
    let mut blocks: Vec<(Level, usize, u64)> = Vec::new();
    for day in units.chunk_by(|one, two| one.partition.day == two.partition.day) {
        let Some(number) = day.first().map(|unit| unit.partition.day) else { continue };
        if rows_of(day) <= slice_rows {
            blocks.push((Level::Days, day.len(), rows_of(day)));
            continue;
        }
        for bucket in day.chunk_by(|one, two| one.partition.bucket == two.partition.bucket) {
            let Some(unit) = bucket.first() else { continue };
            if rows_of(bucket) <= slice_rows {
                blocks.push((Level::Buckets(number), bucket.len(), rows_of(bucket)));
            } else {
                let level = Level::Groups(number, unit.partition.bucket);
                blocks.extend(bucket.iter().map(|unit| (level, 1, unit.rows.1 as u64)));
            }
        }
    }
    let (mut made, mut start, mut end) = (Vec::new(), 0, 0);
    let mut current: Option<(Level, u64)> = None;
    for (level, length, rows) in blocks {
        match &mut current {
            Some((known, held)) if *known == level && *held + rows <= slice_rows => *held += rows,
            _ => {
                made.extend(units.get(start..end).filter(|some| !some.is_empty()));
                start = end;
                current = Some((level, rows));
            }
        }
        end += length;
    }
    made.extend(units.get(start..end).filter(|some| !some.is_empty()));
    made
}

fn slice(number: u32, units: &[Unit]) -> Option<SliceLine> {
    let (first, last) = (units.first()?, units.last()?);
    let date = |day: u32| Timestamp::from_nanos(i64::from(day).saturating_mul(86_400_000_000_000)).date();
    let mut inputs: Vec<SliceInput> = Vec::new();
    for unit in units {
        match inputs.last_mut() {
            Some(input)
                if input.file == unit.file && input.first + input.groups.iter().sum::<usize>() == unit.rows.0 =>
            {
                input.groups.push(unit.rows.1);
            }
            _ => inputs.push(SliceInput {
                file: unit.file.clone(),
                bytes: unit.bytes,
                first: unit.rows.0,
                groups: vec![unit.rows.1],
            }),
        }
    }
    let days = units.iter().find_map(|unit| unit.partition.day).zip(last.partition.day);
    let buckets = units.iter().map(|unit| unit.partition.bucket);
    Some(SliceLine {
        slice: number,
        cluster: first.partition.cluster.clone(),
        days: days.map(|(from, until)| (date(from), date(until))),
        buckets: (buckets.clone().min()?, buckets.max()?),
        rows: rows_of(units),
        inputs,
    })
}
