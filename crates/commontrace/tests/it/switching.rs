//! Moving to another model while the server serves, and other settings that take effect on SIGHUP.

use std::fs::File;
use std::process::Stdio;

use commontrace_store::Engine;
use rstest::rstest;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Client, until};
use crate::place::Place;
use crate::provider::Provider;
use crate::server::Server;

const TITLE: &str = "zygohistomorphic prepromorphism is not terminating";

/// A place whose settings file decides about the model.
async fn place(engine: Engine) -> Place {
    Place::on(engine).await.without("EMBEDDING_PROVIDER")
}

/// Somebody who searches without a pause, and is content only with whole answers.
fn searching(user: &Client, id: &str) -> (watch::Sender<bool>, JoinHandle<usize>) {
    let (stop, stopped) = watch::channel(false);
    let (user, id) = (user.clone(), id.to_owned());
    let searching = tokio::spawn(async move {
        let mut searches = 0;
        while !*stopped.borrow() {
            // Each query is new, so that it needs a vector.
            whole(&user, &id, &format!("{TITLE} {searches}")).await;
            searches += 1;
        }
        searches
    });
    (stop, searching)
}

async fn whole(user: &Client, id: &str, q: &str) {
    let answer = user.search(q).await;
    assert_eq!(answer["degraded"], false, "{answer}");
    assert_eq!(answer["results"][0]["id"], id, "{answer}");
}

async fn health(user: &Client, check: &str) -> Value {
    user.get("/health").await.ok()["checks"][check].take()
}

