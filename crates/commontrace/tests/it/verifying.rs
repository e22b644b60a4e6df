//! A bug is recorded, its tests are run before and after the fix, and the verdict is signed: by the whole
//! program, in its sandbox, on a repository that the test makes.

use std::path::Path;
use std::process::Stdio;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::place::{DEADLINE, LOOK_AGAIN, Place};

const WRONG: &str = "echo $(( $1 - $2 ))\n";
pub const RIGHT: &str = "echo $(( $1 + $2 ))\n";

/// A repository with a bug in `add.sh` and a fix, and the commits of both.
pub struct Repository {
    pub base: String,
    pub fix: String,
}

async fn git(repository: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@engines.org"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "git {arguments:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Makes a repository whose tests take this many seconds.
pub async fn repository(place: &Place, fix: &str, seconds: &str) -> Repository {
    let at = place.path("adder");
    let test = format!(
        "sleep {seconds}\necho 1..1\n\
         [ \"$(sh add.sh 2 3)\" = 5 ] && echo 'ok 1 - adds' && exit\n\
         echo 'not ok 1 - adds'\nexit 1\n"
    );
    place.write("adder/add.sh", WRONG);
    git(&at, &["init", "-q", "-b", "main"]).await;
    git(&at, &["add", "-A"]).await;
    git(&at, &["commit", "-qm", "Subtract"]).await;
    place.write("adder/add.sh", fix);
    place.write("adder/test_add.sh", test);
    git(&at, &["add", "-A"]).await;
    git(&at, &["commit", "-qm", "Add"]).await;
    Repository {
        base: git(&at, &["rev-parse", "HEAD~1"]).await,
        fix: git(&at, &["rev-parse", "HEAD"]).await,
    }
}

pub async fn record(client: &Client, place: &Place, repository: &Repository) -> String {
    record_of(
        client,
        &place.path("adder").display().to_string(),
        repository,
    )
    .await
}

/// Records a session on a repository at this address.
pub async fn record_of(client: &Client, url: &str, repository: &Repository) -> String {
    let command = |second: u8, exit_code: i64, output: &str| {
        json!({
            "event_type": "terminal_command",
            "timestamp": format!("2026-01-02T12:00:{second:02}Z"),
            "data": {"command": "sh test_add.sh", "exit_code": exit_code, "output": output}
        })
    };
    let answer = client
        .post(
            "/traces",
            json!({
                "developer_id": "ada",
                "repo": {
                    "name": "adder", "url": url, "branch": "main",
                    "commit_before": repository.base, "commit_after": repository.fix,
                    "test_command": "sh test_add.sh"
                },
                "start_time": "2026-01-02T12:00:00Z",
                "events": [
                    command(1, 1, "1..1\nnot ok 1 - adds"),
                    {
                        "event_type": "code_edit", "timestamp": "2026-01-02T12:00:02Z",
                        "data": {"file_path": "add.sh", "diff": format!("@@ -1 +1 @@\n-{WRONG}+{RIGHT}")}
                    },
                    command(3, 0, "1..1\nok 1 - adds"),
                ]
            }),
        )
        .await;
    answer.ok()["trace_id"].as_str().unwrap().to_owned()
}

/// Waits until a run is in a state that `reached` accepts.
pub async fn run_until(client: &Client, run: &str, reached: impl Fn(&Value) -> bool) -> Value {
    timeout(DEADLINE, async {
        loop {
            let looked = client.get(run).await.ok();
            if reached(&looked) {
                return looked;
            }
            sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("the run gets there")
}

pub fn has_ended(run: &Value) -> bool {
    !run["finished_at"].is_null()
}

pub async fn finalize(client: &Client, id: &str, query: &str) -> String {
    let path = format!("/traces/{id}/finalize?wait=0&{query}");
    let answer = client.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

pub fn place_for(place: Place) -> Place {
    place
        .with("COMMONTRACE_VERIFY_PROTOCOLS", "file")
        .with("RATE_LIMIT_READ_PER_MINUTE", "100000")
}

#[rstest]
#[case(RIGHT, "verified", json!(true), json!(null))]
#[case(WRONG, "refuted", json!(false), json!(0.0))]
#[tokio::test]
async fn a_session_gets_the_verdict_that_its_tests_give(
    #[values(Sqlite, Postgres)] engine: Engine,
    #[case] fix: &str,
    #[case] status: &str,
    #[case] passed: Value,
    #[case] score: Value,
) {
    let place = place_for(Place::on(engine).await);
    let repository = repository(&place, fix, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let run = finalize(&ada, &id, "repeats=1").await;
    let done = run_until(&ada, &run, has_ended).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(done["verdict"]["format"], "commontrace-verdict-1");
    let session = ada.get(&format!("/traces/{id}")).await.ok();
    let verdict = &session["qa_results"];
    let verification = &verdict["verification"];
    assert_eq!(verification["status"], status, "{verification}");
    assert_eq!(verdict["tests_passed"], passed);
    // No model is configured: the reasoning has no score, and that is said.
    assert_eq!(verdict["reasoning_score"], Value::Null);
    assert_eq!(verdict["score"], score);
    assert_eq!(
        verdict["coverage"]["not_judged"][0]["reason"],
        "not_configured"
    );
    assert_eq!(verdict["stale"], false);
    server.stop().await;
}

#[tokio::test]
async fn a_repository_that_cannot_be_fetched_is_no_failed_test() {
    let place = place_for(Place::new());
    let server = place.serve().await;
    let ada = server.user().await;
    let nowhere = Repository {
        base: "abc123".to_owned(),
        fix: "def456".to_owned(),
    };
    let id = record(&ada, &place, &nowhere).await;
    let run = finalize(&ada, &id, "").await;
    let done = run_until(&ada, &run, has_ended).await;
    let verdict = &done["verdict"]["verdict"];
    assert_eq!(verdict["tests_passed"], Value::Null);
    assert_eq!(verdict["verification"]["status"], "infrastructure");
    assert_eq!(verdict["verification"]["reason"], "clone_failed");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_run_goes_on_with_it_and_leaves_nothing_running()
{
    // Nothing else sleeps as long as this.
    let seconds = "1.375191";
    let place = place_for(Place::new());
    let repository = repository(&place, RIGHT, seconds).await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let run = finalize(&ada, &id, "repeats=1").await;
    run_until(&ada, &run, |run| {
        run["state"] == "running" && is_running(seconds)
    })
    .await;
    server.kill().await;
    timeout(DEADLINE, async {
        while is_running(seconds) {
            sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("the tests end with their server");
    let again = place.serve().await;
    let ada = again.anyone().with_key(&ada.key);
    let done = run_until(&ada, &run, has_ended).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(
        done["verdict"]["verdict"]["verification"]["status"],
        "verified"
    );
    let runs = ada.get(&format!("/traces/{id}/runs")).await.ok();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    again.stop().await;
}

/// Whether a process has this among its arguments.
pub fn is_running(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().any(|process| {
        let name = process.file_name();
        let is_process = name
            .to_string_lossy()
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        is_process
            && line
                .split(|byte| *byte == 0)
                .any(|word| word == argument.as_bytes())
    })
}
