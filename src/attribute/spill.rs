//! Rows parked by partition, in memory while they are few and in one temporary file when they are many.
//!
//! Rows have a fixed size and mean nothing outside this process. A partition is read back whole, so memory follows the
//! size of one partition and not the number of rows.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// How many partitions every spill has. Each worker holds one of them at a time, whole: with more records it is this number that keeps
/// the peak where it is.
pub(crate) const PARTITIONS: usize = 1024;

/// How much is handed to the system at once.
const WRITE_BYTES: usize = 256 << 10;

/// A row that can be parked.
pub(crate) trait Parked: Copy {
    /// Encoded size.
    const BYTES: usize;
    /// Appends exactly [`Self::BYTES`] bytes.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads back what `write` wrote.
    fn read(input: &mut Cursor<'_>) -> Self;
}

/// Reads little-endian integers from a parked row. Past the end it gives zeros; rows are written whole, so that does not happen.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => [0; N],
        }
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.bytes())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }
}

/// Rows by partition.
#[derive(Debug)]
pub(crate) struct Spill<T> {
    /// As they came, with their partitions: one list for all, because a list for each would keep the room of its largest crowd.
    pending: Vec<T>,
    places: Vec<u16>,
    pending_max: usize,
    /// What was never too much for memory, in the order of partitions.
    settled: Vec<T>,
    /// For each partition, the number of settled rows up to and with it.
    settled_ends: Box<[u32]>,
    disk: Option<File>,
    disk_end: u64,
    flushes: Vec<Flush>,
}

/// What was written at once: rows in the order of partitions.
#[derive(Debug)]
struct Flush {
    /// Where it begins in the file.
    start: u64,
    /// For each partition, the number of rows up to and with it. Four bytes each, since a week of traffic makes many flushes.
    ends: Box<[u32]>,
}

impl Flush {
    /// Offset in the file and number of rows of a partition.
    fn extent<T: Parked>(&self, partition: usize) -> (u64, usize) {
        let end =
            |partition: Option<usize>| partition.and_then(|place| self.ends.get(place)).map_or(0, |end| *end as usize);
        let (before, end) = (end(partition.checked_sub(1)), end(Some(partition)));
        (self.start + (before * T::BYTES) as u64, end - before)
    }
}

impl<T: Parked> Spill<T> {
    /// An empty spill that keeps at most `pending_max` rows in memory.
    pub(crate) fn new(pending_max: usize) -> Self {
        Self {
            pending: Vec::new(),
            places: Vec::new(),
            pending_max,
            settled: Vec::new(),
            settled_ends: Box::default(),
            disk: None,
            disk_end: 0,
            flushes: Vec::new(),
        }
    }

    /// Parks a row; `hash` decides its partition.
    pub(crate) fn push(&mut self, hash: u64, row: T) -> io::Result<()> {
        self.places.push(place(hash));
        self.pending.push(row);
        // Not one more than the limit: for that one, a list would double its room.
        if self.pending.len() >= self.pending_max.max(1) { self.flush() } else { Ok(()) }
    }

    /// The rows in memory in the order of partitions, and where each partition ends.
    fn in_order(&self) -> (impl Iterator<Item = T> + '_, Box<[u32]>) {
        let mut ends = vec![0_u32; PARTITIONS];
        for place in &self.places {
            if let Some(count) = ends.get_mut(usize::from(*place)) {
                *count += 1;
            }
        }
        let mut total = 0;
        let mut next: Vec<u32> = Vec::with_capacity(PARTITIONS);
        for end in &mut ends {
            next.push(total);
            total += *end;
            *end = total;
        }
        let mut order = vec![0_u32; self.pending.len()];
        for (number, place) in (0..).zip(&self.places) {
            let Some(next) = next.get_mut(usize::from(*place)) else { continue };
            if let Some(slot) = order.get_mut(*next as usize) {
                *slot = number;
            }
            *next += 1;
        }
        (order.into_iter().filter_map(|number| self.pending.get(number as usize).copied()), ends.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        u32::try_from(self.pending.len()).map_err(io::Error::other)?;
        let mut file = match self.disk.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.seek(SeekFrom::Start(self.disk_end))?;
        let mut out = BufWriter::with_capacity(WRITE_BYTES, file);
        let (rows, ends) = self.in_order();
        let mut encoded = Vec::with_capacity(T::BYTES);
        for row in rows {
            encoded.clear();
            row.write(&mut encoded);
            out.write_all(&encoded)?;
        }
        self.flushes.push(Flush { start: self.disk_end, ends });
        self.disk_end += (self.pending.len() * T::BYTES) as u64;
        self.pending.clear();
        self.places.clear();
        self.disk = Some(out.into_inner()?);
        Ok(())
    }

    /// Brings what is in memory into the order of partitions, once nothing is added any more.
    pub(crate) fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        debug_assert!(self.settled.is_empty(), "nothing is added once a spill is settled");
        let (rows, ends) = self.in_order();
        let settled: Vec<T> = rows.collect();
        (self.settled, self.settled_ends) = (settled, ends);
        (self.pending, self.places) = (Vec::new(), Vec::new());
    }

