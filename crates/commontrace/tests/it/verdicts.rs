//! `commontrace verify`: a verdict that a server signed, checked by whoever has it.

use std::path::Path;
use std::process::Command;

use commontrace_judge::sign::{SignedVerdict, SigningKey, sign};
use serde_json::{Value, json};

use crate::client::{Client, until};
use crate::place::Place;
use crate::server::Server;

/// A test that fails before the fix and one that passes always.
const TESTS: &str = "\
. ./lib.sh
bad=0
if [ \"$(add 2 0)\" = 2 ]; then echo 'ok 1 - zero'; else echo 'not ok 1 - zero'; bad=1; fi
if [ \"$(add 2 3)\" = 5 ]; then echo 'ok 2 - sum'; else echo 'not ok 2 - sum'; bad=1; fi
echo 1..2
exit $bad
";

/// A server that has examined a session of one of its accounts.
struct Examined {
    place: Place,
    server: Server,
    client: Client,
    account: String,
    session: String,
    /// The answer about the run, with its signed verdict.
    run: Value,
}

impl Examined {
    async fn new() -> Self {
        let place = Place::new()
            .with("COMMONTRACE_VERIFY_PROTOCOLS", "file")
            .with("PATH", "/usr/bin:/bin");
        let (before, after) = repository(&place);
        let server = place.serve().await;
        let client = server.user().await;
        let account = client.get("/api/v1/keys/verify").await.ok();
        let posted = json!({
            "developer_id": "ada",
            "repo": {
                "name": "sums", "url": place.path("repo"), "branch": "main",
                "commit_before": before, "commit_after": after,
                "test_command": "sh tests/run.sh > $COMMONTRACE_REPORTS/run.tap",
            },
            "start_time": "2026-01-31T12:00:00Z",
            "events": [thought("e1"), thought("e2")],
        });
        let session = client.post("/traces", posted).await.ok()["trace_id"].take();
        let session = session.as_str().expect("an id").to_owned();
        let finalize = format!("/traces/{session}/finalize?repeats=2&wait=0");
        client.post(&finalize, json!({})).await.ok();
        let runs = format!("/traces/{session}/runs");
        let newest = async || client.get(&runs).await.ok()["runs"][0].take();
        until("the run has ended", async || {
            !newest().await["finished_at"].is_null()
        })
        .await;
        let run = newest().await;
        assert_eq!(run["state"], "done", "{run}");
        Self {
            account: account["user_id"].as_str().expect("an id").to_owned(),
            place,
            server,
            client,
            session,
            run,
        }
    }

    fn write(&self, name: &str, content: &Value) -> String {
        let path = self.place.write(name, content.to_string());
        path.display().to_string()
    }

    fn signed(&self) -> SignedVerdict {
        serde_json::from_value(self.run["verdict"].clone()).expect("a signed verdict")
    }

    /// The command that compares with the session's events too.
    fn with_session<'a>(&'a self, file: &'a str) -> Vec<&'a str> {
        let session = ["--session", &self.session, "--account", &self.account];
        [&["verify", file][..], &session].concat()
    }
}

fn thought(id: &str) -> Value {
    json!({
        "id": id, "event_type": "reasoning_step", "timestamp": "2026-01-31T12:00:01Z",
        "data": {"content": "the sum is a difference"},
    })
}

/// A repository with a bug and its fix; returns both commits.
fn repository(place: &Place) -> (String, String) {
    let folder = place.path("repo");
    place.write("repo/tests/run.sh", TESTS);
    place.write("repo/lib.sh", "add() { echo $(($1 - $2)); }\n");
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    let before = commit(&folder);
    place.write("repo/lib.sh", "add() { echo $(($1 + $2)); }\n");
    (before, commit(&folder))
}

fn commit(folder: &Path) -> String {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", "a change"]);
    git(folder, &["rev-parse", "HEAD"])
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(folder);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada");
        git.env(format!("GIT_{who}_EMAIL"), "ada@example.org");
    }
    let output = git.output().expect("git runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().to_owned()
}

#[tokio::test]
async fn a_verdict_is_checked_by_its_signature_its_events_and_its_tests() {
    let examined = Examined::new().await;
    let place = &examined.place;
    let run = examined.write("run.json", &examined.run);
    let verdict = examined.write("verdict.json", &examined.run["verdict"]);
    let evidence = json!({"evidence": {}, "signed_verdict": examined.run["verdict"]});
    let evidence = examined.write("evidence.json", &evidence);
    let key = place.run(&["verify", "--show-key"]).await.ok();
    let key = key.trim();
    for file in [&run, &verdict, &evidence] {
        let said = place.run(&["verify", file]).await.ok();
        assert!(said.contains(&format!("signature: holds, by the key {key}")));
        assert!(said.contains("verdict: verified, no score"), "{said}");
        let about = said.lines().find(|line| line.starts_with("about: \""));
        let about = about.expect("a line about the change");
        assert!(about.contains("repo"), "{about}");
        assert!(said.contains("events: not compared"), "{said}");
    }
    let mut rerun = examined.with_session(&run);
    rerun.push("--rerun");
    let said = place.run(&rerun).await.ok();
    assert!(said.contains("events: all 2 are those"), "{said}");
    assert!(said.contains("rerun: verified again"), "{said}");
    let left = std::fs::read_dir(place.data_dir()).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("rerun-")
    });
    assert_eq!(left.count(), 0);

    // Elsewhere nobody has the key, unless it is given.
    let elsewhere = Place::new();
    elsewhere
        .run(&["verify", &run])
        .await
        .failed_with_hint(1, &["there is no key"]);
    let said = elsewhere.run(&["verify", &run, "--key", key]).await.ok();
    assert!(said.contains("signature: holds"), "{said}");
    let input = examined.run.to_string();
    let piped = elsewhere
        .run_with_input(&["verify", "-", "--key", key], input.as_bytes())
        .await
        .ok();
    assert_eq!(piped, said);
    elsewhere.run(&["verify", "--show-key"]).await.ok();
    elsewhere
        .run(&["verify", &run])
        .await
        .failed_with_hint(1, &["it is signed with the key", key]);

    // What was found is part of what others read of the session.
    let export = ["sessions", "export", &examined.session];
    let account = ["--account", &examined.account, "--format", "markdown"];
    let report = place.run(&[&export[..], &account].concat()).await.ok();
    assert!(
        report.contains("**verified**: tests passed (exit code 0)."),
        "{report}"
    );
    assert!(report.contains("none: not\\_configured"), "{report}");
    examined.server.stop().await;
}

