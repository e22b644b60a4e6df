//! What others' votes say about a contributor, overall and per tag.

use commontrace_core::UserId;
use commontrace_core::vote::VoteType;
use sqlx::QueryBuilder;

use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store};

/// Tags listed at most in a contributor's reputation.
const DOMAINS_MAX: i64 = 200;

/// Votes that a contributor's traces have received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reputation {
    /// Up-votes, each counted once.
    pub up_votes: i64,
    /// Down-votes, each counted once.
    pub down_votes: i64,
    /// The same per tag; a vote counts once for each tag of the trace.
    pub domains: Vec<DomainReputation>,
}

/// Votes received on traces with one tag.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DomainReputation {
    /// The tag.
    pub tag: String,
    /// Up-votes.
    pub up_votes: i64,
    /// Down-votes.
    pub down_votes: i64,
}

impl Store {
    /// Returns a contributor's votes, with the tags that have most of them; `None` for an unknown
    /// account.
    pub async fn reputation(&self, user: UserId) -> Result<Option<Reputation>> {
        let overall: Option<(i64, i64)> = on_pool!(self, |db| sqlx::query_as(
            "SELECT up_votes, down_votes FROM users WHERE id = $1"
        )
        .bind(user)
        .fetch_optional(db)
        .await)?;
        let Some((up_votes, down_votes)) = overall else {
            return Ok(None);
        };
        let domains = on_pool!(self, |db| sqlx::query_as(
            "SELECT tag, up_votes, down_votes FROM reputations WHERE user_id = $1
             ORDER BY up_votes + down_votes DESC, tag LIMIT $2",
        )
        .bind(user)
        .bind(DOMAINS_MAX)
        .fetch_all(db)
        .await)?;
        Ok(Some(Reputation {
            up_votes,
            down_votes,
            domains,
        }))
    }
}

/// Counts a vote on a trace with these tags in its author's reputation, in place of what the same
/// voter said `before` of an earlier text of it.
pub(crate) async fn count(
    tx: &mut Tx<'_>,
    user: UserId,
    tags: &[String],
    before: Option<VoteType>,
    vote: VoteType,
) -> Result<()> {
    if before == Some(vote) {
        return Ok(());
    }
    // In one order, so that votes on two traces of one author never wait for each other crosswise.
    let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    tags.sort_unstable();
    if let Some(before) = before {
        take(tx, user, &tags, before).await?;
    }
    add(tx, user, &tags, vote).await
}

/// One vote in the columns `up_votes` and `down_votes`.
fn columns(vote: VoteType) -> (i64, i64) {
    match vote {
        VoteType::Up => (1, 0),
        VoteType::Down => (0, 1),
    }
}

async fn add(tx: &mut Tx<'_>, user: UserId, tags: &[&str], vote: VoteType) -> Result<()> {
    let (up, down) = columns(vote);
    on_tx!(tx, |db| sqlx::query(
        "UPDATE users SET up_votes = up_votes + $2, down_votes = down_votes + $3 WHERE id = $1"
    )
    .bind(user)
    .bind(up)
    .bind(down)
    .execute(db)
    .await
    .map(drop))?;
    if tags.is_empty() {
        return Ok(());
    }
    on_tx!(tx, |db| {
        let mut query =
            QueryBuilder::new("INSERT INTO reputations (user_id, tag, up_votes, down_votes) ");
        query.push_values(tags, |mut row, tag| {
            row.push_bind(user)
                .push_bind(*tag)
                .push_bind(up)
                .push_bind(down);
        });
        query.push(
            " ON CONFLICT (user_id, tag) DO UPDATE SET
                 up_votes = reputations.up_votes + excluded.up_votes,
                 down_votes = reputations.down_votes + excluded.down_votes",
        );
        query.build().execute(db).await.map(drop)
    })?;
    Ok(())
}

async fn take(tx: &mut Tx<'_>, user: UserId, tags: &[&str], vote: VoteType) -> Result<()> {
    let (up, down) = columns(vote);
    on_tx!(tx, |db| sqlx::query(
        "UPDATE users SET up_votes = up_votes - $2, down_votes = down_votes - $3 WHERE id = $1"
    )
    .bind(user)
    .bind(up)
    .bind(down)
    .execute(db)
    .await
    .map(drop))?;
    for tag in tags {
        // The tags may be others than when the vote was counted; nothing goes below zero.
        on_tx!(tx, |db| sqlx::query(
            "UPDATE reputations SET up_votes = up_votes - $3, down_votes = down_votes - $4
             WHERE user_id = $1 AND tag = $2 AND up_votes >= $3 AND down_votes >= $4"
        )
        .bind(user)
        .bind(*tag)
        .bind(up)
        .bind(down)
        .execute(db)
        .await
        .map(drop))?;
    }
    Ok(())
}
