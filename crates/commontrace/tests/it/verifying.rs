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

pub const WRONG: &str = "echo $(( $1 - $2 ))\n";
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
    let last = verification["sides"].as_array().unwrap().last().unwrap();
    let log = &last["runs"][0]["log"];
    let path = format!("/traces/{id}/blobs/{}", log["sha256"].as_str().unwrap());
    let answer = ada.request(Method::GET, &path).send().await.unwrap();
    let output = answer.text().await.unwrap();
    assert!(
        output.starts_with("1..1\n") && output.contains("ok 1 - adds"),
        "{output}"
    );
    assert_eq!(log["bytes"], output.len());
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

/// Passes whatever `add.sh` does.
const WEAK: &str = "echo 1..1\necho 'ok 1 - adds'\n";
const STRONG: &str = "echo 1..2\nbad=0\n\
     for n in 3 4; do\n\
     if [ \"$(sh add.sh 2 $n)\" = $((2 + n)) ]; then echo \"ok $((n - 2)) - adds $n\"; else \
     echo \"not ok $((n - 2)) - adds $n\"; bad=1; fi\ndone\nexit $bad\n";

#[rstest]
#[case(RIGHT, "verified")]
#[case("echo 5\n", "refuted")]
#[tokio::test]
async fn held_back_tests_replace_those_of_the_fix_and_their_verdict_can_be_made_again(
    #[values(Sqlite, Postgres)] engine: Engine,
    #[case] fix: &str,
    #[case] status: &str,
) {
    let place = place_for(Place::on(engine).await);
    let repository = repository(&place, fix, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let path = format!("/traces/{id}/finalize?wait=0");
    let body = json!({
        "tests": [{"path": "checks/add.t", "content": STRONG}, {"path": "test_add.sh", "content": WEAK}],
        "setup": "echo ready > \"$COMMONTRACE_DEPENDENCIES/state\"",
        "expected": ["adds 3", "adds 4"], "repeats": 1,
        "repo": {"test_command": "cat \"$COMMONTRACE_DEPENDENCIES/state\" && sh checks/add.t"},
    });
    let run = ada.post(&path, body).await.ok();
    let run = format!("/traces/{id}/runs/{}", run["run_id"].as_str().unwrap());
    let done = run_until(&ada, &run, has_ended).await;
    let verification = &done["verdict"]["verdict"]["verification"];
    assert_eq!(verification["status"], status, "{verification}");
    assert_eq!(verification["request"], done["request"]);
    assert_eq!(verification["request"]["tests"][0]["path"], "checks/add.t");
    assert!(!done.to_string().contains("for n in 3 4"));
    let account = ada.get("/api/v1/keys/verify").await.ok();
    let file = place.write("run.json", done.to_string());
    let rerun = [
        "verify",
        file.to_str().unwrap(),
        "--rerun",
        "--session",
        &id,
        "--account",
        account["user_id"].as_str().unwrap(),
    ];
    let said = place.run(&rerun).await.ok();
    assert!(said.contains(&format!("rerun: {status} again")), "{said}");
    server.stop().await;
}

/// The verification of a session whose tests run in a container, with dependencies that are set up.
async fn verified_in_a_container(place: Place) -> Value {
    let repository = repository(&place, RIGHT, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let body = json!({
        "setup": "echo ready > \"$COMMONTRACE_DEPENDENCIES/state\"", "repeats": 2,
        "repo": {"test_command": "cat \"$COMMONTRACE_DEPENDENCIES/state\" && sh test_add.sh"},
    });
    let run = ada
        .post(&format!("/traces/{id}/finalize?wait=0"), body)
        .await;
    let run = format!("/traces/{id}/runs/{}", run.ok()["run_id"].as_str().unwrap());
    let mut done = run_until(&ada, &run, has_ended).await;
    assert_eq!(done["state"], "done", "{done}");
    server.stop().await;
    done["verdict"]["verdict"]["verification"].take()
}

/// `scripts/with-docker.sh` runs this with an engine of its own.
#[tokio::test]
async fn tests_run_in_a_container_where_an_engine_answers() {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever starts an engine for the tests hands it over this way"
    )]
    let variable = |name: &str| std::env::var(name).ok();
    let socket = variable("COMMONTRACE_TEST_DOCKER_SOCKET");
    let (Some(socket), Some(image)) = (socket, variable("COMMONTRACE_TEST_DOCKER_IMAGE")) else {
        eprintln!("skipped: no Docker engine; see scripts/with-docker.sh");
        return;
    };
    let in_docker = |image: &str| {
        place_for(Place::new())
            .with("COMMONTRACE_VERIFY_ISOLATION", "docker")
            .with("COMMONTRACE_VERIFY_IMAGE", image)
            .with("DOCKER_HOST", &format!("unix://{socket}"))
    };
    let verification = verified_in_a_container(in_docker(&image)).await;
    assert_eq!(verification["status"], "verified", "{verification}");
    assert_eq!(verification["isolation"], json!(["docker: container"]));
    let missing = verified_in_a_container(in_docker("no-such-image:at-all")).await;
    assert_eq!(missing["reason"], "image_missing", "{missing}");
}

