//! Claude Code: one JSON object a line, in files that repeat each other.
//!
//! A record is known by its `uuid`, wherever it stands. A call and its result stand on two lines; what they
//! are together (a command with its exit code, an edit with its diff) becomes one event at the result.
//! Sub-agents come in three ways: as lines of the session's file, inside progress lines, and in files of
//! their own; their events are the same and name the agent as actor.

mod assistant;
mod edits;
mod memory;
mod results;
mod user;

use std::io::BufRead;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub(crate) use memory::{Memory, left_over};

use super::desk::{Admission, Desk, Identity, OWN, Record};
use super::found::SessionKey;
use super::json::{self, members};
use super::records::{self, Incoming};
use super::{Format, ImportError, Input};
use crate::{Actor, Body, Event};

members!(
    /// A line.
    Line {
        kind = "type",
        uuid = "uuid",
        parent = "parentUuid",
        at = "timestamp",
        session = "sessionId",
        cwd = "cwd",
        branch = "gitBranch",
        version = "version",
        sidechain = "isSidechain",
        agent = "agentId",
        message = "message",
        result = "toolUseResult",
        meta = "isMeta",
        compact_summary = "isCompactSummary",
        subtype = "subtype",
        content = "content",
        error = "error",
        data = "data",
        parent_tool = "parentToolUseID",
        logical_parent = "logicalParentUuid",
        compact = "compactMetadata",
        api_error = "isApiErrorMessage",
        summary = "summary",
        leaf = "leafUuid",
        title = "title",
        custom_title = "customTitle",
        ai_title = "aiTitle",
        pr_url = "prUrl",
    }
);

members!(
    /// `message` of user and assistant lines.
    Message {
        id = "id",
        model = "model",
        content = "content",
        usage = "usage",
    }
);

members!(
    /// A block of a message's content.
    Block {
        kind = "type",
        text = "text",
        thinking = "thinking",
        id = "id",
        name = "name",
        input = "input",
        tool = "tool_use_id",
        content = "content",
        is_error = "is_error",
    }
);

members!(
    /// `data` of progress lines.
    Progress {
        kind = "type",
        message = "message",
        agent = "agentId",
    }
);

/// Kinds of line that tell nothing of what happened.
const BOOKKEEPING: &[&str] = &[
    "file-history-snapshot",
    "file-history-delta",
    "queue-operation",
    "attachment",
    "agent-name",
    "agent-color",
    "agent-setting",
    "mode",
    "permission-mode",
    "last-prompt",
    "continued-in",
    "tag",
];

/// At most so much is held of lines that come before the first that names its session, in bytes.
const MOST_HELD: usize = 4 * 1024 * 1024;

/// Under this name the events of a sub-agent tell the call that set it to work.
const SET_TO_WORK_BY: &str = "set_to_work_by";

/// One line, and what is known of it besides.
pub(crate) struct Scene<'s> {
    line: Line<'s>,
    key: &'s SessionKey,
    at: Option<DateTime<Utc>>,
    uuid: String,
    /// The agent that was set to work by the session's own, if it is one's.
    agent: Option<String>,
    parent: Option<String>,
    input: &'s Input<'s>,
}

impl Scene<'_> {
    /// Who acts where an agent does.
    fn actor(&self) -> Actor {
        match &self.agent {
            Some(agent) => Actor::Subagent(agent.clone()),
            None => Actor::Agent,
        }
    }

    fn event(&self, body: Body) -> Event {
        Event {
            timestamp: self.at,
            actor: self.actor(),
            parent: self.parent.clone(),
            ..Event::new(body)
        }
    }
}

/// Reads a file.
pub(crate) fn read(
    reader: impl BufRead,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), ImportError> {
    let mut file = Reading {
        input,
        session: None,
        agent: agent_of(input.name),
        set_to_work_by: input.beside.tool_use(),
        held: Vec::new(),
        held_bytes: 0,
    };
    records::each(reader, input, desk, |desk, record| file.take(desk, record))?;
    for _ in file.held {
        desk.report
            .skip("of no session: no line of the file names one");
    }
    Ok(())
}

/// The agent whose file this is: `agent-<id>.jsonl`, also behind the names of its folders.
fn agent_of(name: &str) -> Option<String> {
    let name = super::paths::last_part(name);
    let at = name.find("agent-")?;
    let begins = at == 0 || name[..at].ends_with("__");
    let id = name[at + "agent-".len()..].split('.').next()?;
    (begins && !id.is_empty()).then(|| id.to_owned())
}

struct Reading<'f> {
    input: &'f Input<'f>,
    /// The session that was named last.
    session: Option<SessionKey>,
    agent: Option<String>,
    /// The call that set the agent to work.
    set_to_work_by: Option<String>,
    /// Records that came before any that names a session, each with whether it was redacted and its place.
    held: Vec<(String, bool, (u64, u64))>,
    held_bytes: usize,
}

