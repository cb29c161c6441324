//! Frames in Parquet files.
//!
//! In: frames, one for each row group. Out: files that every reader of Parquet reads; and frames again. The encoding of columns is that of
//! polars' Parquet crate; compression, and every length that a file claims, are looked after here.

mod footer;
mod pages;
mod read;
mod write;

pub(super) use read::{ReadError, StoredFile};
pub(crate) use write::FrameWriter;

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars_parquet::parquet::compression::Compression;
    use polars_parquet::parquet::metadata::RowGroupMetadata;
    use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
    use polars_parquet_format::{Encoding, PageHeader};

    use super::super::frame::{Columns, Frame};
    use super::pages::Zstd;
    use super::{FrameWriter, StoredFile};
    use crate::model::Timestamp;

    const ROWS: u32 = 5_000;

    /// Every kind of column; half of the rows have something in those that may be empty.
    fn frame(from: u32) -> Frame {
        let rows = || from..from + ROWS;
        let half = |row: u32| row.is_multiple_of(2).then_some(row);
        let texts: Vec<String> = rows().map(|row| format!("pod-{row}.example")).collect();
        let mut columns = Columns::default();
        columns.time("time", rows().map(|row| Timestamp::from_nanos(i64::from(row) * 1_000)));
        columns.time(
            "began",
            rows().map(|row| half(row).map_or(Timestamp::UNKNOWN, |row| Timestamp::from_nanos(row.into()))),
        );
        columns.text("text", texts.iter().map(String::as_str));
        columns.text("few", rows().map(|row| if row % 3 == 0 { "" } else { "shop" }));
        columns.optional_text("some", texts.iter().zip(rows()).map(|(text, row)| half(row).map(|_| text.as_str())));
        columns.optional_text("none", rows().map(|_| None));
        columns.number("number", rows());
        columns.count("count", rows().map(|row| u64::from(row) << 32));
        columns.optional_count("counted", rows().map(|row| half(row).map(u64::from)));
        columns.signed("signed", rows().map(|row| half(row).map(|row| -i64::from(row))));
        columns.flag("flag", rows().map(|row| row % 5 == 0));
        columns.ratio("ratio", rows().map(|row| Some(f64::from(row))));
        columns.frame()
    }

    fn cells(frame: &Frame, row: usize) -> String {
        let time = |name| frame.times(name).unwrap().at(row).nanos();
        let text = |name| frame.texts(name).unwrap().get(row);
        let counts = ["count", "counted"].map(|name| frame.counts(name).unwrap().get(row));
        format!(
            "{:?} {:?} {:?} {counts:?} {:?} {}",
            ["time", "began"].map(time),
            ["text", "few", "some", "none"].map(text),
            frame.numbers("number").unwrap().at(row),
            frame.signed("signed").unwrap().get(row),
            frame.flags("flag").unwrap().at(row),
        )
    }

    fn written(folder: &std::path::Path) -> std::path::PathBuf {
        let path = folder.join("x.parquet");
        let notes = vec![("who".to_owned(), "me".to_owned())];
        let mut writer = FrameWriter::new(File::create(&path).unwrap(), &frame(0), notes).unwrap();
        for from in [0, ROWS, 2 * ROWS] {
            writer.write(&frame(from)).unwrap();
        }
        assert!(writer.write(&Columns::default().frame()).is_ok(), "no rows are no row group");
        writer.finish().unwrap();
        path
    }

    /// The columns of the first row group, as they lie in the file.
    fn columns_of_a_file() -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let place = |offset: u64| usize::try_from(offset).unwrap();
        let column = |range: std::ops::Range<u64>| bytes[place(range.start)..place(range.end)].to_vec();
        let footer = open(&path).into_footer();
        footer.row_groups[0].parquet_columns().iter().map(|chunk| column(chunk.byte_range())).collect()
    }

    fn open(path: &std::path::Path) -> StoredFile {
        StoredFile::new(File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn any_range_of_rows_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let rows = ROWS as usize;
        for range in
            [0..usize::MAX, 0..1, rows - 1..rows + 1, rows..2 * rows, 17..3 * rows - 17, 3 * rows..9 * rows, 5..5]
        {
            let (start, end) = (range.start, range.end.min(3 * rows));
            let mut next = start;
            for read in open(&path).frames(range.clone(), Some("ratio")) {
                let read = read.unwrap();
                assert!(read.rows() > 0 && !read.has("ratio"));
                for row in (0..read.rows()).step_by(7) {
                    let expected = frame(u32::try_from(next + row).unwrap()).part(0, 1);
                    assert_eq!(cells(&read, row), cells(&expected, 0), "{range:?}");
                }
                next += read.rows();
            }
            assert_eq!(next, end.max(start), "{range:?}");
        }
    }

    #[test]
    fn the_footer_has_the_schema_for_pandas_and_the_notes() {
        let folder = tempfile::tempdir().unwrap();
        let footer = open(&written(folder.path())).into_footer();
        let keys: Vec<_> = footer.key_value_metadata.iter().flatten().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["ARROW:schema", "who"]);
        assert_eq!(footer.row_groups.iter().map(RowGroupMetadata::num_rows).collect::<Vec<_>>(), [ROWS as usize; 3]);
    }

    #[test]
    fn a_column_that_is_missing_or_otherwise_is_named() {
        let frame = frame(0);
        let error = |result: Result<(), super::super::frame::FrameError>| result.unwrap_err().to_string();
        assert_eq!(error(frame.texts("nothing").map(drop)), "column `nothing` is missing");
        assert_eq!(error(frame.counts("number").map(drop)), "column `number` does not hold counts of 64 bits");
        assert_eq!(error(frame.times("signed").map(drop)), "column `signed` does not hold times");
        let file = || File::create(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        let mut other = Columns::default();
        other.number("number", 0..3);
        let mut writer = FrameWriter::new(file(), &frame, Vec::new()).unwrap();
        assert!(error(writer.write(&other.frame())).contains("not those of the file"));
    }

    /// Other encodings say within the page how many values there are, and are believed by their decoders.
    #[test]
    fn pages_are_encoded_as_ours_or_refused() {
        let (rows, mut zstd) = (ROWS as usize, Zstd::default());
        let plain = zstd.decompress(&columns_of_a_file()[0], Compression::Zstd, rows).unwrap();
        for (encoding, is_ours) in [
            (Encoding::PLAIN, true),
            (Encoding::RLE_DICTIONARY, true),
            (Encoding::DELTA_BINARY_PACKED, false),
            (Encoding::DELTA_LENGTH_BYTE_ARRAY, false),
            (Encoding::DELTA_BYTE_ARRAY, false),
            (Encoding::BYTE_STREAM_SPLIT, false),
            (Encoding(77), false),
        ] {
            let mut rest = plain.as_slice();
            let mut protocol = TCompactInputProtocol::new(&mut rest, plain.len());
            let mut header = PageHeader::read_from_in_protocol(&mut protocol).unwrap();
            let dictionary = header.dictionary_page_header.as_mut().map(|own| &mut own.encoding);
            *dictionary.or(header.data_page_header.as_mut().map(|own| &mut own.encoding)).unwrap() = encoding;
            let mut changed = Vec::new();
            header.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut changed)).unwrap();
            changed.extend_from_slice(rest);
            let read = zstd.decompress(&changed, Compression::Uncompressed, rows);
            assert_eq!(read.is_ok(), is_ours, "{encoding:?}");
        }
    }

    #[test]
    fn lengths_that_pages_claim_are_checked() {
        let (rows, mut zstd) = (ROWS as usize, Zstd::default());
        for own in &columns_of_a_file() {
            let plain = zstd.decompress(own, Compression::Zstd, rows).unwrap();
            assert_eq!(zstd.decompress(&plain, Compression::Uncompressed, rows).unwrap(), plain);
            for end in (0..own.len()).step_by(own.len() / 50 + 1) {
                assert!(zstd.decompress(&own[..end], Compression::Zstd, rows).is_err(), "cut at {end}");
            }
            assert!(zstd.decompress(own, Compression::Zstd, rows - 1).is_err(), "more rows than the row group");
            assert!(zstd.decompress(own, Compression::Zstd, rows + 1).is_err(), "fewer rows than the row group");
            assert!(zstd.decompress(own, Compression::Uncompressed, rows).is_err());
            let error = zstd.decompress(own, Compression::Snappy, rows).unwrap_err();
            assert_eq!(error.to_string(), "compressed as Snappy; a store has zstd");
        }
    }
}
