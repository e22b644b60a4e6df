//! Contributing, reading, listing and changing traces.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::outcomes::EnvironmentOutcomes;
use commontrace_api::traces::{
    ContributeTrace, Contributed, Deleted, ListTraces, PatchTrace, Patched, RelatedTrace,
    RevisionBody, Revisions, TraceBody, TracePage,
};
use commontrace_core::trace::TAGS_MAX;
use commontrace_core::{TraceId, tag};
use commontrace_store::{
    Account, Contribute, Cursor, ListFilter, Patch, Store, Trace, UpdateTrace,
};

use super::{cursor, evidence};
use crate::app::App;
use crate::contribution;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Contributor, IdempotencyKey, Json, Path, Query, Reader, Writer};
use crate::idempotency::{self, Repeatable};
use crate::intake::{self, Redactor};
use crate::present;
use crate::respond::Accepted;
use crate::sessions::evidence::Offer;

/// Revisions listed at most.
const REVISIONS_MAX: i64 = 100;
/// Links shown of a trace at most.
const RELATED_MAX: i64 = 10;
/// Environments shown at most from which somebody reported what came of a trace.
const ENVIRONMENTS_MAX: i64 = 10;

/// Contributes a trace.
pub async fn contribute(
    State(app): State<App>,
    caller: Contributor,
    key: IdempotencyKey,
    Json(body): Json<ContributeTrace>,
) -> ApiResult<Accepted<Contributed>> {
    let asked = serde_json::to_vec(&body).expect("a request that was JSON is JSON again");
    let idempotency = key.0.map(|key| Repeatable::new(&key, &[&asked]));
    let offer = match &body.session_id {
        Some(session) => Some(Offer::of(caller.store(), &caller, session).await?),
        None => None,
    };
    let mut prepared = contribution::prepare(&app, caller.id, body).await?;
    if let Some(offer) = offer {
        prepared.carry(offer);
    }
    let idempotency = idempotency.map(|request| request.with_answer(&prepared.answer));
    prepared.new.embed = app.search.embedding_jobs(&app.ids);
    let (id, superseded) = (prepared.new.id, prepared.new.supersedes);
    match caller
        .store()
        .contribute(prepared.new, idempotency, app.clock.now())
        .await?
    {
        Contribute::Created => {
            app.search.refresh(&app.store, id).await;
            if let Some(superseded) = superseded {
                app.search.refresh(&app.store, superseded).await;
            }
            app.search.wake_workers();
            Ok(Accepted(prepared.answer))
        }
        Contribute::Replayed(answer) => idempotency::repeat(answer).map(Accepted),
        Contribute::KeyReused => Err(idempotency::key_reused()),
        Contribute::EvidenceOutdated => Err(evidence::outdated()),
        Contribute::EvidenceCrowded => Err(evidence::crowded()),
        Contribute::SupersededUnknown => Err(ApiError::not_found(
            "no trace has the id in supersedes_trace_id",
        )),
        Contribute::SupersededNotYours => Err(ApiError::forbidden(
            "only a trace of your own can be superseded; propose an amendment instead",
        )),
    }
}

/// Returns a trace.
pub async fn read(
    State(app): State<App>,
    caller: Reader,
    Path(id): Path<TraceId>,
) -> ApiResult<JsonBody<TraceBody>> {
    let trace = visible(caller.store(), &caller, id).await?;
    let now = app.clock.now();
    if trace.contributor_id != caller.id {
        app.usage.note(id);
        app.reads.note(caller.id, id, trace.revision, now);
    }
    let related = related(caller.store(), id).await?;
    let environments = outcome_environments(caller.store(), &trace).await?;
    Ok(JsonBody(TraceBody {
        outcome_environments: environments,
        ..present::trace(trace, related, now)
    }))
}

/// Lists traces, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Reader,
    Query(query): Query<ListTraces>,
) -> ApiResult<JsonBody<TracePage>> {
    let after = query.cursor.as_deref().map(parse_cursor).transpose()?;
    let tag = match query.tag.as_deref().map(tag::normalize) {
        // No trace carries a tag that cannot exist.
        Some(None) => {
            return Ok(JsonBody(TracePage {
                traces: Vec::new(),
                next_cursor: None,
            }));
        }
        Some(tag) => tag,
        None => None,
    };
    let filter = ListFilter {
        contributor: query.mine.then_some(caller.id),
        tag,
        seed: query.seed,
    };
    let limit = query.limit.value();
    // One more than asked for tells whether there is another page.
    let mut traces = caller
        .store()
        .list_traces(&filter, after, limit + 1)
        .await?;
    let more = traces.len() as i64 > limit;
    traces.truncate(limit as usize);
    let next_cursor = traces
        .last()
        .filter(|_| more)
        .map(|last| cursor::format(last.created_at, last.id.0));
    let now = app.clock.now();
    let traces = traces
        .into_iter()
        .map(|trace| present::trace(trace, Vec::new(), now))
        .collect();
    Ok(JsonBody(TracePage {
        traces,
        next_cursor,
    }))
}

/// Changes an own trace.
pub async fn patch(
    State(app): State<App>,
    caller: Writer,
    Path(id): Path<TraceId>,
    Json(body): Json<PatchTrace>,
) -> ApiResult<JsonBody<Patched>> {
    let trace = visible(caller.store(), &caller, id).await?;
    let (patch, dropped_tags, redactions) = prepare_patch(&app, &trace, body).await?;
    // Read before writing: once the change is committed, nothing may turn the answer into a failure.
    let related = related(caller.store(), id).await?;
    let now = app.clock.now();
    let trace = updated(
        caller
            .store()
            .update_trace(id, caller.id, patch, now)
            .await?,
    )?;
    app.search.refresh(&app.store, id).await;
    app.search.wake_workers();
    let trace = present::trace(trace, related, now);
    Ok(JsonBody(Patched {
        trace,
        dropped_tags,
        redactions,
    }))
}

