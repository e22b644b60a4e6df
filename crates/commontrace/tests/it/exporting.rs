//! `commontrace sessions export`: what was imported, for others to read.

use std::fs;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::Value;

use crate::place::Place;
use crate::sessions::recording;

const ID: &str = "5d1a7c9e-0000-4000-8000-000000000001";

async fn imported(engine: Engine) -> Place {
    let place = Place::on(engine).await;
    let file = place.write("a.jsonl", recording(true));
    let file = file.display().to_string();
    place.run(&["sessions", "import", &file]).await.ok();
    place
}

fn event_ids(trace: &str) -> Vec<String> {
    let trace: Value = serde_json::from_str(trace).expect("one JSON document");
    let events = trace["events"].as_array().expect("a list").iter();
    events
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_session_is_written_in_every_format(#[values(Sqlite, Postgres)] engine: Engine) {
    let place = imported(engine).await;
    let trace = place.run(&["sessions", "export", ID]).await.ok();
    assert_eq!(event_ids(&trace), ["u1", "u2", "u3"]);
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(trace["trace_id"], ID);
    assert_eq!(trace["qa_results"], Value::Null);
    for (format, part) in [
        ("atif", "\"schema_version\": \"ATIF-v1.7\""),
        ("otlp", "\"resourceLogs\""),
        ("agent-trace", "\"files\""),
        ("markdown", "Not finalized"),
    ] {
        let export = ["sessions", "export", ID, "--format", format];
        let written = place.run(&export).await.ok();
        assert!(written.contains(part), "{format}: {written}");
        assert!(!written.contains("mira"), "{format}: {written}");
    }
}

#[tokio::test]
async fn what_was_exported_and_imported_elsewhere_has_the_same_events() {
    let place = imported(Sqlite).await;
    let file = place.path("session.json").display().to_string();
    let export = ["sessions", "export", ID, "--format", "atif", "--output"];
    let said = place.run(&[&export[..], &[&file]].concat()).await.ok();
    assert_eq!(said, format!("wrote {file}\n"));
    let other = Place::new();
    other.run(&["sessions", "import", &file]).await.ok();
    let trace = other.run(&["sessions", "export", ID]).await.ok();
    assert_eq!(event_ids(&trace), ["u1", "u2", "u3"]);
}

#[tokio::test]
async fn a_trajectory_is_checked_and_what_is_wrong_is_named_with_its_place() {
    let place = imported(Sqlite).await;
    let export = ["sessions", "export", ID, "--format", "atif"];
    let written = place.run(&export).await.ok();
    let validate = ["sessions", "validate", "-"];
    let said = place.run_with_input(&validate, written.as_bytes()).await;
    assert_eq!(said.ok(), "standard input is valid ATIF\n");

    let mut broken: Value = serde_json::from_str(&written).unwrap();
    broken["steps"][0]["source"] = "nobody".into();
    let file = place.write("broken.json", broken.to_string());
    let file = file.display().to_string();
    let ran = place.run(&["sessions", "validate", &file]).await;
    ran.failed(1, &[&file, "a rule of ATIF"]);
    assert!(ran.stdout.starts_with("steps[0].source: "), "{ran:?}");

    let ran = place.run_with_input(&validate, b"{").await;
    ran.failed(1, &["standard input", "no JSON document", "line 1"]);
    let ran = place.run(&["sessions", "validate", "nowhere.json"]).await;
    ran.failed(1, &["no file or folder nowhere.json"]);
}

#[tokio::test]
async fn a_file_is_replaced_by_a_whole_one_or_left_alone() {
    let place = imported(Sqlite).await;
    let file = place.write("out/session.json", "what was here before");
    let path = file.display().to_string();
    let unknown = ["sessions", "export", "no-such-session", "--output", &path];
    let ran = place.run(&unknown).await;
    ran.failed_with_hint(1, &["no-such-session"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "what was here before");
    // The session cannot be read to its end.
    place
        .sql("UPDATE session_events SET event = 'damaged' WHERE seq = 3")
        .await;
    let export = ["sessions", "export", ID, "--output", &path];
    place.run(&export).await.failed(1, &["event 3"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "what was here before");
    let out = place.run(&["sessions", "export", ID]).await;
    out.failed(1, &["event 3"]);
    assert!(serde_json::from_str::<Value>(&out.stdout).is_err());
    place
        .sql("UPDATE session_events SET event = '{}' WHERE seq = 3")
        .await;
    place.run(&export).await.failed(1, &["event 3"]);
    place.sql("UPDATE sessions SET last_seq = 2").await;
    place.run(&export).await.ok();
    assert_eq!(event_ids(&fs::read_to_string(&file).unwrap()), ["u1", "u2"]);
    let left = fs::read_dir(place.path("out")).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside it");
    let device = ["sessions", "export", ID, "--output", "/dev/null"];
    place.run(&device).await.failed_with_hint(1, &["/dev/null"]);
}
