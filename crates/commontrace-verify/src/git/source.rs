//! Where a repository is, checked before `git` sees it.

use std::fmt;

use commontrace_core::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::GitError;
use crate::reason::Reason;

/// A way of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `https://…`
    Https,
    /// `ssh://…` and `user@host:path`
    Ssh,
    /// `file://…` and absolute paths
    File,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// A repository that may be fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    url: String,
    protocol: Protocol,
}

impl Source {
    /// Accepts a URL or an absolute path.
    ///
    /// # Errors
    /// With [`Reason::CloneFailed`] if it is none, could be taken for an option, names a helper program
    /// (`ext::…`), or its protocol is not among `allowed`.
    pub fn new(url: &str, allowed: &[Protocol]) -> Result<Self, GitError> {
        let url = url.trim();
        let refuse = |why: &str| {
            let shown = shown(url);
            Err(GitError::new(
                Reason::CloneFailed,
                format!("the repository `{shown}` cannot be fetched: {why}"),
            ))
        };
        if url.is_empty() || url.starts_with('-') || url.chars().any(char::is_control) {
            return refuse("it is not a URL or an absolute path");
        }
        let protocol = match url.split_once("://") {
            Some(("https", _)) => Protocol::Https,
            Some(("ssh", _)) => Protocol::Ssh,
            Some(("file", _)) => Protocol::File,
            Some(_) => return refuse("use https, ssh, file or an absolute path"),
            None if url.starts_with('/') => Protocol::File,
            None if url.contains("::") => return refuse("it names a helper program"),
            None if is_scp(url) => Protocol::Ssh,
            None => return refuse("it is not a URL or an absolute path"),
        };
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = host.split_once('@').map_or(host, |(_, host)| host);
        if host.starts_with('-') {
            return refuse("its host could be taken for an option");
        }
        if !allowed.contains(&protocol) {
            return refuse(&format!(
                "the protocol {} is not allowed here",
                protocol.name()
            ));
        }
        Ok(Self {
            url: url.to_owned(),
            protocol,
        })
    }

    /// The URL as `git` needs it, credentials and all.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How it is fetched.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A name for its place in the cache.
    pub(super) fn key(&self) -> String {
        let hash = Sha256::digest(self.url.as_bytes());
        hex::encode(&hash[..16])
    }
}

/// Without a password.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// `user@host:path`
fn is_scp(url: &str) -> bool {
    url.split_once(':').is_some_and(|(host, path)| {
        !path.is_empty()
            && host.contains('@')
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "@.-_".contains(c))
    })
}

/// A URL without what stands before the host, and of bounded length.
fn shown(url: &str) -> String {
    let url = crate::report::prefix(url, 200);
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.split('/').next().and_then(|h| h.rsplit_once('@')) {
            Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]),
            None => url.to_owned(),
        },
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Protocol; 3] = [Protocol::Https, Protocol::Ssh, Protocol::File];

    #[test]
    fn urls_and_absolute_paths_are_accepted() {
        for (url, protocol) in [
            ("https://example.org/a/b.git", Protocol::Https),
            ("ssh://git@example.org/a", Protocol::Ssh),
            ("git@example.org:a/b.git", Protocol::Ssh),
            ("file:///srv/a", Protocol::File),
            ("/srv/a", Protocol::File),
        ] {
            assert_eq!(
                Source::new(url, &ALL).map(|s| s.protocol()).ok(),
                Some(protocol),
                "{url}"
            );
        }
    }

    #[test]
    fn options_helpers_and_other_protocols_are_refused() {
        for url in [
            "",
            "--upload-pack=touch /tmp/x",
            "-oProxyCommand=x",
            "ext::sh -c id",
            "fd::7",
            "http://example.org/a",
            "git://example.org/a",
            "relative/path",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "https://example.org/\na",
        ] {
            assert!(Source::new(url, &ALL).is_err(), "{url}");
        }
        assert!(Source::new("/srv/a", &[Protocol::Https]).is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        let source = Source::new("https://me:hunter2@example.org/a", &ALL).unwrap();
        assert_eq!(source.to_string(), "https://example.org/a");
        let refused = Source::new("ftp://me:hunter2@example.org/a", &ALL).unwrap_err();
        assert!(!refused.message.contains("hunter2"));
    }
}
