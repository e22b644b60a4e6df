//! Flagging, and what moderators do.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::moderation::{
    FlagBody, FlagReason, FlagTrace, FlaggedTrace, ListFlagged, Restored,
};
use commontrace_api::traces::Deleted;
use commontrace_core::TraceId;
use commontrace_store::{self as store, NewFlag};

use super::traces::{unknown_trace, visible};
use crate::app::App;
use crate::error::ApiResult;
use crate::extract::{Json, ModeratorReader, ModeratorWriter, Path, Query, Writer};
use crate::intake::Redactor;
use crate::present;

/// Flags a trace for the moderators.
pub async fn flag(
    State(app): State<App>,
    caller: Writer,
    Path(trace_id): Path<TraceId>,
    Json(body): Json<FlagTrace>,
) -> ApiResult<JsonBody<FlagBody>> {
    visible(caller.store(), &caller, trace_id).await?;
    let new = NewFlag {
        trace_id,
        user_id: caller.id,
        category: body.category,
        reason: Redactor::default().text("reason", &body.reason),
    };
    let outcome = caller
        .store()
        .flag_trace(new, app.settings.flags_to_hide, app.clock.now())
        .await?;
    let (hidden, message) = match outcome {
        store::FlagTrace::Unknown => return Err(unknown_trace()),
        store::FlagTrace::Repeated(trace) => (
            trace.hidden_at.is_some(),
            "You have flagged this trace before; the first flag stands.",
        ),
        store::FlagTrace::Flagged(trace) if trace.hidden_at.is_some() => {
            app.search.refresh(&app.store, trace_id).await;
            (
                true,
                "The trace is hidden until a moderator has looked at it.",
            )
        }
        store::FlagTrace::Flagged(_) => (false, "A moderator will look at the trace."),
    };
    let category = body.category;
    Ok(JsonBody(FlagBody {
        trace_id,
        flagged: true,
        category,
        hidden,
        message: message.to_owned(),
    }))
}

/// Lists flagged and hidden traces, the last flagged first.
pub async fn flagged(
    State(app): State<App>,
    caller: ModeratorReader,
    Query(query): Query<ListFlagged>,
) -> ApiResult<JsonBody<Vec<FlaggedTrace>>> {
    let now = app.clock.now();
    let rows = caller
        .store()
        .flagged_traces(query.limit.value(), query.offset.value())
        .await?;
    let traces = rows.into_iter().map(|row| FlaggedTrace {
        flagged_at: row.trace.flagged_at,
        trace: present::trace(row.trace, Vec::new(), now),
        flags: row
            .flags
            .into_iter()
            .map(|flag| FlagReason {
                user_id: flag.user_id,
                category: flag.category,
                reason: flag.reason,
                created_at: flag.created_at,
            })
            .collect(),
    });
    Ok(JsonBody(traces.collect()))
}

/// Shows a trace again and settles its flags.
pub async fn restore(
    State(app): State<App>,
    caller: ModeratorWriter,
    Path(trace_id): Path<TraceId>,
) -> ApiResult<JsonBody<Restored>> {
    let audit = app.ids.uuid();
    let restored = caller
        .store()
        .restore_trace(trace_id, Some(caller.id), audit, app.clock.now())
        .await?;
    if restored.is_none() {
        return Err(unknown_trace());
    }
    app.search.refresh(&app.store, trace_id).await;
    Ok(JsonBody(Restored {
        restored: true,
        trace_id,
    }))
}

/// Deletes anybody's trace.
pub async fn delete(
    State(app): State<App>,
    caller: ModeratorWriter,
    Path(trace_id): Path<TraceId>,
) -> ApiResult<JsonBody<Deleted>> {
    let audit = app.ids.uuid();
    if !caller
        .store()
        .remove_trace(trace_id, Some(caller.id), audit, app.clock.now())
        .await?
    {
        return Err(unknown_trace());
    }
    app.search.refresh(&app.store, trace_id).await;
    Ok(JsonBody(Deleted {
        deleted: true,
        trace_id,
    }))
}
