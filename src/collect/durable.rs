//! Small files that survive a crash: whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The ending of files that are not finished; no pattern for `*.parquet` finds them.
pub const UNFINISHED: &str = "unfinished";

/// Writes a small file through a temporary one beside it, and syncs file and folder.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
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

/// A new name survives a crash only when its folder is on the disk, too.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
