//! Finds, verifies and, when asked to, downloads the files of the in-process model.
//!
//! A folder holds the model if both files have the pinned hashes. Hashing 91 MB takes a while, so
//! a stamp next to the files remembers the size and time of change they had when they passed.

mod download;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use commontrace_core::hex;
use sha2::{Digest as _, Sha256};

pub use self::download::{Progress, Source, ensure};

/// The model's published name.
pub const MODEL_ID: &str = "sentence-transformers/all-MiniLM-L6-v2";
/// The release the hashes below belong to: the start of the weights' SHA-256.
pub const MODEL_VERSION: &str = "53aa51172d14";
/// The name of the model's folder inside a cache of models.
pub const FOLDER: &str = "all-MiniLM-L6-v2";
/// The file with the encoder's weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The file with the vocabulary.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// Remembers which files passed verification.
const STAMP_FILE: &str = ".verified";

/// A file of the model and what its contents must be.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile {
    /// Its name, here and at the source.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its contents in lower-case hex.
    pub sha256: &'static str,
}

/// The files of the model. The weights come last, so that where they are the rest is too.
pub const FILES: [ModelFile; 2] = [
    ModelFile {
        name: TOKENIZER_FILE,
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    ModelFile {
        name: WEIGHTS_FILE,
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
];

/// Says why the model's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFilesError {
    /// A file is not there.
    #[error(
        "the embedding model is not installed: {} does not exist; run `make model`, or put \
         {TOKENIZER_FILE} and {WEIGHTS_FILE} of {MODEL_ID} into {}",
        path.display(), parent(path).display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is damaged or of another model.
    #[error(
        "{} is not the expected file of {MODEL_ID}: {problem}; delete it and run `make model`",
        path.display()
    )]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// How it differs.
        problem: String,
    },
    /// A file could not be downloaded.
    #[error(
        "cannot download {file} of {MODEL_ID} from {url}: {reason}; run `make model`, or put the \
         file into {}",
        folder.display()
    )]
    Download {
        /// The name of the file.
        file: &'static str,
        /// The address tried last.
        url: String,
        /// What went wrong there.
        reason: String,
        /// Where the file should go.
        folder: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Returns the model's folder inside a cache of models, which need not exist.
#[must_use]
pub fn folder_in(cache: &Path) -> PathBuf {
    cache.join(FOLDER)
}

/// Checks that a folder holds the model; blocks for as long as hashing takes the first time.
pub fn verify(folder: &Path) -> Result<(), ModelFilesError> {
    verify_files(folder, &FILES)
}

fn verify_files(folder: &Path, files: &[ModelFile]) -> Result<(), ModelFilesError> {
    let mut marks = String::new();
    for file in files {
        marks.push_str(&mark(folder, file)?);
    }
    let stamp = folder.join(STAMP_FILE);
    if fs::read_to_string(&stamp).is_ok_and(|found| found == marks) {
        return Ok(());
    }
    for file in files {
        let path = folder.join(file.name);
        let found = sha256_of(&path).map_err(|source| io_error("read", &path, source))?;
        if found != file.sha256 {
            let problem = format!("its SHA-256 is {found}, expected {}", file.sha256);
            return Err(ModelFilesError::Unexpected { path, problem });
        }
    }
    if let Err(error) = fs::write(&stamp, marks) {
        // A read-only folder is fine: the files are hashed again at the next start.
        tracing::debug!(%error, path = %stamp.display(), "cannot remember the verification");
    }
    Ok(())
}

/// One line of the stamp: what a file looks like from outside, and which contents it stands for.
fn mark(folder: &Path, file: &ModelFile) -> Result<String, ModelFilesError> {
    let path = folder.join(file.name);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ModelFilesError::Missing { path });
        }
        Err(source) => return Err(io_error("read", &path, source)),
    };
    if metadata.len() != file.bytes {
        let problem = format!("it has {} bytes, expected {}", metadata.len(), file.bytes);
        return Err(ModelFilesError::Unexpected { path, problem });
    }
    let changed = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos());
    Ok(format!(
        "{} {} {changed} {}\n",
        file.name, file.bytes, file.sha256
    ))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> ModelFilesError {
    ModelFilesError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests;
