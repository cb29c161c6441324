//! Files that commands write: each appears whole or not at all; tables as Parquet, CSV or NDJSON by extension.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::lake::{Columns as FrameColumns, Frame, FrameWriter};
use crate::model::Timestamp;
use crate::report::{Column, Columns, csv_text};

/// Writes a file through a temporary one beside it, so that a reader never sees half of it.
pub(super) fn write_file(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = || format!("`{}`: cannot be written; check the folder's permissions and free space", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).with_context(name)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).with_context(name)?;
    let mut buffered = BufWriter::new(&mut temporary);
    content(&mut buffered)?;
    buffered.flush().with_context(name)?;
    drop(buffered);
    readable_by_all(&temporary).with_context(name)?;
    temporary.as_file().sync_all().with_context(name)?;
    temporary.persist(path).map_err(|error| error.error).with_context(name)?;
    Ok(())
}

/// Temporary files are private; documents are for everybody whom the folder lets in.
#[cfg(unix)]
fn readable_by_all(file: &tempfile::NamedTempFile) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &tempfile::NamedTempFile) -> io::Result<()> {
    Ok(())
}

/// Writes text.
pub(super) fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    write_file(path, |out| Ok(out.write_all(text.as_bytes())?))
}

/// How many rows of a long table are text at a time, and so in one row group of a Parquet file.
pub(super) const ROWS_AT_ONCE: usize = 1 << 16;

/// Writes a table in the form that the extension names. It comes in parts of the same columns, at least one, so that a long table is never
/// in memory as text.
pub(super) fn write_table(path: &Path, mut parts: impl Iterator<Item = Columns>) -> anyhow::Result<()> {
    let form = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match form.as_str() {
        "parquet" => write_file(path, |out| write_parquet(out, parts)),
        "csv" => write_file(path, |out| write_csv_parts(out, parts)),
        "ndjson" | "jsonl" => write_file(path, |out| parts.try_for_each(|part| write_ndjson(out, &part))),
        _ => bail!("`{}`: the extension decides the form; use .parquet, .csv or .ndjson", path.display()),
    }
}

fn write_parquet(out: &mut dyn Write, parts: impl Iterator<Item = Columns>) -> anyhow::Result<()> {
    let mut frames = parts.map(frame);
    let Some(first) = frames.next().transpose()? else { return Ok(()) };
    let mut writer = FrameWriter::new(out, &first, Vec::new())?;
    writer.write(&first)?;
    drop(first);
    frames.try_for_each(|frame| anyhow::Ok(writer.write(&frame?)?))?;
    writer.finish()?;
    Ok(())
}

fn frame(columns: Columns) -> anyhow::Result<Frame> {
    let mut frame = FrameColumns::default();
    for (name, column) in columns {
        match column {
            Column::Text(values) => frame.text(name, values.iter().map(String::as_str)),
            Column::Texts(values) => frame.text_lists(name, &values)?,
            Column::Port(values) => frame.number(name, values.into_iter().map(u32::from)),
            Column::Count(values) => frame.count(name, values.into_iter()),
            Column::Counts(values) => frame.optional_count(name, values.into_iter()),
            Column::Ratio(values) => frame.ratio(name, values.into_iter().map(Some)),
            Column::Ratios(values) => frame.ratio(name, values.into_iter()),
            Column::Time(values) => frame.nanos(name, values.into_iter()),
        }
    }
    Ok(frame.frame())
}

/// One value as text, for CSV. Lists are joined by `;`.
fn cell(column: &Column, row: usize) -> String {
    match column {
        Column::Text(values) => values.get(row).map(|text| csv_text(text).into_owned()).unwrap_or_default(),
        Column::Texts(values) => values.get(row).map(|list| csv_text(&list.join(";")).into_owned()).unwrap_or_default(),
        Column::Port(values) => values.get(row).map(ToString::to_string).unwrap_or_default(),
        Column::Count(values) => values.get(row).map(ToString::to_string).unwrap_or_default(),
        Column::Counts(values) => values.get(row).copied().flatten().map(|value| value.to_string()).unwrap_or_default(),
        Column::Ratio(values) => values.get(row).map(ToString::to_string).unwrap_or_default(),
        Column::Ratios(values) => values.get(row).copied().flatten().map(|value| value.to_string()).unwrap_or_default(),
        Column::Time(values) => time(values.get(row).copied().flatten()),
    }
}

fn time(nanos: Option<i64>) -> String {
    nanos.map(|nanos| Timestamp::from_nanos(nanos).to_string()).unwrap_or_default()
}

pub(super) fn write_csv(out: &mut dyn Write, columns: &Columns) -> anyhow::Result<()> {
    write_csv_parts(out, std::iter::once(columns))
}

fn write_csv_parts(
    out: &mut dyn Write,
    parts: impl Iterator<Item = impl std::borrow::Borrow<Columns>>,
) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for (number, part) in parts.enumerate() {
        let columns: &Columns = part.borrow();
        if number == 0 {
            writer.write_record(columns.iter().map(|(name, _)| name))?;
        }
        for row in 0..columns.first().map_or(0, |(_, column)| column.len()) {
            writer.write_record(columns.iter().map(|(_, column)| cell(column, row)))?;
        }
    }
    writer.flush()?;
    Ok(())
}

fn write_ndjson(out: &mut dyn Write, columns: &Columns) -> anyhow::Result<()> {
    for row in 0..columns.first().map_or(0, |(_, column)| column.len()) {
        let mut separator = b"{";
        for (name, column) in columns {
            out.write_all(separator)?;
            separator = b",";
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b":")?;
            match column {
                Column::Texts(values) => serde_json::to_writer(&mut *out, &values.get(row))?,
                Column::Port(values) => serde_json::to_writer(&mut *out, &values.get(row))?,
                Column::Count(values) => serde_json::to_writer(&mut *out, &values.get(row))?,
                Column::Counts(values) => serde_json::to_writer(&mut *out, &values.get(row).copied().flatten())?,
                Column::Ratio(values) => serde_json::to_writer(&mut *out, &values.get(row))?,
                Column::Ratios(values) => serde_json::to_writer(&mut *out, &values.get(row).copied().flatten())?,
                Column::Time(values) => {
                    let text = values.get(row).copied().flatten().map(|nanos| time(Some(nanos)));
                    serde_json::to_writer(&mut *out, &text)?;
                }
                Column::Text(values) => serde_json::to_writer(&mut *out, &values.get(row))?,
            }
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}
