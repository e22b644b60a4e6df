//! Importing starter traces.

use commontrace_server::seeds::{Imported, import};
use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;

use crate::actors::{TestApp, noon};

const FILE: &str = r#"+++
title = "fatal: refusing to merge unrelated histories"
tags = ["git", "merge"]
applies_to = "git 2.9 and later"
source = "https://git-scm.com/docs/git-merge"
+++

## Problem

```
fatal: refusing to merge unrelated histories
```

## Cause

The two branches share no commit.

## Fix

```sh
git merge --allow-unrelated-histories other
```

## Check

```sh
git log --oneline --graph
```
"#;

#[rstest]
#[tokio::test]
async fn importing_twice_changes_nothing_and_an_edited_file_is_a_new_revision(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let store = &app.app.store;
    let run = async |text: &str| {
        import(store, &[("git/merge.md", text)], Vec::new, noon())
            .await
            .unwrap()
    };
    assert_eq!(
        run(FILE).await,
        Imported {
            added: 1,
            ..Imported::default()
        }
    );
    assert_eq!(
        run(FILE).await,
        Imported {
            unchanged: 1,
            ..Imported::default()
        }
    );
    let edited = FILE.replace("share no commit", "have no commit in common");
    assert_eq!(
        run(&edited).await,
        Imported {
            updated: 1,
            ..Imported::default()
        }
    );
    app.app.search.current().load(store).await.unwrap();
    let ada = app.user("ada").await;
    let listed = ada.get("/api/v1/traces?seed=true").await.ok();
    let trace = &listed["traces"][0];
    assert_eq!(
        (&trace["status"], &trace["trust_score"]),
        (&"validated".into(), &1.0.into())
    );
    assert_eq!(trace["revision"], 2);
    assert_eq!(
        ada.finds("refusing to merge unrelated histories")
            .await
            .len(),
        1
    );
}

#[rstest]
#[tokio::test]
async fn what_a_moderator_deleted_is_not_imported_again(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let app = TestApp::on(engine).await;
    let moderator = app.moderator().await;
    let run = async || {
        import(&app.app.store, &[("git/merge.md", FILE)], Vec::new, noon())
            .await
            .unwrap()
    };
    run().await;
    let listed = moderator.get("/api/v1/traces?seed=true").await.ok();
    let id = listed["traces"][0]["id"].as_str().unwrap();
    moderator
        .delete(&format!("/api/v1/moderation/traces/{id}"))
        .await
        .ok();
    assert_eq!(
        run().await,
        Imported {
            unchanged: 1,
            ..Imported::default()
        }
    );
    let listed = moderator.get("/api/v1/traces?seed=true").await.ok();
    assert_eq!(listed["traces"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_bad_file_stops_the_import_before_the_first_trace_and_is_named() {
    let app = TestApp::on(Sqlite).await;
    let files = [("git/merge.md", FILE), ("git/bad.md", "no front matter")];
    let err = import(&app.app.store, &files, Vec::new, noon())
        .await
        .unwrap_err();
    assert!(err.to_string().contains("git/bad.md"), "{err}");
    assert_eq!(app.app.store.stats().await.unwrap().traces, 0);
}
