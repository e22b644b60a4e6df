//! What is kept of a session byte for byte: the record of each event, and large texts. All of it is as it was
//! after redaction, which comes before anything is stored.

use axum::http::HeaderMap;
use commontrace_core::hex;
use commontrace_session::RawRef;
use commontrace_session::stored::{self, Hash};
use commontrace_store::{EventOrder, Session, Store};
use serde::Deserialize;

use super::sessions::find;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Path, Reader};
use crate::respond::Download;

/// Bytes that a kept text may have: more than any body may.
const LONGEST: u64 = 1 << 30;

/// Returns a large text, a file of tests or the log of a run by its SHA-256.
pub async fn blob(
    caller: Reader,
    Path((id, sha256)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Download> {
    let session = find(caller.store(), &caller, &id).await?;
    let unknown = || ApiError::not_found("the session has no text with this SHA-256");
    let hash: Hash = hex::decode(&sha256).ok_or_else(unknown)?;
    let kept = content(caller.store(), &session, hash).await?;
    let kept = kept.ok_or_else(unknown)?;
    let sha256 = hex::encode(&hash);
    if Download::is_known(&headers, &sha256) {
        return Ok(Download::not_modified(sha256));
    }
    let bytes = decompress(kept).await?;
    Ok(Download::new(bytes, format!("{sha256}.txt"), sha256))
}

/// Returns the record that an event was made of.
pub async fn record(
    caller: Reader,
    Path((id, seq)): Path<(String, i64)>,
    headers: HeaderMap,
) -> ApiResult<Download> {
    let session = find(caller.store(), &caller, &id).await?;
    let unknown = || ApiError::not_found("the session has no event with this number");
    if seq < 1 || seq > session.last_seq {
        return Err(unknown());
    }
    let order = EventOrder::Stored(seq - 1);
    let events = caller.store().session_events(session.key, order, seq, 1);
    let event = events.await?.pop().ok_or_else(unknown)?;
    let without = || ApiError::not_found("no record was kept of this event");
    let place: Place = serde_json::from_str(&event.event).map_err(|_| damaged())?;
    let raw = place.raw.ok_or_else(without)?;
    let hash: Hash = hex::decode(&raw.blob).ok_or_else(damaged)?;
    let tag = format!("{}-{}-{}", raw.blob, raw.offset, raw.length);
    if Download::is_known(&headers, &tag) {
        return Ok(Download::not_modified(tag));
    }
    let kept = content(caller.store(), &session, hash).await?;
    let whole = decompress(kept.ok_or_else(without)?).await?;
    let from = usize::try_from(raw.offset).map_err(|_| damaged())?;
    let length = usize::try_from(raw.length).map_err(|_| damaged())?;
    let bytes = from
        .checked_add(length)
        .and_then(|to| whole.get(from..to))
        .ok_or_else(damaged)?;
    Ok(Download::new(bytes.to_vec(), format!("{seq}.txt"), tag))
}

/// The part of an event that says where its record is.
#[derive(Deserialize)]
struct Place {
    raw: Option<RawRef>,
}

async fn content(store: &Store, session: &Session, hash: Hash) -> ApiResult<Option<Vec<u8>>> {
    let mut found = store.session_blobs(session.key, &[hash.to_vec()]).await?;
    Ok(found.pop().map(|(_, content)| content))
}

async fn decompress(kept: Vec<u8>) -> ApiResult<Vec<u8>> {
    let bytes = tokio::task::spawn_blocking(move || stored::decompress(&kept, LONGEST)).await;
    bytes
        .map_err(|err| ApiError::internal(format!("reading a kept text failed: {err}")))?
        .map_err(|_| damaged())
}

fn damaged() -> ApiError {
    ApiError::internal("what is kept of a session does not hold together")
}
