use serde_json::json;

use super::*;

fn a_session() -> Value {
    json!({
        "developer_id": "dev-001",
        "repo": {
            "name": "my-app", "url": "https://git.example/my-app", "branch": "main",
            "commit_before": "abc123", "commit_after": "def456", "test_command": "cd x && cargo test",
        },
        "start_time": "2025-11-27T10:00:00Z",
    })
}

fn with(mut session: Value, name: &str, value: Value) -> Value {
    session[name] = value;
    session
}

fn event(event_type: &str, data: impl Into<Value>) -> Value {
    json!({"event_type": event_type, "timestamp": "2025-11-27T10:00:01Z", "data": data.into()})
}

/// The place and kind of each fault.
fn faults(refusal: Result<impl std::fmt::Debug, Refusal>) -> Vec<String> {
    match refusal.expect_err("it is refused") {
        Refusal::Message(message) => vec![message],
        Refusal::Wrong(wrong) => wrong
            .into_iter()
            .map(|wrong| {
                let steps = wrong.loc.iter().map(|step| match step {
                    Step::Name(name) => name.clone(),
                    Step::Index(index) => index.to_string(),
                });
                format!("{} {}", steps.collect::<Vec<_>>().join("."), wrong.kind)
            })
            .collect(),
    }
}

#[test]
fn a_session_is_read_and_what_nobody_asked_for_is_kept() {
    let body = with(a_session(), "ide", json!({"name": "vi"}));
    let body = with(body, "qa_results", json!({"tests_passed": true}));
    let mut body = with(
        body,
        "events",
        json!([event("file_open", json!({"file_path": "/a/b", "line": 3}))]),
    );
    body["repo"]["fork"] = json!(true);
    body["events"][0]["window"] = json!(7);
    let posted = session(body).expect("a session");
    assert_eq!(posted.session.repo.test_command, "cd x && cargo test");
    assert_eq!(posted.session.extra["ide"]["name"], "vi");
    assert_eq!(posted.session.extra["repo"]["fork"], true);
    assert_eq!(
        posted.session.extra["claimed_qa_results"]["tests_passed"],
        true
    );
    let event = &posted.events[0];
    assert_eq!(event.extra["window"], 7);
    assert_eq!(event.extra["data"]["line"], 3);
    assert_eq!((posted.trace_id, posted.warnings.len()), (None, 0));
}

#[test]
fn every_wrong_place_is_named() {
    let mut body = a_session();
    body["repo"]
        .as_object_mut()
        .expect("an object")
        .remove("branch");
    body["developer_id"] = json!(5);
    body["start_time"] = json!("yesterday");
    body["trace_id"] = json!("../x");
    body["events"] = json!([
        event(
            "terminal_command",
            json!({"command": "ls", "exit_code": "0"})
        ),
        event("dance", json!({})),
    ]);
    assert_eq!(
        faults(session(body)),
        [
            "body.trace_id string_pattern_mismatch",
            "body.developer_id string_type",
            "body.start_time datetime_from_date_parsing",
            "body.repo.branch missing",
            "body.events.0.data.exit_code int_type",
            "body.events.0.data.output missing",
            "body.events.1.event_type enum",
        ]
    );
    assert_eq!(
        faults(session(json!({"repo": 1})))[0],
        "body.developer_id missing"
    );
}

#[test]
fn an_empty_list_and_an_unknown_type_are_refused_in_a_sentence() {
    assert_eq!(
        faults(events(json!({"events": []}))),
        ["No events provided"]
    );
    let unknown = json!({"events": [event("dance", json!({}))]});
    assert_eq!(faults(events(unknown)), ["Unknown event type: dance"]);
    assert_eq!(faults(events(json!({}))), ["body.events missing"]);
    assert_eq!(
        faults(events(json!({"events": {}}))),
        ["body.events list_type"]
    );
}

