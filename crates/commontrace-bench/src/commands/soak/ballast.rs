//! A file that leaves no room on a disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Sizes of the pieces that the room is taken in, the last ones small enough to leave nothing.
const PIECES: [u64; 3] = [64 << 20, 1 << 20, 4096];
/// A disk with more room than this is not for filling.
const LARGEST: u64 = 16 << 30;

/// Takes all the room until it is dropped.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Takes all the room that is left on the disk of `folder`.
    pub fn fill(folder: &Path) -> Result<Self> {
        let path = folder.join("ballast");
        let cannot = || format!("cannot fill the disk at {}", path.display());
        let ballast = Self { path: path.clone() };
        let file = File::create(&path).with_context(cannot)?;
        let mut size = 0;
        for piece in PIECES {
            loop {
                match fallocate(&file, FallocateFlags::empty(), size, piece) {
                    Ok(()) => size += piece,
                    Err(Errno::NOSPC) => break,
                    Err(err) => return Err(err).with_context(cannot),
                }
                if size > LARGEST {
                    bail!("{} is no small disk", folder.display());
                }
            }
        }
        Ok(ballast)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // A disk that is gone has room enough.
        let _ = std::fs::remove_file(&self.path);
    }
}
