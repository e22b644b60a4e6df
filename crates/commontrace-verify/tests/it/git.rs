//! Fetching, trees, patches and edits.

use std::path::Path;
use std::time::Duration;

use commontrace_verify::Reason;
use commontrace_verify::git::{Edit, How, Protocol, Replacement, Repository, Source, TreeId};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::TestRepository;

struct Opened {
    repository: Repository,
    folder: TempDir,
}

impl Opened {
    async fn new(from: &TestRepository) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::new(&from.url(), &[Protocol::File]).unwrap();
        let cancel = CancellationToken::new();
        let limit = Duration::from_secs(60);
        let repository = Repository::open(folder.path(), folder.path(), source, limit, &cancel)
            .await
            .unwrap();
        Self { repository, folder }
    }

    async fn tree(&self, commit: &str) -> TreeId {
        let commit = self.repository.commit(commit).await.unwrap();
        self.repository.tree(&commit).await.unwrap()
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    async fn read(&self, tree: &TreeId, path: &str) -> Option<String> {
        self.repository.export(tree, &self.work()).await.unwrap();
        std::fs::read_to_string(self.work().join(path)).ok()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_fetch_that_is_cancelled_or_takes_too_long_leaves_no_helper_behind() {
    // Takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/silent", silent.local_addr().unwrap());
    let source = || Source::new(&url, &[Protocol::Https]).unwrap();
    for (limit, reason) in [
        (Duration::from_secs(600), Reason::Cancelled),
        (Duration::from_secs(1), Reason::CloneFailed),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let repository = Repository::open(folder.path(), folder.path(), source(), limit, &cancel);
        let repository = repository.await.unwrap();
        let fetching = repository.commit("main");
        let cancelling = async {
            // The other one may be over before anybody has looked.
            if reason == Reason::Cancelled {
                until(|| is_running(&url)).await;
                cancel.cancel();
            }
        };
        let (fetched, ()) = tokio::join!(fetching, cancelling);
        assert_eq!(fetched.unwrap_err().reason, reason);
        until(|| !is_running(&url)).await;
    }
}

/// Waits for something that happens soon, for as long as it takes on a machine with much else to do.
async fn until(happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("it happens");
}

/// Whether a process has this among its arguments.
fn is_running(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == argument.as_bytes())
    })
}

