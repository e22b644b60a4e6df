//! What is written can be read by those that it is for, and by us.

mod common;

use std::collections::BTreeMap;

use common::{Read, read, read_all, read_bytes};
use commontrace_session::export::{Dimension, Export, Format, Verdict, validate_atif};
use commontrace_session::{Body, Event, Session};
use serde_json::{Value, json};

const FIXTURES: &[&str] = &[
    "claude_code/session.jsonl",
    "claude_code/parent.jsonl",
    "codex/rollout.jsonl",
    "codex/bare.jsonl",
    "gemini/session.json",
    "gemini/session.jsonl",
    "atif/main.json",
    "atif/embedded.json",
    "swe_agent/run.traj",
    "mini_swe_agent/v2.traj.json",
    "trace/posted.json",
];

fn verdict() -> Verdict {
    Verdict {
        tests_passed: Some(true),
        test_exit_code: Some(0),
        test_output_snippet: Some("\u{1b}[32m3 passed\u{1b}[0m\n```\n".to_owned()),
        reasoning_score: Some(4.2),
        reasoning_feedback: Some("Reproduced first.".to_owned()),
        status: Some("verified".to_owned()),
        combined: Some(0.9),
        dimensions: BTreeMap::from([
            (
                "evidence".to_owned(),
                Dimension {
                    score: Some(3.0),
                    label: Some("good".to_owned()),
                    ..Dimension::default()
                },
            ),
            (
                "honesty".to_owned(),
                Dimension {
                    error_type: Some("timeout".to_owned()),
                    ..Dimension::default()
                },
            ),
        ]),
    }
}

fn write(
    format: Format,
    session: &Session,
    events: Vec<Event>,
    verdict: Option<&Verdict>,
) -> String {
    let export = Export {
        id: "t-1",
        session,
        verdict,
        url: Some("https://example.org/traces/t-1"),
    };
    let mut out = Vec::new();
    export
        .write(format, events, &mut out)
        .expect("memory takes all");
    String::from_utf8(out).expect("text")
}

fn written(format: Format, read: &Read, verdict: Option<&Verdict>) -> String {
    let events = read.events.iter().map(|(_, event)| event.clone()).collect();
    write(format, &read.sessions[0].1, events, verdict)
}

/// The events without where they were read, by id: sub-agents' come last in a file.
fn plain(read: &Read) -> BTreeMap<String, Event> {
    let plain = |event: &Event| Event {
        raw: None,
        source: None,
        ..event.clone()
    };
    read.events
        .iter()
        .map(|(_, event)| (event.id.clone(), plain(event)))
        .collect()
}

#[test]
fn what_is_imported_and_exported_as_atif_is_valid_and_reads_back_the_same() {
    for name in FIXTURES {
        let first = read(name);
        let document = written(Format::Atif, &first, Some(&verdict()));
        let value: Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(validate_atif(&value), [], "{name}");
        let second = read_bytes("export.json", document.as_bytes());
        assert_eq!(
            second.report().counts.bad,
            0,
            "{name}: {:?}",
            second.report().damage
        );
        assert_eq!(plain(&second), plain(&first), "{name}");
        assert_eq!(second.sessions[0].0, first.sessions[0].0, "{name}");
        assert!(
            second.sessions[0]
                .1
                .extra
                .contains_key("claimed_qa_results"),
            "a verdict that comes with a file is a claim"
        );
        let again = written(Format::Atif, &second, Some(&verdict()));
        let third = read_bytes("export.json", again.as_bytes());
        assert_eq!(plain(&third), plain(&first), "{name}");
    }
}

#[test]
fn sub_agents_are_embedded_and_referred_to_by_the_result_that_they_gave() {
    let read = read_all(&[
        "claude_code/parent.jsonl",
        "claude_code/parent/subagents/agent-a1.jsonl",
    ]);
    let value: Value = serde_json::from_str(&written(Format::Atif, &read, None)).expect("JSON");
    assert_eq!(validate_atif(&value), []);
    assert_eq!(value["subagent_trajectories"][0]["trajectory_id"], "a1");
    assert_eq!(
        value["subagent_trajectories"][0]["steps"][0]["source"],
        "user"
    );
    let result = &value["steps"][0]["observation"]["results"][0];
    assert_eq!(result["source_call_id"], "toolu_t");
    assert_eq!(
        result["subagent_trajectory_ref"],
        json!([{"trajectory_id": "a1"}])
    );
}

#[test]
fn what_is_exported_as_a_trace_reads_back_the_same() {
    for name in FIXTURES {
        let first = read(name);
        let document = written(Format::Trace, &first, Some(&verdict()));
        let value: Value = serde_json::from_str(&document).expect("JSON");
        assert_eq!(value["qa_results"]["tests_passed"], json!(true), "{name}");
        let second = read_bytes("export.json", document.as_bytes());
        assert_eq!(
            second.report().counts.bad,
            0,
            "{name}: {:?}",
            second.report().damage
        );
        let bodies = |read: &Read| -> Vec<(String, Body)> {
            read.events
                .iter()
                .map(|(_, event)| (event.id.clone(), event.body.clone()))
                .collect()
        };
        assert_eq!(bodies(&second), bodies(&first), "{name}");
    }
}

