//! ATIF 1.7.
//!
//! An event is a step; a call and its result are one. What ATIF has no member for stands under
//! `extra.commontrace`: the event without the text that has its place in the step, so that reading the file
//! again gives the same events. Sub-agents' steps are embedded behind the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Export;
use super::json::Pieces;
use crate::{Actor, Body, Event};

/// The version that is written.
const VERSION: &str = "ATIF-v1.7";

/// At most so many steps wait for the result of a call before them.
const MOST_WAITING: usize = 1000;

/// Writes a session.
pub(super) fn write(
    export: &Export<'_>,
    events: &mut impl Iterator<Item = Event>,
    out: &mut impl Write,
) -> io::Result<()> {
    let session = export.session;
    let id = session.source_id.as_deref().unwrap_or(export.id);
    let mut agent = json!({
        "name": session.format.as_deref().unwrap_or("unknown"),
        "version": session.tool_version.as_deref().unwrap_or("unknown"),
    });
    if let Some(model) = &session.model {
        agent["model_name"] = Value::from(&**model);
    }
    let mut object = Pieces::object(out)?;
    object.member(out, "schema_version", &VERSION)?;
    object.member(out, "session_id", &id)?;
    object.member(out, "trajectory_id", &id)?;
    object.member(out, "agent", &agent)?;
    object.name(out, "steps")?;
    let mut main = Steps::default();
    let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut totals = Totals::default();
    let mut list = Pieces::list(out)?;
    for event in events {
        totals.add(&event);
        named.extend(agent_named(&event).map(str::to_owned));
        match agent_of(&event) {
            Some(agent) => {
                let agent = agents.entry(agent.to_owned()).or_default();
                for step in agent.steps.take(event) {
                    agent.done.push(step);
                }
            }
            None => {
                for step in main.take(event) {
                    list.item(out, &step)?;
                }
            }
        }
    }
    for step in main.end() {
        list.item(out, &step)?;
    }
    list.close(out)?;
    object.member(out, "final_metrics", &totals.metrics(main.count))?;
    // A trajectory that is referred to has to be there, also if nothing was recorded of it.
    for agent in named {
        agents.entry(agent).or_default();
    }
    if !agents.is_empty() {
        object.name(out, "subagent_trajectories")?;
        let mut list = Pieces::list(out)?;
        for (name, mut sub) in agents {
            sub.done.extend(sub.steps.end());
            list.item(
                out,
                &json!({
                    "schema_version": VERSION,
                    "session_id": id,
                    "trajectory_id": name,
                    "agent": agent,
                    "steps": sub.done,
                }),
            )?;
        }
        list.close(out)?;
    }
    let mut ours = json!({"id": export.id, "session": session});
    if let Some(verdict) = export.verdict {
        ours["verdict"] = serde_json::to_value(verdict)?;
    }
    if let Some(url) = export.url {
        ours["url"] = Value::from(url);
    }
    object.member(out, "extra", &json!({"commontrace": ours}))?;
    object.close(out)?;
    out.write_all(b"\n")
}

/// The steps of a sub-agent, which are written last.
#[derive(Default)]
struct Agent {
    steps: Steps,
    done: Vec<Value>,
}

/// The sub-agent that an event belongs to: who acted, or who was set to work by it.
fn agent_of(event: &Event) -> Option<&str> {
    match &event.actor {
        Actor::Subagent(agent) => Some(agent),
        _ => event.extra.get("to")?.as_str(),
    }
}

/// The sub-agent whose answer a result is.
fn agent_named(event: &Event) -> Option<&str> {
    match &event.body {
        Body::ToolResult { .. } => event.extra.get("agent")?.as_str(),
        _ => None,
    }
}

/// Steps that are numbered in their order and wait while one of them lacks its result.
#[derive(Default)]
struct Steps {
    waiting: VecDeque<Waiting>,
    count: u64,
}

struct Waiting {
    step: Value,
    /// The call whose result is to come.
    call: Option<String>,
}

impl Steps {
    /// Takes an event; returns the steps that are complete.
    fn take(&mut self, event: Event) -> Vec<Value> {
        if let Body::ToolResult { .. } = &event.body
            && let Some(call) = event.tool_call_id.clone()
            && let Some(waiting) = self
                .waiting
                .iter_mut()
                .rev()
                .find(|waiting| waiting.call.as_deref() == Some(&*call))
        {
            waiting.call = None;
            answer(&mut waiting.step, event);
        } else {
            let call = match &event.body {
                Body::ToolCall { .. } if event.extra.get("unanswered").is_none() => {
                    event.tool_call_id.clone()
                }
                _ => None,
            };
            self.waiting.push_back(Waiting {
                step: step(event),
                call,
            });
        }
        let mut done = Vec::new();
        while self
            .waiting
            .front()
            .is_some_and(|waiting| waiting.call.is_none() || self.waiting.len() > MOST_WAITING)
        {
            done.extend(self.next());
        }
        done
    }