#[tokio::test]
async fn commits_are_found_by_id_abbreviation_branch_and_tag_and_fetched_when_new() {
    let remote = TestRepository::new();
    let first = remote.commit(&[("a", "1\n")]);
    remote.git(&["tag", "v1"]);
    let opened = Opened::new(&remote).await;
    for name in [&first, &first[..8], "main", "v1"] {
        assert_eq!(
            opened.repository.commit(name).await.unwrap(),
            first,
            "{name}"
        );
    }
    let second = remote.commit(&[("a", "2\n")]);
    assert_eq!(
        opened.repository.commit(&second[..10]).await.unwrap(),
        second
    );
    assert_eq!(opened.repository.commit("main").await.unwrap(), second);
    // A commit that no branch has any more.
    remote.git(&["reset", "--quiet", "--hard", &first]);
    let third = remote.commit(&[("b", "3\n")]);
    remote.git(&["reset", "--quiet", "--hard", &first]);
    assert_eq!(opened.repository.commit(&third).await.unwrap(), third);
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_no_failure_of_fetching() {
    let remote = TestRepository::new();
    remote.commit(&[("a", "1\n")]);
    let opened = Opened::new(&remote).await;
    for name in [
        "0123456789012345678901234567890123456789",
        "beef",
        "nope",
        "--all",
        "a..b",
        "HEAD@{1}",
        "",
    ] {
        let error = opened.repository.commit(name).await.unwrap_err();
        assert_eq!(error.reason, Reason::CommitMissing, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_cannot_be_fetched() {
    let remote = TestRepository::new();
    let opened = Opened::new(&remote).await;
    std::fs::remove_dir_all(remote.path().join(".git")).unwrap();
    let error = opened.repository.commit("main").await.unwrap_err();
    assert_eq!(error.reason, Reason::CloneFailed, "{error}");
}

#[tokio::test]
async fn an_exported_tree_has_the_files_and_no_history() {
    let remote = TestRepository::new();
    remote.write(
        ".gitattributes",
        "secret export-ignore\n*.txt export-subst\n",
    );
    let commit = remote.commit(&[
        ("secret", "x\n"),
        ("v.txt", "$Format:%H$\n"),
        (".gitignore", "ignored\n"),
        ("ignored", "y\n"),
    ]);
    let opened = Opened::new(&remote).await;
    let tree = opened.tree(&commit).await;
    opened
        .repository
        .export(&tree, &opened.work())
        .await
        .unwrap();
    assert_eq!(
        files(&opened.work()),
        [".gitattributes", ".gitignore", "ignored", "secret", "v.txt"]
    );
    assert_eq!(
        std::fs::read_to_string(opened.work().join("v.txt")).unwrap(),
        "$Format:%H$\n"
    );
}

#[tokio::test]
async fn hooks_and_configuration_of_the_repository_do_nothing() {
    let remote = TestRepository::new();
    let marker = remote.path().join("marker");
    let hook = remote.write(
        ".git/hooks/post-checkout",
        &format!("#!/bin/sh\ntouch {}\n", marker.display()),
    );
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    remote.git(&[
        "config",
        "filter.run.smudge",
        &format!("touch {}", marker.display()),
    ]);
    let commit = remote.commit(&[(".gitattributes", "* filter=run\n"), ("a", "1\n")]);
    let opened = Opened::new(&remote).await;
    let tree = opened.tree(&commit).await;
    assert_eq!(opened.read(&tree, "a").await.as_deref(), Some("1\n"));
    assert!(!marker.exists());
}

#[tokio::test]
async fn paths_are_grafted_from_one_tree_onto_another() {
    let remote = TestRepository::new();
    let base = remote.commit(&[("src/a", "1\n"), ("tests/old", "o\n"), ("tests/t", "1\n")]);
    let fix = remote.commit(&[
        ("src/a", "2\n"),
        ("tests/old", ""),
        ("tests/t", "2\n"),
        ("tests/new", "n\n"),
    ]);
    let opened = Opened::new(&remote).await;
    let (base, fix) = (opened.tree(&base).await, opened.tree(&fix).await);
    let changed = opened.repository.changed(&base, &fix).await.unwrap();
    assert_eq!(changed, ["src/a", "tests/new", "tests/old", "tests/t"]);
    let grafted = opened
        .repository
        .graft(&base, &fix, &changed[1..])
        .await
        .unwrap();
    assert_eq!(
        opened.repository.changed(&grafted, &fix).await.unwrap(),
        ["src/a"]
    );
    assert_eq!(
        opened
            .repository
            .graft(&base, &fix, &changed)
            .await
            .unwrap(),
        fix
    );
}

#[tokio::test]
async fn a_folder_can_be_grafted_in_the_place_of_a_file() {
    let remote = TestRepository::new();
    let base = remote.commit(&[("tests", "a file\n"), ("src", "1\n")]);
    let fix = remote.commit(&[("tests", ""), ("tests/t", "1\n")]);
    let opened = Opened::new(&remote).await;
    let (base, fix) = (opened.tree(&base).await, opened.tree(&fix).await);
    let paths = ["tests/t".to_owned()];
    let grafted = opened.repository.graft(&base, &fix, &paths).await.unwrap();
    assert_eq!(grafted, fix);
}

const NUMBERS: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n";

#[tokio::test]
async fn a_patch_is_applied_by_the_gentlest_way_that_works() {
    let remote = TestRepository::new();
    let base = remote.commit(&[("n", NUMBERS), ("crlf", "a\r\nb\r\n")]);
    remote.write("n", &NUMBERS.replace("four", "4"));
    let patch = remote.git(&["diff"]) + "\n";
    remote.git(&["checkout", "--quiet", "."]);
    let shifted = remote.commit(&[("n", &NUMBERS.replace("one", "1"))]);
    let far = remote.commit(&[(
        "n",
        &NUMBERS
            .replace("one\ntwo\nthree", "1\n2\n3")
            .replace("five", "5"),
    )]);
    let done = remote.commit(&[("n", &NUMBERS.replace("four", "4"))]);
    let opened = Opened::new(&remote).await;
    let without_ids: String = patch
        .lines()
        .filter(|line| !line.starts_with("index "))
        .map(|line| format!("{line}\n"))
        .collect();
    for (what, commit, patch, how) in [
        ("as it is", &base, patch.clone(), How::Clean),
        (
            "with other line ends",
            &base,
            patch.replace('\n', "\r\n"),
            How::LineEnds,
        ),
        ("already there", &done, patch.clone(), How::AlreadyApplied),
        (
            "with the files it was made from",
            &shifted,
            patch.clone(),
            How::ThreeWay,
        ),
        ("with other context", &far, without_ids.clone(), How::Fuzz),
    ] {
        let tree = opened.tree(commit).await;
        let applied = opened
            .repository
            .apply_patch(&tree, patch.as_bytes(), &opened.work())
            .await;
        let applied = applied.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(applied.how, how, "{what}");
        let content = opened.read(&applied.tree, "n").await.unwrap();
        assert!(
            content.contains("4\n") && !content.contains("four"),
            "{what}: {content}"
        );
        assert_eq!(
            files(&opened.work()),
            ["crlf", "n"],
            "{what} leaves something behind"
        );
    }
}

#[tokio::test]
async fn a_patch_that_does_not_apply_says_where() {
    let remote = TestRepository::new();
    let base = remote.commit(&[("n", NUMBERS)]);
    let opened = Opened::new(&remote).await;
    let tree = opened.tree(&base).await;
    for (patch, expected) in [
        ("--- a/n\n+++ b/n\n@@ -1,2 +1,2 @@\n-uno\n+1\n dos\n", "n:1"),
        (
            "--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+1\n",
            "leaves the repository",
        ),
        ("this is no patch", "changes no file"),
    ] {
        let error = opened
            .repository
            .apply_patch(&tree, patch.as_bytes(), &opened.work())
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.reason, Reason::PatchFailed);
        assert!(error.message.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn edits_are_applied_in_their_order() {
    let remote = TestRepository::new();
    let base = remote.commit(&[("n", NUMBERS), ("gone", "x\n")]);
    let fix = remote.commit(&[
        ("n", &NUMBERS.replace("four", "IV")),
        ("gone", ""),
        ("new/file", "hello\nworld\n"),
    ]);
    let opened = Opened::new(&remote).await;
    let edit = |path: &str, replacement| Edit {
        path: path.to_owned(),
        replacement,
    };
    let mut edits = vec![
        edit(
            "n",
            Replacement::Diff("@@ -4 +4 @@\n-four\n+4\n".to_owned()),
        ),
        edit(
            "n",
            Replacement::Diff(
                "--- /home/x/n\n+++ /home/x/n\n@@ -4,1 +4,1 @@\n-4\n+IV\n".to_owned(),
            ),
        ),
        edit("new/file", Replacement::Content("hello\n".to_owned())),
        edit(
            "new/file",
            Replacement::Diff("@@ -1 +1,2 @@\n hello\n+world\n".to_owned()),
        ),
        edit("gone", Replacement::Removed),
    ];
    let (base, fix) = (opened.tree(&base).await, opened.tree(&fix).await);
    let applied = opened
        .repository
        .apply_edits(&base, &edits, &opened.work())
        .await
        .unwrap();
    assert_eq!(applied.tree, fix);
    edits.swap(0, 1);
    let error = opened
        .repository
        .apply_edits(&base, &edits, &opened.work())
        .await
        .unwrap_err();
    assert!(error.message.starts_with("edit 1 of 5: "), "{error}");
}

#[tokio::test]
async fn an_edit_through_a_link_is_refused() {
    let remote = TestRepository::new();
    std::os::unix::fs::symlink("/tmp", remote.path().join("link")).unwrap();
    let base = remote.commit(&[("a", "1\n")]);
    let opened = Opened::new(&remote).await;
    let base = opened.tree(&base).await;
    let edit = Edit {
        path: "link/x".into(),
        replacement: Replacement::Content("x".into()),
    };
    let error = opened
        .repository
        .apply_edits(&base, &[edit], &opened.work())
        .await
        .unwrap_err();
    assert_eq!(error.reason, Reason::PatchFailed);
}

#[tokio::test]
async fn submodules_and_large_files_are_noticed() {
    let remote = TestRepository::new();
    let plain = remote.commit(&[("a", "1\n")]);
    let lfs = remote.commit(&[("sub/.gitattributes", "*.bin filter=lfs diff=lfs\n")]);
    remote.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{plain},module"),
    ]);
    remote.git(&["commit", "--quiet", "--message", "a module"]);
    let both = remote.git(&["rev-parse", "HEAD"]);
    let opened = Opened::new(&remote).await;
    for (commit, submodules, lfs) in [
        (&plain, false, false),
        (&lfs, false, true),
        (&both, true, true),
    ] {
        let special = opened
            .repository
            .special(&opened.tree(commit).await)
            .await
            .unwrap();
        assert_eq!((special.submodules, special.lfs), (submodules, lfs));
    }
}

#[tokio::test]
async fn a_cancelled_fetch_ends() {
    let remote = TestRepository::new();
    remote.commit(&[("a", "1\n")]);
    let folder = tempfile::tempdir().unwrap();
    let source = Source::new(&remote.url(), &[Protocol::File]).unwrap();
    let cancel = CancellationToken::new();
    let limit = Duration::from_secs(60);
    let repository = Repository::open(folder.path(), folder.path(), source, limit, &cancel)
        .await
        .unwrap();
    cancel.cancel();
    assert_eq!(
        repository.commit("main").await.unwrap_err().reason,
        Reason::Cancelled
    );
}
