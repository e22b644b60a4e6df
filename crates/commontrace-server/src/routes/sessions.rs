//! Recording sessions and reading them. A session is its account's alone: to others it is not there.

use axum::Json as JsonBody;
use axum::extract::State;
use commontrace_api::sessions::{
    AppendEvents as AppendBody, AppendQuery, CreateSession as CreateBody, EventPage,
    EventsAppended, ListEvents, ListSessions, SessionBody, SessionDeleted, SessionPage,
    SessionStored, TraceDraft,
};
use commontrace_session::posted::is_session_id;
use commontrace_store::{
    Append, AppendEvents, CreateSession, NewSession, Session, SessionCursor, SessionFilter, Store,
    changed_warning,
};

use super::cursor;
use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{IdempotencyKey, JsonText, Path, Query, Reader, Recorder};
use crate::idempotency::{self, Repeatable};
use crate::intake::scan;
use crate::respond::{Created, Streamed};
use crate::sessions::present::{self, Kept};
use crate::sessions::{EventReader, distil, intake};

/// Bytes of events in one page, about; what is larger comes alone.
const PAGE_BYTES: usize = 4 << 20;

/// Stores a session.
pub async fn create(
    State(app): State<App>,
    caller: Recorder,
    key: IdempotencyKey,
    body: JsonText<CreateBody>,
) -> ApiResult<Created<SessionStored>> {
    let ids = app.ids.clone();
    let received = scan(body.text.len(), move || intake::session(&body.text, &ids)).await??;
    let now = app.clock.now();
    let posted = received.posted;
    let id = posted
        .trace_id
        .unwrap_or_else(|| app.ids.uuid().to_string());
    let answer = SessionStored {
        trace_id: id.clone(),
        status: "stored".to_owned(),
        redactions: received.redactions,
        warnings: posted.warnings,
    };
    let idempotency = key
        .0
        .map(|key| Repeatable::new(&key, &[&received.content_hash]))
        .map(|request| request.with_answer(&answer));
    let kept = Kept {
        schema_version: posted.schema_version,
        session: posted.session,
    };
    let new = NewSession {
        key: app.ids.id(),
        user_id: caller.id,
        id,
        content_hash: received.content_hash,
        developer_id: kept.session.developer_id.clone(),
        bug_id: kept.session.bug_id.clone(),
        repo_name: kept.session.repo.name.clone(),
        format: None,
        start_time: kept.session.start_time.unwrap_or(now),
        header: kept.to_json(),
        events: received.packed.events,
        blobs: received.packed.blobs,
    };
    match caller.store().create_session(new, idempotency, now).await? {
        CreateSession::Created | CreateSession::Same => Ok(Created(answer)),
        CreateSession::Taken => Err(ApiError::conflict(
            "you have another session with this trace_id; append to it, or take another id",
        )),
        CreateSession::NoRoom => Err(ApiError::no_room()),
        CreateSession::Replayed(answer) => idempotency::repeat(answer).map(Created),
        CreateSession::KeyReused => Err(idempotency::key_reused()),
    }
}

/// Returns a session with its events, in the order of time.
pub async fn read(caller: Reader, Path(id): Path<String>) -> ApiResult<Streamed<SessionBody>> {
    let session = find(caller.store(), &caller, &id).await?;
    whole(caller.store(), session)
}

/// Answers with a session and its events.
pub(super) fn whole(store: &Store, session: Session) -> ApiResult<Streamed<SessionBody>> {
    let (key, last_seq) = (session.key, session.last_seq);
    let head = present::begin(&present::session(session)?);
    let events = EventReader::in_time(store.clone(), key, last_seq);
    Ok(Streamed::json(events.into_json(head, "]}")))
}

/// Appends events.
pub async fn append(
    State(app): State<App>,
    caller: Recorder,
    Path(id): Path<String>,
    Query(query): Query<AppendQuery>,
    key: IdempotencyKey,
    body: JsonText<AppendBody>,
) -> ApiResult<JsonBody<EventsAppended>> {
    let ids = app.ids.clone();
    let received = scan(body.text.len(), move || intake::events(&body.text, &ids)).await??;
    let posted = received.packed.events.len() as i64;
    let mut answer = EventsAppended {
        trace_id: id.clone(),
        appended_events: 0,
        duplicates: 0,
        last_seq: 0,
        redactions: received.redactions,
        warnings: received.posted.warnings,
    };
    let expected_seq = query.expected_seq.map(commontrace_api::Bounded::value);
    let expected = expected_seq.map_or_else(Vec::new, |seq| seq.to_be_bytes().to_vec());
    let idempotency = key
        .0
        .map(|key| Repeatable::new(&key, &[id.as_bytes(), &received.content_hash, &expected]))
        .map(|request| request.with_answer(&answer));
    let append = Append {
        events: received.packed.events,
        blobs: received.packed.blobs,
        records: Vec::new(),
        expected_seq,
        idempotency,
    };
    let now = app.clock.now();
    match caller
        .store()
        .append_events(caller.id, id.clone(), append, now)
        .await?
    {
        AppendEvents::Appended {
            appended,
            last_seq,
            changed,
        } => {
            answer.warnings.extend(changed_warning(&changed));
            answer.appended_events = appended;
            answer.duplicates = posted - appended;
            answer.last_seq = last_seq;
            Ok(JsonBody(answer))
        }
        AppendEvents::Unknown => Err(unknown(&id)),
        AppendEvents::Unexpected { last_seq } => Err(ApiError::conflict(format!(
            "the session has {last_seq} events; read those that you do not know, then append again"
        ))),
        AppendEvents::Full => Err(ApiError::conflict(format!(
            "a session has at most {} events; begin another one",
            commontrace_store::SESSION_EVENTS_MAX
        ))),
        AppendEvents::NoRoom => Err(ApiError::no_room()),
        AppendEvents::Replayed(answer) => idempotency::repeat(answer).map(JsonBody),
        AppendEvents::KeyReused => Err(idempotency::key_reused()),
    }
}

