//! What lines tell of the session as a whole: where it began, what it used, what was taken back.

use serde_json::Value;

use super::super::desk::Desk;
use super::super::json::{self, members};
use super::Scene;
use crate::{Actor, Body, Event};

members!(
    /// The state of the repository at the start.
    Git {
        commit = "commit_hash",
        branch = "branch",
        url = "repository_url",
    }
);

members!(
    /// `info` of `token_count`.
    Tokens {
        total = "total_token_usage",
    }
);

members!(
    /// Tokens by kind.
    Usage {
        input = "input_tokens",
        cached = "cached_input_tokens",
        output = "output_tokens",
        reasoning = "reasoning_output_tokens",
    }
);

/// Notes the first line of a session.
pub(super) fn meta(desk: &mut Desk<'_>, scene: &Scene<'_>) {
    let payload = &scene.payload;
    // The first line of the session that this one was forked from tells nothing of this one.
    if json::said(payload.id).is_some_and(|id| *id != *scene.key.id) {
        return;
    }
    let state = desk.state(scene.key);
    state.codex.provider = json::said(payload.provider).map(Into::into);
    state.header.tool_version = json::said(payload.version).map(Into::into);
    if let Some(folder) = json::said(payload.cwd) {
        state.saw_folder(&folder);
    }
    if let Some(at) = json::time(payload.at) {
        state.saw_time(at);
    }
    if let Some(git) = json::object::<Git<'_>>(payload.git) {
        let repo = &mut state.header.repo;
        repo.commit_before = json::string(git.commit);
        repo.branch = json::string(git.branch);
        repo.url = json::string(git.url);
    }
    if let Some(from) = json::said(payload.originator) {
        state
            .header
            .extra
            .insert("originator".to_owned(), Value::from(&*from));
    }
    state.changed = true;
}

/// Notes what was used so far. The counts are those of the whole session, so the last ones stand.
pub(super) fn tokens(desk: &mut Desk<'_>, scene: &Scene<'_>) {
    let total = json::object::<Tokens<'_>>(scene.payload.info)
        .and_then(|info| json::object::<Usage<'_>>(info.total));
    let Some(usage) = total else {
        return;
    };
    let state = desk.state(scene.key);
    let kinds = [
        ("input_tokens", usage.input),
        ("cached_input_tokens", usage.cached),
        ("output_tokens", usage.output),
        ("reasoning_output_tokens", usage.reasoning),
    ];
    for (kind, member) in kinds {
        if let Some(count) = json::int(member).and_then(|count| u64::try_from(count).ok()) {
            state.usage.insert(kind, count);
            state.changed = true;
        }
    }
}

/// The last turns were taken back; their events stay.
pub(super) fn rollback(desk: &mut Desk<'_>, scene: &Scene<'_>) -> Event {
    let turns = json::int(scene.payload.turns)
        .and_then(|turns| usize::try_from(turns).ok())
        .unwrap_or(1);
    let known = &mut desk.state(scene.key).codex.turns;
    let to = known
        .len()
        .checked_sub(turns)
        .and_then(|at| known.get(at).cloned());
    known.truncate(known.len().saturating_sub(turns));
    scene.by(
        Actor::Human,
        Body::Rollback {
            to,
            reason: Some(format!("{turns} turns were taken back")),
        },
    )
}
