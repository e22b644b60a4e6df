//! `commontrace judge calibrate`: a judge beside people.

use commontrace_judge::deterministic::Reason;
use commontrace_judge::judged::Judged;
use commontrace_judge::sign::{Chain, SigningKey, sign};
use commontrace_judge::verdict::{Verification, VerificationStatus, qa_results};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::Value;

use crate::place::Place;
use crate::sessions::recording;

const ID: &str = "5d1a7c9e-0000-4000-8000-000000000001";

fn label(dimension: &str, level: u8) -> String {
    format!(
        r#"{{"trace": "{ID}", "dimension": "{dimension}", "level": {level}, "labeller": "ada", "rule_version": "1"}}"#
    )
}

/// A signed verdict of a judge that gave this level, twice, in every dimension.
fn verdict(level: u8) -> String {
    let mut judged = Judged::absent(Reason::NotApplicable);
    for score in &mut judged.dimensions {
        score.levels = vec![level, level];
        score.median = Some(level.into());
        score.reason = None;
    }
    let not_run = Verification {
        status: VerificationStatus::NotRun,
        regressed: false,
        tests_passed: None,
        test_exit_code: None,
        test_output: None,
        detail: Value::Null,
    };
    let results = qa_results(not_run, judged, Vec::new(), Vec::new(), Some(2));
    let key = SigningKey::from_seed(&[7; 32]).expect("a key");
    let chain = Chain::default().record();
    let signed = sign(&key, serde_json::to_value(results).unwrap(), chain);
    serde_json::to_string(&signed).unwrap()
}

#[rstest]
#[tokio::test]
async fn levels_of_verdicts_are_compared_with_those_of_people(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let file = place.write("a.jsonl", recording(false));
    let file = file.display().to_string();
    place.run(&["sessions", "import", &file]).await.ok();
    let labels = [label("honesty", 3), label("hypotheses", 1)].join("\n");
    let labels = place.write("labels.jsonl", labels).display().to_string();
    let calibrate = ["judge", "calibrate", &labels];
    place.run(&calibrate).await.failed_with_hint(
        1,
        &[
            "none of the account's 1 sessions has a verdict by a model",
            "JUDGE_MODEL",
        ],
    );
    place
        .sql(&format!(
            "INSERT INTO session_runs (id, session_key, state, options, events_through, attempts,
             cancel_requested, verdict, created_at)
             SELECT key, key, 'done', '{{}}', 2, 1, FALSE, '{}', created_at FROM sessions",
            verdict(3).replace('\'', "''")
        ))
        .await;
    let said = place.run(&calibrate).await.ok();
    assert!(
        said.starts_with("Labels by rule version 1, 1 labeller(s)"),
        "{said}"
    );
    assert!(
        said.contains("equal 50 % of 2 pairs of 1 sessions"),
        "{said}"
    );
    let said = place
        .run(&[&calibrate[..], &["--json"]].concat())
        .await
        .ok();
    let reports: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(reports[0]["consistency"]["items"], 7);
    assert_eq!(reports[0]["overall"]["agreement"], 0.5);
}

#[tokio::test]
async fn a_verdict_that_cannot_be_read_is_told_apart_from_none() {
    let place = Place::new();
    let file = place.write("a.jsonl", recording(false));
    let file = file.display().to_string();
    place.run(&["sessions", "import", &file]).await.ok();
    let labels = place.write("labels.jsonl", label("honesty", 3));
    let later = verdict(3).replace("\"not_run\"", "\"run_by_moonlight\"");
    place
        .sql(&format!(
            "INSERT INTO session_runs (id, session_key, state, options, events_through, attempts,
             cancel_requested, verdict, created_at)
             SELECT key, key, 'done', '{{}}', 2, 1, FALSE, '{}', created_at FROM sessions",
            later.replace('\'', "''")
        ))
        .await;
    let ran = place
        .run(&["judge", "calibrate", &labels.display().to_string()])
        .await;
    ran.failed_with_hint(1, &["1 verdicts cannot be read", ID, "run_by_moonlight"]);
}

#[tokio::test]
async fn labels_that_cannot_be_used_are_named_with_their_line() {
    let place = Place::new();
    let missing = ["judge", "calibrate", "/nowhere/labels.jsonl"];
    place
        .run(&missing)
        .await
        .failed_with_hint(1, &["/nowhere/labels.jsonl"]);
    for (labels, what) in [
        (
            format!("{}\n{}", label("honesty", 3), label("style", 3)),
            "line 2",
        ),
        (String::new(), "no labels"),
    ] {
        let file = place.write("labels.jsonl", labels).display().to_string();
        let ran = place.run(&["judge", "calibrate", &file]).await;
        ran.failed_with_hint(1, &["labels.jsonl", what]);
    }
}