/// Lists sessions, newest first.
pub async fn list(
    caller: Reader,
    Query(query): Query<ListSessions>,
) -> ApiResult<JsonBody<SessionPage>> {
    let after = query.cursor.as_deref().map(parse_cursor).transpose()?;
    let filter = SessionFilter {
        developer_id: query.developer_id,
        bug_id: query.bug_id,
        repo_name: query.repo,
        format: query.format,
        since: query.since.map(commontrace_api::Timestamp::utc),
        until: query.until.map(commontrace_api::Timestamp::utc),
    };
    let wanted = [
        &filter.developer_id,
        &filter.bug_id,
        &filter.repo_name,
        &filter.format,
    ];
    if wanted.into_iter().flatten().any(|text| text.contains('\0')) {
        // No session has such a text, and PostgreSQL does not even compare with it.
        return Ok(JsonBody(SessionPage {
            traces: Vec::new(),
            next_cursor: None,
        }));
    }
    let limit = query.limit.value();
    // One more than asked for tells whether there is another page.
    let mut sessions = caller
        .store()
        .list_sessions(caller.id, &filter, after, limit + 1)
        .await?;
    let more = sessions.len() as i64 > limit;
    sessions.truncate(limit as usize);
    let next_cursor = sessions
        .last()
        .filter(|_| more)
        .map(|last| cursor::format(last.created_at, last.key.0));
    Ok(JsonBody(SessionPage {
        traces: sessions
            .into_iter()
            .map(present::session)
            .collect::<ApiResult<_>>()?,
        next_cursor,
    }))
}

/// Lists a session's events, in the order in which they were stored.
pub async fn events(
    caller: Reader,
    Path(id): Path<String>,
    Query(query): Query<ListEvents>,
) -> ApiResult<JsonBody<EventPage>> {
    let session = find(caller.store(), &caller, &id).await?;
    let after = query.after_seq.value();
    let store = caller.store().clone();
    let mut reader = EventReader::as_stored(store, session.key, after, session.last_seq);
    let (mut events, mut bytes, mut last) = (Vec::new(), 0, after);
    while (events.len() as i64) < query.limit.value() && bytes < PAGE_BYTES {
        let Some((seq, event)) = reader.next().await? else {
            break;
        };
        bytes += event.to_string().len();
        last = seq;
        events.push(event);
    }
    Ok(JsonBody(EventPage {
        next_after_seq: (last < session.last_seq && !events.is_empty()).then_some(last),
        events,
        last_seq: session.last_seq,
    }))
}

/// Drafts a trace for the commons of what a session recorded. Nothing is published.
pub async fn draft(caller: Reader, Path(id): Path<String>) -> ApiResult<JsonBody<TraceDraft>> {
    let row = find(caller.store(), &caller, &id).await?;
    distil::of(caller.store(), row).await.map(JsonBody)
}

/// Deletes a session.
pub async fn delete(
    State(app): State<App>,
    caller: Recorder,
    Path(id): Path<String>,
) -> ApiResult<JsonBody<SessionDeleted>> {
    let deleted = caller
        .store()
        .delete_session(caller.id, id.clone(), app.clock.now())
        .await?;
    if !deleted {
        return Err(unknown(&id));
    }
    // It is gone for everybody; what it leaves takes longer, and the upkeep finds what is left.
    let store = app.store.clone();
    tokio::spawn(async move {
        if let Err(err) = store.remove_deleted_sessions().await {
            tracing::warn!(error = %err, "the events of a deleted session are removed later: {err}");
        }
    });
    Ok(JsonBody(SessionDeleted {
        deleted: true,
        trace_id: id,
    }))
}

pub(super) async fn find(
    store: &Store,
    account: &commontrace_store::Account,
    id: &str,
) -> ApiResult<Session> {
    if !is_session_id(id) {
        return Err(unknown(id));
    }
    let session = store.session(account.id, id).await?;
    session.ok_or_else(|| unknown(id))
}

/// 404 for a session, in the words that clients look for.
pub(super) fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("Trace {id} not found"))
}

fn parse_cursor(text: &str) -> ApiResult<SessionCursor> {
    let (created_at, key) = cursor::parse(text)?;
    Ok(SessionCursor {
        created_at,
        key: key.into(),
    })
}
