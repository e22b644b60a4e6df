//! A contributor's reputation.

use axum::Json as JsonBody;
use commontrace_api::reputation::{Domain, ReputationBody};
use commontrace_core::UserId;
use commontrace_core::reputation::wilson;

use crate::error::{ApiError, ApiResult};
use crate::extract::{Path, Reader};

/// Returns what votes say about a contributor, overall and per tag.
pub async fn read(
    caller: Reader,
    Path(user_id): Path<UserId>,
) -> ApiResult<JsonBody<ReputationBody>> {
    let found = caller.store().reputation(user_id).await?;
    let found = found.ok_or_else(|| ApiError::not_found("no account has this id"))?;
    let mut domains: Vec<_> = found
        .domains
        .into_iter()
        .map(|domain| Domain {
            wilson_score: score(domain.up_votes, domain.down_votes),
            domain_tag: domain.tag,
            upvote_count: domain.up_votes,
            downvote_count: domain.down_votes,
        })
        .collect();
    domains.sort_by(|a, b| {
        b.wilson_score
            .total_cmp(&a.wilson_score)
            .then_with(|| a.domain_tag.cmp(&b.domain_tag))
    });
    Ok(JsonBody(ReputationBody {
        user_id,
        overall_wilson_score: score(found.up_votes, found.down_votes),
        upvote_count: found.up_votes,
        downvote_count: found.down_votes,
        domains,
    }))
}

fn score(up: i64, down: i64) -> f64 {
    let count = |votes: i64| u32::try_from(votes.max(0)).unwrap_or(u32::MAX);
    wilson(count(up), count(down))
}
