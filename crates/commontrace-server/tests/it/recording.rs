//! Recording sessions as clients of the first such service do, and what is different here on purpose.

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::actors::{Actor, Answer, TestApp};

fn a_session() -> Value {
    json!({
        "developer_id": "dev-001",
        "repo": {
            "name": "my-app",
            "url": "https://git.example/user/repo",
            "branch": "main",
            "commit_before": "abc123",
            "commit_after": "def456",
            "test_command": "pytest"
        },
        "start_time": "2025-11-27T10:00:00Z"
    })
}

pub fn command(id: &str, second: u32, output: &str) -> Value {
    json!({
        "id": id,
        "event_type": "terminal_command",
        "timestamp": format!("2025-11-27T10:00:{second:02}Z"),
        "data": {"command": "pytest", "exit_code": 1, "output": output, "duration_ms": 20}
    })
}

pub async fn begin(actor: &Actor) -> String {
    let answer = actor.post("/traces", a_session()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json["status"], "stored");
    answer.json["trace_id"].as_str().unwrap().to_owned()
}

pub async fn append(actor: &Actor, id: &str, events: Value) -> Answer {
    let body = json!({ "events": events });
    actor.post(&format!("/traces/{id}/events"), body).await
}

#[rstest]
#[tokio::test]
async fn a_session_is_created_appended_to_and_read_in_the_order_of_time(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    assert_eq!(id.len(), 36);
    let answer = append(
        &ada,
        &id,
        json!([command("b", 9, "late"), command("a", 1, "early")]),
    )
    .await;
    assert_eq!(answer.json["trace_id"], id);
    assert_eq!(answer.json["appended_events"], 2, "{answer:?}");
    let session = ada.get(&format!("/traces/{id}")).await.ok();
    assert_eq!(session["developer_id"], "dev-001");
    assert_eq!(session["repo"]["test_command"], "pytest");
    assert_eq!(session["schema_version"], "1.0");
    for absent in ["bug_id", "end_time", "qa_results"] {
        assert_eq!(session.get(absent), Some(&Value::Null), "{absent}");
    }
    let outputs: Vec<_> = session["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["data"]["output"].as_str().unwrap())
        .collect();
    assert_eq!(outputs, ["early", "late"]);
    assert_eq!(session["events"][1]["event_type"], "terminal_command");
    assert_eq!(session["events"][1]["seq"], 1);
}

#[rstest]
#[tokio::test]
async fn an_event_that_is_sent_twice_is_stored_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    append(&ada, &id, json!([command("a", 1, "x")])).await.ok();
    let answer = append(
        &ada,
        &id,
        json!([command("a", 1, "x"), command("b", 2, "y")]),
    )
    .await;
    assert_eq!(answer.json["appended_events"], 1);
    assert_eq!(answer.json["duplicates"], 1);
    assert_eq!(answer.json["last_seq"], 2);
    // Without ids, a key for the request does the same.
    let mut event = command("", 3, "z");
    event.as_object_mut().unwrap().remove("id");
    let body = json!({ "events": [event] });
    let path = format!("/traces/{id}/events");
    let key = [("idempotency-key", "once")];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = ada
            .send(Method::POST, &path, Some(body.clone()), &key)
            .await;
        answers.push(answer.ok());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["last_seq"], 3);
    // The same events under another condition are another request.
    let expecting = format!("{path}?expected_seq=3");
    let answer = ada.send(Method::POST, &expecting, Some(body), &key).await;
    answer.refused(422);
    let other = json!({ "events": [command("c", 4, "w")] });
    let answer = ada.send(Method::POST, &path, Some(other), &key).await;
    answer.refused(422);
}