    fn next(&mut self) -> Option<Value> {
        let mut step = self.waiting.pop_front()?.step;
        self.count += 1;
        step["step_id"] = Value::from(self.count);
        Some(step)
    }

    /// The steps that are left. A trajectory has at least one.
    fn end(&mut self) -> Vec<Value> {
        let mut done: Vec<Value> = std::iter::from_fn(|| self.next()).collect();
        if self.count == 0 {
            self.count = 1;
            done.push(
                json!({"step_id": 1, "source": "system", "message": "Nothing was recorded."}),
            );
        }
        done
    }
}

/// The step of an event; its number is given later.
fn step(event: Event) -> Value {
    let mut stored = stored(&event);
    let mut step = Map::new();
    step.insert("step_id".to_owned(), Value::from(0));
    let by_agent = matches!(event.actor, Actor::Agent | Actor::Subagent(_));
    let source = match (&event.body, &event.actor) {
        // What sets a sub-agent to work is the user's part in the sub-agent's trajectory.
        (Body::UserMessage { .. }, Actor::Agent) => "user",
        (Body::UserMessage { .. }, Actor::Human) => "user",
        _ if by_agent => "agent",
        _ => "system",
    };
    step.insert("source".to_owned(), Value::from(source));
    if let Some(time) = stored.get("timestamp").cloned() {
        step.insert("timestamp".to_owned(), time);
    }
    let metrics = event
        .extra
        .get("usage")
        .filter(|_| source == "agent")
        .map(metrics);
    let thinking = event.extra.get("kind").and_then(Value::as_str) == Some("thinking");
    let mut text_in = None;
    let mut message = String::new();
    match event.body {
        Body::UserMessage { content } | Body::AgentMessage { content } => {
            message = content;
            text_in = Some("message:content");
        }
        Body::ReasoningStep { content } if thinking && source == "agent" => {
            step.insert("reasoning_content".to_owned(), Value::from(content));
            text_in = Some("reasoning_content:content");
        }
        Body::ReasoningStep { content } => {
            message = content;
            text_in = Some("message:content");
        }
        Body::Error { message: said } => {
            message = said;
            text_in = Some("message:message");
        }
        Body::Compaction {
            summary: Some(summary),
        } => {
            message = summary;
            text_in = Some("message:summary");
        }
        body => {
            let call = event.tool_call_id.unwrap_or_else(|| event.id.clone());
            text_in = tool(&mut step, body, &call, source, &mut message).or(text_in);
        }
    }
    step.insert("message".to_owned(), Value::from(message));
    if let Some(metrics) =
        metrics.filter(|metrics| metrics.as_object().is_some_and(|all| !all.is_empty()))
    {
        step.insert("metrics".to_owned(), metrics);
    }
    place(&mut stored, text_in);
    step.insert(
        "extra".to_owned(),
        json!({"commontrace": {"events": [stored]}}),
    );
    Value::Object(step)
}

/// Puts a body that is no message into a step: as a call with what it answered, or in words.
fn tool(
    step: &mut Map<String, Value>,
    body: Body,
    call: &str,
    source: &str,
    message: &mut String,
) -> Option<&'static str> {
    let name = body.name();
    if source != "agent" {
        *message = words(&body);
        return None;
    }
    let (arguments, answer) = match body {
        Body::ToolCall { name, arguments } => {
            let arguments = match arguments {
                Value::Object(_) => arguments,
                other => json!({"input": other}),
            };
            let call =
                json!([{"tool_call_id": call, "function_name": name, "arguments": arguments}]);
            step.insert("tool_calls".to_owned(), call);
            return None;
        }
        Body::ToolResult { content, .. } => {
            step.insert(
                "observation".to_owned(),
                json!({"results": [{"content": content}]}),
            );
            return Some("observation/0:content");
        }
        Body::TerminalCommand {
            command,
            output,
            cwd,
            ..
        } => {
            let mut arguments = json!({"command": command});
            if let Some(cwd) = cwd {
                arguments["cwd"] = Value::from(cwd);
            }
            (arguments, Some((output, "observation/0:output")))
        }
        Body::CodeEdit {
            file_path, diff, ..
        } => (json!({"file_path": file_path, "diff": diff}), None),
        Body::FileOpen { file_path } | Body::FileClose { file_path } => {
            (json!({"file_path": file_path}), None)
        }
        Body::FileRead { file_path, content } => (
            json!({"file_path": file_path}),
            content.map(|content| (content, "observation/0:content")),
        ),
        Body::Search {
            query,
            path,
            results,
        } => {
            let mut arguments = json!({"query": query});
            if let Some(path) = path {
                arguments["path"] = Value::from(path);
            }
            (
                arguments,
                results.map(|results| (results, "observation/0:results")),
            )
        }
        other => {
            *message = words(&other);
            return None;
        }
    };
    let calls = json!([{"tool_call_id": call, "function_name": name, "arguments": arguments}]);
    step.insert("tool_calls".to_owned(), calls);
    let (text, place) = answer?;
    step.insert(
        "observation".to_owned(),
        json!({"results": [{"source_call_id": call, "content": text}]}),
    );
    Some(place)
}

