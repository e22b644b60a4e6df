//! No file, however damaged, is more than its damage.

mod common;

use std::path::Path;

use commontrace_session::Body;
use commontrace_session::export::{Export, Format, validate_atif};
use commontrace_session::import::{Found, Importer, SinkError, files};
use proptest::prelude::*;

/// Reads bytes, and checks what holds for any.
fn check(name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut all = Vec::new();
    for _ in 0..2 {
        let mut seen = String::new();
        let mut ids = std::collections::HashSet::new();
        let mut twice = None;
        let mut sink = |found: Found| -> Result<(), SinkError> {
            if let Found::Batch(batch) = &found {
                for (key, event) in &batch.events {
                    if !ids.insert((key.clone(), event.id.clone())) {
                        twice = Some(event.id.clone());
                    }
                    if let Some(raw) = &event.raw {
                        assert!(raw.offset + raw.length < batch.blob.bytes.len() as u64);
                    }
                }
            }
            seen.push_str(&format!("{found:?}"));
            Ok(())
        };
        let mut importer = Importer::new();
        importer
            .read(name, bytes, &mut sink)
            .expect("memory can be read");
        importer.finish(&mut sink).expect("the sink takes all");
        prop_assert_eq!(twice, None, "an id twice");
        all.push(seen);
    }
    prop_assert_eq!(&all[0], &all[1], "not the same each time");
    check_exports(name, bytes)
}

/// Writes what was read in each format; what is written as ATIF is valid whatever was read.
fn check_exports(name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let read = common::read_bytes(name, bytes);
    for (key, session) in &read.sessions {
        let export = Export {
            id: &key.id,
            session,
            verdict: None,
            url: None,
        };
        for format in Format::ALL {
            let events = read
                .events
                .iter()
                .filter(|(of, _)| of == key)
                .map(|(_, event)| event.clone());
            let mut out = Vec::new();
            export
                .write(format, events, &mut out)
                .expect("memory takes all");
            prop_assert!(std::str::from_utf8(&out).is_ok());
            if format != Format::Markdown {
                let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
                if format == Format::Atif {
                    prop_assert_eq!(validate_atif(&value), Vec::new());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_call_with_input_too_deep_to_be_parsed_keeps_it_and_is_told_with_its_place() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    let claude = |input: &str| {
        format!(
            "{}\n{{\"type\":\"assistant\",\"uuid\":\"u2\",\"sessionId\":\"s\",\"message\":{{\"content\":[{{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"Odd\",\"input\":{input}}}]}}}}\n",
            r#"{"type":"user","uuid":"u1","sessionId":"s","message":{"content":"x"}}"#
        )
    };
    let gemini = |input: &str| {
        format!(
            "{}\n{{\"id\":\"m1\",\"type\":\"gemini\",\"content\":\"\",\"toolCalls\":[{{\"id\":\"t\",\"name\":\"odd\",\"args\":{input},\"status\":\"success\"}}]}}\n",
            r#"{"sessionId":"s1","projectHash":"ab","startTime":"2026-02-01T10:00:00Z","lastUpdated":"2026-02-01T10:00:00Z"}"#
        )
    };
    for (name, text) in [("a.jsonl", claude(&deep)), ("g.jsonl", gemini(&deep))] {
        let read = common::read_bytes(name, text.as_bytes());
        let input = read.events.iter().find_map(|(_, event)| match &event.body {
            Body::ToolCall { arguments, .. } => arguments.as_str(),
            _ => None,
        });
        assert_eq!(input, Some(&*deep), "{name}");
        let report = read.report();
        assert_eq!(
            (report.counts.unparsed, report.counts.bad),
            (1, 0),
            "{name}"
        );
        let begin = text.find('\n').expect("two lines") + 1;
        let told = &report.damage[0];
        assert_eq!((told.line, told.offset), (2, begin as u64), "{name}");
        check_exports(name, text.as_bytes()).expect("what is kept can be written");
    }
    let document = format!(
        "{{\"schema_version\":\"ATIF-v1.5\",\"session_id\":\"r\",\"agent\":{{\"name\":\"a\",\"version\":\"1\"}},\"steps\":[\n{}\n]}}",
        format_args!(
            "{{\"step_id\":1,\"source\":\"agent\",\"message\":\"\",\"tool_calls\":[{{\"tool_call_id\":\"c\",\"function_name\":\"odd\",\"arguments\":{deep}}}]}}"
        ),
    );
    let read = common::read_bytes("a.json", document.as_bytes());
    let told = &read.report().damage[0];
    let begin = document.find('\n').expect("more than a line") + 1;
    assert_eq!((told.line, told.offset), (2, begin as u64));
    let read = common::read_bytes("a.jsonl", claude("{}").as_bytes());
    assert_eq!(read.report().counts.unparsed, 0);
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = common::fixture("");
    let read = |path: &std::path::PathBuf| {
        (
            path.display().to_string(),
            std::fs::read(path).expect("a fixture"),
        )
    };
    files(&folder).expect("fixtures").iter().map(read).collect()
}

/// Pieces that come close to what importers look for.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\n",
    "null",
    "true",
    "-1",
    "1e999",
    "\\ud83d",
    "\\",
    "\u{0}",
    "é",
    "\"type\":",
    "\"uuid\":\"u\"",
    "\"sessionId\":\"s\"",
    "\"message\":",
    "\"content\":",
    "\"payload\":{\"type\":\"message\"}",
    "\"timestamp\":\"2026-02-01T10:00:00Z\"",
    "{\"type\":\"user\",\"sessionId\":\"s\",\"message\":{\"content\":\"x\"}}",
    "\"schema_version\":\"ATIF-v1.7\"",
    "\"steps\":[{}]",
    "\"$set\":{\"messages\":[{}]}",
    "\"$rewindTo\":\"x\"",
    "\"history\":[{\"role\":\"user\"}]",
    "\"messages\":[{\"role\":\"user\"}]",
    "\"developer_id\":\"d\"",
    "\"events\":[{}]",
    "\u{1b}[31m",
    "*** Begin Patch",
    "*** Update File: x",
    "@@",
    "\u{feff}",
    "\\u0000",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check("any", &bytes)?;
    }

    #[test]
    fn texts_close_to_recordings_are_survived(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        check("near", pieces.concat().as_bytes())?;
    }

    #[test]
    fn mutated_recordings_are_survived(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..6_u8), 1..12)) {
        let fixtures = fixtures();
        let (name, bytes) = &fixtures[which.index(fixtures.len())];
        let mut bytes = bytes.clone();
        for (at, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                3 => bytes.truncate(at),
                4 => { let tail = bytes[at..].to_vec(); bytes.extend(tail); }
                _ => bytes[at] = b"{}[]\",:0n\\"[usize::from(byte) % 10],
            }
        }
        check(name, &bytes)?;
    }
}

