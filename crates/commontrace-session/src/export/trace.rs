//! The JSON that clients post to `/traces`, with what the server found as `qa_results`.

use std::io::{self, Write};

use super::Export;
use super::json::Pieces;
use crate::Event;

/// The members of the header that are written in their own place.
const PLACED: &[&str] = &[
    "extra",
    "developer_id",
    "bug_id",
    "repo",
    "start_time",
    "end_time",
];

/// Writes a session.
pub(super) fn write(
    export: &Export<'_>,
    events: &mut impl Iterator<Item = Event>,
    out: &mut impl Write,
) -> io::Result<()> {
    let session = export.session;
    let mut object = Pieces::object(out)?;
    object.member(out, "schema_version", &"1.0")?;
    object.member(out, "trace_id", &export.id)?;
    object.member(out, "developer_id", &session.developer_id)?;
    object.member(out, "bug_id", &session.bug_id)?;
    object.member(out, "repo", &session.repo)?;
    object.member(out, "start_time", &session.start_time)?;
    object.member(out, "end_time", &session.end_time)?;
    if let serde_json::Value::Object(members) = serde_json::to_value(session)? {
        let more = members
            .into_iter()
            .filter(|(name, value)| !PLACED.contains(&&**name) && !value.is_null());
        for (name, value) in more {
            object.member(out, &name, &value)?;
        }
    }
    if !session.extra.is_empty() {
        object.member(out, "extra", &session.extra)?;
    }
    object.name(out, "events")?;
    let mut list = Pieces::list(out)?;
    for event in events {
        list.item(out, &event)?;
    }
    list.close(out)?;
    object.member(out, "qa_results", &export.verdict)?;
    object.close(out)?;
    out.write_all(b"\n")
}
