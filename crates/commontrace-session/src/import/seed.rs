//! The JSON that clients post to `/traces`, and that our own export writes: events as they are here.

use serde_json::{Map, Value};

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::SessionKey;
use super::json::{self, Member, members};
use super::{Format, ImportError};
use crate::{Actor, Body, Event, Repo};

members!(
    /// The document.
    Trace {
        id = "trace_id",
        title = "title",
        developer = "developer_id",
        bug = "bug_id",
        repo = "repo",
        start = "start_time",
        end = "end_time",
        model = "model",
        tool_version = "tool_version",
        extra = "extra",
        events = "events",
        claimed = "qa_results",
    }
);

/// The members that have a place in the header.
const KNOWN: &[&str] = &[
    "schema_version",
    "trace_id",
    "title",
    "developer_id",
    "bug_id",
    "repo",
    "start_time",
    "end_time",
    "model",
    "tool_version",
    "format",
    "source_id",
    "extra",
    "events",
    "qa_results",
];

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let Some(trace) = json::object::<Trace<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    // Whatever follows from an event stands there as an event of its own.
    desk.derives = false;
    let id = json::said(trace.id).map_or_else(|| document.hash(), Into::into);
    let key = SessionKey {
        format: Format::Seed.name(),
        id: id.into(),
    };
    header(document, desk, &key, &trace);
    document.rest(desk, &key, &["events"])?;
    for (number, raw) in json::items(trace.events).into_iter().enumerate() {
        let made = json::value(Some(raw)).and_then(event);
        let Some(event) = made else {
            desk.report.bad(
                0,
                0,
                format!("events[{number}]: no event, or without what its type needs"),
            );
            continue;
        };
        let identity = Identity::of(&event.id);
        let kind = event.body.name();
        document.item(desk, &key, identity, (kind, raw.get()), |_| {
            vec![event.clone()]
        })?;
    }
    Ok(())
}

fn header(document: &Document, desk: &mut Desk<'_>, key: &SessionKey, trace: &Trace<'_>) {
    let header = desk.header(key);
    let text = |member: Member<'_>| json::said(member).map(Into::into);
    if let Some(developer) = text(trace.developer) {
        header.developer_id = developer;
    }
    header.title = text(trace.title).or(header.title.take());
    header.bug_id = text(trace.bug).or(header.bug_id.take());
    header.model = text(trace.model).or(header.model.take());
    header.tool_version = text(trace.tool_version).or(header.tool_version.take());
    header.start_time = json::time(trace.start).or(header.start_time);
    header.end_time = json::time(trace.end).or(header.end_time);
    if let Some(repo) = json::object::<RepoMembers<'_>>(trace.repo) {
        header.repo = Repo {
            name: json::string(repo.name),
            url: json::string(repo.url),
            branch: json::string(repo.branch),
            commit_before: json::string(repo.before),
            commit_after: json::string(repo.after),
            test_command: json::string(repo.test_command),
        };
    }
    if let Some(Value::Object(extra)) = json::value(trace.extra) {
        header.extra.extend(extra);
    }
    // What a client says of its own success is a claim, and no verdict.
    if let Some(claimed) = json::value(trace.claimed).filter(|claimed| !claimed.is_null()) {
        header
            .extra
            .insert("claimed_qa_results".to_owned(), claimed);
    }
    for (name, raw) in document.members() {
        if !KNOWN.contains(&&*name)
            && let Some(value) = json::value(Some(raw)).filter(|value| !value.is_null())
        {
            header.extra.insert(name, value);
        }
    }
}

members!(
    /// `repo`.
    RepoMembers {
        name = "name",
        url = "url",
        branch = "branch",
        before = "commit_before",
        after = "commit_after",
        test_command = "test_command",
    }
);

/// An event as it was posted; what has no place goes under `extra`.
pub(crate) fn event(posted: Value) -> Option<Event> {
    let Value::Object(mut members) = posted else {
        return None;
    };
    let data = members.remove("data")?;
    let kind = members.remove("event_type")?;
    let body: Body =
        serde_json::from_value(serde_json::json!({"event_type": kind, "data": &data})).ok()?;
    let mut take = |name: &str| members.remove(name);
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let mut event = Event {
        id: text(take("id")).unwrap_or_default(),
        timestamp: text(take("timestamp")).and_then(|time| json::parse_time(&time)),
        actor: text(take("actor"))
            .and_then(|actor| actor.parse().ok())
            .unwrap_or(Actor::Agent),
        parent: text(take("parent")),
        tool_call_id: text(take("tool_call_id")),
        redacted: take("redacted") == Some(Value::Bool(true)),
        ..Event::new(body)
    };
    // Where it was read is told anew.
    take("raw");
    take("seq");
    if let Some(source) = take("source").filter(|source| !source.is_null()) {
        event.extra.insert("first_source".to_owned(), source);
    }
    match take("extra") {
        Some(Value::Object(extra)) => event.extra.extend(extra),
        Some(other) if !other.is_null() => {
            event.extra.insert("extra".to_owned(), other);
        }
        _ => {}
    }
    let left = left_over(&event.body, data);
    if !left.is_empty() {
        event.extra.insert("data".to_owned(), Value::Object(left));
    }
    event
        .extra
        .extend(members.into_iter().filter(|(_, value)| !value.is_null()));
    Some(event)
}

/// The members of `data` that have no place in the body.
fn left_over(body: &Body, data: Value) -> Map<String, Value> {
    let Value::Object(mut data) = data else {
        return Map::new();
    };
    let placed = serde_json::to_value(body).ok();
    let placed = placed
        .as_ref()
        .and_then(|body| body.get("data")?.as_object());
    data.retain(|name, value| {
        !value.is_null() && !placed.is_some_and(|placed| placed.contains_key(name))
    });
    data
}