#[test]
fn nesting_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for line in [
            deep.clone(),
            format!("{{\"type\":\"user\",\"uuid\":\"u\",\"sessionId\":\"s\",\"message\":{deep}}}"),
            format!(
                "{{\"type\":\"assistant\",\"uuid\":\"u\",\"sessionId\":\"s\",\"message\":{{\"content\":[{{\"type\":\"tool_use\",\"name\":\"x\",\"input\":{deep}}}]}}}}"
            ),
            format!(
                "{{\"schema_version\":\"ATIF-v1.7\",\"session_id\":\"s\",\"steps\":[{{\"source\":\"agent\",\"message\":{deep}}}]}}"
            ),
            format!("{{\"developer_id\":\"d\",\"repo\":{{}},\"events\":[{deep}]}}"),
        ] {
            common::read_bytes("deep", line.as_bytes());
        }
    }
}

#[test]
fn a_sink_that_takes_no_more_ends_the_import() {
    let mut sink = |_: Found| -> Result<(), SinkError> { Err("the disk is full".into()) };
    let bytes = std::fs::read(common::fixture("claude_code/session.jsonl")).expect("a fixture");
    let ended = Importer::new().read("session.jsonl", &bytes[..], &mut sink);
    assert_eq!(
        ended.expect_err("an error").to_string(),
        "cannot keep what was imported"
    );
}

/// Reads real recordings: `COMMONTRACE_TEST_SESSIONS=FOLDER cargo test -p commontrace-session -- --ignored`,
/// and each of them mutated `COMMONTRACE_TEST_MUTATIONS` times.
#[test]
#[ignore = "needs a folder with recordings"]
#[expect(
    clippy::disallowed_methods,
    reason = "a folder outside of the project is named by the environment"
)]
fn real_recordings_are_read_and_survive_mutation() {
    let folder = std::env::var("COMMONTRACE_TEST_SESSIONS")
        .expect("COMMONTRACE_TEST_SESSIONS names a folder");
    let mutations = std::env::var("COMMONTRACE_TEST_MUTATIONS")
        .map_or(20, |number| number.parse().expect("a number"));
    let mut number = 0_u64;
    for path in files(Path::new(&folder)).expect("the folder can be read") {
        let bytes = std::fs::read(&path).expect("a file");
        let name = path.display().to_string();
        let read = common::read_bytes(&name, &bytes);
        assert!(read.report().format.is_some(), "{name}");
        assert_eq!(
            read.report().counts.bad,
            0,
            "{name}: {:?}",
            read.report().damage
        );
        assert!(
            read.report().counts.unknown.is_empty(),
            "{name}: {:?}",
            read.report().counts.unknown
        );
        if read.report().format == Some("atif") {
            let value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(validate_atif(&value), [], "{name}");
        }
        check_exports(&name, &bytes).expect("holds");
        for _ in 0..mutations {
            let mut bytes = bytes.clone();
            for _ in 0..5 {
                if bytes.is_empty() {
                    break;
                }
                // A fixed sequence, so that a failure can be repeated.
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = (number >> 20) as usize % bytes.len();
                match number >> 60 {
                    0..6 => bytes[at] = (number >> 8) as u8,
                    6..10 => {
                        bytes.remove(at);
                    }
                    10..14 => bytes.insert(at, b"{}[]\",:\\"[at % 8]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            check(&name, &bytes).expect("holds");
        }
    }
}

#[test]
fn short_texts_of_many_parts_take_no_more_than_they_may() {
    let many = "0,".repeat(3_000_000);
    let line = format!(
        "{{\"type\":\"assistant\",\"uuid\":\"u\",\"sessionId\":\"s\",\"message\":{{\"content\":[{many}{{\"type\":\"tool_use\",\"name\":\"x\",\"input\":[{many}0]}}]}}}}"
    );
    let read = common::read_bytes("many", line.as_bytes());
    assert_eq!((read.events.len(), read.report().counts.imported), (0, 1));
    let lines: String = (0..3000)
        .map(|number| format!("{{\"type\":\"user\",\"uuid\":\"u{number}\",\"sessionId\":\"s{number}\",\"message\":{{\"content\":\"x\"}}}}\n"))
        .collect();
    let read = common::read_bytes("many", lines.as_bytes());
    assert_eq!(
        (read.sessions.len(), read.report().counts.skipped),
        (1000, 2000)
    );
}
