//! Runs that find out what a session is worth: asking for one, waiting for it, following and ending it.

use std::time::Duration;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use commontrace_api::finalize::{FinalizeRequest, RunRequest};
use commontrace_api::sessions::{FinalizeQuery, RunAccepted, RunBody, RunEvent, RunList};
use commontrace_core::{RunId, SessionKey};
use commontrace_store::{NewRun, Run, StartRun};
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::time::Instant;

use super::sessions::{find, unknown, whole};
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{IdempotencyKey, OptionalJsonText, Path, Query, Reader, Recorder};
use crate::idempotency::{self, Repeatable};
use crate::intake::scan;
use crate::respond::EventStream;
use crate::sessions::request;

/// How often a run is looked at by whoever waits for it.
const LOOK: Duration = Duration::from_millis(250);
/// Runs listed at most.
const LISTED: i64 = 50;
/// How long a run's progress is sent at most.
const FOLLOWED: Duration = Duration::from_secs(3600);

/// Asks for a verdict, and waits for it unless the client does not want to.
pub async fn finalize(
    State(app): State<App>,
    caller: Recorder,
    Path(id): Path<String>,
    Query(query): Query<FinalizeQuery>,
    headers: HeaderMap,
    key: IdempotencyKey,
    body: OptionalJsonText<FinalizeRequest>,
) -> ApiResult<Response> {
    let session = find(caller.store(), &caller, &id).await?;
    let size = body.text.as_ref().map_or(0, String::len);
    let asked = scan(size, move || request::read(body.text.as_deref(), &query)).await??;
    let wanted = asked.request.clone();
    let run_id = app.ids.id();
    let request = serde_json::to_string(&asked.request).expect("a request has only string keys");
    let idempotency = key
        .0
        .map(|key| Repeatable::new(&key, &[id.as_bytes(), request.as_bytes()]))
        .map(|repeatable| repeatable.with_answer(&run_id));
    let new = NewRun {
        id: run_id,
        request,
        files: asked.files,
        idempotency,
    };
    let started = caller
        .store()
        .start_run(caller.id, id.clone(), new, app.clock.now())
        .await?;
    let run = match started {
        StartRun::Started(run) => run,
        StartRun::Active(run) if asked.plain || request_of(&run)? == wanted => run,
        StartRun::Active(_) => {
            return Err(ApiError::conflict(
                "a run that was asked for something else has not ended; wait for it or cancel it",
            ));
        }
        StartRun::Replayed(answer) => look(&app, session.key, idempotency::repeat(answer)?).await?,
        StartRun::KeyReused => return Err(idempotency::key_reused()),
        StartRun::NoRoom => return Err(ApiError::no_room()),
        StartRun::Unknown => return Err(unknown(&id)),
    };
    app.runs_due.notify_one();
    let patience = patience(&app, &query, &headers);
    let run = wait(&app, session.key, run, patience).await?;
    if run.state.is_final() {
        let session = find(caller.store(), &caller, &id).await?;
        return Ok(whole(caller.store(), session)?.into_response());
    }
    let place = format!("/traces/{id}/runs/{}", run.id);
    let mut response = (
        StatusCode::ACCEPTED,
        JsonBody(RunAccepted {
            trace_id: id,
            run_id: run.id,
            state: run.state.name().to_owned(),
        }),
    )
        .into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// How long to wait for a run before its place is told instead.
fn patience(app: &App, query: &FinalizeQuery, headers: &HeaderMap) -> Duration {
    let most = app.settings.finalize_wait;
    let preferred = headers.get_all("prefer").iter();
    let at_once = preferred
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case("respond-async"));
    match query.wait {
        Some(seconds) => Duration::from_secs(seconds.value() as u64).min(most),
        None if at_once => Duration::ZERO,
        None => most,
    }
}

async fn wait(app: &App, session: SessionKey, run: Run, patience: Duration) -> ApiResult<Run> {
    let until = Instant::now() + patience;
    let mut run = run;
    while !run.state.is_final() && Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = app.lifecycle.stopped() => break,
        }
        run = look(app, session, run.id).await?;
    }
    Ok(run)
}