/// Deletes an own trace.
pub async fn delete(
    State(app): State<App>,
    caller: Writer,
    Path(id): Path<TraceId>,
) -> ApiResult<JsonBody<Deleted>> {
    updated(
        caller
            .store()
            .delete_trace(id, caller.id, app.clock.now())
            .await?,
    )?;
    app.search.refresh(&app.store, id).await;
    Ok(JsonBody(Deleted {
        deleted: true,
        trace_id: id,
    }))
}

/// Lists what a trace says and said, newest first.
pub async fn revisions(caller: Reader, Path(id): Path<TraceId>) -> ApiResult<JsonBody<Revisions>> {
    let trace = visible(caller.store(), &caller, id).await?;
    let current = RevisionBody {
        revision: trace.revision,
        is_current: true,
        title: trace.title,
        context_text: trace.context_text,
        solution_text: trace.solution_text,
        tags: trace.tags.0,
        replaced_by: None,
        amendment_id: None,
        replaced_at: None,
    };
    let earlier = caller
        .store()
        .revisions(id, REVISIONS_MAX)
        .await?
        .into_iter();
    let earlier = earlier.map(|old| RevisionBody {
        revision: old.revision,
        is_current: false,
        title: old.title,
        context_text: old.context_text,
        solution_text: old.solution_text,
        tags: old.tags.0,
        replaced_by: Some(old.replaced_by),
        amendment_id: old.amendment_id,
        replaced_at: Some(old.replaced_at),
    });
    Ok(JsonBody(Revisions {
        revisions: std::iter::once(current).chain(earlier).collect(),
    }))
}

/// Returns a trace that this account may see: a hidden one is there only for its contributor and
/// for moderators.
pub(super) async fn visible(store: &Store, account: &Account, id: TraceId) -> ApiResult<Trace> {
    let may_see = |trace: &Trace| {
        trace.hidden_at.is_none() || trace.contributor_id == account.id || account.is_moderator
    };
    store
        .trace(id)
        .await?
        .filter(may_see)
        .ok_or_else(unknown_trace)
}

/// 404 for a trace.
pub(super) fn unknown_trace() -> ApiError {
    ApiError::not_found("no trace has this id")
}

async fn related(store: &Store, id: TraceId) -> ApiResult<Vec<RelatedTrace>> {
    let related = store.relations(id, RELATED_MAX).await?;
    Ok(related
        .into_iter()
        .map(|relation| present::related(relation, id))
        .collect())
}

/// Reads what was reported from each environment, where anything was.
async fn outcome_environments(store: &Store, trace: &Trace) -> ApiResult<Vec<EnvironmentOutcomes>> {
    if trace.outcomes.total() == 0 {
        return Ok(Vec::new());
    }
    let environments = store
        .outcome_environments(trace.id, trace.text_revision, ENVIRONMENTS_MAX)
        .await?;
    Ok(environments
        .into_iter()
        .map(|one| EnvironmentOutcomes {
            context_fingerprint: present::fingerprint(one.environment),
            outcomes: one.outcomes,
        })
        .collect())
}

fn updated(outcome: UpdateTrace) -> ApiResult<Trace> {
    match outcome {
        UpdateTrace::Done(trace) => Ok(*trace),
        UpdateTrace::Unknown => Err(unknown_trace()),
        UpdateTrace::NotYours => Err(ApiError::forbidden(
            "this trace is somebody else's; propose an amendment instead",
        )),
    }
}

async fn prepare_patch(
    app: &App,
    trace: &Trace,
    body: PatchTrace,
) -> ApiResult<(Patch, Vec<String>, Vec<commontrace_api::traces::Redaction>)> {
    if let Some(tags) = &body.tags {
        intake::check_tag_count(tags, TAGS_MAX)?;
    }
    let size = [body.context_text.as_deref(), body.solution_text.as_deref()];
    let size = size.iter().flatten().map(|text| text.len()).sum();
    let (mut patch, dropped, redactions) = intake::scan(size, move || {
        let mut redactor = Redactor::default();
        let tags = body.tags.map(|tags| redactor.tags(&tags));
        let dropped = tags
            .as_ref()
            .map_or_else(Vec::new, |tags| tags.dropped.clone());
        let patch = Patch {
            title: redactor.optional("title", body.title.as_deref()),
            context_text: redactor.optional("context_text", body.context_text.as_deref()),
            solution_text: redactor.optional("solution_text", body.solution_text.as_deref()),
            tags: tags.map(|tags| tags.kept),
            review_after: body
                .review_after
                .map(|review| review.map(commontrace_api::Timestamp::utc)),
            watch_condition: body
                .watch_condition
                .map(|text| redactor.optional("watch_condition", text.as_deref())),
            embed: Vec::new(),
        };
        (patch, dropped, redactor.finish())
    })
    .await?;
    intake::refuse_husk(
        patch.title.as_deref().unwrap_or(&trace.title),
        patch.context_text.as_deref().unwrap_or(&trace.context_text),
        patch
            .solution_text
            .as_deref()
            .unwrap_or(&trace.solution_text),
    )?;
    patch.embed = app.search.embedding_jobs(&app.ids);
    Ok((patch, dropped, redactions))
}

fn parse_cursor(text: &str) -> ApiResult<Cursor> {
    let (created_at, id) = cursor::parse(text)?;
    Ok(Cursor {
        created_at,
        id: id.into(),
    })
}
