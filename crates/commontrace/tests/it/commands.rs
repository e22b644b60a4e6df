//! The commands around the server: help, settings, doctor, and how they meet a closed pipe.

use std::path::Path;
use std::process::Stdio;

use crate::place::{DEADLINE, Place};
use crate::provider::{KEY, Provider};

/// Runs a statement on a database file that no program has open.
pub async fn sqlite(file: &Path, statement: &str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut db = options.connect().await.expect("it opens");
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut db)
        .await
        .expect("it is carried out");
    db.close().await.expect("it closes");
}

/// Every command, as its words.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["search"],
    &["get"],
    &["contribute"],
    &["vote"],
    &["amend"],
    &["report"],
    &["remote"],
    &["remote", "add"],
    &["remote", "remove"],
    &["remote", "show"],
    &["status"],
    &["log"],
    &["redact"],
    &["forget"],
    &["serve"],
    &["migrate"],
    &["backup"],
    &["reembed"],
    &["import-seeds"],
    &["admin"],
    &["admin", "create-moderator"],
    &["admin", "revoke-key"],
    &["admin", "hide"],
    &["admin", "restore"],
    &["admin", "stats"],
    &["sessions"],
    &["sessions", "import"],
    &["sessions", "list"],
    &["sessions", "export"],
    &["sessions", "watch"],
    &["sessions", "prune"],
    &["verify"],
    &["judge"],
    &["judge", "calibrate"],
    &["config"],
    &["config", "show"],
    &["doctor"],
    &["health"],
    &["setup"],
    &["claude-plugin-path"],
    &["completions"],
    &["man"],
    &["sandbox"],
    &["sandbox", "run"],
    &["sandbox", "check"],
];

#[tokio::test]
async fn every_command_has_help_even_where_the_settings_are_wrong() {
    let place = Place::new().with("COMMONTRACE_LISTEN", "nonsense");
    for words in COMMANDS {
        let words: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
        let ran = place.run(&words).await;
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        assert!(
            ran.stdout.contains("Usage: commontrace"),
            "{words:?}: {ran:?}"
        );
        assert_eq!(ran.stderr, "", "{words:?}");
    }
    let ran = place.run(&["--version"]).await.ok();
    assert_eq!(ran, format!("commontrace {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn an_unknown_command_or_flag_is_a_usage_error() {
    for words in [
        &["sevre"][..],
        &["serve", "--listne", "x"],
        &["backup"],
        &[],
    ] {
        let ran = Place::new().run(words).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("Usage: commontrace"), "{ran:?}");
    }
}

#[tokio::test]
async fn config_show_never_prints_secrets() {
    let secrets = ["pepper-of-the-day", "hunter2", KEY];
    let place = Place::new()
        .with("API_KEY_PEPPER", secrets[0])
        .with("DATABASE_URL", "postgres://ada:hunter2@db/commons")
        .with("REDIS_URL", "redis://:hunter2@cache/1")
        .with("OPENAI_API_KEY", KEY);
    for words in [&["config", "show"][..], &["config", "show", "--json"]] {
        let ran = place.run(words).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stdout.contains("postgres://ada:***@db/commons"),
            "{ran:?}"
        );
        assert!(ran.stdout.contains("redis://:***@cache/1"), "{ran:?}");
        for secret in secrets {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{ran:?}"
            );
        }
    }
    let json = place.run(&["config", "show", "--json"]).await.ok();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let listen = json["settings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["name"] == "listen");
    assert_eq!(listen.unwrap()["value"], "127.0.0.1:0");
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let place = Place::new().with("VALIDATION_THRESHOLD", "5");
    place.write(
        ".config/commontrace/config.toml",
        "[commons]\nvalidation_threshold = 4\nflags_to_hide = 9\n",
    );
    let text = place
        .run(&["config", "show", "--app-name", "Ours"])
        .await
        .ok();
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(line("validation_threshold").contains(" 5 "), "{text}");
    assert!(line("flags_to_hide").contains(" 9 "), "{text}");
    assert!(line("app_name").contains("Ours"), "{text}");
}

