//! A repository's objects in a bare cache: commits, trees, and what differs between trees.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::command::{Git, Ran};
use super::{GitError, Source};
use crate::reason::Reason;

/// The hash of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(String);

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tree refers to and does not contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Special {
    /// Other repositories.
    pub submodules: bool,
    /// Large files, of which it has pointers only.
    pub lfs: bool,
}

/// A repository that has been fetched.
#[derive(Debug)]
pub struct Repository {
    pub(super) dir: PathBuf,
    pub(super) config: PathBuf,
    pub(super) cancel: CancellationToken,
    scratch: PathBuf,
    source: Source,
    fetch_limit: Duration,
}

impl Repository {
    /// The repository's place under `cache`, made if it is not there. Nothing is fetched yet. `scratch` is
    /// a folder for what is needed for a moment.
    ///
    /// # Errors
    /// If the cache cannot be written or there is no `git`.
    pub async fn open(
        cache: &Path,
        scratch: &Path,
        source: Source,
        fetch_limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self, GitError> {
        let dir = cache.join(format!("{}.git", source.key()));
        let config = cache.join("gitconfig");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| GitError::io("write", &path, &error)
        };
        tokio::fs::create_dir_all(cache).await.map_err(io(cache))?;
        // A local repository often belongs to somebody else; nothing of it is executed.
        let settings = "[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\
                        [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
        if tokio::fs::read_to_string(&config).await.ok().as_deref() != Some(settings) {
            tokio::fs::write(&config, settings)
                .await
                .map_err(io(&config))?;
        }
        let repository = Self {
            dir,
            config,
            cancel: cancel.clone(),
            scratch: scratch.to_owned(),
            source,
            fetch_limit,
        };
        if !repository.dir.join("HEAD").is_file() {
            let init = repository
                .git()
                .args(["init", "--quiet", "--bare", "--template="]);
            let ran = init.arg_path(&repository.dir).run(cancel).await?;
            repository.expect(&ran, Reason::Io, "make the cache of")?;
        }
        Ok(repository)
    }

