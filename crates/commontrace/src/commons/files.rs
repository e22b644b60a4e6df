//! Files and directories that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates a directory that only this user may look into, if it is not there.
pub fn create_dir(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a file to append to, and creates it for this user alone.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path)
}

/// Creates a file that is there whole or not at all, for this user alone, and returns it still open. With
/// `locked` nobody finds it without a lock that the returned file holds.
pub fn create(path: &Path, content: &[u8], locked: bool) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    if locked {
        file.as_file().lock()?;
    }
    let file = file.persist(path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Whether this open file is still the one with this name.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// The permissions that others than the owner have on it, as in `chmod`; 0 if it is not there.
pub fn open_to_others(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |found| found.mode() & 0o077)
}
