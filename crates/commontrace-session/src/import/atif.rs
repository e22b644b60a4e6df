//! ATIF, the trajectories of Harbor, 1.0 to 1.7.
//!
//! A step is a record. Steps that were copied from another document are left out: they are imported from
//! there. A document that another names as that of a sub-agent belongs to the other's session, and so does
//! one that is embedded in it. What our own export put under `extra` becomes what it was.

use serde_json::Value;

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::SessionKey;
use super::json::{self, Member, members};
use super::tools::{self, Used};
use super::{Format, ImportError, seed};
use crate::{Actor, Body, Event, Session};

members!(
    /// A trajectory.
    Trajectory {
        version = "schema_version",
        session = "session_id",
        id = "trajectory_id",
        agent = "agent",
        steps = "steps",
        notes = "notes",
        metrics = "final_metrics",
        continued = "continued_trajectory_ref",
        embedded = "subagent_trajectories",
        extra = "extra",
    }
);

members!(
    /// The agent.
    Agent {
        name = "name",
        version = "version",
        model = "model_name",
        extra = "extra",
    }
);

members!(
    /// A step.
    Step {
        source = "source",
        message = "message",
        at = "timestamp",
        observation = "observation",
        copied = "is_copied_context",
        model = "model_name",
        reasoning = "reasoning_content",
        calls = "tool_calls",
        metrics = "metrics",
        extra = "extra",
    }
);

members!(
    /// A call.
    ToolCall {
        id = "tool_call_id",
        name = "function_name",
        arguments = "arguments",
    }
);

members!(
    /// What was observed.
    Observation { results = "results" }
);

members!(
    /// One thing that was observed.
    Observed {
        call = "source_call_id",
        content = "content",
        agents = "subagent_trajectory_ref",
    }
);

members!(
    /// A sub-agent's trajectory, as another names it.
    AgentRef {
        id = "trajectory_id",
        session = "session_id",
    }
);

members!(
    /// What a step or a session used.
    Metrics {
        prompt = "prompt_tokens",
        completion = "completion_tokens",
        cached = "cached_tokens",
        total_prompt = "total_prompt_tokens",
        total_completion = "total_completion_tokens",
        total_cached = "total_cached_tokens",
        cost = "total_cost_usd",
    }
);

members!(
    /// What our own export puts under `extra`.
    Ours {
        ours = "commontrace",
        parent = "parent_session_id",
    }
);

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let Some(trajectory) = json::object::<Trajectory<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let id = json::said(trajectory.session)
        .or_else(|| json::said(trajectory.id))
        .map_or_else(|| document.hash(), Into::into);
    let agent: Agent<'_> = json::object(trajectory.agent).unwrap_or_default();
    let about: Ours<'_> = json::object(agent.extra).unwrap_or_default();
    let trajectory_id = json::said(trajectory.id);
    let parent = json::said(about.parent)
        .map(std::borrow::Cow::into_owned)
        .or_else(|| desk.set_to_work_by(trajectory_id.as_deref().unwrap_or(&id)));
    let (key, actor) = match parent {
        Some(parent) => {
            let agent = trajectory_id.map_or_else(|| id.clone(), std::borrow::Cow::into_owned);
            (key(Format::Atif, &parent), Actor::Subagent(agent))
        }
        None => (
            key(restored(&trajectory).unwrap_or(Format::Atif), &id),
            Actor::Agent,
        ),
    };
    if actor == Actor::Agent {
        header(desk, &key, &trajectory, &agent);
    }
    document.rest(desk, &key, &["steps", "subagent_trajectories"])?;
    self::steps(document, desk, &key, &actor, &trajectory)?;
    for embedded in json::objects::<Trajectory<'_>>(trajectory.embedded) {
        let id = json::said(embedded.id)
            .or_else(|| json::said(embedded.session))
            .unwrap_or_default();
        self::steps(
            document,
            desk,
            &key,
            &Actor::Subagent(id.into_owned()),
            &embedded,
        )?;
    }
    Ok(())
}

