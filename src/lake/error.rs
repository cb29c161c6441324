//! Why a store cannot be read or written.

use std::io;
use std::path::Path;

use super::parquet::ReadError;

/// A failure of the store. A missing or broken file never stops the others from being read: see [`super::Piece`].
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The folder is not a store.
    #[error(
        "`{path}`: not a store; make one with `egress-atlas import --store {path} --flows ...`, or point at what `collect` writes"
    )]
    NotAStore {
        /// As the user wrote it.
        path: String,
    },
    /// A file or folder of the store cannot be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// Where.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The bucket that the store is in.
    #[error(transparent)]
    Bucket(#[from] super::bucket::BucketError),
    /// Ids were asked for with connections so short that repeats of one row may be several.
    #[error(
        "`[join] idle` is less than a minute: rows of the store stand for all equal records of a minute and have the id of the first; give `idle` a minute or more, or import into a store with `import --no-fold`"
    )]
    Folded,
    /// A file of the store does not hold what it should.
    #[error("`{path}`: {reason}; move the file away, and import its source again if you still have it")]
    Broken {
        /// Where.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl LakeError {
    /// An input or output error at `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }

    /// A file that is not what it should be.
    pub(super) fn broken(path: &Path, reason: &impl std::fmt::Display) -> Self {
        Self::Broken { path: path.display().to_string(), reason: reason.to_string() }
    }

    /// A Parquet file that cannot be read.
    pub(super) fn unreadable(path: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Io(source) => Self::io(path)(source),
            error => Self::broken(path, &error),
        }
    }

    /// Whether a file is gone that was there when the store was listed, as retention leaves it. One whose rows went into a merged file
    /// meanwhile is missed, not gone.
    pub fn is_gone(&self) -> bool {
        let Self::Io { path, source } = self else { return false };
        let merged = |folder: &Path| {
            std::fs::read_dir(folder).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| super::scan::is_compacted(&entry.path())))
            })
        };
        source.kind() == io::ErrorKind::NotFound && !Path::new(path).parent().is_some_and(merged)
    }

    /// Whether the disk is full (or a quota is).
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
            || source.kind() == io::ErrorKind::WriteZero
    }
}
