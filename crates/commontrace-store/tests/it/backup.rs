//! A backup: of a store in use, as of one moment, and never over something else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use commontrace_core::TraceId;
use commontrace_core::vote::VoteType::Up;
use commontrace_store::Engine::{Postgres, Sqlite};
use commontrace_store::{BackupError, Location, Store};

use crate::support::{THRESHOLD, TestStore, a_trace, a_vote, count, noon};

fn files_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_is_whole_and_opens() {
    let store = TestStore::on(Sqlite).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (store, stop) = (store.handle(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let new = a_trace(ada);
                    let id = new.id;
                    store.contribute(new, None, noon()).await.unwrap();
                    store
                        .cast_vote(a_vote(bob, id, Up), THRESHOLD, noon())
                        .await
                        .unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();
    let mut before: Vec<TraceId> = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3 {
        // What was acknowledged before a backup began is in it.
        for _ in 0..20 {
            before.push(store.contributed(a_trace(ada)).await);
        }
        let target = dir.path().join(format!("{n}.db"));
        Store::backup(&store.location, &target).await.unwrap();
        let copy = Location::File(target);
        assert_eq!(
            count(
                &copy,
                "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
            )
            .await,
            0
        );
        assert_eq!(
            count(&copy, "SELECT COUNT(*) FROM pragma_foreign_key_check").await,
            0
        );
        // One moment: the parts of a write are all there or none of them.
        let traces = count(&copy, "SELECT COUNT(*) FROM traces").await;
        assert_eq!(
            count(&copy, "SELECT COUNT(*) FROM trace_tags").await,
            2 * traces
        );
        assert_eq!(count(&copy, "SELECT COUNT(*) FROM jobs").await, traces);
        let counted = count(&copy, "SELECT SUM(trace_count) FROM tags").await;
        assert_eq!(counted, 2 * traces);
        let votes = count(&copy, "SELECT COUNT(*) FROM votes").await;
        assert_eq!(count(&copy, "SELECT SUM(up_votes) FROM users").await, votes);
        let copy = Store::open(&copy).await.unwrap();
        assert_eq!(copy.traces(&before).await.unwrap().len(), before.len());
        copy.close().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = before.len() as i64;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert_eq!(
        store.rows("traces").await,
        written,
        "no writer was disturbed"
    );
}

#[tokio::test]
async fn a_backup_is_never_written_over_something() {
    let store = TestStore::on(Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("precious.db");
    std::fs::write(&target, "precious").unwrap();
    let err = Store::backup(&store.location, &target)
        .await
        .expect_err("something is there");
    assert!(matches!(err, BackupError::Exists(_)), "{err:?}");
    assert!(err.to_string().contains("precious.db"), "{err}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(files_in(dir.path()), ["precious.db"]);

    // What an interrupted backup left is no reason to fail.
    let target = dir.path().join("new.db");
    std::fs::write(dir.path().join("new.db.partial"), "half").unwrap();
    Store::backup(&store.location, &target).await.unwrap();
    assert_eq!(files_in(dir.path()), ["new.db", "precious.db"]);
}

#[tokio::test]
async fn a_backup_that_fails_names_the_place_and_leaves_nothing() {
    let store = TestStore::on(Sqlite).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("missing/copy.db");
    let err = Store::backup(&store.location, &target)
        .await
        .expect_err("there is no directory");
    assert!(err.to_string().contains("missing/copy.db"), "{err}");

    let nowhere = Location::File(dir.path().join("no-store.db"));
    let target = dir.path().join("copy.db");
    let err = Store::backup(&nowhere, &target)
        .await
        .expect_err("there is no store");
    assert!(err.to_string().contains("no-store.db"), "{err}");
    assert_eq!(files_in(dir.path()), [""; 0], "and none was created");
}

#[tokio::test]
async fn a_postgres_store_is_backed_up_with_its_own_tool() {
    let store = TestStore::on(Postgres).await;
    let target = Path::new("/nowhere/copy.db");
    let err = Store::backup(&store.location, target)
        .await
        .expect_err("not this way");
    assert!(err.to_string().contains("pg_dump"), "{err}");
}
