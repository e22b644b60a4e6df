//! Opening and closing: several at once, after a newer version, and what cannot be opened says why.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Error, Location, NewTrace, Store};
use rstest::rstest;
use uuid::Uuid;

use crate::durability::{LINE_OPENED, child_in};
use crate::support::{TestStore, a_trace, at_once, count, empty, execute, fresh, noon};

async fn refusal(path: &Path) -> Error {
    Store::open(&Location::File(path.to_owned()))
        .await
        .expect_err("this is no store")
}

#[rstest]
// One thread for all of them: none may wait in a way that keeps the others from getting on.
#[tokio::test]
async fn handles_that_open_an_empty_store_at_once_all_come_up(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (location, _home) = empty(engine).await;
    let opened = at_once((0..6).map(|_| {
        let location = location.clone();
        async move { Store::open(&location).await.map(drop) }
    }))
    .await;
    for store in opened {
        store.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn processes_that_open_an_empty_store_at_once_all_come_up(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let (location, _home) = empty(engine).await;
    let children: Vec<_> = (0..4)
        .map(|_| child_in("child_that_opens", &location))
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("a child ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(LINE_OPENED),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn all_files_of_a_store_and_of_its_backup_are_for_this_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::File(dir.path().join("store.db"));
    let store = Store::open(&location).await.unwrap();
    let copy = dir.path().join("copy.db");
    Store::backup(&location, &copy).await.unwrap();
    let mut modes: Vec<(String, u32)> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        })
        .collect();
    modes.sort();
    let names = [
        "copy.db",
        "store.db",
        "store.db-shm",
        "store.db-wal",
        "store.lock",
    ];
    assert_eq!(modes, names.map(|name| (name.to_owned(), 0o600)));
    store.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_to_one_store(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let other = store.another_handle().await;
    let ada = store.register("ada").await;
    let handles = [store.handle(), other].into_iter().cycle().take(60);
    at_once(handles.map(|store| async move {
        store.contribute(a_trace(ada), None, noon()).await.unwrap();
    }))
    .await;
    assert_eq!(store.rows("traces").await, 60);
    assert_eq!(
        store.tag_counts().await,
        [("docker".into(), 60), ("postgresql".into(), 60)]
    );
}

#[rstest]
#[tokio::test]
async fn a_store_is_the_same_after_a_restart(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let id = store.contributed(a_trace(ada)).await;
    let before = (store.trace(id).await.unwrap(), store.stats().await.unwrap());
    store.reopen().await;
    assert_eq!(
        (store.trace(id).await.unwrap(), store.stats().await.unwrap()),
        before
    );
    store.check(noon()).await.unwrap();
    assert_eq!(store.engine(), engine);
}

#[rstest]
#[tokio::test]
async fn an_older_program_leaves_a_newer_store_alone(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    store.close().await;
    store
        .execute(
            "INSERT INTO _sqlx_migrations
                 (version, description, success, checksum, execution_time)
             VALUES (9999, 'from the future', TRUE, '', 0)",
        )
        .await;
    let err = Store::open(&store.location)
        .await
        .expect_err("the store is newer");
    assert!(
        matches!(err, Error::Newer { found: 9999, known } if known > 0),
        "{err:?}"
    );
    let said = err.to_string();
    assert!(
        said.contains("9999") && said.contains("start the newer version"),
        "{said}"
    );
}

#[rstest]
#[tokio::test]
async fn a_closed_store_says_that_it_is_unavailable(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let handle = store.handle();
    store.close().await;
    store.close().await;
    assert!(
        handle
            .contribute(a_trace(ada), None, noon())
            .await
            .unwrap_err()
            .is_unavailable()
    );
    assert!(handle.stats().await.unwrap_err().is_unavailable());
    assert!(handle.check(noon()).await.unwrap_err().is_unavailable());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_accepted(#[values(Sqlite, Postgres)] engine: Engine) {
    let mut store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    let writes: Vec<_> = (0..40)
        .map(|_| {
            let store = store.handle();
            tokio::spawn(async move {
                let new = a_trace(ada);
                let id = new.id;
                store.contribute(new, None, noon()).await.map(|_| id)
            })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    let mut accepted = 0;
    store.reopen().await;
    for write in writes {
        match write.await.unwrap() {
            Ok(id) => {
                accepted += 1;
                assert!(store.trace(id).await.unwrap().is_some());
            }
            Err(err) => assert!(err.is_unavailable(), "{err}"),
        }
    }
    assert_eq!(store.rows("traces").await, accepted);
}

#[tokio::test]
async fn a_closed_store_is_one_file_and_its_lock() {
    let store = TestStore::on(Sqlite).await;
    let ada = store.register("ada").await;
    store.contributed(a_trace(ada)).await;
    store.close().await;
    let Location::File(path) = &store.location else {
        panic!("a file")
    };
    let mut names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["commontrace.db", "commontrace.lock"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("commontrace.db");
    let diary = "dear diary, ".repeat(1_000);
    std::fs::write(&path, &diary).unwrap();
    let err = refusal(&path).await;
    let said = err.to_string();
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("not a database of this program"),
        "{said}"
    );
    assert!(!err.is_unavailable(), "waiting does not help");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), diary);
}

#[tokio::test]
async fn another_programs_database_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    let location = Location::File(path.clone());
    std::fs::write(&path, "").unwrap();
    execute(
        &location,
        "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('eve')",
    )
    .await;
    let said = refusal(&path).await.to_string();
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    assert!(said.contains("another program"), "{said}");
    assert_eq!(
        count(&location, "SELECT COUNT(*) FROM sqlite_schema").await,
        1
    );
}

#[tokio::test]
async fn a_damaged_file_is_named_as_damaged() {
    let store = TestStore::on(Sqlite).await;
    let ada = store.register("ada").await;
    for _ in 0..50 {
        let long = "x".repeat(4_000);
        store
            .contributed(NewTrace {
                context_text: long,
                ..a_trace(ada)
            })
            .await;
    }
    store.close().await;
    let Location::File(path) = &store.location else {
        panic!("a file")
    };
    let whole = std::fs::read(path).unwrap();

    std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
    let said = refusal(path).await.to_string();
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("damaged"),
        "{said}"
    );

    // The first page holds the list of tables.
    let mut torn = whole.clone();
    torn[100..4_096].fill(0xab);
    std::fs::write(path, &torn).unwrap();
    let said = refusal(path).await.to_string();
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("damaged"),
        "{said}"
    );

    std::fs::write(path, whole).unwrap();
    Store::open(&store.location)
        .await
        .expect("the backup opens");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/commontrace.db");
    let err = refusal(&missing).await;
    assert!(err.is_unavailable(), "{err:?}");
    let said = err.to_string();
    assert!(
        said.contains("missing") && said.contains("check that the directory exists"),
        "{said}"
    );

    let directory = dir.path().join("commontrace.db");
    std::fs::create_dir(&directory).unwrap();
    let said = refusal(&directory).await.to_string();
    assert!(said.contains(directory.to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_server_that_refuses_says_why_and_not_with_the_password() {
    let store = TestStore::on(Postgres).await;
    let Location::Server(url) = &store.location else {
        panic!("a server")
    };
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address.rsplit_once('/').unwrap();
    let elsewhere = format!("{server}/no_such_database?{options}&password=hunter2");
    let err = Store::open(&Location::Server(elsewhere))
        .await
        .expect_err("it is not there");
    let said = err.to_string();
    assert!(
        said.contains("no_such_database") && !err.is_unavailable(),
        "{said}"
    );
    // The line is one of PostgreSQL's own sources.
    assert!(!said.contains("at line"), "{said}");
    assert!(!format!("{said} {err:?}").contains("hunter2"), "{said}");

    let nonsense = Location::Server("postgres://u:hunter2@[::1/db".to_owned());
    let err = Store::open(&nonsense)
        .await
        .expect_err("this is no address");
    assert!(matches!(err, Error::Address(_)), "{err:?}");
    assert!(!format!("{err} {err:?}").contains("hunter2"), "{err}");
}

#[tokio::test]
async fn a_role_that_may_not_create_tables_is_told_so() {
    let (location, _home) = empty(Postgres).await;
    let Location::Server(url) = &location else {
        panic!("a server")
    };
    let role = format!("guest_{}", fresh::<Uuid>().simple());
    let revoke = format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    execute(&location, &revoke).await;
    let guest = Location::Server(url.replacen("postgres@", &format!("{role}@"), 1));
    let err = Store::open(&guest).await.expect_err("it may not");
    assert!(matches!(err, Error::Denied(_)), "{err:?}");
    let said = err.to_string();
    assert!(
        said.contains("permission denied for schema public"),
        "{said}"
    );
    assert!(!said.contains("at line"), "{said}");
    execute(&location, &format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn tables_of_another_program_are_named_and_left_alone() {
    let (location, _home) = empty(Postgres).await;
    execute(&location, "CREATE TABLE traces AS SELECT 7 AS theirs").await;
    let err = Store::open(&location).await.expect_err("it is not empty");
    assert!(matches!(err, Error::Foreign(_)), "{err:?}");
    assert!(err.to_string().contains("\"traces\""), "{err}");
    assert_eq!(
        count(&location, "SELECT theirs::bigint FROM traces").await,
        7
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "postgres://u:hunter2@localhost/db?host={}",
        dir.path().display()
    );
    let err = Store::open(&Location::Server(url))
        .await
        .expect_err("nobody listens");
    assert!(err.is_unavailable(), "{err:?}");
    assert!(!err.to_string().contains("hunter2"), "{err}");
}