async fn look(app: &App, session: SessionKey, id: RunId) -> ApiResult<Run> {
    let run = app.store.run(session, id).await?;
    run.ok_or_else(|| ApiError::not_found("the session was deleted meanwhile"))
}

/// Lists a session's runs, newest first.
pub async fn list(caller: Reader, Path(id): Path<String>) -> ApiResult<JsonBody<RunList>> {
    let session = find(caller.store(), &caller, &id).await?;
    let runs = caller.store().runs(session.key, LISTED).await?;
    Ok(JsonBody(RunList {
        runs: runs.into_iter().map(present).collect::<ApiResult<_>>()?,
    }))
}

/// Returns a run.
pub async fn read(
    State(app): State<App>,
    caller: Reader,
    Path((id, run)): Path<(String, RunId)>,
) -> ApiResult<JsonBody<RunBody>> {
    let session = find(caller.store(), &caller, &id).await?;
    let run = app.store.run(session.key, run).await?;
    run.ok_or_else(unknown_run).and_then(present).map(JsonBody)
}

/// Ends a run, if it has not ended.
pub async fn cancel(
    State(app): State<App>,
    caller: Recorder,
    Path((id, run)): Path<(String, RunId)>,
) -> ApiResult<JsonBody<RunBody>> {
    let session = find(caller.store(), &caller, &id).await?;
    app.store
        .cancel_run(session.key, run, app.clock.now())
        .await?;
    let run = app.store.run(session.key, run).await?;
    run.ok_or_else(unknown_run).and_then(present).map(JsonBody)
}

/// Sends where a run is, as it changes, until it ends (server-sent events).
pub async fn progress(
    State(app): State<App>,
    caller: Reader,
    Path((id, run)): Path<(String, RunId)>,
) -> ApiResult<EventStream<RunEvent>> {
    let session = find(caller.store(), &caller, &id).await?.key;
    let run = app.store.run(session, run).await?.ok_or_else(unknown_run)?;
    let until = Instant::now() + FOLLOWED;
    let events = unfold((app, Some(run), None), move |(app, run, sent)| async move {
        let mut run = run?;
        let mut waited = 0;
        loop {
            let event = event_of(&run);
            if sent.as_ref() != Some(&event) {
                let next = (!run.state.is_final()).then_some(run);
                return Some((Ok(Bytes::from(event.clone())), (app, next, Some(event))));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = app.lifecycle.stopped() => return None,
            }
            if Instant::now() > until {
                return None;
            }
            waited += 1;
            if waited % 60 == 0 {
                // A comment, so that nobody between thinks that the connection is dead.
                let comment = Bytes::from_static(b": waiting\n\n");
                return Some((Ok::<_, axum::BoxError>(comment), (app, Some(run), sent)));
            }
            run = look(&app, session, run.id).await.ok()?;
        }
    });
    Ok(EventStream::new(events))
}

fn event_of(run: &Run) -> String {
    let name = if run.state.is_final() {
        "end"
    } else {
        "progress"
    };
    let data = serde_json::json!({
        "run_id": run.id,
        "state": run.state.name(),
        "progress": parsed(run.progress.as_deref()),
        "error": run.error,
    });
    format!("event: {name}\ndata: {data}\n\n")
}

fn parsed(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}

fn request_of(run: &Run) -> ApiResult<RunRequest> {
    serde_json::from_str(&run.request)
        .map_err(|err| ApiError::internal(format!("the request of a run is unreadable: {err}")))
}

fn present(run: Run) -> ApiResult<RunBody> {
    Ok(RunBody {
        request: request_of(&run)?,
        run_id: run.id,
        state: run.state.name().to_owned(),
        events_through_seq: run.events_through,
        progress: parsed(run.progress.as_deref()),
        verdict: parsed(run.verdict.as_deref()),
        error: run.error,
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
    })
}

fn unknown_run() -> ApiError {
    ApiError::not_found("the session has no run with this id")
}
