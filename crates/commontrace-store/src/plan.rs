//! For unit tests: how SQLite means to carry out a statement. A list that is read on requests must
//! come out of an index in its order, however many rows there are.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::migrate;

/// Checks that `sql` reads no table from end to end and sorts nothing.
pub(crate) async fn assert_indexed(sql: &str) {
    let mut db = SqliteConnection::connect("sqlite::memory:")
        .await
        .expect("memory is there");
    migrate::run(&mut db, crate::Engine::Sqlite)
        .await
        .expect("the schema is sound");
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps: Vec<String> = sqlx::query(explain)
        .fetch_all(&mut db)
        .await
        .expect("the statement is sound")
        .iter()
        .map(|row| row.get("detail"))
        .collect();
    let slow = steps.iter().find(|step| {
        // `due` is a list of jobs that was just made, no table.
        let scans_table =
            step.starts_with("SCAN ") && !step.contains(" USING ") && *step != "SCAN due";
        scans_table || step.contains("TEMP B-TREE")
    });
    assert_eq!(slow, None, "{sql}\n{steps:#?}");
}