#[test]
fn paths_are_data_but_must_be_paths() {
    let read =
        |path: &str| events(json!({"events": [event("file_open", json!({"file_path": path}))]}));
    for good in ["src/a.rs", "/home/x/src/a.rs", "./a", "a/../b", "C:\\x\\y"] {
        assert!(read(good).is_ok(), "{good}");
    }
    for bad in ["", "../x", "a/../../x", "a\0b"] {
        assert!(
            faults(read(bad))[0].starts_with("Invalid file path"),
            "{bad:?}"
        );
    }
}

#[test]
fn no_text_that_is_looked_for_has_a_nul() {
    let mut body = with(a_session(), "developer_id", json!("a\0"));
    body["bug_id"] = json!("\0");
    body["repo"]["name"] = json!("x\0y");
    assert_eq!(
        faults(session(body)),
        [
            "body.developer_id value_error",
            "body.bug_id value_error",
            "body.repo.name value_error",
        ]
    );
    let body = json!({"events": [{"id": "\0", "event_type": "error", "timestamp": null, "data": {"message": "\0"}}]});
    assert_eq!(faults(events(body)), ["body.events.0.id string_too_long"]);
}

#[test]
fn what_is_not_known_stays_unknown() {
    let data = json!({"command": "make", "output": "", "exit_code": null});
    let body =
        json!({"events": [{"event_type": "terminal_command", "timestamp": null, "data": data}]});
    let posted = events(body).expect("events");
    let Body::TerminalCommand {
        exit_code,
        duration_ms,
        ..
    } = &posted.events[0].body
    else {
        panic!("a command");
    };
    assert_eq!(
        (*exit_code, *duration_ms, posted.events[0].timestamp),
        (None, None, None)
    );
}

#[test]
fn a_time_without_an_offset_is_utc_with_a_warning() {
    let body = with(a_session(), "start_time", json!("2025-11-27T10:00:00.5"));
    let posted = session(body).expect("a session");
    assert_eq!(
        posted
            .session
            .start_time
            .map(|at| at.to_rfc3339())
            .as_deref(),
        Some("2025-11-27T10:00:00.500+00:00")
    );
    assert_eq!(posted.warnings.len(), 1);
}

#[test]
fn what_is_shown_of_a_fault_is_bounded() {
    let body = with(a_session(), "developer_id", json!(["x".repeat(100_000)]));
    let Err(Refusal::Wrong(wrong)) = session(body) else {
        panic!("it is refused");
    };
    assert!(wrong[0].input.to_string().len() < 1000);
    let many = json!({"events": vec![json!({}); 5_000]});
    assert!(faults(events(many)).len() <= 100);
}

#[test]
fn every_type_of_event_can_be_posted_with_the_members_that_it_has() {
    let schema = serde_json::to_value(schemars::schema_for!(Body)).expect("a schema is JSON");
    let types = schema["oneOf"]
        .as_array()
        .expect("one schema for each type");
    assert!(types.len() >= 18, "{}", types.len());
    for of_type in types {
        let name = of_type["properties"]["event_type"]["const"]
            .as_str()
            .expect("a type has a name");
        let data = &of_type["properties"]["data"];
        let wanted = fields::of(name).unwrap_or_else(|| panic!("{name} cannot be posted"));
        let mut known: Vec<&str> = wanted.iter().map(fields::Field::name).collect();
        known.sort_unstable();
        let members: Vec<&String> = data["properties"]
            .as_object()
            .expect("data has members")
            .keys()
            .collect();
        assert_eq!(known, members, "{name}");
        let required: Vec<&str> = data["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut least = Map::new();
        for field in wanted {
            assert_eq!(
                field.is_required(),
                required.contains(&field.name()),
                "{name}.{}",
                field.name()
            );
            if field.is_required() {
                least.insert(field.name().to_owned(), "x".into());
            }
        }
        let posted = events(json!({ "events": [event(name, least)] })).expect(name);
        assert_eq!(posted.events[0].body.name(), name);
    }
}