async fn is_searched_with(server: &Server, user: &Client, model: &str) {
    until("the switch is done", async || {
        health(user, "embedding_model").await == model
    })
    .await;
    server.logs(&format!("searching with {model}")).await;
    assert_eq!(health(user, "embedding_switch").await, Value::Null);
    let model = format!("commontrace_search_model{{model=\"{model}\"}}");
    assert_eq!(user.metric(&model).await, Some(1.0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_search_is_degraded_while_the_server_moves_to_another_model(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let place = place(engine).await;
    place.settings(&old.section("old-model", 8));
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    user.until_embedded().await;
    assert_eq!(health(&user, "embedding_model").await, "old-model");

    new.take_batches(false);
    let (stop, searches) = searching(&user, &id);
    place.settings(&new.section("new-model", 16));
    server.signal(Signal::HUP);
    server.logs("traces wait for a vector of new-model").await;
    let state = health(&user, "embedding_switch").await;
    assert!(state.as_str().unwrap().contains("for new-model"), "{state}");
    assert!(user.metric("commontrace_embedding_switch_backlog").await > Some(0.0));
    let meanwhile = user.contributes("felicitous catamorphism diverges").await;
    user.until_embedded().await;
    whole(&user, &meanwhile, "felicitous catamorphism diverges").await;
    assert_eq!(health(&user, "embedding_model").await, "old-model");

    new.take_batches(true);
    is_searched_with(&server, &user, "new-model").await;
    stop.send(true).unwrap();
    assert!(searches.await.unwrap() > 0);
    let asked = old.requests().await;
    whole(&user, &id, TITLE).await;
    whole(&user, &meanwhile, "felicitous catamorphism diverges").await;
    user.contributes("a quibbling anamorphism never ends").await;
    user.until_embedded().await;
    assert_eq!(old.requests().await, asked, "the old model is done with");
    let left = user.metric("commontrace_embedding_switch_backlog").await;
    assert_eq!(left, Some(0.0));
    server.stop().await;

    let asked = new.requests().await;
    let server = place.serve().await;
    let user = user.at(server.address);
    user.until_embedded().await;
    assert_eq!(new.requests().await, asked, "every vector was kept");
}

#[rstest]
#[tokio::test]
async fn what_reembed_has_made_is_searched_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let provider = Provider::start().await;
    let place = place(engine).await;
    place.settings(&provider.section("a-model", 8));
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    user.until_embedded().await;

    // The same model, with longer vectors.
    place.settings(&provider.section("a-model", 16));
    place.run(&["reembed"]).await.ok();
    whole(&user, &id, "is the prepromorphism terminating").await;
    provider.take_batches(false);
    server.signal(Signal::HUP);
    server.logs("searching with a-model (16 dimensions)").await;
    whole(&user, &id, TITLE).await;
    until("the shorter vectors are given up", async || {
        let pruned = place.run(&["reembed", "--prune"]).await.ok();
        !pruned.contains("removed 0 ")
    })
    .await;
    whole(&user, &id, "when is a prepromorphism terminating").await;
}

#[tokio::test]
async fn a_switch_whose_jobs_were_pruned_comes_to_its_end() {
    let (old, new) = (Provider::start().await, Provider::start().await);
    let place = place(Engine::Sqlite).await;
    place.settings(&old.section("old-model", 8));
    let server = place.serve().await;
    let user = server.user().await;
    user.until_embedded().await;

    new.take_batches(false);
    place.settings(&new.section("new-model", 16));
    server.signal(Signal::HUP);
    server.logs("traces wait for a vector of new-model").await;
    let before = place.write("before.toml", old.section("old-model", 8));
    let before = before.to_str().unwrap();
    place
        .run(&["reembed", "--prune", "--config", before])
        .await
        .ok();
    new.take_batches(true);
    is_searched_with(&server, &user, "new-model").await;
    user.until_embedded().await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_change_nothing() {
    let (provider, other) = (Provider::start().await, Provider::start().await);
    let place = place(Engine::Sqlite).await;
    place.settings(&provider.section("a-model", 8));
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    user.until_embedded().await;

    other.set_up(false);
    let away = other.section("other-model", 16);
    for (settings, complaint) in [
        ("[embedding\n", "not valid TOML"),
        (
            "[embedding]\nmodle_dir = '/x'\n",
            "did you mean `model_dir`?",
        ),
        (
            "[embedding]\nembedding_provider = 'openai'\n",
            "OpenAI asks for a key",
        ),
        (
            away.as_str(),
            "the embedding endpoint is unavailable (HTTP 503)",
        ),
        (
            "[embedding]\nmodel_dir = '/dev/null/model'\n",
            "/dev/null/model",
        ),
    ] {
        place.settings(settings);
        server.signal(Signal::HUP);
        let line = server.logs(complaint).await;
        assert!(
            line.contains("ERROR") && line.contains("nothing was changed"),
            "{line}"
        );
        assert_eq!(health(&user, "embedding_model").await, "a-model");
        assert_eq!(health(&user, "embedding_switch").await, Value::Null);
    }
    whole(&user, &id, TITLE).await;

    // The same settings do once the endpoint answers.
    other.set_up(true);
    place.settings(&away);
    server.signal(Signal::HUP);
    is_searched_with(&server, &user, "other-model").await;
    whole(&user, &id, TITLE).await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_log_filter_changes_at_once() {
    let place = Place::new();
    let server = place.serve().await;
    place.settings("[log]\nlog = 'debug'\n[commons]\nflags_to_hide = 7\n");
    server.signal(Signal::HUP);
    let line = server.logs("need a restart").await;
    assert!(line.contains("need a restart: flags_to_hide"), "{line}");
    server.logs("changed: log").await;
    server.anyone().get("/health").await;
    server.logs("DEBUG").await;
    place.settings("");
    server.signal(Signal::HUP);
    until("the old filter is back", async || {
        server.log().matches("changed: log").count() == 2
    })
    .await;
    assert_eq!(server.log().matches("need a restart").count(), 1);
}

#[tokio::test]
async fn a_model_comes_goes_and_moves_to_another_endpoint() {
    let (provider, other) = (Provider::start().await, Provider::start().await);
    // The provider of the environment is nobody's; the file is added later.
    let place = place(Engine::Sqlite).await;
    place.settings("[embedding]\nembedding_provider = 'none'\n");
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    assert_eq!(user.search(TITLE).await["degraded"], true);

    place.settings(&provider.section("a-model", 8));
    server.signal(Signal::HUP);
    is_searched_with(&server, &user, "a-model").await;
    whole(&user, &id, TITLE).await;

    let asked = provider.requests().await;
    other.take_batches(false);
    place.settings(&other.section("a-model", 8));
    server.signal(Signal::HUP);
    server.logs("from the new settings").await;
    whole(&user, &id, "why is the prepromorphism terminating").await;
    assert_eq!(
        provider.requests().await,
        asked,
        "the other endpoint is asked"
    );

    place.settings("[embedding]\nembedding_provider = 'none'\n");
    server.signal(Signal::HUP);
    until("the model is gone", async || {
        health(&user, "embedding_model").await == "none"
    })
    .await;
    let answer = user.search(TITLE).await;
    assert_eq!(
        (&answer["degraded"], &answer["results"][0]["id"]),
        (&true.into(), &id.into())
    );
}

#[tokio::test]
async fn the_newest_wish_wins_and_a_stop_does_not_wait_for_a_switch() {
    let (provider, slow) = (Provider::start().await, Provider::start().await);
    let place = place(Engine::Sqlite).await;
    place.settings(&provider.section("a-model", 8));
    let server = place.serve().await;
    let user = server.user().await;
    let id = user.contributes(TITLE).await;
    user.until_embedded().await;

    slow.take_batches(false);
    place.settings(&slow.section("slow-model", 16));
    server.signal(Signal::HUP);
    server.logs("traces wait for a vector of slow-model").await;
    place.settings(&provider.section("better-model", 32));
    server.signal(Signal::HUP);
    is_searched_with(&server, &user, "better-model").await;
    whole(&user, &id, TITLE).await;
    let log = server.log();
    assert!(!log.contains("searching with slow-model"), "{log}");

    place.settings(&slow.section("slow-model", 24));
    server.signal(Signal::HUP);
    server.logs("to slow-model (24 dimensions)").await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_stops_when_its_terminal_is_closed() {
    let place = Place::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let inner = File::open(name.to_str().unwrap()).unwrap();
    let mut command = place.command(&["serve"]);
    command.stdin(Stdio::from(inner));
    let server = Server::start(command).await;
    drop(terminal);
    server.signal(Signal::HUP);
    let (status, log) = server.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the terminal was closed"), "{log}");
}
