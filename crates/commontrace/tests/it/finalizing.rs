//! A recorded session is verified and drafted by the command line alone, without a server.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::place::{Place, Ran};
use crate::verifying::{RIGHT, Repository, WRONG, repository};

/// Imports a recording that does not say how its tests are run.
async fn imported(place: &Place) {
    let edit = format!("@@ -1 +1 @@\n-{WRONG}+{RIGHT}");
    let session = json!({
        "trace_id": "adder-1", "developer_id": "ada", "start_time": "2026-01-02T12:00:00Z",
        "repo": {"name": "adder", "url": "", "branch": "main", "commit_before": "", "commit_after": "",
                 "test_command": ""},
        "events": [
            {"event_type": "terminal_command", "timestamp": "2026-01-02T12:00:01Z",
             "data": {"command": "sh test_add.sh", "exit_code": 1, "output": "not ok 1 - adds: error"}},
            {"event_type": "code_edit", "timestamp": "2026-01-02T12:00:02Z",
             "data": {"file_path": "add.sh", "diff": edit}},
        ],
    });
    let file = place.write("session.json", session.to_string());
    let file = file.display().to_string();
    place.run(&["sessions", "import", &file]).await.ok();
}

async fn finalize(place: &Place, repository: &Repository, more: &[&str]) -> Ran {
    let at = place.path("adder").display().to_string();
    let always = [
        "sessions",
        "finalize",
        "adder-1",
        "--repo",
        &at,
        "--base",
        &repository.base,
        "--test-command",
        "sh test_add.sh",
        "--repeats",
        "1",
    ];
    place.run(&[&always[..], more].concat()).await
}

#[rstest]
#[tokio::test]
async fn an_imported_session_is_finalized_and_drafted_without_a_server(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let repository = repository(&place, RIGHT, "0").await;
    imported(&place).await;
    let draft = place.run(&["sessions", "draft", "adder-1"]).await.ok();
    assert!(
        draft.contains("None: `commontrace sessions finalize`"),
        "{draft}"
    );
    let ran = finalize(&place, &repository, &["--commit", "main"]).await;
    let said = ran.ok();
    assert!(said.contains("Tests: verified. 1 turned green"), "{said}");
    let draft = place.run(&["sessions", "draft", "adder-1"]).await.ok();
    assert!(draft.contains("## Evidence\n\nTests: verified."), "{draft}");
    assert!(draft.contains("+echo $(( $1 + $2 ))"), "{draft}");
    let draft = place
        .run(&["sessions", "draft", "adder-1", "--json"])
        .await
        .ok();
    let draft: Value = serde_json::from_str(&draft).unwrap();
    assert_eq!(draft["session_id"], "adder-1");
    // The verdict that is printed is one that can be checked.
    let ran = finalize(
        &place,
        &repository,
        &["--commit", &repository.fix, "--json"],
    )
    .await;
    let file = place.write("verdict.json", ran.ok()).display().to_string();
    let checked = place
        .run(&["verify", &file, "--session", "adder-1"])
        .await
        .ok();
    assert!(checked.contains("signature: holds"), "{checked}");
}

#[tokio::test]
async fn the_sessions_own_edits_can_be_refuted_by_somebody_elses_tests() {
    let place = Place::new();
    let repository = repository(&place, RIGHT, "0").await;
    imported(&place).await;
    place.write(
        "held/test_add.sh",
        "echo 1..1\n[ \"$(sh add.sh 2 3)\" = 6 ] && echo 'ok 1 - adds' && exit\necho 'not ok 1 - adds'\nexit 1\n",
    );
    let held = place.path("held").display().to_string();
    let more = ["--edits", "--tests", &held];
    let ran = finalize(&place, &repository, &more).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the fix is not verified"), "{ran:?}");
}

#[tokio::test]
async fn what_cannot_be_finalized_is_named_with_what_to_do() {
    let place = Place::new();
    imported(&place).await;
    let unknown = place.run(&["sessions", "finalize", "none"]).await;
    unknown.failed_with_hint(
        1,
        &["there is no session with the id none", "sessions list"],
    );
    let nowhere = place
        .run(&[
            "sessions",
            "finalize",
            "adder-1",
            "--repo",
            "/nowhere/at/all",
        ])
        .await;
    nowhere.failed_with_hint(
        1,
        &["there is no file or folder /nowhere/at/all", "see whether"],
    );
    let at = place.path("").display().to_string();
    let no_commit = place
        .run(&[
            "sessions", "finalize", "adder-1", "--repo", &at, "--base", "HEAD~1",
        ])
        .await;
    no_commit.failed_with_hint(1, &["has no commit `HEAD~1`", "git log"]);
    let often = place
        .run(&["sessions", "finalize", "adder-1", "--repeats", "11"])
        .await;
    assert!(often.stderr.contains("repeats"), "{often:?}");
    assert_eq!(often.code, Some(1), "{often:?}");
}
