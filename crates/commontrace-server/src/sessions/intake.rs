//! From a posted session to what is stored: redacted as a whole before anything is made of it, each event
//! with the record it came from, large texts apart.

use commontrace_api::sessions::RuleRedaction;
use commontrace_core::hex;
use commontrace_redact::Summary;
use commontrace_session::posted::{self, Posted, PostedEvents, Refusal};
use commontrace_session::stored::{self, Blobs};
use commontrace_session::{Event, RawRef};
use commontrace_store::{NewBlob, NewEvent};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ApiResult};
use crate::ids::Ids;

/// Events and large texts to store.
#[derive(Debug, Default)]
pub struct Packed {
    /// The events, in their order.
    pub events: Vec<NewEvent>,
    /// Their large texts and records.
    pub blobs: Vec<NewBlob>,
}

/// A request that records something, redacted.
#[derive(Debug)]
pub struct Received<T> {
    /// What it says.
    pub posted: T,
    /// What to store of it.
    pub packed: Packed,
    /// SHA-256 of its redacted body.
    pub content_hash: Vec<u8>,
    /// What was replaced in it.
    pub redactions: Vec<RuleRedaction>,
}

/// Reads a session from a request's body.
pub fn session(body: &str, ids: &Ids) -> ApiResult<Received<Posted>> {
    receive(body, ids, posted::session, |posted| &mut posted.events)
}

/// Reads events from a request's body.
pub fn events(body: &str, ids: &Ids) -> ApiResult<Received<PostedEvents>> {
    receive(body, ids, posted::events, |posted| &mut posted.events)
}

fn receive<T>(
    body: &str,
    ids: &Ids,
    read: impl FnOnce(Value) -> Result<T, Refusal>,
    events: impl FnOnce(&mut T) -> &mut Vec<Event>,
) -> ApiResult<Received<T>> {
    // The whole body, so that nothing that is made of it can tell more.
    let redacted = commontrace_redact::redact_json_text(body);
    let body = redacted.text.as_ref();
    let value = serde_json::from_str(body).map_err(|err| not_json(&err))?;
    let mut posted = read(value).map_err(refusal)?;
    let packed = pack(body, std::mem::take(events(&mut posted)), ids);
    Ok(Received {
        posted,
        packed,
        content_hash: Sha256::digest(body).to_vec(),
        redactions: redactions(&redacted.summary),
    })
}

/// Returns what was replaced, by rule.
pub fn redactions(summary: &Summary) -> Vec<RuleRedaction> {
    let rules = summary.rules();
    rules
        .map(|found| RuleRedaction {
            rule: found.rule.to_owned(),
            count: found.count as u64,
        })
        .collect()
}

/// The records of events within a body.
#[derive(Deserialize)]
struct Records<'b> {
    #[serde(borrow, default)]
    events: Option<Vec<&'b RawValue>>,
}

/// Gives events ids that have none, and refers each to its record in `body`.
fn pack(body: &str, mut events: Vec<Event>, ids: &Ids) -> Packed {
    let mut blobs = Blobs::default();
    // Members of the same name twice make this fail, and then no record is kept.
    let records = serde_json::from_str::<Records<'_>>(body).ok();
    let records = records
        .and_then(|records| records.events)
        .unwrap_or_default();
    if records.len() == events.len() && !events.is_empty() {
        let blob = hex::encode(&blobs.add(body.as_bytes()));
        for (event, record) in events.iter_mut().zip(&records) {
            let record = record.get();
            event.raw = Some(RawRef {
                blob: blob.clone(),
                offset: (record.as_ptr() as usize - body.as_ptr() as usize) as u64,
                length: record.len() as u64,
            });
        }
    }
    for event in events.iter_mut().filter(|event| event.id.is_empty()) {
        event.id = ids.uuid().to_string();
    }
    let events = events
        .iter()
        .map(|event| new_event(event, &mut blobs))
        .collect();
    Packed {
        events,
        blobs: new_blobs(blobs),
    }
}

/// Makes a row of an event; its large texts go into `blobs`.
pub fn new_event(event: &Event, blobs: &mut Blobs) -> NewEvent {
    let packed = stored::pack(event, blobs);
    NewEvent {
        id: event.id.clone(),
        at: event.timestamp,
        event: packed.event,
        large: packed.large,
    }
}

/// Makes rows of large texts.
pub fn new_blobs(blobs: Blobs) -> Vec<NewBlob> {
    let blobs = blobs.into_blobs();
    blobs
        .map(|blob| NewBlob {
            hash: blob.hash.to_vec(),
            size: blob.size as i64,
            content: blob.content,
        })
        .collect()
}

fn not_json(err: &serde_json::Error) -> ApiError {
    ApiError::unprocessable(format!("the body is not valid JSON: {err}"))
}

fn refusal(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Message(message) => ApiError::refused(message),
        Refusal::Wrong(wrong) => ApiError::wrong(wrong),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use commontrace_api::sessions::EventType;
    use commontrace_session::Body;
    use schemars::schema_for;
    use serde_json::Value;

    #[test]
    fn the_documented_types_of_events_are_those_that_are_read() {
        let documented = serde_json::to_value(schema_for!(EventType)).unwrap();
        let read = serde_json::to_value(schema_for!(Body)).unwrap();
        let named = |name: &Value| name.as_str().unwrap().to_owned();
        let documented: BTreeSet<String> = documented["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(named)
            .collect();
        let read: BTreeSet<String> = read["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|of_type| named(&of_type["properties"]["event_type"]["const"]))
            .collect();
        assert_eq!(documented, read);
    }
}