#[tokio::test]
async fn doctor_is_content_with_a_working_place_beside_a_running_server() {
    let place = Place::new();
    place.run(&["doctor"]).await.ok();
    let server = place.serve().await;
    let place = place.with("COMMONTRACE_LISTEN", &server.address.to_string());
    let said = place.run(&["doctor"]).await.ok();
    assert!(
        said.contains("database: SQLite") && said.contains("ok     address: a server of version"),
        "{said}"
    );
}

#[tokio::test]
async fn doctor_tells_a_server_from_another_program_at_its_address() {
    let other = wiremock::MockServer::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, said) in [
        (*other.address(), "is in use by another program"),
        (silent.local_addr().unwrap(), "did not answer within"),
    ] {
        let place = Place::new().with("COMMONTRACE_LISTEN", &address.to_string());
        let ran = place.run(&["doctor"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let line = ran.stdout.lines().find(|line| line.contains("address: "));
        let line = line.expect("the address is looked at");
        assert!(
            line.starts_with("WRONG") && line.contains(said) && line.contains("COMMONTRACE_LISTEN"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_named_with_what_one_looks_like() {
    for words in [
        &["admin", "hide", "NOT-A-UUID"][..],
        &["admin", "restore", "NOT-A-UUID"],
        &["admin", "revoke-key", "--user", "NOT-A-UUID"],
    ] {
        let ran = Place::new().run(words).await;
        ran.failed(2, &["NOT-A-UUID", "must be an id such as"]);
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_says_why_and_where() {
    let place = Place::new();
    let file = place.data_dir().join("commontrace.db");
    place
        .run(&["backup", place.path("x.db").to_str().unwrap()])
        .await
        .failed_with_hint(1, &[file.to_str().unwrap(), "COMMONTRACE_DATA_DIR"]);
    place.run(&["migrate"]).await.ok();
    place
        .run(&["backup", "/no/such/dir/x.db"])
        .await
        .failed_with_hint(
            1,
            &[
                "/no/such/dir/x.db",
                "No such file",
                "a directory that exists",
            ],
        );
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_exits_with_1() {
    let wrong = async |place: Place, names: &[&str]| {
        let ran = place.run(&["doctor"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with("WRONG"))
            .expect("something is wrong");
        for name in names {
            assert!(line.contains(name), "`{name}` is not named: {line}");
        }
    };
    wrong(
        Place::new().with("VALIDATION_THRESHOLD", "x"),
        &["settings", "VALIDATION_THRESHOLD"],
    )
    .await;
    wrong(
        Place::new().with("COMMONTRACE_LISTEN", "192.0.2.1:80"),
        &["address", "192.0.2.1:80"],
    )
    .await;
    let corrupt = Place::new();
    corrupt.write("data/commontrace.db", "never a database ".repeat(100));
    wrong(corrupt, &["database", "commontrace.db", "not a database"]).await;
    let away = Place::new().with("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/commons");
    wrong(away, &["database", "127.0.0.1:1"]).await;
    let damaged = Place::new().with("EMBEDDING_PROVIDER", "local");
    damaged.write("model/tokenizer.json", "{}");
    damaged.write("model/model.safetensors", "not weights");
    let model = damaged.path("model").display().to_string();
    wrong(
        damaged.with("COMMONTRACE_MODEL_DIR", &model),
        &["embedding", "tokenizer.json"],
    )
    .await;
    let provider = Provider::start().await;
    provider.set_up(false);
    wrong(provider.of(Place::new()), &["embedding", "503"]).await;
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    for words in [
        &["config", "show"][..],
        &["admin", "stats"],
        &["--help"],
        &["doctor"],
    ] {
        let mut child = place.command(words).spawn().unwrap();
        drop(child.stdout.take());
        let ended = tokio::time::timeout(DEADLINE, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {said}");
        assert_eq!(said, "", "{words:?}");
    }
}

#[tokio::test]
async fn an_error_that_nobody_reads_keeps_its_exit_code() {
    let place = Place::new().with("VALIDATION_THRESHOLD", "x");
    let mut child = place
        .command(&["serve"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let ended = tokio::time::timeout(DEADLINE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.code(), Some(2));
}
