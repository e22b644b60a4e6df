//! A step: what was said, called and observed.

use serde_json::Value;

use super::super::desk::Desk;
use super::super::found::SessionKey;
use super::super::json::{self, Member, members};
use super::super::tools::{self, Used};
use crate::{Actor, Body, Event};

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

/// What a step is.
pub(super) fn events(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    actor: &Actor,
    step: Step<'_>,
) -> Vec<Event> {
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