impl Reading<'_> {
    fn take(&mut self, desk: &mut Desk<'_>, record: Incoming<'_>) -> Result<(), ImportError> {
        let Ok(line) = serde_json::from_str::<Line<'_>>(record.raw) else {
            desk.report.skip("a record with one member twice");
            return Ok(());
        };
        if let Some(id) = json::id(line.session)
            && self.session.as_ref().is_none_or(|known| *known.id != *id)
        {
            self.session = Some(SessionKey {
                format: Format::ClaudeCode.name(),
                id: id.as_ref().into(),
            });
        }
        let Some(key) = self.session.clone() else {
            self.held_bytes += record.raw.len();
            if self.held_bytes > MOST_HELD {
                desk.report
                    .skip("of no session: the lines before the first that names one are too many");
            } else {
                self.held
                    .push((record.raw.to_owned(), record.redacted, desk.place));
            }
            return Ok(());
        };
        let place = desk.place;
        for (raw, redacted, place) in std::mem::take(&mut self.held) {
            desk.place = place;
            if let Ok(line) = serde_json::from_str::<Line<'_>>(&raw) {
                self.line(desk, &key, line, &raw, redacted)?;
            }
        }
        desk.place = place;
        self.line(desk, &key, line, record.raw, record.redacted)
    }

    fn line(
        &self,
        desk: &mut Desk<'_>,
        key: &SessionKey,
        line: Line<'_>,
        raw: &str,
        redacted: bool,
    ) -> Result<(), ImportError> {
        if !desk.takes(key) {
            desk.report.skip("of one session more than a file can have");
            return Ok(());
        }
        if desk.state(key).own {
            desk.report.skip(OWN);
            return Ok(());
        }
        let kind = json::text(line.kind).unwrap_or_default();
        let progress = (kind == "progress")
            .then(|| json::object::<Progress<'_>>(line.data))
            .flatten();
        let nested = progress.and_then(nested);
        let uuid = match &nested {
            // The same message stands in the agent's own file, if there is one.
            Some((inner, _)) => json::id(inner.uuid).or_else(|| json::id(line.uuid)),
            None => json::id(line.uuid),
        };
        let identity = uuid
            .as_deref()
            .map_or(Identity::Content, Identity::Everywhere);
        let id = match desk.admit(key, identity, raw) {
            Admission::New(id) => id,
            Admission::Known(owner) => {
                if owner != *key {
                    note_copy(desk, key, &owner);
                }
                return Ok(());
            }
        };
        note(desk, key, &line);
        let is_nested = nested.is_some();
        let (inner, agent) = match nested {
            Some((inner, agent)) => (
                inner,
                agent.or_else(|| json::text(line.parent_tool).map(Into::into)),
            ),
            None => (line, self.agent_of(&line)),
        };
        let parent =
            json::id(inner.parent).map(|parent| desk.state(key).claude.event_before(&parent));
        let scene = Scene {
            line: inner,
            key,
            at: json::time(inner.at).or_else(|| json::time(line.at)),
            uuid: id.clone(),
            agent,
            parent,
            input: self.input,
        };
        let mut events = match &*kind {
            "user" => user::events(desk, &scene),
            "assistant" => assistant::events(desk, &scene),
            "progress" => progress_events(desk, &scene, is_nested, line),
            "system" => system_events(desk, &scene),
            "summary" => {
                let (leaf, title) = (json::string(line.leaf), json::string(line.summary));
                desk.state(key).claude.summary(leaf, title);
                Vec::new()
            }
            "custom-title" | "ai-title" => {
                let custom = kind == "custom-title";
                let title = [line.custom_title, line.ai_title, line.title]
                    .into_iter()
                    .find_map(json::said);
                if let Some(title) = title {
                    desk.state(key)
                        .claude
                        .title(if custom { 3 } else { 2 }, title.into_owned());
                }
                Vec::new()
            }
            "pr-link" => json::said(line.pr_url)
                .map(|url| {
                    scene.event(Body::PullRequest {
                        url: url.into_owned(),
                    })
                })
                .into_iter()
                .collect(),
            other => {
                if !BOOKKEEPING.contains(&other) {
                    desk.report.unknown(other);
                }
                Vec::new()
            }
        };
        let state = desk.state(key);
        if matches!(&*kind, "user" | "assistant")
            && let Some(boundary) = state.claude.boundary.take()
        {
            events.insert(0, boundary);
        }
        if let Some(title) = state.claude.best_title(&id) {
            state.header.title = Some(title);
            state.changed = true;
        }
        if let Some(tool) = &self.set_to_work_by {
            for event in &mut events {
                event
                    .extra
                    .insert(SET_TO_WORK_BY.to_owned(), Value::from(&**tool));
            }
        }
        if events.is_empty() {
            state.claude.without_event(&id, scene.parent);
        }
        if desk.state(key).own {
            return Ok(());
        }
        let record = Record {
            id,
            kind: &kind,
            raw,
            redacted,
        };
        desk.write(key, record, events)
    }

    /// The sub-agent that a line is of.
    fn agent_of(&self, line: &Line<'_>) -> Option<String> {
        let named = || json::id(line.agent).map(Into::into);
        if self.agent.is_some() {
            return named().or_else(|| self.agent.clone());
        }
        let aside = json::flag(line.sidechain) == Some(true);
        aside.then(|| named().unwrap_or_else(|| "sidechain".to_owned()))
    }
}

