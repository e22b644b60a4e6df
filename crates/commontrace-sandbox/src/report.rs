//! Reads what a command has left behind. The command decides what is there, so a path is followed
//! neither out of its folder nor into anything but an ordinary file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};

/// Reads a file below a folder that a sandboxed command could write to.
///
/// Symbolic links, `..`, pipes, devices and more than `limit` bytes are errors; nothing outside of
/// the folder is read, and nothing that could block.
///
/// # Errors
/// If there is no such file, or it is none of the kind that is allowed.
pub fn read_beneath(folder: &Path, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = rustix::fs::openat(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let file = rustix::fs::openat2(&folder, path, flags, Mode::empty(), resolve)?;
    let found = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_ordinary_files_of_the_folder_are_read() {
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("out");
        fs::create_dir_all(out.join("in")).unwrap();
        fs::write(base.path().join("secret"), "secret").unwrap();
        fs::write(out.join("in/report"), "report").unwrap();
        symlink("../secret", out.join("link")).unwrap();
        symlink(base.path(), out.join("up")).unwrap();
        symlink("in", out.join("inside")).unwrap();
        rustix::fs::mknodat(CWD, out.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let read = |path: &str| read_beneath(&out, Path::new(path), 6);
        assert_eq!(read("in/report").unwrap(), b"report");
        for path in [
            "link",
            "up/secret",
            "../secret",
            "inside/report",
            "pipe",
            "in",
            "/etc/passwd",
        ] {
            assert!(read(path).is_err(), "{path}");
        }
        assert!(read_beneath(&out, Path::new("in/report"), 5).is_err());
    }
}