#[tokio::test]
async fn the_first_thing_that_does_not_hold_is_named_with_exit_code_1() {
    let examined = Examined::new().await;
    let place = &examined.place;
    let mut changed = examined.run.clone();
    changed["verdict"]["verdict"]["tests_passed"] = json!(false);
    let changed = examined.write("changed.json", &changed);
    place
        .run(&["verify", &changed])
        .await
        .failed(1, &["the verdict was changed after it was signed"]);
    let nothing = examined.write("nothing.json", &json!({"qa_results": {}}));
    place
        .run(&["verify", &nothing])
        .await
        .failed_with_hint(1, &["nothing.json", "no signed verdict"]);

    // Signed by the right key, and yet not what running the tests gives.
    let key = SigningKey::load_or_create(&place.data_dir(), &[0; 32]).unwrap();
    let SignedVerdict {
        mut verdict, chain, ..
    } = examined.signed();
    verdict["verification"]["lists"]["fail_to_pass"][0]["id"] = json!("a better test");
    let forged = serde_json::to_value(sign(&key, verdict, chain)).unwrap();
    let forged = examined.write("forged.json", &forged);
    let mut rerun = examined.with_session(&forged);
    rerun.push("--rerun");
    let ran = place.run(&rerun).await;
    ran.failed(1, &["gives something else", "a better test", "sum"]);

    // What was added since is counted, what was changed is named.
    let run = examined.write("run.json", &examined.run);
    let events = format!("/traces/{}/events", examined.session);
    let more = json!({"events": [thought("e3")]});
    examined.client.post(&events, more).await.ok();
    let said = place.run(&examined.with_session(&run)).await.ok();
    assert!(said.contains("all 2 are those that it is about; 1 were added"));
    place
        .sql(
            "UPDATE session_events SET event = replace(event, 'difference', 'product') WHERE seq = 2",
        )
        .await;
    let ran = place.run(&examined.with_session(&run)).await;
    ran.failed(1, &["event 2 is not the one that the verdict is about"]);
    let unknown = ["verify", &run, "--session", "no-such-session"];
    place
        .run(&unknown)
        .await
        .failed_with_hint(1, &["no-such-session"]);
    examined.server.stop().await;
}
