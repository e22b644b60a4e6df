//! Reporting what came of a trace.

use std::time::Duration;

use axum::Json as JsonBody;
use axum::extract::State;
use chrono::{DateTime, Utc};
use commontrace_api::Bounded;
use commontrace_api::outcomes::{OutcomeBody, ReportOutcome};
use commontrace_core::TraceId;
use commontrace_core::fingerprint::fingerprint;
use commontrace_core::outcome::ENVIRONMENTS_MAX;
use commontrace_store::{self as store, NewOutcome, Store};

use super::traces::unknown_trace;
use super::votes;
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Path, Voter};
use crate::intake::Redactor;
use crate::present;

/// How long after another node has shown a trace to an account this one is sure to know: the time between two
/// writes, and time for the write.
const KNOWN_ELSEWHERE: Duration = Duration::from_millis(400);

/// Reports what came of somebody else's trace, in place of what the caller has reported from there.
pub async fn report(
    State(app): State<App>,
    caller: Voter,
    Path(trace_id): Path<TraceId>,
    Json(body): Json<ReportOutcome>,
) -> ApiResult<JsonBody<OutcomeBody>> {
    let mut redactor = Redactor::default();
    let context = body
        .context
        .map(|context| redactor.object("context", context.into_map()));
    let new = NewOutcome {
        trace_id,
        user_id: caller.id,
        outcome: body.outcome,
        environment: context.as_ref().map(fingerprint).unwrap_or_default(),
        note: redactor.optional("note", body.note.as_deref()),
        revision: body.revision.map(Bounded::value),
        opened: app.reads.revision(caller.id, trace_id),
    };
    let mut now = app.clock.now();
    let mut reported = store_report(&app, caller.store(), &new, now).await?;
    if let store::ReportOutcome::NotRead(_) = reported {
        tokio::time::sleep(KNOWN_ELSEWHERE).await;
        now = app.clock.now();
        reported = store_report(&app, caller.store(), &new, now).await?;
    }
    match reported {
        store::ReportOutcome::Reported { trace, replaced } => {
            app.search.refresh(&app.store, trace_id).await;
            Ok(JsonBody(OutcomeBody {
                trace_id,
                reporter_id: caller.id,
                outcome: new.outcome,
                context_fingerprint: present::fingerprint(new.environment),
                note: new.note,
                revision: trace.revision,
                replaced,
                created_at: now,
                standing: votes::standing(&trace),
            }))
        }
        store::ReportOutcome::Unknown => Err(unknown_trace()),
        store::ReportOutcome::OwnTrace => Err(ApiError::forbidden(
            "nobody reports on a trace of their own",
        )),
        store::ReportOutcome::NotRead(current) => Err(ApiError::conflict(format!(
            "this account has not read revision {current} of the trace in the last 30 days; read it \
             first with GET /api/v1/traces/{trace_id}, and then report what came of it"
        ))),
        store::ReportOutcome::Rewritten(current) => Err(ApiError::conflict(format!(
            "the trace was rewritten since that revision; read revision {current} with \
             GET /api/v1/traces/{trace_id} and report on that"
        ))),
        store::ReportOutcome::NoSuchRevision(current) => Err(votes::no_such_revision(current)),
        store::ReportOutcome::TooManyEnvironments => Err(ApiError::conflict(format!(
            "this account has reported on the trace from {ENVIRONMENTS_MAX} environments, which is \
             the most; report from one of them again to replace what was said of it"
        ))),
    }
}

async fn store_report(
    app: &App,
    store: &Store,
    new: &NewOutcome,
    now: DateTime<Utc>,
) -> ApiResult<store::ReportOutcome> {
    let threshold = app.settings.validation_threshold;
    Ok(store.report_outcome(new.clone(), threshold, now).await?)
}
