//! Downloads the model's files, one after the other, each to a temporary file first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use commontrace_core::hex;
use reqwest::{Client, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::{FILES, ModelFile, ModelFilesError, io_error, verify_files};

/// Held while downloading, so that two processes with one folder do not do it twice.
const LOCK_FILE: &str = ".download.lock";
/// The upstream revision whose files have the pinned hashes.
const UPSTREAM: &str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/\
                        1110a243fdf4706b3f48f1d95db1a4f5529b4d41";

/// Where to download from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The HTTP client to use.
    pub client: Client,
    /// The address that `/` and a file's name are appended to.
    pub base_url: String,
    /// The longest wait for the next piece of a file.
    pub stall_timeout: Duration,
    /// The pause before the first of two further attempts; the second waits twice as long.
    pub retry_pause: Duration,
}

impl Source {
    /// The model's home on the Hugging Face hub.
    #[must_use]
    pub fn upstream(client: Client) -> Self {
        Self {
            client,
            base_url: UPSTREAM.to_owned(),
            stall_timeout: Duration::from_secs(30),
            retry_pause: Duration::from_secs(1),
        }
    }
}

/// How far the download of one file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file's name.
    pub file: &'static str,
    /// Bytes received.
    pub received: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Makes sure that a folder holds the model, downloading whichever files are absent or wrong.
///
/// Does nothing but verify if they are there. `progress` is called for each piece received; after
/// a broken connection a file starts again at zero.
pub async fn ensure(
    folder: &Path,
    source: &Source,
    progress: impl Fn(Progress) + Sync,
) -> Result<(), ModelFilesError> {
    ensure_files(folder, source, &FILES, progress).await
}

pub(super) async fn ensure_files(
    folder: &Path,
    source: &Source,
    files: &'static [ModelFile],
    progress: impl Fn(Progress) + Sync,
) -> Result<(), ModelFilesError> {
    if blocking(folder, |folder| verify_files(&folder, files))
        .await
        .is_ok()
    {
        return Ok(());
    }
    let _lock = blocking(folder, |folder| lock(&folder)).await?;
    for file in files {
        // Another process may have been faster, or an earlier attempt have got this far.
        let present = blocking(folder, |folder| {
            verify_files(&folder, std::slice::from_ref(file))
        });
        if present.await.is_err() {
            fetch(folder, source, file, &progress).await?;
        }
    }
    blocking(folder, |folder| verify_files(&folder, files)).await
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce(PathBuf) -> Result<T, ModelFilesError> + Send + 'static,
) -> Result<T, ModelFilesError> {
    let folder = folder.to_owned();
    let path = folder.clone();
    tokio::task::spawn_blocking(move || work(folder))
        .await
        .unwrap_or_else(|panic| Err(io_error("check", &path, std::io::Error::other(panic))))
}

/// Creates the folder and waits until no other process downloads into it.
fn lock(folder: &Path) -> Result<File, ModelFilesError> {
    fs::create_dir_all(folder).map_err(|source| io_error("create", folder, source))?;
    let path = folder.join(LOCK_FILE);
    let file = File::create(&path).map_err(|source| io_error("create", &path, source))?;
    file.lock()
        .map_err(|source| io_error("lock", &path, source))?;
    Ok(file)
}

/// What ended an attempt.
enum Failed {
    /// The connection or the server; another attempt may do better.
    Passing(String),
    /// The server's answer is final, or its file is not the one expected.
    Final(String),
    Disk(ModelFilesError),
}

/// Downloads one file, verifies it, and only then gives it its name.
async fn fetch(
    folder: &Path,
    source: &Source,
    file: &'static ModelFile,
    progress: &(impl Fn(Progress) + Sync),
) -> Result<(), ModelFilesError> {
    let url = format!("{}/{}", source.base_url.trim_end_matches('/'), file.name);
    let part = folder.join(format!(".{}.part", file.name));
    let retries = ExponentialBuilder::default()
        .with_min_delay(source.retry_pause)
        .with_max_times(2);
    let result = (|| receive(&url, source, file, &part, progress))
        .retry(retries)
        .when(|failed| matches!(failed, Failed::Passing(_)))
        .await;
    let result = match result {
        Ok(()) => {
            let path = folder.join(file.name);
            tokio::fs::rename(&part, &path)
                .await
                .map_err(|e| io_error("create", &path, e))
        }
        Err(Failed::Disk(error)) => Err(error),
        Err(Failed::Passing(reason) | Failed::Final(reason)) => {
            let (file, folder) = (file.name, folder.to_owned());
            Err(ModelFilesError::Download {
                file,
                url,
                reason,
                folder,
            })
        }
    };
    if result.is_err() {
        // Best effort: a leftover is overwritten by the next attempt anyway.
        let _ = tokio::fs::remove_file(&part).await;
    }
    result
}

/// One attempt: streams the file to `part` and checks its length and hash.
async fn receive(
    url: &str,
    source: &Source,
    file: &'static ModelFile,
    part: &Path,
    progress: &(impl Fn(Progress) + Sync),
) -> Result<(), Failed> {
    let passing = |error: reqwest::Error| Failed::Passing(error.without_url().to_string());
    let stalled = |_| Failed::Passing(format!("nothing received for {:?}", source.stall_timeout));
    let disk = |error| Failed::Disk(io_error("write", part, error));

    let request = source.client.get(url).send();
    let mut response = tokio::time::timeout(source.stall_timeout, request)
        .await
        .map_err(stalled)?
        .map_err(passing)?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Failed::Passing(format!("HTTP {status}")));
    }
    if !status.is_success() {
        return Err(Failed::Final(format!("HTTP {status}")));
    }

    let mut output = tokio::fs::File::create(part).await.map_err(disk)?;
    let mut hash = Sha256::new();
    let mut received = 0;
    loop {
        let piece = tokio::time::timeout(source.stall_timeout, response.chunk());
        let Some(piece) = piece.await.map_err(stalled)?.map_err(passing)? else {
            break;
        };
        received += piece.len() as u64;
        if received > file.bytes {
            return Err(Failed::Final(format!(
                "more than the expected {} bytes",
                file.bytes
            )));
        }
        hash.update(&piece);
        output.write_all(&piece).await.map_err(disk)?;
        progress(Progress {
            file: file.name,
            received,
            total: file.bytes,
        });
    }
    // Without this a power cut after the rename could leave a file of zeros under its name.
    output.sync_all().await.map_err(disk)?;

    let found = hex::encode(&hash.finalize());
    if found != file.sha256 {
        return Err(Failed::Final(format!(
            "its SHA-256 is {found}, expected {} ({received} of {} bytes)",
            file.sha256, file.bytes
        )));
    }
    Ok(())
}