#[rstest]
#[tokio::test]
async fn an_id_that_comes_again_with_other_content_is_warned_of(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let large = "x".repeat(20_000);
    append(
        &ada,
        &id,
        json!([command("a", 1, "x"), command("b", 2, &large)]),
    )
    .await
    .ok();
    // The same again, in another request and thus another record.
    let again = json!([command("b", 2, &large), command("a", 1, "x")]);
    let answer = append(&ada, &id, again).await.ok();
    assert_eq!(answer["duplicates"], 2);
    assert_eq!(answer["warnings"], json!([]));
    let path = format!("/traces/{id}/events");
    let other = json!({ "events": [
        command("a", 1, "y"), command("b", 2, &large.replace('x', "y")), command("c", 3, "z"),
    ] });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let key = [("idempotency-key", "other")];
        let answer = ada.send(Method::POST, &path, Some(other.clone()), &key);
        answers.push(answer.await.ok());
    }
    assert_eq!(answers[0]["appended_events"], 1);
    let warning = "events `a`, `b` were here already with other content, which stays; what is new needs an id of its own";
    assert_eq!(answers[0]["warnings"], json!([warning]));
    assert_eq!(answers[0], answers[1]);
    let session = ada.get(&format!("/traces/{id}")).await.ok();
    assert_eq!(session["events"][0]["data"]["output"], "x");

    let mut body = a_session();
    body["events"] = json!([
        command("a", 1, "x"),
        command("a", 1, "x"),
        command("a", 1, "y")
    ]);
    let answer = ada.post("/traces", body).await;
    assert_eq!(
        answer.json["warnings"],
        json!(["events[2] repeats the id `a` with other content: of each id the first is stored"])
    );
}

#[rstest]
#[tokio::test]
async fn the_clients_id_is_kept_and_never_overwritten(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let mut body = a_session();
    body["trace_id"] = json!("run-7.of_ada");
    for _ in 0..2 {
        let answer = ada.post("/traces", body.clone()).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.json["trace_id"], "run-7.of_ada");
    }
    let mut other = body.clone();
    other["bug_id"] = json!("B-1");
    ada.post("/traces", other).await.refused(409);
    // To others it is not there, and they may use the same id.
    let hidden = bob.get("/traces/run-7.of_ada").await;
    assert_eq!(hidden.refused(404), "Trace run-7.of_ada not found");
    bob.delete("/traces/run-7.of_ada").await.refused(404);
    let answer = append(&bob, "run-7.of_ada", json!([command("a", 1, "x")])).await;
    assert!(answer.refused(404).contains("not found"));
    assert_eq!(bob.post("/traces", body).await.status, 201);
    app.anyone().get("/traces/run-7.of_ada").await.refused(401);
}

