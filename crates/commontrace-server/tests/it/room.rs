//! How much the sessions of an account may take up.

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::json;

use crate::actors::TestApp;
use crate::recording::{append, begin, command};

#[rstest]
#[tokio::test]
async fn an_account_whose_sessions_take_up_too_much_is_told_what_to_do(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::limiting_sessions(engine, 2000).await;
    let ada = app.user("ada").await;
    let id = begin(&ada).await;
    let noise: String = (0..500).map(|n| format!("{} ", n * n * 7919)).collect();
    append(&ada, &id, json!([command("a", 1, &noise)]))
        .await
        .ok();
    let full = append(&ada, &id, json!([command("b", 2, "y")])).await;
    let detail = full.refused(413);
    for part in [
        "DELETE /traces",
        "prune",
        "COMMONTRACE_MAX_ACCOUNT_SESSION_BYTES",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(full.json["type"], "/docs/errors#no-room");
    let session = ada.get(&format!("/traces/{id}")).await.ok();
    assert_eq!(session["last_seq"], 1);
    assert!(session["stored_bytes"].as_i64().unwrap() >= 2000);
    // Another account has its own room, and what is deleted gives room again.
    begin(&app.user("bob").await).await;
    ada.delete(&format!("/traces/{id}")).await.ok();
    begin(&ada).await;
}
