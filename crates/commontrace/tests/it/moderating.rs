//! What the operator does from another process while the server runs.

use commontrace_store::Engine;
use rstest::rstest;
use serde_json::json;

use crate::client::until;
use crate::place::Place;

#[rstest]
#[tokio::test]
async fn a_trace_hidden_or_restored_elsewhere_is_followed_by_the_running_server(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let server = place.serve().await;
    let (owner, reader) = (server.user().await, server.user().await);
    let id = owner
        .contributes("zygohistomorphic prepromorphism is not terminating")
        .await;
    let found = async || {
        reader
            .finds("zygohistomorphic prepromorphism")
            .await
            .contains(&id)
    };
    assert!(found().await, "an acknowledged trace is found at once");

    let said = place.run(&["admin", "hide", &id]).await.ok();
    assert_eq!(said, format!("{id} is hidden\n"));
    let path = format!("/api/v1/traces/{id}");
    assert_eq!(reader.get(&path).await.status, 404);
    assert_eq!(owner.get(&path).await.status, 200);
    until("the hidden trace is no longer found", async || {
        !found().await
    })
    .await;

    place.run(&["admin", "restore", &id]).await.ok();
    assert_eq!(reader.get(&path).await.status, 200);
    until("the restored trace is found again", found).await;
}

#[tokio::test]
async fn a_trace_or_account_that_does_not_exist_is_named() {
    let place = Place::new();
    let id = "00000000-0000-4000-8000-000000000001";
    for command in [
        ["admin", "hide", id].as_slice(),
        &["admin", "restore", id],
        &["admin", "revoke-key", "--user", id],
        &["admin", "create-moderator", "--user", id],
    ] {
        place.run(command).await.failed(1, &[id]);
    }
    place
        .run(&["admin", "hide", "not-an-id"])
        .await
        .failed(2, &["not-an-id"]);
}

#[rstest]
#[tokio::test]
async fn a_new_moderators_key_opens_the_moderation_queue(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let server = place.serve().await;
    let user = server.user().await;
    assert_eq!(user.get("/api/v1/moderation/flagged").await.status, 403);

    let made = place
        .run(&[
            "admin",
            "create-moderator",
            "--name",
            "Grace",
            "--email",
            "grace@example.com",
        ])
        .await;
    assert_eq!(
        made.stderr, "",
        "a command that succeeds says nothing but its answer"
    );
    let moderator = server.anyone().with_key(&made.value("api_key"));
    assert_eq!(
        moderator.get("/api/v1/moderation/flagged").await.status,
        200
    );
    let verified = moderator.get("/api/v1/keys/verify").await.ok();
    assert_eq!(verified["user_id"], made.value("user_id"));

    let again = place
        .run(&["admin", "create-moderator", "--email", "Grace@example.com"])
        .await;
    again.failed(1, &["address", "--user"]);

    let id = user.get("/api/v1/keys/verify").await.ok()["user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    place
        .run(&["admin", "create-moderator", "--user", &id])
        .await
        .ok();
    until("the promoted account moderates", async || {
        user.get("/api/v1/moderation/flagged").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn an_address_for_a_moderator_that_is_none_is_refused() {
    let ran = Place::new()
        .run(&["admin", "create-moderator", "--email", "grace"])
        .await;
    ran.failed(2, &["grace"]);
}

#[rstest]
#[tokio::test]
async fn a_key_revoked_through_standard_input_no_longer_works(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let server = place.serve().await;
    let (leaked, other) = (server.user().await, server.user().await);
    let said = place
        .run_with_input(
            &["admin", "revoke-key"],
            format!("{}\n", leaked.key).as_bytes(),
        )
        .await
        .ok();
    assert_eq!(said, "revoked the key\n");
    until("the key is refused", async || {
        leaked.get("/api/v1/tags").await.status == 401
    })
    .await;
    assert_eq!(other.get("/api/v1/tags").await.status, 200);

    let again = place
        .run_with_input(&["admin", "revoke-key"], leaked.key.as_bytes())
        .await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(!again.stderr.contains(&leaked.key), "{again:?}");
    let id = other.get("/api/v1/keys/verify").await.ok()["user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    place
        .run(&["admin", "revoke-key", "--user", &id])
        .await
        .ok();
    until("all its keys are refused", async || {
        other.get("/api/v1/tags").await.status == 401
    })
    .await;
}

#[tokio::test]
async fn a_backup_of_a_running_server_opens_and_has_everything() {
    let place = Place::new();
    let server = place.serve().await;
    let (owner, voter) = (server.user().await, server.user().await);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(
            owner
                .contributes(&format!("the pool of database {number} is exhausted"))
                .await,
        );
    }
    let vote = voter
        .post(
            &format!("/api/v1/traces/{}/votes", ids[0]),
            json!({ "vote_type": "up" }),
        )
        .await;
    assert_eq!(vote.status, 201, "{vote:?}");
    let file = place.path("copy.db");
    let name = file.to_str().unwrap();
    let said = place.run(&["backup", name]).await.ok();
    assert!(said.starts_with(&format!("wrote {name}")), "{said}");
    let late = owner.contributes("this came after the backup").await;

    let again = place.run(&["backup", name]).await;
    again.failed(1, &[name]);

    let restored = Place::new();
    restored.write("data/commontrace.db", std::fs::read(&file).unwrap());
    let server = restored.serve().await;
    // The key that hashes API keys is part of the store, so the copy knows its accounts.
    let owner = owner.at(server.address);
    for id in &ids {
        owner.get(&format!("/api/v1/traces/{id}")).await.ok();
    }
    assert_eq!(
        owner.get(&format!("/api/v1/traces/{}", ids[0])).await.ok()["up_votes"],
        1
    );
    assert_eq!(
        owner.get(&format!("/api/v1/traces/{late}")).await.status,
        404
    );
}

#[tokio::test]
async fn a_postgresql_store_is_not_backed_up_to_a_file_by_mistake() {
    let place = Place::on(Engine::Postgres).await;
    let ran = place
        .run(&["backup", place.path("copy.db").to_str().unwrap()])
        .await;
    ran.failed(1, &["pg_dump"]);
}
