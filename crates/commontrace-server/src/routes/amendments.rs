//! Amendments.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::amendments::{AmendmentBody, Amendments, Decided, ProposeAmendment};
use commontrace_api::traces::Redaction;
use commontrace_core::trace::AmendmentStatus;
use commontrace_core::{AmendmentId, TraceId};
use commontrace_store::{Amendment, Decide, NewAmendment};

use super::traces::{unknown_trace, visible};
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Contributor, Json, Path, Reader, Writer};
use crate::intake::{self, Redactor};
use crate::respond::Created;

/// Amendments listed at most.
const LIST_MAX: i64 = 200;

/// Proposes a better solution for a trace.
pub async fn propose(
    State(app): State<App>,
    caller: Contributor,
    Path(trace_id): Path<TraceId>,
    Json(body): Json<ProposeAmendment>,
) -> ApiResult<Created<AmendmentBody>> {
    let trace = visible(caller.store(), &caller, trace_id).await?;
    let size = body.improved_solution.len();
    let (improved_solution, explanation, redactions) = intake::scan(size, move || {
        let mut redactor = Redactor::default();
        let solution = redactor.text("improved_solution", &body.improved_solution);
        let explanation = redactor.text("explanation", &body.explanation);
        (solution, explanation, redactor.finish())
    })
    .await?;
    if let Some(husk) =
        commontrace_core::husk::husk(&trace.title, &trace.context_text, &improved_solution)
        && husk.field() == "solution_text"
    {
        return Err(ApiError::invalid("improved_solution", husk.to_string()));
    }
    let new = NewAmendment {
        id: app.ids.id(),
        trace_id,
        submitter_id: caller.id,
        improved_solution,
        explanation,
    };
    let now = app.clock.now();
    if !caller.store().propose_amendment(new.clone(), now).await? {
        return Err(unknown_trace());
    }
    Ok(Created(AmendmentBody {
        id: new.id,
        original_trace_id: trace_id,
        submitter_id: caller.id,
        improved_solution: new.improved_solution,
        explanation: new.explanation,
        status: AmendmentStatus::Proposed,
        decided_by: None,
        decided_at: None,
        created_at: now,
        redactions,
    }))
}

/// Lists a trace's amendments, oldest first.
pub async fn list(
    caller: Reader,
    Path(trace_id): Path<TraceId>,
) -> ApiResult<JsonBody<Amendments>> {
    visible(caller.store(), &caller, trace_id).await?;
    let amendments = caller.store().amendments(trace_id, LIST_MAX).await?;
    let amendments = amendments
        .into_iter()
        .map(|row| body(row, Vec::new()))
        .collect();
    Ok(JsonBody(Amendments { amendments }))
}

/// Makes an amendment the trace's new revision.
pub async fn accept(
    State(app): State<App>,
    caller: Writer,
    Path((trace_id, amendment_id)): Path<(TraceId, AmendmentId)>,
) -> ApiResult<JsonBody<Decided>> {
    decide(&app, &caller, trace_id, amendment_id, true).await
}

/// Turns an amendment down.
pub async fn reject(
    State(app): State<App>,
    caller: Writer,
    Path((trace_id, amendment_id)): Path<(TraceId, AmendmentId)>,
) -> ApiResult<JsonBody<Decided>> {
    decide(&app, &caller, trace_id, amendment_id, false).await
}

async fn decide(
    app: &App,
    caller: &Writer,
    trace_id: TraceId,
    amendment_id: AmendmentId,
    accept: bool,
) -> ApiResult<JsonBody<Decided>> {
    visible(caller.store(), caller, trace_id).await?;
    let embed = app.search.embedding_jobs(&app.ids);
    let (is_moderator, now) = (caller.is_moderator, app.clock.now());
    let outcome = caller
        .store()
        .decide_amendment(
            trace_id,
            amendment_id,
            caller.id,
            is_moderator,
            accept,
            embed,
            now,
        )
        .await?;
    match outcome {
        Decide::Decided(amendment, trace) => {
            app.search.refresh(&app.store, trace_id).await;
            app.search.wake_workers();
            Ok(JsonBody(Decided {
                amendment: body(*amendment, Vec::new()),
                revision: trace.revision,
            }))
        }
        Decide::Unknown => Err(ApiError::not_found(
            "this trace has no amendment with this id",
        )),
        Decide::NotYours => Err(ApiError::forbidden(
            "only the trace's contributor or a moderator decides",
        )),
        Decide::AlreadyDecided(AmendmentStatus::Accepted) => Err(ApiError::conflict(
            "this amendment has been accepted already",
        )),
        Decide::AlreadyDecided(_) => Err(ApiError::conflict(
            "this amendment has been rejected already",
        )),
    }
}

fn body(row: Amendment, redactions: Vec<Redaction>) -> AmendmentBody {
    AmendmentBody {
        id: row.id,
        original_trace_id: row.trace_id,
        submitter_id: row.submitter_id,
        improved_solution: row.improved_solution,
        explanation: row.explanation,
        status: row.status,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
        created_at: row.created_at,
        redactions,
    }
}