#[tokio::test]
async fn what_is_wrong_is_listed_with_its_place() {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    let mut body = a_session();
    body["repo"].as_object_mut().unwrap().remove("url");
    body["trace_id"] = json!("../x");
    let answer = ada.post("/traces", body).await;
    assert_eq!(answer.status, 422);
    let places: Vec<_> = answer.json["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wrong| wrong["loc"].to_string())
        .collect();
    assert_eq!(
        places,
        [r#"["body","trace_id"]"#, r#"["body","repo","url"]"#]
    );
    let id = begin(&ada).await;
    let mut event = command("a", 1, "x");
    event["data"]["exit_code"] = json!("one");
    let answer = append(&ada, &id, json!([command("b", 1, "x"), event])).await;
    assert_eq!(answer.status, 422);
    let wrong = &answer.json["detail"][0];
    assert_eq!(
        wrong["loc"],
        json!(["body", "events", 1, "data", "exit_code"])
    );
    assert_eq!(wrong["type"], "int_type");
    assert_eq!(
        append(&ada, &id, json!([])).await.refused(400),
        "No events provided"
    );
    let unknown = json!([{"event_type": "dance", "timestamp": null, "data": {}}]);
    append(&ada, &id, unknown).await.refused(400);
    let outside =
        json!([{"event_type": "file_open", "timestamp": null, "data": {"file_path": "../x"}}]);
    assert!(
        append(&ada, &id, outside)
            .await
            .refused(400)
            .contains("Invalid file path")
    );
    for (body, status) in [("[", 422), ("[]", 422), ("", 422)] {
        let answer = ada.send_text(&format!("/traces/{id}/events"), body).await;
        assert_eq!(answer.status, status, "{body:?}");
    }
    assert_eq!(
        ada.get(&format!("/traces/{id}")).await.ok()["events"],
        json!([])
    );
}

#[rstest]
#[tokio::test]
async fn secrets_are_redacted_before_anything_is_stored(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let secret = "ghp_Zk3Vq8Xw1Rt6Yp9Lm2Nb5Hs7Jd4Fg0Qc8XaT";
    let commit = "0d3c4465a7fd013edaff839c8faa36d326bcccc9";
    let output =
        format!("GITHUB_TOKEN={secret} at {commit} by ada.byron@engines.org in /home/ada/x");
    let long = format!("{} {output}", "padding ".repeat(3000));
    let events = json!([command("a", 1, &output), command("b", 2, &long)]);
    let answer = append(&ada, &id, events).await.ok();
    assert!(
        answer["redactions"].as_array().unwrap().len() >= 3,
        "{answer}"
    );
    let session = ada.get(&format!("/traces/{id}")).await.ok().to_string();
    for hidden in [secret, "ada.byron@", "/home/ada"] {
        assert!(!session.contains(hidden), "{hidden}");
    }
    assert_eq!(session.matches(commit).count(), 2);
    if engine == Sqlite {
        let kept = app.copy_of_the_database().await;
        assert!(
            !kept
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        );
    }
}

#[rstest]
#[tokio::test]
async fn large_outputs_and_unknown_members_come_back_whole(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let long = "0123456789\n".repeat(20_000);
    let mut event = command("a", 1, &long);
    event["window"] = json!({"width": 80});
    append(&ada, &id, json!([event, command("b", 2, &long)]))
        .await
        .ok();
    let session = ada.get(&format!("/traces/{id}")).await.ok();
    assert_eq!(session["events"][0]["data"]["output"], long);
    assert_eq!(session["events"][1]["data"]["output"], long);
    assert_eq!(session["events"][0]["extra"]["window"]["width"], 80);
}

#[rstest]
#[tokio::test]
async fn events_come_in_pages_behind_a_number(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let events: Vec<_> = (0..7)
        .map(|n| command(&format!("e{n}"), 9 - n, "x"))
        .collect();
    append(&ada, &id, json!(events)).await.ok();
    let (mut after, mut seen) = (json!(0), Vec::new());
    while !after.is_null() {
        let path = format!("/traces/{id}/events?after_seq={after}&limit=3");
        let page = ada.get(&path).await.ok();
        let events = page["events"].as_array().unwrap();
        seen.extend(
            events
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        assert_eq!(page["last_seq"], 7);
        after = page["next_after_seq"].clone();
    }
    assert_eq!(seen, ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
}

#[rstest]
#[tokio::test]
async fn own_sessions_are_listed_newest_first_and_filtered(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    begin(&bob).await;
    let mut mine = Vec::new();
    for bug in ["B-1", "B-2", "B-1"] {
        let mut body = a_session();
        body["bug_id"] = json!(bug);
        let answer = ada.post("/traces", body).await.ok();
        mine.push(answer["trace_id"].as_str().unwrap().to_owned());
        app.advance(std::time::Duration::from_secs(1));
    }
    let list = async |query: &str| -> (Vec<String>, Value) {
        let page = ada.get(&format!("/traces?{query}")).await.ok();
        let traces = page["traces"].as_array().unwrap();
        let ids = traces
            .iter()
            .map(|trace| trace["trace_id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next_cursor"].clone())
    };
    let (first, cursor) = list("limit=2").await;
    assert_eq!(first, [mine[2].as_str(), &mine[1]]);
    let (rest, end) = list(&format!("limit=2&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((rest, end), (vec![mine[0].clone()], Value::Null));
    assert_eq!(list("bug_id=B-1").await.0, [mine[2].as_str(), &mine[0]]);
    assert!(list("until=2025-11-27T10:00:00Z").await.0.is_empty());
    assert!(list("bug_id=%00").await.0.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_deleted_session_is_gone(#[values(Sqlite, Postgres)] engine: Engine) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let path = format!("/traces/{id}");
    assert_eq!(ada.delete(&path).await.ok()["deleted"], true);
    ada.get(&path).await.refused(404);
    ada.get(&format!("{path}/events")).await.refused(404);
    ada.delete(&path).await.refused(404);
}

#[tokio::test]
async fn a_key_may_come_as_a_bearer_token() {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    let bearer = format!("Bearer {}", ada.key.as_deref().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let anyone = app.anyone();
    let answer = anyone
        .send(Method::POST, "/traces", Some(a_session()), &headers)
        .await;
    assert_eq!(answer.status, 201);
    let wrong = [("authorization", "Bearer nonsense")];
    anyone
        .send(Method::GET, "/traces", None, &wrong)
        .await
        .refused(401);
    let basic = [("authorization", "Basic nonsense")];
    anyone
        .send(Method::GET, "/traces", None, &basic)
        .await
        .refused(401);
}

#[tokio::test]
async fn a_claimed_verdict_stays_a_claim() {
    let app = TestApp::on(Sqlite).await;
    let ada = app.user("ada").await;
    let mut body = a_session();
    body["qa_results"] = json!({"tests_passed": true, "reasoning_score": 5.0});
    let id = ada.post("/traces", body).await.ok()["trace_id"].clone();
    let session = ada
        .get(&format!("/traces/{}", id.as_str().unwrap()))
        .await
        .ok();
    assert_eq!(session["qa_results"], Value::Null);
    assert_eq!(session["claimed_qa_results"]["reasoning_score"], 5.0);
}

#[rstest]
#[tokio::test]
async fn a_session_becomes_a_draft_that_only_its_owner_sees(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let failure = command("a", 1, "E  AssertionError: 28 cents are not 29 cents");
    append(&ada, &id, json!([failure])).await.ok();
    let path = format!("/traces/{id}/draft");
    let draft = ada.get(&path).await.ok();
    assert_eq!(
        draft["title"],
        "E  AssertionError: 28 cents are not 29 cents"
    );
    assert_eq!(draft["evidence"], Value::Null);
    app.user("bob").await.get(&path).await.refused(404);
}

#[tokio::test]
async fn on_one_persons_own_machine_no_key_is_needed() {
    let plain = TestApp::on(Sqlite).await;
    let local = [("host", "localhost:8000")];
    let refused = plain
        .anyone()
        .send(Method::POST, "/traces", Some(a_session()), &local)
        .await;
    refused.refused(401);
    let (app, ada) = TestApp::of_one_user().await;
    let anyone = app.anyone();
    let ask = async |headers: &[(&str, &str)]| {
        let answer = anyone.send(Method::POST, "/traces", Some(a_session()), headers);
        answer.await.status.as_u16()
    };
    assert_eq!(ask(&local).await, 201);
    assert_eq!(ask(&[("host", "127.0.0.1")]).await, 201);
    assert_eq!(
        ask(&[("host", "[::1]:8000"), ("origin", "http://localhost:8000")]).await,
        201
    );
    // Not for pages of other sites, names that lead here, proxies, or a wrong key.
    assert_eq!(ask(&[]).await, 401);
    assert_eq!(ask(&[("host", "evil.example")]).await, 401);
    assert_eq!(
        ask(&[
            ("host", "localhost:8000"),
            ("origin", "http://evil.example")
        ])
        .await,
        401
    );
    assert_eq!(
        ask(&[("host", "localhost:8000"), ("origin", "null")]).await,
        401
    );
    assert_eq!(
        ask(&[("host", "localhost"), ("x-forwarded-for", "10.0.0.1")]).await,
        401
    );
    assert_eq!(
        ask(&[("host", "localhost"), ("x-api-key", "nonsense")]).await,
        401
    );
    let sessions = ada.get("/traces").await.ok();
    assert_eq!(sessions["traces"].as_array().unwrap().len(), 3);
}

#[rstest]
#[tokio::test]
async fn what_is_nested_deeply_does_not_spoil_the_list_of_sessions(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let ada = app.user("ada").await;
    for levels in [90, 100, 120, 125, 126] {
        let mut body = a_session().to_string();
        body.pop();
        body.push_str(&format!(
            r#","z":{}{}}}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        ));
        assert_eq!(
            ada.send_text("/traces", &body).await.status,
            201,
            "{levels}"
        );
    }
    let sessions = ada.get("/traces").await.ok();
    let sessions = sessions["traces"].as_array().unwrap();
    assert_eq!(sessions.len(), 5);
    for session in sessions {
        let id = session["trace_id"].as_str().unwrap();
        ada.get(&format!("/traces/{id}")).await.ok();
    }
}
