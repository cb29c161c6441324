//! Where things lie: `TABLE/cluster=NAME/date=DAY/bucket=NN/FILE.parquet`, the form that Hive made common.
//!
//! In: cluster, time and client address of a row. Out: its folder, and back. Names of clusters are escaped as Hive does,
//! so that no name leaves the store's folder.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::model::{Timestamp, fnv1a};

/// How many buckets the clients of a day are divided into.
pub const BUCKETS: u8 = 16;

/// Hive's word for "no value".
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";
/// What lies in the root of every store.
const MARK: &str = "egress-atlas-store";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Flow records.
    Flows,
    /// Pairs of name and address, as answered.
    Answers,
    /// Questions that got no address.
    Questions,
    /// Losses as sources report them.
    Losses,
    /// What sources delivered, minute by minute.
    Ledger,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 5] = [Self::Flows, Self::Answers, Self::Questions, Self::Losses, Self::Ledger];

    /// The name of its folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Answers => "answers",
            Self::Questions => "questions",
            Self::Losses => "losses",
            Self::Ledger => "ledger",
        }
    }
}

/// One folder of files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// What it holds.
    pub table: Table,
    /// The cluster; empty when the rows name none.
    pub cluster: String,
    /// Days since the epoch; none for rows without a time.
    pub day: Option<u32>,
    /// Bucket of the client's address; 0 where rows have no client.
    pub bucket: u8,
}

impl Partition {
    /// The folder below the root.
    pub fn folder(&self) -> PathBuf {
        let cluster = if self.cluster.is_empty() { NONE.to_owned() } else { escape(&self.cluster) };
        let day = self.day.map_or_else(|| NONE.to_owned(), date_of);
        Path::new(self.table.as_str())
            .join(format!("cluster={cluster}"))
            .join(format!("date={day}"))
            .join(format!("bucket={:02}", self.bucket))
    }

    /// The partition of a folder below the root; `None` for any other folder.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        let parts: Vec<&str> = folder.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        let [table, cluster, date, bucket] = parts.as_slice() else { return None };
        let table = Table::ALL.into_iter().find(|known| known.as_str() == *table)?;
        let cluster = cluster
            .strip_prefix("cluster=")
            .and_then(|name| if name == NONE { Some(String::new()) } else { unescape(name) })?;
        let day = match date.strip_prefix("date=")? {
            NONE => None,
            date => Some(Timestamp::parse(format!("{date}T00:00:00Z").as_bytes())?.day()),
        };
        Some(Self { table, cluster, day, bucket: bucket.strip_prefix("bucket=")?.parse().ok()? })
    }
}

fn date_of(day: u32) -> String {
    Timestamp::from_nanos(i64::from(day).saturating_mul(86_400_000_000_000)).date()
}

/// Hive's escape: a percent sign and two hexadecimal digits. A leading dot would hide the folder.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0);
        // File names end at 255 bytes; a longer cluster name shares its folder, and the rows tell it in full.
        if escaped.len() > 200 {
            break;
        }
        if plain {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.extend(
                [byte >> 4, byte & 15]
                    .map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase()),
            );
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, next)) = rest.split_first() {
        rest = next;
        if *first == b'%' {
            let (digits, next) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = next;
        } else {
            bytes.push(*first);
        }
    }
    // A name that was cut may end inside a character.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The bucket of a client: FNV-1a over the 16 bytes of its IPv6 form (IPv4 as `::ffff:a.b.c.d`), both halves folded together.
pub fn bucket_of(client: IpAddr) -> u8 {
    let octets = match client {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let hash = fnv1a(&octets);
    let folded = hash ^ (hash >> 32);
    (folded % u64::from(BUCKETS)).try_into().unwrap_or(0)
}

/// Whether a folder is a store.
pub fn is_store(root: &Path) -> bool {
    root.join(MARK).is_file() || Table::ALL.iter().any(|table| root.join(table.as_str()).is_dir())
}

/// The file with the name of whoever ships this store to a bucket.
pub(super) const WRITER: [&str; 2] = ["state", "writer"];

/// Whether a store is shipped to a bucket.
pub(super) fn is_shipped(root: &Path) -> bool {
    root.join(WRITER.join("/")).is_file()
}

/// The file that tells a store from any other folder, and what it says.
pub(super) fn mark() -> (&'static str, &'static str) {
    (MARK, "A store of egress-atlas, form 1. Parquet below TABLE/cluster=/date=/bucket=; see docs/collect.md.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_back() {
        for (cluster, day) in
            [("prod-eu", Some(20_000)), ("", None), ("../a b/%", Some(0)), (".hidden", Some(1)), ("ü", Some(2))]
        {
            let partition = Partition { table: Table::Answers, cluster: cluster.to_owned(), day, bucket: 7 };
            let folder = partition.folder();
            assert_eq!(folder.components().count(), 4, "{folder:?}");
            assert_eq!(Partition::of_folder(&folder), Some(partition));
        }
        assert_eq!(Partition::of_folder(Path::new("flows/cluster=a/date=soon/bucket=01")), None);
        assert_eq!(Partition::of_folder(Path::new("wal/x")), None);
    }

    #[test]
    fn the_bucket_of_an_address_never_changes() {
        let check = |address: &str, bucket: u8| assert_eq!(bucket_of(address.parse().unwrap()), bucket, "{address}");
        check("10.0.0.1", bucket_of("::ffff:10.0.0.1".parse().unwrap()));
        let used: std::collections::BTreeSet<u8> = (0..=255).map(|last| bucket_of([10, 0, 3, last].into())).collect();
        assert_eq!(used.len(), usize::from(BUCKETS));
    }
}
