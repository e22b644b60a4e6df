//! A transaction that PostgreSQL undoes for the sake of another one runs again.

use std::time::{Duration, Instant};

use commontrace_core::vote::VoteType;
use commontrace_store::CastVote;
use commontrace_store::Engine::Postgres;
use commontrace_store::Location;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{THRESHOLD, TestStore, a_trace, a_vote, noon};

#[tokio::test]
async fn the_victim_of_a_deadlock_runs_again() {
    let store = TestStore::on(Postgres).await;
    let (ada, bob) = (store.register("ada").await, store.register("bob").await);
    let trace = store.contributed(a_trace(ada)).await;
    let Location::Server(url) = &store.location else {
        panic!("a server")
    };
    let mut other = PgConnection::connect(url).await.unwrap();
    // It waits without looking for a circle, so it is the vote that finds one and gives way.
    for sql in ["SET deadlock_timeout = '1h'", "BEGIN"] {
        sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
    }
    let lock = |table: &str, id: String| {
        AssertSqlSafe(format!("UPDATE {table} SET id = id WHERE id = '{id}'"))
    };
    sqlx::raw_sql(lock("users", ada.to_string()))
        .execute(&mut other)
        .await
        .unwrap();
    let vote = tokio::spawn({
        let (store, vote) = (store.handle(), a_vote(bob, trace, VoteType::Up));
        async move { store.cast_vote(vote, THRESHOLD, noon()).await }
    });
    // The vote holds the trace and waits for its contributor.
    let begun = Instant::now();
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while store.count(waiting).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sqlx::raw_sql(lock("traces", trace.to_string()))
        .execute(&mut other)
        .await
        .unwrap();
    let undone = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let outcome = vote.await.unwrap().unwrap();
    assert!(matches!(outcome, CastVote::Cast(_)), "{outcome:?}");
    while store.count(undone).await == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "there was no deadlock"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.trace(trace).await.unwrap().unwrap().up_votes, 1);
}
