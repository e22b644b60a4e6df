//! What running tests proved of a trace: reading it, and giving a trace the verdict on an own session.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::evidence::{AttachEvidence, EvidenceBody, TraceEvidence};
use commontrace_core::TraceId;
use commontrace_store::{self as store};

use super::traces::{unknown_trace, visible};
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Path, Reader, Writer};
use crate::present;
use crate::sessions::evidence::{Offer, parse};

/// Returns a trace's evidence with its signed verdict.
pub async fn read(caller: Reader, Path(id): Path<TraceId>) -> ApiResult<JsonBody<EvidenceBody>> {
    let trace = visible(caller.store(), &caller, id).await?;
    let verdict = caller.store().evidence_verdict(id).await?;
    let verdict = verdict.filter(|_| trace.evidence_summary.is_some());
    let verdict = verdict.ok_or_else(|| {
        ApiError::not_found(
            "the trace has no evidence; its contributor can give it the verdict on a session",
        )
    })?;
    Ok(JsonBody(EvidenceBody {
        evidence: evidence(&trace)?,
        signed_verdict: parse(&verdict)?,
    }))
}

/// Gives an own trace the newest verdict on an own session, in place of what it has.
pub async fn attach(
    State(app): State<App>,
    caller: Writer,
    Path(id): Path<TraceId>,
    Json(body): Json<AttachEvidence>,
) -> ApiResult<JsonBody<TraceEvidence>> {
    let trace = visible(caller.store(), &caller, id).await?;
    if trace.contributor_id != caller.id {
        return Err(not_yours());
    }
    let offer = Offer::of(caller.store(), &caller, &body.session_id).await?;
    let new = offer.to(&trace.solution_text);
    let threshold = app.settings.validation_threshold;
    let now = app.clock.now();
    let attached = caller
        .store()
        .attach_evidence(id, trace.revision, caller.id, new, threshold, now)
        .await?;
    match attached {
        store::AttachEvidence::Attached(trace) => {
            app.search.refresh(&app.store, id).await;
            evidence(&trace).map(JsonBody)
        }
        store::AttachEvidence::Unknown => Err(unknown_trace()),
        store::AttachEvidence::NotYours => Err(not_yours()),
        store::AttachEvidence::Outdated => Err(outdated()),
        store::AttachEvidence::Crowded => Err(crowded()),
        store::AttachEvidence::Rewritten => Err(ApiError::conflict(
            "the trace was rewritten meanwhile; read it and try again",
        )),
    }
}

/// The evidence of a trace that has some.
fn evidence(trace: &store::Trace) -> ApiResult<TraceEvidence> {
    present::evidence(trace)
        .ok_or_else(|| ApiError::internal("the kept evidence of a trace is unreadable"))
}

/// 409 for evidence of a verdict that is not the newest any more.
pub(super) fn outdated() -> ApiError {
    ApiError::conflict(
        "the session got another verdict meanwhile, or was deleted; look at it and try again",
    )
}

/// 409 for one trace more than a session is evidence of.
pub(super) fn crowded() -> ApiError {
    let most = store::EVIDENCE_TRACES_MAX;
    ApiError::conflict(format!(
        "the session is evidence of {most} traces, and of no more; name another session, or contribute \
         without session_id"
    ))
}

fn not_yours() -> ApiError {
    ApiError::forbidden(
        "this trace is somebody else's; vote on it, or propose an amendment instead",
    )
}