fn key(format: Format, id: &str) -> SessionKey {
    SessionKey {
        format: format.name(),
        id: id.into(),
    }
}

/// The session that our own export wrote, if this is one.
fn ours<'t>(trajectory: &Trajectory<'t>) -> Option<Value> {
    let extra: Ours<'t> = json::object(trajectory.extra)?;
    json::value(extra.ours)
}

/// The format that the session was first read from, if our own export wrote this.
fn restored(trajectory: &Trajectory<'_>) -> Option<Format> {
    let ours = ours(trajectory)?;
    Format::named(ours.get("session")?.get("format")?.as_str()?)
}

fn header(desk: &mut Desk<'_>, key: &SessionKey, trajectory: &Trajectory<'_>, agent: &Agent<'_>) {
    let ours = ours(trajectory);
    let session = ours
        .as_ref()
        .and_then(|ours| serde_json::from_value::<Session>(ours.get("session")?.clone()).ok());
    let header = desk.header(key);
    if let Some(session) = session {
        let source_id = header.source_id.take();
        *header = Session {
            source_id: session.source_id.clone().or(source_id),
            ..session
        };
        // A verdict that comes with a file is a claim.
        if let Some(verdict) = ours.and_then(|ours| ours.get("verdict").cloned()) {
            header
                .extra
                .insert("claimed_qa_results".to_owned(), verdict);
        }
        return;
    }
    header.tool_version = json::said(agent.version).map(Into::into);
    header.model = json::said(agent.model)
        .map(Into::into)
        .or(header.model.take());
    let members = [
        ("agent", agent.name),
        ("schema_version", trajectory.version),
        ("notes", trajectory.notes),
        ("continued_trajectory_ref", trajectory.continued),
    ];
    for (name, member) in members {
        if let Some(value) = json::value(member).filter(|value| !value.is_null()) {
            header.extra.entry(name.to_owned()).or_insert(value);
        }
    }
    let metrics: Metrics<'_> = json::object(trajectory.metrics).unwrap_or_default();
    if let Some(cost) = json::value(metrics.cost).filter(|cost| !cost.is_null()) {
        header.extra.insert("cost_usd".to_owned(), cost);
    }
    let state = desk.state(key);
    let kinds = [
        ("input_tokens", metrics.total_prompt),
        ("output_tokens", metrics.total_completion),
        ("cached_input_tokens", metrics.total_cached),
    ];
    for (kind, member) in kinds {
        if let Some(count) = json::int(member).and_then(|count| u64::try_from(count).ok()) {
            let known = state.usage.entry(kind).or_default();
            *known = count.max(*known);
        }
    }
}

fn steps(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    actor: &Actor,
    trajectory: &Trajectory<'_>,
) -> Result<(), ImportError> {
    for raw in json::items(trajectory.steps) {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        if json::flag(step.copied) == Some(true) {
            desk.report
                .skip("context that was copied from another trajectory");
            continue;
        }
        let extra: Ours<'_> = json::object(step.extra).unwrap_or_default();
        if let Some(Value::Array(events)) = json::value(extra.ours)
            .as_ref()
            .and_then(|ours| ours.get("events"))
        {
            let events: Vec<Event> = events.iter().filter_map(|event| own(event, step)).collect();
            let first = events.first().map_or("", |event| &*event.id).to_owned();
            desk.derives = false;
            document.item(desk, key, Identity::of(&first), ("step", raw.get()), |_| {
                events
            })?;
            desk.derives = true;
            continue;
        }
        document.item(desk, key, Identity::Content, ("step", raw.get()), |desk| {
            events(desk, key, actor, step)
        })?;
    }
    Ok(())
}

