//! What is kept of a session byte for byte, for its owner.

use axum::http::Method;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::actors::TestApp;
use crate::recording::begin;

const SECRET: &str = "ghp_Zk3Vq8Xw1Rt6Yp9Lm2Nb5Hs7Jd4Fg0Qc8XaT";

#[rstest]
#[tokio::test]
async fn the_record_of_an_event_is_served_as_it_came_but_for_what_was_redacted(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let id = begin(&ada).await;
    let first = r#"{"event_type":  "reasoning_step", "timestamp": "2025-11-27T10:00:00Z", "data": {"content": "a \u00e9"}}"#;
    let second = format!(
        r#"{{ "unknown" : [1.50], "event_type":"reasoning_step","timestamp":null,"data":{{"content":"{SECRET}"}}}}"#
    );
    let body = format!(r#"{{"events": [{first}, {second}]}}"#);
    ada.send_text(&format!("/traces/{id}/events"), &body)
        .await
        .ok();
    let record = |seq: i64| format!("/traces/{id}/events/{seq}/record");
    assert_eq!(ada.text(&record(1)).await, first);
    let kept = ada.text(&record(2)).await;
    assert_eq!(kept, second.replace(SECRET, "[redacted:github-pat]"));
    // The event says where in which text its record is.
    let events = ada.get(&format!("/traces/{id}/events")).await.ok();
    let raw = &events["events"][1]["raw"];
    let whole = format!("/traces/{id}/blobs/{}", raw["blob"].as_str().unwrap());
    let whole = ada.text(&whole).await;
    let from = raw["offset"].as_u64().unwrap() as usize;
    assert_eq!(
        whole[from..][..raw["length"].as_u64().unwrap() as usize],
        kept
    );
    for seq in [0, 3, -1, i64::MAX] {
        ada.get(&record(seq)).await.refused(404);
    }
    ada.get(&format!("/traces/{id}/events/x/record"))
        .await
        .refused(422);
    bob.get(&record(1)).await.refused(404);
}

#[rstest]
#[tokio::test]
async fn a_large_text_is_downloaded_by_its_hash_as_bytes_that_no_browser_shows(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let (id, other) = (begin(&ada).await, begin(&ada).await);
    let output = "<script>alert(1)</script>\n".repeat(1000);
    let event = json!({
        "event_type": "terminal_command", "timestamp": "2025-11-27T10:00:00Z",
        "data": {"command": "make", "output": output, "exit_code": 0, "duration_ms": 1},
    });
    let body = json!({ "events": [event] });
    ada.post(&format!("/traces/{id}/events"), body).await.ok();
    let hash = Sha256::digest(&output);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/traces/{id}/blobs/{hash}");
    let (headers, text) = ada.download(&path).await;
    assert_eq!(text, output);
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        (
            "content-disposition",
            &*format!("attachment; filename=\"{hash}.txt\""),
        ),
        ("etag", &*format!("\"{hash}\"")),
    ] {
        assert_eq!(headers[name], value);
    }
    let tag = format!("\"{hash}\"");
    let known = [("if-none-match", &*tag)];
    let answer = ada.send(Method::GET, &path, None, &known).await;
    assert_eq!(answer.status, 304);
    // It is another's, another session's, or none.
    bob.get(&path).await.refused(404);
    ada.get(&format!("/traces/{other}/blobs/{hash}"))
        .await
        .refused(404);
    for wrong in ["0", &"0".repeat(64), "..%2F..%2Fetc"] {
        ada.get(&format!("/traces/{id}/blobs/{wrong}"))
            .await
            .refused(404);
    }
    ada.delete(&format!("/traces/{id}")).await.ok();
    ada.get(&path).await.refused(404);
}