/// The message of a sub-agent inside a progress line, and the agent.
fn nested(progress: Progress<'_>) -> Option<(Line<'_>, Option<String>)> {
    if json::text(progress.kind)? != "agent_progress" {
        return None;
    }
    let inner: Line<'_> = json::object(progress.message)?;
    Some((inner, json::id(progress.agent).map(Into::into)))
}

/// Notes what a line says of its session.
fn note(desk: &mut Desk<'_>, key: &SessionKey, line: &Line<'_>) {
    let state = desk.state(key);
    if let Some(version) = json::said(line.version)
        && state.header.tool_version.as_deref() != Some(&*version)
    {
        state.header.tool_version = Some(version.into_owned());
        state.changed = true;
    }
    if let Some(branch) = json::said(line.branch)
        && state.header.repo.branch != *branch
    {
        state.header.repo.branch = branch.into_owned();
        state.changed = true;
    }
    if let Some(folder) = json::said(line.cwd) {
        state.saw_folder(&folder);
    }
    if let Some(time) = json::time(line.at) {
        state.saw_time(time);
    }
}

/// Notes that a session goes on with copies of another's records, as some versions do on resuming.
fn note_copy(desk: &mut Desk<'_>, key: &SessionKey, owner: &SessionKey) {
    if !desk.state(key).header.extra.contains_key("continues") {
        let owner = Value::from(&*owner.id);
        desk.header(key).extra.insert("continues".to_owned(), owner);
    }
}

fn progress_events(
    desk: &mut Desk<'_>,
    scene: &Scene<'_>,
    nested: bool,
    outer: Line<'_>,
) -> Vec<Event> {
    if !nested {
        return Vec::new();
    }
    let mut events = match json::text(scene.line.kind).as_deref() {
        Some("user") => user::events(desk, scene),
        Some("assistant") => assistant::events(desk, scene),
        _ => Vec::new(),
    };
    if let Some(tool) = json::said(outer.parent_tool) {
        for event in &mut events {
            event
                .extra
                .insert(SET_TO_WORK_BY.to_owned(), Value::from(&*tool));
        }
    }
    events
}

fn system_events(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Vec<Event> {
    let line = scene.line;
    let by_system = |body| Event {
        actor: Actor::System,
        ..scene.event(body)
    };
    let subtype = json::text(line.subtype).unwrap_or_default();
    match &*subtype {
        "compact_boundary" | "microcompact_boundary" => {
            let mut event = by_system(Body::Compaction { summary: None });
            event.id.clone_from(&scene.uuid);
            if let Some(before) = json::id(line.logical_parent) {
                event.parent = Some(desk.state(scene.key).claude.event_before(&before));
            }
            if let Some(about) = json::value(line.compact) {
                event.extra.insert("compact_metadata".to_owned(), about);
            }
            if subtype == "microcompact_boundary" {
                return vec![event];
            }
            // The summary comes on the next line; the two are one event.
            desk.state(scene.key)
                .claude
                .boundary
                .replace(event)
                .into_iter()
                .collect()
        }
        "api_error" => {
            let message = json::said(line.content)
                .map(Into::into)
                .or_else(|| line.error.map(|error| error.get().to_owned()))
                .unwrap_or_else(|| "the model's service failed".to_owned());
            vec![by_system(Body::Error { message })]
        }
        "local_command" => user::typed(desk, scene, &json::string(line.content)),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::agent_of;

    #[test]
    fn the_files_of_agents_are_known_by_name() {
        assert_eq!(
            agent_of("/x/subagents/agent-a1b2.jsonl").as_deref(),
            Some("a1b2")
        );
        assert_eq!(
            agent_of("session__subagents__agent-a1.jsonl").as_deref(),
            Some("a1")
        );
        assert_eq!(agent_of("/x/agent-/s.jsonl"), None);
        assert_eq!(agent_of("my-agent-1.jsonl"), None);
    }
}