/// What happened, in a few words.
fn words(body: &Body) -> String {
    match body {
        Body::TestResult {
            tests_passed,
            test_command,
            summary,
            ..
        } => {
            let how = match tests_passed {
                Some(true) => "passed",
                Some(false) => "failed",
                None => "were run",
            };
            format!("Tests {how}: {test_command}\n{summary}")
        }
        Body::TerminalCommand {
            command, output, ..
        } => format!("$ {command}\n{output}"),
        Body::Commit { sha, message } => {
            format!("Commit {}: {message}", sha.as_deref().unwrap_or(""))
        }
        Body::PullRequest { url } => format!("Pull request {url}"),
        Body::ApprovalDenied { what } => format!("Not allowed: {what}"),
        Body::Rollback { reason, .. } => reason.clone().unwrap_or_else(|| "Taken back".to_owned()),
        Body::Compaction { .. } => "The agent's memory was summarised.".to_owned(),
        Body::ToolResult { content, .. } => content.clone(),
        other => other.name().to_owned(),
    }
}

/// Puts the result of a call into the call's step.
fn answer(step: &mut Value, event: Event) {
    let mut stored = stored(&event);
    let agent = agent_named(&event).map(str::to_owned);
    let Body::ToolResult { content, .. } = event.body else {
        return;
    };
    let call = event.tool_call_id.unwrap_or_default();
    let mut result = json!({"source_call_id": call, "content": content});
    if let Some(agent) = agent {
        result["subagent_trajectory_ref"] = json!([{"trajectory_id": agent}]);
    }
    step["observation"] = json!({"results": [result]});
    place(&mut stored, Some("observation/0:content"));
    if let Some(events) = step["extra"]["commontrace"]["events"].as_array_mut() {
        events.push(Value::Object(stored));
    }
}

/// An event without where it was read.
fn stored(event: &Event) -> Map<String, Value> {
    let mut stored = match serde_json::to_value(event) {
        Ok(Value::Object(stored)) => stored,
        _ => Map::new(),
    };
    for name in ["raw", "source"] {
        stored.remove(name);
    }
    if stored.get("timestamp").is_some_and(Value::is_null) {
        stored.remove("timestamp");
    }
    stored
}

/// Takes the text out of an event that stands in the step already, and says where.
fn place(stored: &mut Map<String, Value>, text_in: Option<&str>) {
    let Some(text_in) = text_in else {
        return;
    };
    if let Some((_, field)) = text_in.split_once(':')
        && let Some(Value::Object(data)) = stored.get_mut("data")
    {
        data.remove(field);
    }
    stored.insert("text_in".to_owned(), Value::from(text_in));
}

/// ATIF's names of what a message used; what was read from a cache is part of the prompt.
fn metrics(usage: &Value) -> Value {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let cached = count("cache_read_input_tokens").or_else(|| count("cached_input_tokens"));
    let beside = count("cache_read_input_tokens")
        .unwrap_or(0)
        .saturating_add(count("cache_creation_input_tokens").unwrap_or(0));
    let mut metrics = Map::new();
    let members = [
        (
            "prompt_tokens",
            count("input_tokens").map(|input| input.saturating_add(beside)),
        ),
        ("completion_tokens", count("output_tokens")),
        ("cached_tokens", cached),
    ];
    for (name, count) in members {
        if let Some(count) = count {
            metrics.insert(name.to_owned(), Value::from(count));
        }
    }
    Value::Object(metrics)
}

/// What all messages used together.
#[derive(Default)]
struct Totals {
    sums: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, event: &Event) {
        let Some(usage) = event.extra.get("usage") else {
            return;
        };
        let metrics = metrics(usage);
        for (name, total) in [
            ("prompt_tokens", "total_prompt_tokens"),
            ("completion_tokens", "total_completion_tokens"),
            ("cached_tokens", "total_cached_tokens"),
        ] {
            if let Some(count) = metrics.get(name).and_then(Value::as_u64) {
                let sum = self.sums.entry(total).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    fn metrics(&self, steps: u64) -> Value {
        let mut metrics = json!(self.sums);
        metrics["total_steps"] = Value::from(steps);
        metrics
    }
}
