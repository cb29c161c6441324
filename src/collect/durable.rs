//! Small files that survive a crash: whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The ending of files that are not finished; no pattern for `*.parquet` finds them.
pub const UNFINISHED: &str = "unfinished";

/// Writes a small file through a temporary one beside it, and syncs file and folder.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    make_folder(folder)?;
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    let written = write();
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written.and_then(|()| sync_folder(folder))
}

/// Makes a folder and those above it that are missing, each of them to survive a crash. Returns those that were made, the topmost
/// first.
pub fn make_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir());
    let mut made: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    made.reverse();
    fs::create_dir_all(folder)?;
    for folder in &made {
        sync_folder(folder.parent().unwrap_or_else(|| Path::new(".")))?;
    }
    Ok(made)
}

/// A new name survives a crash only when its folder is on the disk, too.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(make_folder(&at("a/b/c")).unwrap(), [at("a"), at("a/b"), at("a/b/c")]);
        assert!(at("a/b/c").is_dir());
        assert_eq!(make_folder(&at("a/b/d")).unwrap(), [at("a/b/d")]);
        assert!(make_folder(&at("a/b/d")).unwrap().is_empty());
    }
}
