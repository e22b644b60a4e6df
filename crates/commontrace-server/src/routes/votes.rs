//! Voting.

use axum::extract::State;
use commontrace_api::Bounded;
use commontrace_api::votes::{CastVote, Standing, VoteBody};
use commontrace_core::TraceId;
use commontrace_core::vote::reason_fault;
use commontrace_store::{self as store, NewVote, Trace};
use serde_json::Value;

use super::traces::unknown_trace;
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Path, Voter};
use crate::intake::Redactor;
use crate::respond::Created;

/// Casts the caller's vote on somebody else's trace.
pub async fn cast(
    State(app): State<App>,
    caller: Voter,
    Path(trace_id): Path<TraceId>,
    Json(body): Json<CastVote>,
) -> ApiResult<Created<VoteBody>> {
    if let Some(fault) = reason_fault(body.vote_type, body.feedback_tag.as_deref()) {
        return Err(ApiError::invalid("feedback_tag", fault));
    }
    let mut redactor = Redactor::default();
    let voter_context = body
        .voter_context
        .map(|context| redactor.object("voter_context", context.into_map()));
    let new = NewVote {
        id: app.ids.id(),
        trace_id,
        voter_id: caller.id,
        vote_type: body.vote_type,
        revision: body.revision.map(Bounded::value),
        feedback_tag: redactor.optional("feedback_tag", body.feedback_tag.as_deref()),
        feedback_text: redactor.optional("feedback_text", body.feedback_text.as_deref()),
        voter_context: voter_context.clone().map(Value::Object),
    };
    let now = app.clock.now();
    let threshold = app.settings.validation_threshold;
    match caller
        .store()
        .cast_vote(new.clone(), threshold, now)
        .await?
    {
        store::CastVote::Cast(trace) => {
            app.search.refresh(&app.store, trace_id).await;
            Ok(Created(VoteBody {
                id: new.id,
                trace_id,
                voter_id: caller.id,
                vote_type: new.vote_type,
                revision: trace.revision,
                feedback_tag: new.feedback_tag,
                feedback_text: new.feedback_text,
                voter_context,
                created_at: now,
                standing: standing(&trace),
            }))
        }
        store::CastVote::Unknown => Err(unknown_trace()),
        store::CastVote::OwnTrace => {
            Err(ApiError::forbidden("nobody votes on a trace of their own"))
        }
        store::CastVote::AlreadyVoted => Err(ApiError::conflict(
            "this account has voted on this trace already; a vote is final until the trace's text \
             is replaced",
        )),
        store::CastVote::Rewritten(current) => Err(ApiError::conflict(format!(
            "the trace was rewritten since that revision; read revision {current} and vote on it"
        ))),
        store::CastVote::NoSuchRevision(current) => Err(no_such_revision(current)),
    }
}

/// Where a trace stands.
pub(super) fn standing(trace: &Trace) -> Standing {
    Standing {
        status: trace.status,
        trust_score: trace.trust_score,
        up_votes: trace.up_votes,
        down_votes: trace.down_votes,
        outcomes: trace.outcomes,
    }
}

/// 422 for a revision that the trace does not have.
pub(super) fn no_such_revision(current: i64) -> ApiError {
    ApiError::invalid(
        "revision",
        format!("must be a revision of the trace; the current one is {current}"),
    )
}