/// An event of our own export: what the step has no member for, with the text that it has one for.
fn own(stored: &Value, step: Step<'_>) -> Option<Event> {
    let mut stored = stored.as_object()?.clone();
    let place = stored
        .remove("text_in")
        .and_then(|place| place.as_str().map(str::to_owned));
    if let Some(place) = place {
        let (member, field) = place.split_once(':')?;
        let text = match member {
            "message" => json::string(step.message),
            "reasoning_content" => json::string(step.reasoning),
            _ => {
                let number: usize = member.strip_prefix("observation/")?.parse().ok()?;
                let observation: Observation<'_> = json::object(step.observation)?;
                json::string(
                    json::objects::<Observed<'_>>(observation.results)
                        .get(number)?
                        .content,
                )
            }
        };
        let data = stored
            .entry("data")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        data.as_object_mut()?
            .insert(field.to_owned(), Value::from(text));
    }
    seed::event(Value::Object(stored))
}

/// The text of a content: a text, or parts of one.
fn text_of(content: Member<'_>) -> String {
    members!(
        /// A part.
        Part {
            text = "text",
            source = "source",
        }
    );
    members!(
        /// Where an image is.
        ImageSource { path = "path" }
    );
    if let Some(text) = json::text(content) {
        return text.into_owned();
    }
    let parts = json::objects::<Part<'_>>(content).into_iter().map(|part| {
        json::text(part.text).map_or_else(
            || {
                let image: ImageSource<'_> = json::object(part.source).unwrap_or_default();
                format!("[image {}]", json::string(image.path))
            },
            std::borrow::Cow::into_owned,
        )
    });
    parts.collect::<Vec<_>>().join("\n")
}

fn events(desk: &mut Desk<'_>, key: &SessionKey, actor: &Actor, step: Step<'_>) -> Vec<Event> {
    let at = json::time(step.at);
    let by = |actor: Actor, body| Event {
        actor,
        timestamp: at,
        ..Event::new(body)
    };
    let message = text_of(step.message);
    let source = json::text(step.source).unwrap_or_default();
    let observed: Vec<Observed<'_>> = json::object::<Observation<'_>>(step.observation)
        .map(|observation| json::objects(observation.results))
        .unwrap_or_default();
    let agents: Vec<String> = observed
        .iter()
        .flat_map(|observed| refs(desk, key, observed))
        .collect();
    let mut events = Vec::new();
    let mut keystrokes = Vec::new();
    match &*source {
        "user" | "system" => {
            if !message.trim().is_empty() {
                let actor = match (&*source, actor) {
                    ("system", _) => Actor::System,
                    (_, Actor::Subagent(_)) => Actor::Agent,
                    _ => Actor::Human,
                };
                let mut event = by(actor.clone(), Body::UserMessage { content: message });
                if let Actor::Subagent(agent) = actor {
                    event.extra.insert("to".to_owned(), Value::from(agent));
                }
                events.push(event);
            }
        }
        _ => {
            let (message, typed) = typed(step, message);
            keystrokes = typed;
            let said = [
                ("thinking", json::string(step.reasoning)),
                ("text", message),
            ];
            for (kind, content) in said {
                if !content.trim().is_empty() {
                    let mut event = by(actor.clone(), Body::ReasoningStep { content });
                    event.extra.insert("kind".to_owned(), Value::from(kind));
                    events.push(event);
                }
            }
            if let Some(model) = json::said(step.model)
                && *actor == Actor::Agent
            {
                desk.state(key).saw_model(&model);
            }
        }
    }
    let calls = json::objects::<ToolCall<'_>>(step.calls);
    let mut used = vec![false; observed.len()];
    for call in &calls {
        let id = json::string(call.id);
        // A step with one call and one result may leave out that they belong together.
        let answer = observed
            .iter()
            .position(|observed| json::text(observed.call).is_some_and(|call| *call == *id))
            .or_else(|| {
                (calls.len() == 1 && observed.len() == 1 && observed[0].call.is_none()).then_some(0)
            });
        if let Some(at) = answer {
            used[at] = true;
        }
        let answer = answer.map(|at| text_of(observed[at].content));
        let arguments = desk.value(call.arguments);
        let name = json::string(call.name);
        let made = tools::events(
            &Used {
                name: &name,
                arguments: &arguments,
                answer: answer.as_deref(),
                duration_ms: None,
            },
            &desk.state(key).roots,
        );
        events.extend(made.into_iter().map(|event| Event {
            actor: actor.clone(),
            timestamp: at,
            tool_call_id: Some(id.clone()),
            ..event
        }));
    }
    let last = keystrokes.len().checked_sub(1);
    for (at, command) in keystrokes.into_iter().enumerate() {
        // One screen shows what came of all of them.
        let screen = observed.first().filter(|_| Some(at) == last);
        if screen.is_some() {
            used[0] = true;
        }
        events.push(by(
            actor.clone(),
            Body::TerminalCommand {
                command,
                exit_code: None,
                output: screen.map_or_else(String::new, |screen| text_of(screen.content)),
                duration_ms: None,
                cwd: None,
                ended: None,
            },
        ));
    }
    for (observed, _) in observed.iter().zip(used).filter(|(_, used)| !used) {
        let content = text_of(observed.content);
        if !content.is_empty() {
            let name = None;
            let mut event = by(
                actor.clone(),
                Body::ToolResult {
                    name,
                    content,
                    is_error: None,
                },
            );
            event.tool_call_id = json::said(observed.call).map(Into::into);
            events.push(event);
        }
    }
    if let Some(event) = events.last_mut()
        && !agents.is_empty()
    {
        event.extra.insert("agents".to_owned(), Value::from(agents));
    }
    usage(step, &mut events);
    events
}

