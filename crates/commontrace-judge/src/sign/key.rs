//! The key that verdicts are signed with.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use commontrace_core::hex;

/// The name of the key's file in the data directory.
pub const KEY_FILE: &str = "verdict-signing.key";

/// An Ed25519 key. It is never shown.
pub struct SigningKey(Ed25519KeyPair);

/// What anybody may know of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) [u8; 32]);

/// Says why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot {what} the signing key {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} is no signing key: 64 hexadecimal digits were expected; restore it from a backup, or move it \
         away to have a new one made, which no earlier verdict is signed with", path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others could have read the file.
    #[error("the signing key {} can be read by others; run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

impl SigningKey {
    /// The key in a data directory. If there is none yet, one is made of these random bytes and kept in a
    /// file that only its owner may read. Two processes that start at once end up with the same key.
    pub fn load_or_create(directory: &Path, random: &[u8; 32]) -> Result<Self, KeyError> {
        let path = directory.join(KEY_FILE);
        match Self::load(&path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let failed = |what| {
            let path = path.clone();
            move |source| KeyError::File { path, what, source }
        };
        // Written under another name first: nobody ever sees half a key, or the end of another's.
        let draft = directory.join(format!("{KEY_FILE}.{}", hex::encode(&random[..4])));
        let written = write_private(&draft, &format!("{}\n", hex::encode(random)));
        let placed = written.and_then(|()| fs::hard_link(&draft, &path));
        let _ = fs::remove_file(&draft);
        match placed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make")(error)),
        }
        Self::load(&path)
    }

    /// The key of a seed of 32 bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// What others check signatures with.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).as_ref())
    }

    fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            what: "read",
            source,
        };
        let file = File::open(path).map_err(failed)?;
        if exposed(&file).map_err(failed)? {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        // Far more than a key, so that another file is seen to be none.
        file.take(1_024).read_to_string(&mut text).map_err(failed)?;
        hex::decode(text.trim())
            .and_then(|seed| Self::from_seed(&seed))
            .ok_or_else(|| KeyError::NotAKey {
                path: path.to_owned(),
            })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public().to_string())
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads a key of 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text.trim()).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = SigningKey::load_or_create(folder.path(), &[7; 32]).expect("a key");
        let second = SigningKey::load_or_create(folder.path(), &[8; 32]).expect("the key");
        assert_eq!(first.public(), second.public());
        let files: Vec<_> = fs::read_dir(folder.path()).expect("files").collect();
        assert_eq!(files.len(), 1);
        assert!(!format!("{first:?}").contains("0707"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let path = folder.path().join(KEY_FILE);
            let mode = fs::metadata(&path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("another mode");
            let exposed = SigningKey::load_or_create(folder.path(), &[7; 32]);
            assert!(matches!(exposed, Err(KeyError::Exposed { .. })));
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(KEY_FILE);
        write_private(&path, "hello").expect("a file");
        let error = SigningKey::load_or_create(folder.path(), &[7; 32]).expect_err("no key");
        assert!(
            error.to_string().contains(KEY_FILE) && error.to_string().contains("backup"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).expect("the file"), "hello");
        let missing = folder.path().join("missing");
        assert!(matches!(
            SigningKey::load_or_create(&missing, &[7; 32]),
            Err(KeyError::File { .. })
        ));
    }
}
