//! Sessions and events as clients post them, and what is wrong with those that cannot be taken.
//!
//! What is wrong is said in the words that clients of the first such service know: a list with one entry
//! for each place. Members that nobody asked for are kept under `extra`.

mod fields;

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::event::{Actor, Body, Event};
use crate::session::{Repo, Session};
use fields::{Object, Place};

/// Events that one request may bring.
const EVENTS_MAX: usize = 10_000;
/// Places listed that are wrong; a client that gets all wrong need not read each.
const WRONG_MAX: usize = 100;
/// Characters of an event's id at most.
const EVENT_ID_MAX: usize = 200;

/// Why a session or an event cannot be taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It is no such thing at all; in one sentence.
    Message(String),
    /// Parts of it are wrong.
    Wrong(Vec<Wrong>),
}

/// One part that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Wrong {
    /// What kind of fault it is, such as `missing` or `string_type`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where: `body`, then names and indexes.
    pub loc: Vec<Step>,
    /// What it must be.
    pub msg: String,
    /// What was there instead, cut where it is long.
    pub input: Value,
}

/// One step on the way to a place in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Step {
    /// A member of an object.
    Name(String),
    /// An element of a list.
    Index(usize),
}

/// A session as it was posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted {
    /// The client's id for it.
    pub trace_id: Option<String>,
    /// The version of its shape, as the client says.
    pub schema_version: String,
    /// What it says of itself. Members that nobody asked for are in `extra`.
    pub session: Session,
    /// Its events.
    pub events: Vec<Event>,
    /// What of it was taken in another sense than it may have been meant.
    pub warnings: Vec<String>,
}

/// Events as they were posted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PostedEvents {
    /// In their order. Those without an id have an empty one.
    pub events: Vec<Event>,
    /// What of them was taken in another sense than it may have been meant.
    pub warnings: Vec<String>,
}

/// Reads a session.
pub fn session(body: Value) -> Result<Posted, Refusal> {
    let mut wrong = Vec::new();
    let mut warnings = Vec::new();
    let mut object = Object::of(body, Place::body(), &mut wrong);
    let trace_id = object.optional_text("trace_id").filter(|id| !id.is_empty());
    if let Some(id) = trace_id.as_deref().filter(|id| !is_session_id(id)) {
        object.wrong(
            "trace_id",
            "string_pattern_mismatch",
            "must begin with a letter or digit and have at most 128 letters, digits, dots, hyphens and underscores",
            id.into(),
        );
    }
    let schema_version = object.optional_text("schema_version");
    let mut session = Session {
        developer_id: object.text("developer_id"),
        bug_id: object.optional_text("bug_id"),
        start_time: object.moment("start_time", &mut warnings),
        end_time: object.optional_moment("end_time", &mut warnings),
        ..Session::default()
    };
    let bug_id = session.bug_id.as_deref().unwrap_or_default();
    for (name, text) in [("developer_id", &*session.developer_id), ("bug_id", bug_id)] {
        if text.contains('\0') {
            object.wrong(name, "value_error", "must not have NUL", text.into());
        }
    }
    let repo = object.member("repo");
    let events = object
        .optional("events")
        .unwrap_or_else(|| Value::Array(Vec::new()));
    let claimed = object.optional("qa_results");
    let (rest, place) = object.finish();
    session.repo = read_repo(repo, place.then("repo"), &mut session.extra, &mut wrong);
    session.extra.extend(rest);
    if let Some(claimed) = claimed {
        // Verdicts come from whoever ran the tests; this is what the client says.
        session
            .extra
            .insert("claimed_qa_results".to_owned(), claimed);
    }
    let events = match events {
        Value::Array(items) => read_events(items, &place, &mut wrong, &mut warnings)
            .map_err(|unknown| unknown.into_wrong(&place))
            .unwrap_or_else(|unknown| {
                wrong.push(unknown);
                Vec::new()
            }),
        other => {
            wrong.push(no_list(&place, other));
            Vec::new()
        }
    };
    refuse(wrong)?;
    check_paths(&events)?;
    Ok(Posted {
        trace_id,
        schema_version: schema_version.unwrap_or_else(|| "1.0".to_owned()),
        session,
        events,
        warnings,
    })
}

