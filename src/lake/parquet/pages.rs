//! Pages of columns into zstd, and out of it.
//!
//! In: pages as they are encoded; or the bytes of a column in a file. Out: compressed pages; or the same bytes as they would be in a file
//! without compression. Every length that a page claims is checked before room is made for it.

use std::io;

use polars_parquet::parquet::CowBuffer;
use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::page::{CompressedDataPage, CompressedDictPage, CompressedPage, Page};
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
use polars_parquet_format::{Encoding, PageHeader, PageType};
use zstd::bulk::{Compressor, Decompressor};

/// Bytes of a column in one row group at most, when nothing is compressed: hundreds of times what is written.
const CHUNK_MAX: usize = 1 << 30;

/// What is wrong with the pages of a column.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// A header does not parse.
    #[error("page without a readable header: {0}")]
    Header(String),
    /// A length contradicts others, or what the footer says.
    #[error("page {0}")]
    Length(&'static str),
    /// The bytes are not those that were compressed.
    #[error("page that does not decompress: {0}")]
    Zstd(#[from] io::Error),
    /// Compressed by something else.
    #[error("compressed as {0:?}; a store has zstd")]
    Codec(Compression),
}

/// Compresses and decompresses. One is for one thread; it keeps its memory from page to page.
#[derive(Default)]
pub(super) struct Zstd {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

impl Zstd {
    /// Compresses a page.
    pub(super) fn compress(&mut self, page: &Page) -> io::Result<CompressedPage> {
        let squeeze = |bytes: &[u8], compressor: &mut Compressor<'static>| {
            let mut squeezed = compressor.compress(bytes)?;
            squeezed.shrink_to_fit();
            io::Result::Ok(CowBuffer::Owned(squeezed))
        };
        Ok(match page {
            Page::Data(page) => {
                let bytes = squeeze(page.buffer(), &mut self.compressor)?;
                let (header, descriptor) = (page.header().clone(), page.descriptor.clone());
                let (length, rows) = (page.buffer().len(), page.num_rows().unwrap_or_else(|| page.num_values()));
                CompressedPage::Data(CompressedDataPage::new(
                    header,
                    bytes,
                    Compression::Zstd,
                    length,
                    descriptor,
                    rows,
                ))
            }
            Page::Dict(page) => {
                let bytes = squeeze(&page.buffer, &mut self.compressor)?;
                let (length, values) = (page.buffer.len(), page.num_values);
                CompressedPage::Dict(CompressedDictPage::new(bytes, Compression::Zstd, length, values, page.is_sorted))
            }
        })
    }

    /// The bytes of a column with so many rows as they would be in a file without compression.
    pub(super) fn decompress(&mut self, chunk: &[u8], codec: Compression, rows: usize) -> Result<Vec<u8>, PageError> {
        if !matches!(codec, Compression::Zstd | Compression::Uncompressed) {
            return Err(PageError::Codec(codec));
        }
        let (mut rest, mut plain, mut values) = (chunk, Vec::new(), 0);
        while values < rows {
            let mut header = PageHeader::read_from_in_protocol(&mut TCompactInputProtocol::new(&mut rest, chunk.len()))
                .map_err(|error| PageError::Header(error.to_string()))?;
            let length = usize::try_from(header.compressed_page_size).ok();
            let (body, behind) = length
                .and_then(|length| rest.split_at_checked(length))
                .ok_or(PageError::Length("longer than its column"))?;
            rest = behind;
            let length = usize::try_from(header.uncompressed_page_size)
                .ok()
                .filter(|length| *length <= CHUNK_MAX.saturating_sub(plain.len()))
                .ok_or(PageError::Length("too long"))?;
            let own =
                Claims::of(&header, length).ok_or(PageError::Length("with lengths or an encoding that cannot be"))?;
            values += own.values;
            header.compressed_page_size = header.uncompressed_page_size;
            header.crc = None;
            header
                .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut plain))
                .map_err(|error| PageError::Header(error.to_string()))?;
            self.expand(body, codec, own.bare, length, &mut plain)?;
        }
        if values > rows { Err(PageError::Length("with more rows than its row group")) } else { Ok(plain) }
    }

    /// Appends the bytes of a page, of which the first are never compressed.
    fn expand(
        &mut self,
        body: &[u8],
        codec: Compression,
        bare: Option<usize>,
        length: usize,
        plain: &mut Vec<u8>,
    ) -> Result<(), PageError> {
        let wrong = || PageError::Length("of another length than it says");
        let Some(bare) = bare.filter(|_| codec == Compression::Zstd) else {
            plain.extend_from_slice(body);
            return if body.len() == length { Ok(()) } else { Err(wrong()) };
        };
        let (levels, squeezed) = body.split_at_checked(bare).ok_or_else(wrong)?;
        plain.extend_from_slice(levels);
        let (start, expected) = (plain.len(), length - bare);
        // A page of nothing but empty cells.
        if squeezed.is_empty() && expected == 0 {
            return Ok(());
        }
        plain.resize(start + expected, 0);
        let room = plain.get_mut(start..).unwrap_or_default();
        if self.decompressor.decompress_to_buffer(squeezed, room)? == expected { Ok(()) } else { Err(wrong()) }
    }
}

/// What a page says of itself.
struct Claims {
    /// Rows, of a page of data.
    values: usize,
    /// Bytes at its beginning that are never compressed; `None` when none are.
    bare: Option<usize>,
}

impl Claims {
    /// `None` if that cannot be in a page of this length, or is encoded as no store is: the others take numbers of values and lengths from
    /// within the page, where nothing checks them.
    fn of(header: &PageHeader, length: usize) -> Option<Self> {
        let size = |number: i32| usize::try_from(number).ok();
        let is_ours = |encoding: Encoding| {
            let ours = [Encoding::PLAIN, Encoding::RLE, Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
            ours.contains(&encoding).then_some(())
        };
        match header.type_ {
            PageType::DATA_PAGE => {
                let own = header.data_page_header.as_ref()?;
                is_ours(own.encoding)?;
                Some(Self { values: size(own.num_values)?, bare: Some(0) })
            }
            PageType::DATA_PAGE_V2 => {
                let own = header.data_page_header_v2.as_ref()?;
                is_ours(own.encoding)?;
                let levels =
                    size(own.definition_levels_byte_length)?.checked_add(size(own.repetition_levels_byte_length)?)?;
                let is_compressed = own.is_compressed.unwrap_or(true);
                let bare = is_compressed.then_some(levels);
                (levels <= length).then_some(Self { values: size(own.num_values)?, bare })
            }
            PageType::DICTIONARY_PAGE => {
                // A value has a byte at least.
                let own = header.dictionary_page_header.as_ref()?;
                is_ours(own.encoding)?;
                let values = size(own.num_values)?;
                (values <= length).then_some(Self { values: 0, bare: Some(0) })
            }
            _ => None,
        }
    }
}
