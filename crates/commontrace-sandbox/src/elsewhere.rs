//! What there is of this crate on systems other than Linux: the same functions, which say so.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::{Error, Launcher, Outcome, Spec, Wanted};

/// No program is a launcher here.
pub fn launched() -> Option<ExitCode> {
    None
}

/// Runs nothing.
///
/// # Errors
/// Always.
pub async fn run(
    _spec: &Spec,
    _launcher: &Launcher,
    _log: &Path,
    _cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    Err(unavailable())
}

/// Removes nothing.
///
/// # Errors
/// Always.
pub async fn reap_containers(_wanted: &Wanted, _socket: Option<&Path>) -> Result<(), Error> {
    Err(unavailable())
}

/// Knows no image.
///
/// # Errors
/// Always.
pub async fn image_id(_wanted: &Wanted, _socket: Option<&Path>) -> Result<Option<String>, Error> {
    Err(unavailable())
}

fn unavailable() -> Error {
    Error::Unavailable {
        reason: "this system is not Linux".into(),
        hint: "run this program on Linux, for example in a virtual machine".into(),
    }
}

/// Reads nothing.
///
/// # Errors
/// Always.
pub fn read_beneath(_folder: &Path, _path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}