/// Reads events to append: an object with the list `events`.
pub fn events(body: Value) -> Result<PostedEvents, Refusal> {
    let mut wrong = Vec::new();
    let mut warnings = Vec::new();
    let mut object = Object::of(body, Place::body(), &mut wrong);
    let events = object.member("events");
    let (_, place) = object.finish();
    let events = match events {
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(Refusal::Message("No events provided".to_owned()));
        }
        Some(Value::Array(items)) => read_events(items, &place, &mut wrong, &mut warnings)
            .map_err(|unknown| Refusal::Message(format!("Unknown event type: {}", unknown.name)))?,
        Some(other) => {
            wrong.push(no_list(&place, other));
            Vec::new()
        }
        None => Vec::new(),
    };
    refuse(wrong)?;
    check_paths(&events)?;
    Ok(PostedEvents { events, warnings })
}

/// Returns whether a client may call a session this: it is never a path.
pub fn is_session_id(id: &str) -> bool {
    id.len() <= 128
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

impl Wrong {
    fn new(kind: &'static str, place: Place, msg: impl Into<String>, input: Value) -> Self {
        Self {
            kind,
            loc: place.steps(),
            msg: msg.into(),
            input: fields::cut(input),
        }
    }
}

fn refuse(mut wrong: Vec<Wrong>) -> Result<(), Refusal> {
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.truncate(WRONG_MAX);
    Err(Refusal::Wrong(wrong))
}

fn read_repo(
    repo: Option<Value>,
    place: Place,
    extra: &mut Map<String, Value>,
    wrong: &mut Vec<Wrong>,
) -> Repo {
    let Some(repo) = repo else {
        return Repo::default();
    };
    let mut object = Object::of(repo, place, wrong);
    let repo = Repo {
        name: object.text("name"),
        url: object.text("url"),
        branch: object.text("branch"),
        commit_before: object.text("commit_before"),
        commit_after: object.text("commit_after"),
        test_command: object.text("test_command"),
    };
    for (name, text) in [("name", &repo.name), ("test_command", &repo.test_command)] {
        if text.contains('\0') {
            object.wrong(
                name,
                "value_error",
                "must not have NUL",
                text.as_str().into(),
            );
        }
    }
    let (rest, _) = object.finish();
    if !rest.is_empty() {
        extra.insert("repo".to_owned(), Value::Object(rest));
    }
    repo
}

/// What is wrong with events that are no list.
fn no_list(place: &Place, input: Value) -> Wrong {
    let place = place.then("events");
    Wrong::new("list_type", place, "Input should be a valid list", input)
}

/// An event of a type that there is not.
struct UnknownType {
    index: usize,
    name: String,
}

impl UnknownType {
    fn into_wrong(self, place: &Place) -> Wrong {
        let place = place.then("events").at(self.index).then("event_type");
        Wrong::new("enum", place, "Unknown event type", self.name.into())
    }
}

fn read_events(
    items: Vec<Value>,
    place: &Place,
    wrong: &mut Vec<Wrong>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Event>, UnknownType> {
    let place = place.then("events");
    if items.len() > EVENTS_MAX {
        let msg = format!(
            "List should have at most {EVENTS_MAX} items; send the rest in further requests"
        );
        wrong.push(Wrong::new("too_long", place, msg, items.len().into()));
        return Ok(Vec::new());
    }
    let mut events = Vec::with_capacity(items.len());
    let mut naive = false;
    for (index, item) in items.into_iter().enumerate() {
        let mut object = Object::of(item, place.at(index), wrong);
        let event = read_event(&mut object, index, &mut naive)?;
        object.finish();
        events.extend(event);
        if wrong.len() >= WRONG_MAX {
            break;
        }
    }
    if naive {
        warnings.push("timestamps without an offset were taken as UTC".to_owned());
    }
    warnings.extend(repeated(&events));
    Ok(events)
}

/// What to say of an event that has the id of an earlier one and says something else.
fn repeated(events: &[Event]) -> Option<String> {
    let mut first: HashMap<&str, &Event> = HashMap::new();
    let mut changed = events.iter().enumerate().filter(|(_, event)| {
        !event.id.is_empty() && *first.entry(&event.id).or_insert(event) != *event
    });
    let (index, event) = changed.next()?;
    let id: String = event.id.chars().take(80).collect();
    let others = match changed.count() {
        0 => String::new(),
        more => format!(", and so do {more} more events"),
    };
    Some(format!(
        "events[{index}] repeats the id `{id}` with other content{others}: of each id the first is stored"
    ))
}

fn read_event(
    object: &mut Object<'_>,
    index: usize,
    naive: &mut bool,
) -> Result<Option<Event>, UnknownType> {
    let event_type = object.text("event_type");
    let id = object.optional_text("id").unwrap_or_default();
    if id.chars().count() > EVENT_ID_MAX || id.contains('\0') {
        let msg = format!("must have at most {EVENT_ID_MAX} characters and no NUL");
        object.wrong("id", "string_too_long", &msg, id.as_str().into());
    }
    let timestamp = object.event_time("timestamp", naive);
    let actor: Option<Actor> = match object.optional_text("actor") {
        None => None,
        Some(text) => text
            .parse()
            .map_err(|msg: String| object.wrong("actor", "value_error", &msg, text.into()))
            .ok(),
    };
    let parent = object.optional_text("parent");
    let tool_call_id = object.optional_text("tool_call_id");
    let data = object.member("data");
    let mut extra = object.rest();
    if event_type.is_empty() {
        return Ok(None);
    }
    let Some(wanted) = fields::of(&event_type) else {
        return Err(UnknownType {
            index,
            name: event_type,
        });
    };
    let Some(data) = data else {
        return Ok(None);
    };
    let Some((data, rest)) = object.inner("data", data, wanted) else {
        return Ok(None);
    };
    if !rest.is_empty() {
        extra.insert("data".to_owned(), Value::Object(rest));
    }
    let mut tagged = Map::new();
    tagged.insert("event_type".to_owned(), event_type.into());
    tagged.insert("data".to_owned(), Value::Object(data));
    let body: Body = match serde_json::from_value(Value::Object(tagged)) {
        Ok(body) => body,
        Err(err) => {
            object.wrong("data", "value_error", &err.to_string(), Value::Null);
            return Ok(None);
        }
    };
    Ok(Some(Event {
        id,
        timestamp,
        body,
        actor: actor.unwrap_or_default(),
        parent,
        tool_call_id,
        redacted: false,
        source: None,
        raw: None,
        extra,
    }))
}

/// Paths are data and never opened here, but one that leaves its root or is none is a mistake.
fn check_paths(events: &[Event]) -> Result<(), Refusal> {
    for event in events {
        let (Body::FileOpen { file_path }
        | Body::FileClose { file_path }
        | Body::FileRead { file_path, .. }
        | Body::CodeEdit { file_path, .. }) = &event.body
        else {
            continue;
        };
        if !is_inside(file_path) {
            let shown: String = file_path.chars().take(200).collect();
            return Err(Refusal::Message(format!("Invalid file path: {shown:?}")));
        }
    }
    Ok(())
}

fn is_inside(path: &str) -> bool {
    let mut depth = 0usize;
    for part in path.split(['/', '\\']) {
        depth = match part {
            "" | "." => depth,
            ".." => match depth.checked_sub(1) {
                Some(depth) => depth,
                None => return false,
            },
            _ => depth + 1,
        };
    }
    !path.is_empty() && !path.contains('\0')
}

#[cfg(test)]
mod tests;