#[test]
fn evaluations_follow_the_conventions_and_a_failure_has_no_score() {
    let document = written(
        Format::Otlp,
        &read("claude_code/session.jsonl"),
        Some(&verdict()),
    );
    let value: Value = serde_json::from_str(&document).expect("JSON");
    let records = value["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        .as_array()
        .expect("records");
    let attribute = |record: &Value, name: &str| -> Option<Value> {
        let all = record["attributes"].as_array()?;
        all.iter()
            .find(|attribute| attribute["key"] == name)
            .map(|attribute| attribute["value"].clone())
    };
    let names: Vec<_> = records
        .iter()
        .filter_map(|record| attribute(record, "gen_ai.evaluation.name"))
        .collect();
    let expected = ["evidence", "honesty", "combined", "verification"];
    assert_eq!(names, expected.map(|name| json!({"stringValue": name})));
    assert_eq!(
        attribute(&records[0], "gen_ai.evaluation.score.value"),
        Some(json!({"doubleValue": 3.0}))
    );
    assert_eq!(
        attribute(&records[1], "gen_ai.evaluation.score.value"),
        None
    );
    assert_eq!(
        attribute(&records[1], "error.type"),
        Some(json!({"stringValue": "timeout"}))
    );
    for record in records {
        assert_eq!(record["eventName"], "gen_ai.evaluation.result");
        let time = record["timeUnixNano"].as_str().expect("a decimal string");
        assert!(
            time.len() == 19 && time.bytes().all(|byte| byte.is_ascii_digit()),
            "{time}"
        );
        assert_eq!(
            (
                record["traceId"].as_str().map(str::len),
                record["spanId"].as_str().map(str::len)
            ),
            (Some(32), Some(16))
        );
    }
}

#[test]
fn lines_are_attributed_to_the_agent() {
    let document = written(
        Format::AgentTrace,
        &read("claude_code/session.jsonl"),
        Some(&verdict()),
    );
    let value: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(value["version"], "0.1.0");
    assert_eq!(value["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(value["files"][0]["path"], "src/price.py");
    let conversation = &value["files"][0]["conversations"][0];
    assert_eq!(
        conversation["ranges"],
        json!([{"start_line": 2, "end_line": 2}])
    );
    assert_eq!(
        conversation["contributor"]["model_id"],
        "anthropic/claude-opus-4-6"
    );
    assert_eq!(conversation["url"], "https://example.org/traces/t-1");
    assert_eq!(value["id"].as_str().map(str::len), Some(36));
}

#[test]
fn edits_whose_place_nobody_recorded_are_attributed_to_no_lines() {
    let attributed = |name: &str| {
        let document = written(Format::AgentTrace, &read(name), None);
        let value: Value = serde_json::from_str(&document).expect("JSON");
        let files = value["files"].as_array().cloned().unwrap_or_default();
        files
            .iter()
            .map(|file| {
                let range = &file["conversations"][0]["ranges"][0];
                format!(
                    "{}:{}",
                    file["path"].as_str().unwrap_or(""),
                    range["start_line"]
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        attributed("atif/places.json"),
        ["src/list.py:8", "src/new.py:1"]
    );
    assert_eq!(attributed("gemini/places.json"), ["src/shown.js:4"]);
    assert_eq!(attributed("swe_agent/demonstration.traj"), [""; 0]);
}

#[test]
fn a_report_begins_with_the_verdict_and_is_the_same_each_time() {
    let read = read("claude_code/session.jsonl");
    let report = written(Format::Markdown, &read, Some(&verdict()));
    assert!(
        report.starts_with(
            "# Mend the rounding\n\n## Verdict\n\n**verified**: tests passed (exit code 0).\n"
        ),
        "{report}"
    );
    assert!(!report.contains('\u{1b}'));
    assert!(
        report.contains("````text\n3 passed\n```\n````"),
        "a fence is longer than those inside"
    );
    assert!(report.contains("exit code unknown") || report.contains("in the background"));
    assert_eq!(report, written(Format::Markdown, &read, Some(&verdict())));
    let nothing = written(Format::Markdown, &read, None);
    assert!(nothing.contains("neither run nor judged"));
}

#[test]
fn a_session_without_events_is_written_in_each_format() {
    for format in Format::ALL {
        let text = write(format, &Session::default(), Vec::new(), None);
        if format != Format::Markdown {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert!(format != Format::Atif || validate_atif(&value).is_empty());
        }
        assert_eq!(Format::named(format.name()), Some(format));
    }
}