/// What an agent said that answers in JSON, and what it typed into its terminal; other messages as they are.
fn typed(step: Step<'_>, message: String) -> (String, Vec<String>) {
    members!(
        /// Such an answer.
        Answer {
            analysis = "analysis",
            plan = "plan",
            commands = "commands",
        }
    );
    members!(
        /// One thing that was typed.
        Typed { keys = "keystrokes" }
    );
    if step.calls.is_some() || !message.trim_start().starts_with('{') {
        return (message, Vec::new());
    }
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(&message) else {
        return (message, Vec::new());
    };
    if answer.commands.is_none() {
        return (message, Vec::new());
    }
    let parts = [json::said(answer.analysis), json::said(answer.plan)];
    let said = parts.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let commands = json::objects::<Typed<'_>>(answer.commands)
        .into_iter()
        .map(|typed| json::string(typed.keys).trim_end_matches('\n').to_owned())
        .collect();
    (
        if said.is_empty() {
            message.clone()
        } else {
            said
        },
        commands,
    )
}

/// Notes the trajectories that an observation names as those of sub-agents.
fn refs(desk: &mut Desk<'_>, key: &SessionKey, observed: &Observed<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    for agent in json::objects::<AgentRef<'_>>(observed.agents) {
        if let Some(id) = json::said(agent.id).or_else(|| json::said(agent.session)) {
            desk.sets_to_work(&id, key);
            ids.push(id.into_owned());
        }
    }
    ids
}

fn usage(step: Step<'_>, events: &mut [Event]) {
    let Some(metrics) = json::object::<Metrics<'_>>(step.metrics) else {
        return;
    };
    let kinds = [
        ("input_tokens", metrics.prompt),
        ("output_tokens", metrics.completion),
        ("cached_input_tokens", metrics.cached),
    ];
    let usage: serde_json::Map<String, Value> = kinds
        .into_iter()
        .filter_map(|(kind, member)| Some((kind.to_owned(), Value::from(json::int(member)?))))
        .collect();
    if let Some(event) = events.first_mut()
        && !usage.is_empty()
    {
        event.extra.insert("usage".to_owned(), Value::Object(usage));
    }
}