#[tokio::test]
async fn without_its_engine_a_run_is_no_failed_test() {
    let place = place_for(Place::new());
    let nowhere = format!("unix://{}", place.path("no-such-socket").display());
    let place = place
        .with("COMMONTRACE_VERIFY_ISOLATION", "docker")
        .with("COMMONTRACE_VERIFY_IMAGE", "any")
        .with("DOCKER_HOST", &nowhere);
    let verification = verified_in_a_container(place).await;
    assert_eq!(verification["status"], "infrastructure");
    assert_eq!(
        verification["reason"], "sandbox_unavailable",
        "{verification}"
    );
    assert_eq!(verification["tests_passed"], Value::Null);
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
    let message = verdict["verification"]["message"].as_str().unwrap();
    assert!(message.contains("repository"), "{message}");
    assert!(!message.contains("home"), "{message}");
    // The name of a user is not stored, so nothing is there.
    let id = record_of(&ada, "/home/ada/adder", &nowhere).await;
    let done = run_until(&ada, &finalize(&ada, &id, "").await, has_ended).await;
    let verification = &done["verdict"]["verdict"]["verification"];
    assert_eq!(verification["reason"], "clone_failed");
    let message = verification["message"].as_str().unwrap();
    assert!(message.contains("`~/` for the home"), "{message}");
    server.stop().await;
}

/// A secret as a test might print it, in two parts so that no scanner takes this file for it.
const TOKEN: [&str; 2] = ["ghp_Zk3Vq8Xw1Rt6", "Yp9Lm2Nb5Hs7Jd4Fg0Qc8XaT"];

#[rstest]
#[tokio::test]
async fn what_set_up_and_tests_print_is_stored_without_its_secrets(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let place = place_for(Place::on(engine).await);
    let [first, second] = TOKEN;
    let token = TOKEN.concat();
    let fix = format!("printf 'TOKEN=%s%s ' {first} {second} >&2\n{RIGHT}");
    let repository = repository(&place, &fix, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let runs = format!("/traces/{id}/finalize?wait=0&repeats=1");
    // In the output, in the id of a test, and in the complaint of a set-up that failed.
    let named = format!("echo 1..1; sh add.sh 2 3; printf 'ok 1 - %s%s\\n' {first} {second}");
    let setup = format!("printf '%s%s' {first} {second}; exit 1");
    for body in [
        json!({}),
        json!({"repo": {"test_command": named}}),
        json!({"setup": setup}),
    ] {
        let run = ada.post(&runs, body).await.ok();
        let run = format!("/traces/{id}/runs/{}", run["run_id"].as_str().unwrap());
        let done = run_until(&ada, &run, has_ended).await;
        assert_eq!(done["state"], "done", "{done}");
        assert!(!done.to_string().contains(&token), "{done}");
        assert!(done["verdict"].to_string().contains("github-pat"), "{done}");
    }
    server.stop().await;
}

#[tokio::test]
async fn other_tests_than_the_sessions_do_not_change_what_its_events_say() {
    let place = place_for(Place::new());
    let repository = repository(&place, RIGHT, "0").await;
    let server = place.serve().await;
    let ada = server.user().await;
    let id = record(&ada, &place, &repository).await;
    let mut seen = Vec::new();
    for body in [
        json!({"repeats": 1}),
        json!({"repeats": 1, "repo": {"test_command": "sh ./test_add.sh"}}),
    ] {
        let path = format!("/traces/{id}/finalize?wait=0");
        let run = ada.post(&path, body).await.ok();
        let run = format!("/traces/{id}/runs/{}", run["run_id"].as_str().unwrap());
        let done = run_until(&ada, &run, has_ended).await;
        seen.push(done["verdict"]["verdict"]["checks"].clone());
    }
    assert!(seen[0].is_array() && seen[0] == seen[1], "{seen:?}");
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
