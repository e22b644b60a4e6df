//! The starter traces: there from the first start, and added to while a server runs.

use std::fs;

use commontrace_store::Engine;
use rstest::rstest;
use serde_json::Value;

use crate::client::until;
use crate::place::{Place, repository_seeds};

async fn stats(place: &Place) -> Value {
    let text = place.run(&["admin", "stats", "--json"]).await.ok();
    serde_json::from_str(&text).expect("it is JSON")
}

fn count_seeds() -> u64 {
    let folders = fs::read_dir(repository_seeds())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .filter(|file| {
            file.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "md")
        })
        .count() as u64
}

/// A starter trace as a file.
fn seed(title: &str, fix: &str) -> String {
    format!(
        "+++\ntitle = {title:?}\ntags = [\"shell\", \"frobnicator\"]\napplies_to = \"Frobnicator 3.2\"\n\
         source = \"https://example.com/frobnicator\"\n+++\n\n## Problem\n\n\
         The start ends with an error:\n\n```\nfrobnicator: E7741 quux overflow\n```\n\n\
         ## Cause\n\nThe quux buffer of version 3.2 holds one entry only.\n\n\
         ## Fix\n\n{fix}\n\n```sh\nfrobnicator --update\n```\n\n## Check\n\n```console\n$ frobnicator --version\nfrobnicator 3.3\n```\n"
    )
}

#[rstest]
#[tokio::test]
async fn the_first_start_imports_them_and_a_second_start_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let log = place.serve().await.stop().await;
    assert!(
        log.contains(&format!("imported {} starter traces", count_seeds())),
        "{log}"
    );
    let first = stats(&place).await;
    assert_eq!(first["seed_traces"], count_seeds());
    assert_eq!(first["validated_traces"], count_seeds());

    let server = place.serve().await;
    let user = server.user().await;
    let found = user.search("error: externally-managed-environment").await;
    assert_eq!(found["abstained"], false, "{found}");
    assert!(
        found["results"][0]["context_text"]
            .as_str()
            .unwrap()
            .contains("externally-managed-environment")
    );
    let log = server.stop().await;
    assert!(!log.contains("imported"), "{log}");
    let second = stats(&place).await;
    for unchanged in [
        "traces",
        "seed_traces",
        "validated_traces",
        "votes",
        "amendments",
        "queued_jobs",
    ] {
        assert_eq!(first[unchanged], second[unchanged], "{unchanged}");
    }
}

#[tokio::test]
async fn none_are_imported_where_the_setting_says_so() {
    let place = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
    place.serve().await.stop().await;
    assert_eq!(stats(&place).await["traces"], 0);
}

#[rstest]
#[tokio::test]
async fn a_folder_imported_beside_a_running_server_becomes_searchable(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let place = Place::on(engine).await;
    let server = place.serve().await;
    let user = server.user().await;
    assert_eq!(
        user.search("frobnicator: E7741 quux overflow").await["abstained"],
        true
    );

    let file = place.write(
        "more/shell/frobnicator.md",
        seed("Frobnicator stops with E7741", "Install version 3.3."),
    );
    let folder = file
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let said = place.run(&["import-seeds", &folder]).await.ok();
    assert_eq!(said, "imported 1, updated 0, left 0 as they are\n");
    until("the new trace is found", async || {
        !user
            .finds("frobnicator: E7741 quux overflow")
            .await
            .is_empty()
    })
    .await;

    let said = place.run(&["import-seeds", &folder]).await.ok();
    assert_eq!(said, "imported 0, updated 0, left 1 as they are\n");
    place.write(
        "more/shell/frobnicator.md",
        seed("Frobnicator stops with E7741", "Use the turboencabulator."),
    );
    let said = place.run(&["import-seeds", &folder]).await.ok();
    assert_eq!(said, "imported 0, updated 1, left 0 as they are\n");
    until("the changed trace is found", async || {
        !user.finds("turboencabulator").await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_starter_traces_of_the_repository_are_fine() {
    let seeds = repository_seeds().display().to_string();
    let place = Place::new();
    let said = place.run(&["import-seeds", "--check", &seeds]).await.ok();
    assert_eq!(said, format!("{} starter traces are fine\n", count_seeds()));
    assert!(!place.data_dir().exists(), "checking touches no store");
}

#[tokio::test]
async fn a_bad_file_is_refused_by_name_and_nothing_of_its_folder_is_imported() {
    let place = Place::new();
    place.write(
        "more/good.md",
        seed("Frobnicator stops with E7741", "Install version 3.3."),
    );
    let bad = place.write("more/worse/bad.md", "# only a heading\n");
    let folder = place.path("more").display().to_string();
    place
        .run(&["import-seeds", "--check", &folder])
        .await
        .failed(1, &["worse/bad.md"]);
    place
        .run(&["import-seeds", &folder])
        .await
        .failed(1, &["worse/bad.md"]);
    assert_eq!(stats(&place).await["traces"], 0);

    let secret = seed(
        "Frobnicator stops with E7741",
        "Write to ada.lovelace@analytical-engine.org about it.",
    );
    fs::write(bad, secret).unwrap();
    place
        .run(&["import-seeds", "--check", &folder])
        .await
        .failed(1, &["worse/bad.md", "email"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_or_holds_none_is_named() {
    let place = Place::new();
    place
        .run(&["import-seeds", "nowhere"])
        .await
        .failed(1, &["nowhere"]);
    place.write("empty/readme.txt", "nothing");
    let empty = place.path("empty").display().to_string();
    place
        .run(&["import-seeds", "--check", &empty])
        .await
        .failed(1, &[&empty, "*.md"]);
    place.write("latin/a.md", b"+++\ntitle = \"\xe9\"\n");
    let latin = place.path("latin").display().to_string();
    place
        .run(&["import-seeds", "--check", &latin])
        .await
        .failed(1, &["a.md"]);
}