    pub(super) fn git(&self) -> Git<'_> {
        Git::new(&self.dir, &self.config)
    }

    pub(super) fn expect(&self, ran: &Ran, reason: Reason, what: &str) -> Result<(), GitError> {
        if ran.ok {
            return Ok(());
        }
        Err(GitError::new(
            reason,
            format!("cannot {what} `{}`: {}", self.source, ran.complaint()),
        ))
    }

    /// The full id of a commit, given as an id, an abbreviation of at least four digits, a branch or a
    /// tag. What is not in the cache is fetched.
    ///
    /// # Errors
    /// With [`Reason::CommitMissing`] if there is none or several, [`Reason::CloneFailed`] if the
    /// repository cannot be fetched.
    pub async fn commit(&self, name: &str) -> Result<String, GitError> {
        let name = name.trim();
        let plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
        if name.is_empty() || name.starts_with('-') || !plain || name.contains("..") {
            let shown: String = name.chars().take(80).collect();
            return Err(GitError::new(
                Reason::CommitMissing,
                format!("`{}` is not the name of a commit", shown.escape_debug()),
            ));
        }
        let is_id =
            name.len() >= 4 && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        // An id never changes what it stands for, a branch does.
        if is_id && let Some(found) = self.lookup(name, is_id).await? {
            return Ok(found);
        }
        let fetched = self
            .fetch(&["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
            .await;
        if let Some(found) = self.lookup(name, is_id).await? {
            return Ok(found);
        }
        fetched?;
        // A commit of no branch: a pull request's, or one that was replaced by a rebase.
        if is_id
            && name.len() >= 40
            && self.fetch(&[name]).await.is_ok()
            && let Some(found) = self.lookup(name, is_id).await?
        {
            return Ok(found);
        }
        Err(GitError::new(
            Reason::CommitMissing,
            format!("`{}` has no commit `{name}`, or more than one", self.source),
        ))
    }

    async fn lookup(&self, name: &str, is_id: bool) -> Result<Option<String>, GitError> {
        let mut names = vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")];
        if is_id {
            names.insert(0, name.to_owned());
        }
        for name in names {
            let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
            let ran = self.git().args(args).args([format!("{name}^{{commit}}")]);
            let ran = ran.run(&self.cancel).await?;
            if ran.ok {
                return Ok(Some(String::from_utf8_lossy(&ran.out).trim().to_owned()));
            }
        }
        Ok(None)
    }

    async fn fetch(&self, what: &[&str]) -> Result<(), GitError> {
        let _lock = self.lock().await?;
        let options = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--force",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--",
        ];
        let ran = self
            .git()
            .args(options)
            .args([self.source.url()])
            .args(what)
            .env("GIT_ALLOW_PROTOCOL", self.source.protocol().name())
            .limit(self.fetch_limit)
            .watched()
            .run(&self.cancel)
            .await?;
        if ran.ok {
            return Ok(());
        }
        // What git says may repeat the URL, password and all.
        let complaint = ran
            .complaint()
            .replace(self.source.url(), &self.source.to_string());
        Err(GitError::new(
            Reason::CloneFailed,
            format!("cannot fetch `{}`: {complaint}", self.source),
        ))
    }

    /// Keeps others from fetching into the same cache meanwhile.
    async fn lock(&self) -> Result<std::fs::File, GitError> {
        let path = self.dir.join("commontrace.lock");
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| GitError::io("open", &path, &error))?;
        loop {
            if file.try_lock().is_ok() {
                return Ok(file);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
                () = self.cancel.cancelled() => {
                    return Err(GitError::new(Reason::Cancelled, "fetching was cancelled"));
                }
            }
        }
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// If there is no such commit in the cache.
    pub async fn tree(&self, commit: &str) -> Result<TreeId, GitError> {
        let name = format!("{commit}^{{tree}}");
        let ran = self
            .git()
            .args(["rev-parse", "--verify", "--quiet", &name])
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::CommitMissing, "find the files of a commit of")?;
        Ok(tree_id(&ran))
    }

    /// The paths in which two trees differ, sorted. A renamed file is two paths.
    ///
    /// # Errors
    /// If a tree is not there.
    pub async fn changed(&self, from: &TreeId, to: &TreeId) -> Result<Vec<String>, GitError> {
        let args = [
            "diff-tree",
            "-r",
            "-z",
            "--no-renames",
            "--name-only",
            &from.0,
            &to.0,
        ];
        let ran = self.git().args(args).run(&self.cancel).await?;
        self.expect(&ran, Reason::Io, "compare two states of")?;
        Ok(zero_separated(&ran.out))
    }

    /// The files of `base`, but these paths as they are in `other`: changed, added or gone.
    ///
    /// # Errors
    /// If a tree is not there.
    pub async fn graft(
        &self,
        base: &TreeId,
        other: &TreeId,
        paths: &[String],
    ) -> Result<TreeId, GitError> {
        if paths.is_empty() {
            return Ok(base.clone());
        }
        let index = self.index(Some(base)).await?;
        let ran = self
            .git()
            .args(["ls-tree", "-r", "-z", &other.0])
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::Io, "read the files of")?;
        let wanted: std::collections::BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut info = Vec::new();
        for path in &wanted {
            info.extend_from_slice(format!("0 {}\t{path}\0", "0".repeat(base.0.len())).as_bytes());
        }
        for entry in ran.out.split(|byte| *byte == 0) {
            // `mode type id\tpath`; the type is not wanted.
            let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else {
                continue;
            };
            let (meta, path) = (String::from_utf8_lossy(&entry[..tab]), &entry[tab + 1..]);
            let mut meta = meta.split(' ');
            let (mode, id) = (
                meta.next().unwrap_or_default(),
                meta.nth(1).unwrap_or_default(),
            );
            if wanted.contains(&*String::from_utf8_lossy(path)) {
                info.extend_from_slice(format!("{mode} {id}\t").as_bytes());
                info.extend_from_slice(path);
                info.push(0);
            }
        }
        let ran = self
            .git()
            // A file in the place of a folder, or the other way round.
            .args(["update-index", "--replace", "-z", "--index-info"])
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .input(&info)
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::PatchFailed, "put test files into")?;
        self.write_tree(&index).await
    }

    /// A temporary index, with the files of a tree.
    pub(super) async fn index(&self, tree: Option<&TreeId>) -> Result<TempDir, GitError> {
        let folder = tempfile::Builder::new()
            .prefix("index-")
            .tempdir_in(&self.scratch)
            .map_err(|error| GitError::io("write to", &self.scratch, &error))?;
        if let Some(tree) = tree {
            let ran = self
                .git()
                .args(["read-tree", &tree.0])
                .env("GIT_INDEX_FILE", folder.path().join("index"))
                .run(&self.cancel)
                .await?;
            self.expect(&ran, Reason::Io, "read the files of")?;
        }
        Ok(folder)
    }

    pub(super) async fn write_tree(&self, index: &TempDir) -> Result<TreeId, GitError> {
        let git = self.git().args(["write-tree"]);
        let ran = git
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::Io, "write the files of")?;
        Ok(tree_id(&ran))
    }

    /// What a tree refers to and does not contain.
    ///
    /// # Errors
    /// If the tree is not there.
    pub async fn special(&self, tree: &TreeId) -> Result<Special, GitError> {
        let ran = self
            .git()
            .args(["ls-tree", "-r", "-z", &tree.0])
            .run(&self.cancel)
            .await?;
        self.expect(&ran, Reason::Io, "read the files of")?;
        let submodules = ran
            .out
            .split(|byte| *byte == 0)
            .any(|entry| entry.starts_with(b"160000 "));
        let args = [
            "grep",
            "-q",
            "-F",
            "-e",
            "filter=lfs",
            &tree.0,
            "--",
            "*.gitattributes",
        ];
        let lfs = self.git().args(args).run(&self.cancel).await?.code == Some(0);
        Ok(Special { submodules, lfs })
    }
}

impl Git<'_> {
    fn arg_path(self, path: &Path) -> Self {
        self.args([path])
    }
}

pub(super) fn tree_id(ran: &Ran) -> TreeId {
    TreeId(String::from_utf8_lossy(&ran.out).trim().to_owned())
}

fn zero_separated(bytes: &[u8]) -> Vec<String> {
    let mut paths: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    paths.sort();
    paths
}