    fn settled(&self, partition: usize) -> &[T] {
        let end = |partition: usize| self.settled_ends.get(partition).map_or(0, |end| *end as usize);
        let start = partition.checked_sub(1).map_or(0, end);
        self.settled.get(start..end(partition)).unwrap_or_default()
    }

    /// How many rows a partition of a settled spill has.
    pub(crate) fn count(&self, partition: usize) -> usize {
        debug_assert!(self.pending.is_empty(), "a spill is read once it is settled");
        let parked: usize = self.flushes.iter().map(|flush| flush.extent::<T>(partition).1).sum();
        parked + self.settled(partition).len()
    }

    /// Appends the rows of one partition of a settled spill to `rows`.
    pub(crate) fn read(&self, partition: usize, rows: &mut Vec<T>) -> io::Result<()> {
        self.each(partition, |some| {
            rows.extend_from_slice(some);
            Ok(())
        })
    }

    /// Hands over the rows of one partition of a settled spill in several pieces, so that a partition need not fit in memory.
    pub(crate) fn each(&self, partition: usize, mut take: impl FnMut(&[T]) -> io::Result<()>) -> io::Result<()> {
        debug_assert!(self.pending.is_empty(), "a spill is read once it is settled");
        if let Some(file) = &self.disk {
            // Partitions are read by several threads at once, which a shared file position would confuse.
            let (mut buffer, mut rows) = (Vec::new(), Vec::new());
            for (offset, count) in self.flushes.iter().map(|flush| flush.extent::<T>(partition)) {
                if count == 0 {
                    continue;
                }
                buffer.resize(count * T::BYTES, 0);
                read_at(file, &mut buffer, offset)?;
                rows.clear();
                rows.extend(buffer.chunks_exact(T::BYTES).map(|row| T::read(&mut Cursor(row))));
                take(&rows)?;
            }
        }
        match self.settled(partition) {
            [] => Ok(()),
            rows => take(rows),
        }
    }
}

fn place(hash: u64) -> u16 {
    const { assert!(PARTITIONS <= 1 << 16) };
    u16::try_from((hash >> 32) % PARTITIONS as u64).unwrap_or_default()
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::Read;
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Parked for u32 {
        const BYTES: usize = 4;
        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.to_le_bytes());
        }
        fn read(input: &mut Cursor<'_>) -> Self {
            input.u32()
        }
    }

    #[test]
    fn rows_come_back_from_memory_and_from_disk() {
        for limit in [1_000_000, 100, 0] {
            let mut spill = Spill::new(limit);
            for row in 0..5_000_u32 {
                spill.push(u64::from(row) << 32, row).unwrap();
            }
            spill.settle();
            let mut all = Vec::new();
            for partition in 0..PARTITIONS {
                let mut rows = Vec::new();
                spill.read(partition, &mut rows).unwrap();
                assert!(rows.iter().all(|row| *row as usize % PARTITIONS == partition));
                assert_eq!(spill.count(partition), rows.len());
                all.extend(rows);
            }
            all.sort_unstable();
            assert_eq!(all, (0..5_000).collect::<Vec<_>>(), "limit {limit}");
        }
    }
}
