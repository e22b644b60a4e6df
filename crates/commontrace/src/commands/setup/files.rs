//! Reading and writing files that other programs use too: whole or not at all, through links, with their mode.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// No host's settings are larger; what is larger is not what we take it for.
const MAX_BYTES: u64 = 32 << 20;

/// Reads a text file, if there is one.
pub fn read(path: &Path) -> Result<Option<String>, String> {
    let link = match path.symlink_metadata() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(cannot("read", &err)),
        Ok(found) => found.is_symlink(),
    };
    let found = match path.metadata() {
        Err(err) if link && err.kind() == io::ErrorKind::NotFound => {
            return Err("is a link to a file that does not exist".to_owned());
        }
        found => found.map_err(|err| cannot("read", &err))?,
    };
    if !found.is_file() {
        return Err("is not a file".to_owned());
    }
    if found.len() > MAX_BYTES {
        return Err(format!(
            "is too large to be settings: {} bytes",
            found.len()
        ));
    }
    let file = File::open(path).map_err(|err| cannot("read", &err))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|err| cannot("read", &err))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    Ok(Some(text))
}

/// Says why a file that is to be changed may not be.
pub fn refuse_read_only(path: &Path) -> Result<(), String> {
    match path.metadata() {
        Ok(found) if found.permissions().mode() & 0o222 == 0 => {
            Err("is read-only; make it writable if this program may change it".to_owned())
        }
        _ => Ok(()),
    }
}

/// Replaces a file by one with this text, at once, unless it no longer reads as `before`.
///
/// A link stays and what it leads to is replaced. The file keeps its mode; a new one is its user's alone.
pub fn replace(path: &Path, before: Option<&str>, text: &str) -> Result<(), String> {
    put_in_place(path, text, |path| unchanged(path, before))?;
    match read(path) {
        Ok(Some(read)) if read == text => Ok(()),
        _ => Err("was changed by another program while it was written".to_owned()),
    }
}

/// Replaces a file that is ours alone, whatever it reads as.
pub fn overwrite(path: &Path, text: &str) -> Result<(), String> {
    put_in_place(path, text, |_| Ok(()))
}

fn put_in_place(
    path: &Path,
    text: &str,
    may_go_on: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let path = target(path)?;
    let temporary = temporary(&path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|err| cannot("make the folder of", &err))?;
    }
    let done = write_beside(&path, &temporary, text).and_then(|()| {
        may_go_on(&path)?;
        std::fs::rename(&temporary, &path).map_err(|err| cannot("replace", &err))
    });
    if done.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    done.inspect(|()| sync_folder(&path))
}

/// Deletes a file unless it no longer reads as `before`.
pub fn delete(path: &Path, before: &str) -> Result<(), String> {
    unchanged(path, Some(before))?;
    std::fs::remove_file(path).map_err(|err| cannot("delete", &err))?;
    sync_folder(path);
    Ok(())
}

/// The hash of a text, in hexadecimal.
pub fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folders above a file that do not exist yet, the outermost first.
pub fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1);
    let missing = above.take_while(|folder| folder.symlink_metadata().is_err());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
    missing.reverse();
    missing
}

fn unchanged(path: &Path, before: Option<&str>) -> Result<(), String> {
    if read(path)?.as_deref() == before {
        Ok(())
    } else {
        Err("was changed by another program meanwhile; run this again".to_owned())
    }
}

/// Where a link leads.
fn target(path: &Path) -> Result<PathBuf, String> {
    if path.is_symlink() {
        path.canonicalize().map_err(|err| cannot("follow", &err))
    } else {
        Ok(path.to_path_buf())
    }
}

/// The name of the new file until it takes its place. Always the same, so that what a killed run left is
/// overwritten by the next one; no host reads files that end in it.
fn temporary(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().ok_or("is not the name of a file")?;
    let name = format!(".{}.commontrace-new", name.to_string_lossy());
    Ok(path.with_file_name(name))
}

fn write_beside(path: &Path, temporary: &Path, text: &str) -> Result<(), String> {
    let mode = path
        .metadata()
        .map_or(0o600, |found| found.permissions().mode());
    let _ = std::fs::remove_file(temporary);
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()
    };
    write().map_err(|err| cannot("write", &err))
}

/// Makes the new name of a file outlast a power cut, where the disk can.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

fn cannot(what: &str, err: &io::Error) -> String {
    match err.kind() {
        io::ErrorKind::PermissionDenied => format!("cannot {what} it: this user may not"),
        _ => format!("cannot {what} it: {err}"),
    }
}
