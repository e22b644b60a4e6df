//! Tells whether a document is valid ATIF, and where it is not.

mod content;
mod members;

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use members::{AGENT, AGENT_ONLY, CALL, FINAL, METRICS, Members, REF, RESULT, STEP, TRAJECTORY};

/// One rule that a document breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where: `steps[3].observation.results[0].source_call_id`.
    pub path: String,
    /// What has to hold there.
    pub rule: String,
    /// The version whose rules were applied, such as `1.7`.
    pub version: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (ATIF {})", self.path, self.rule, self.version)
    }
}

/// At most this many violations are told.
const MOST: usize = 1000;

/// Sub-agents may be embedded this deep.
const DEEPEST: usize = 16;

/// The rules that a document breaks; none if it is valid. The rules are those of the version that the
/// document names, and of the newest if it names none that is known.
pub fn validate_atif(document: &Value) -> Vec<Violation> {
    let named = document
        .get("schema_version")
        .and_then(Value::as_str)
        .and_then(|version| version.strip_prefix("ATIF-v1."))
        .and_then(|minor| minor.parse().ok())
        .filter(|minor| *minor <= 7);
    let mut check = Check {
        minor: named.unwrap_or(7),
        found: Vec::new(),
    };
    check.trajectory(document, "", 0);
    check.found
}

struct Check {
    minor: u32,
    found: Vec<Violation>,
}

impl Check {
    fn broken(&mut self, path: &str, rule: impl Into<String>) {
        if self.found.len() < MOST {
            self.found.push(Violation {
                path: if path.is_empty() { "$" } else { path }.to_owned(),
                rule: rule.into(),
                version: format!("1.{}", self.minor),
            });
        }
    }

    /// The members of an object that has no others than these.
    fn object<'v>(
        &mut self,
        value: &'v Value,
        path: &str,
        members: Members,
    ) -> Option<&'v Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.broken(path, "must be an object");
            return None;
        };
        for name in object.keys() {
            match members.iter().find(|(known, _)| known == name) {
                None => self.broken(&at(path, name), "is no member that this object has"),
                Some((_, since)) if *since > self.minor => {
                    self.broken(
                        &at(path, name),
                        format!("is there since version 1.{since} only"),
                    );
                }
                Some(_) => {}
            }
        }
        if let Some(extra) = object.get("extra").filter(|extra| !extra.is_null())
            && !extra.is_object()
        {
            self.broken(&at(path, "extra"), "must be an object");
        }
        Some(object)
    }

    fn text<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        path: &str,
        name: &str,
        required: bool,
    ) -> Option<&'v str> {
        match object.get(name) {
            None | Some(Value::Null) => {
                if required {
                    self.broken(&at(path, name), "is required");
                }
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.broken(&at(path, name), "must be a string");
                None
            }
        }
    }

    /// The items of a list, if it is there.
    fn list<'v>(&mut self, object: &'v Map<String, Value>, path: &str, name: &str) -> &'v [Value] {
        match object.get(name) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.broken(&at(path, name), "must be a list");
                &[]
            }
        }
    }

    fn count(&mut self, object: &Map<String, Value>, path: &str, name: &str) {
        let value = object.get(name).filter(|value| !value.is_null());
        if value.is_some_and(|value| !value.is_u64()) {
            self.broken(
                &at(path, name),
                "must be a whole number that is not negative",
            );
        }
    }

    fn trajectory(&mut self, value: &Value, path: &str, depth: usize) {
        if depth > DEEPEST {
            self.broken(path, format!("is embedded more than {DEEPEST} deep"));
            return;
        }
        let Some(object) = self.object(value, path, TRAJECTORY) else {
            return;
        };
        if let Some(version) = self.text(object, path, "schema_version", true) {
            let known = (0..=7).any(|minor| version == format!("ATIF-v1.{minor}"));
            if !known {
                self.broken(
                    &at(path, "schema_version"),
                    "must be one of ATIF-v1.0 to ATIF-v1.7",
                );
            }
        }
        let before_7 = self.minor < 7;
        self.text(object, path, "session_id", before_7);
        self.text(object, path, "trajectory_id", depth > 0);
        self.text(object, path, "notes", false);
        self.text(object, path, "continued_trajectory_ref", false);
        self.agent(object, path);
        let mut embedded = HashSet::new();
        let agents = self.list(object, path, "subagent_trajectories");
        for (number, agent) in agents.iter().enumerate() {
            let path = format!("{}[{number}]", at(path, "subagent_trajectories"));
            if let Some(id) = agent.get("trajectory_id").and_then(Value::as_str)
                && !embedded.insert(id.to_owned())
            {
                self.broken(
                    &at(&path, "trajectory_id"),
                    "must be unique among the embedded trajectories",
                );
            }
            self.trajectory(agent, &path, depth + 1);
        }
        match object.get("steps") {
            Some(Value::Array(steps)) if !steps.is_empty() => {
                for (number, step) in steps.iter().enumerate() {
                    let path = format!("{}[{number}]", at(path, "steps"));
                    self.step(step, &path, number, &embedded);
                }
            }
            _ => self.broken(&at(path, "steps"), "must be a list with at least one step"),
        }
        if let Some(metrics) = object
            .get("final_metrics")
            .filter(|metrics| !metrics.is_null())
        {
            let path = at(path, "final_metrics");
            if let Some(metrics) = self.object(metrics, &path, FINAL) {
                for name in [
                    "total_prompt_tokens",
                    "total_completion_tokens",
                    "total_cached_tokens",
                    "total_steps",
                ] {
                    self.count(metrics, &path, name);
                }
            }
        }
    }

    fn agent(&mut self, object: &Map<String, Value>, path: &str) {
        let path = at(path, "agent");
        let Some(agent) = object.get("agent") else {
            self.broken(&path, "is required");
            return;
        };
        if let Some(agent) = self.object(agent, &path, AGENT) {
            self.text(agent, &path, "name", true);
            self.text(agent, &path, "version", true);
            self.text(agent, &path, "model_name", false);
            self.list(agent, &path, "tool_definitions");
        }
    }

    fn step(&mut self, value: &Value, path: &str, number: usize, embedded: &HashSet<String>) {
        let Some(step) = self.object(value, path, STEP) else {
            return;
        };
        if step.get("step_id").and_then(Value::as_u64) != Some(number as u64 + 1) {
            self.broken(
                &at(path, "step_id"),
                format!("must be {}: steps are numbered without gaps", number + 1),
            );
        }
        let source = self.text(step, path, "source", true).unwrap_or("agent");
        if !matches!(source, "system" | "user" | "agent") {
            self.broken(&at(path, "source"), "must be system, user or agent");
        }
        match step.get("message") {
            None => self.broken(&at(path, "message"), "is required"),
            Some(message) => self.content(message, &at(path, "message")),
        }
        if let Some(time) = self.text(step, path, "timestamp", false)
            && crate::import::parse_time(time).is_none()
        {
            self.broken(&at(path, "timestamp"), "must be a time by ISO 8601");
        }
        let present = |name: &str| step.get(name).is_some_and(|value| !value.is_null());
        if source != "agent" {
            for name in AGENT_ONLY.iter().filter(|name| present(name)) {
                self.broken(&at(path, name), "is for steps of the agent only");
            }
            let system_may = source == "system" && self.minor >= 2;
            if present("observation") && !system_may {
                self.broken(
                    &at(path, "observation"),
                    "is for steps of the agent, and of the system since version 1.2",
                );
            }
        }
        if step
            .get("is_copied_context")
            .is_some_and(|value| !value.is_null() && !value.is_boolean())
        {
            self.broken(&at(path, "is_copied_context"), "must be true or false");
        }
        self.count(step, path, "llm_call_count");
        if step.get("llm_call_count").and_then(Value::as_u64) == Some(0) {
            for name in ["metrics", "reasoning_content"]
                .into_iter()
                .filter(|name| present(name))
            {
                self.broken(&at(path, name), "cannot be where llm_call_count is 0");
            }
        }
        if let Some(metrics) = step.get("metrics").filter(|metrics| !metrics.is_null()) {
            let path = at(path, "metrics");
            if let Some(metrics) = self.object(metrics, &path, METRICS) {
                for name in ["prompt_tokens", "completion_tokens", "cached_tokens"] {
                    self.count(metrics, &path, name);
                }
            }
        }
        let calls = self.calls(step, path);
        self.observation(step, path, &calls, embedded);
    }

    /// The ids of a step's calls.
    fn calls(&mut self, step: &Map<String, Value>, path: &str) -> HashSet<String> {
        let mut ids = HashSet::new();
        for (number, call) in self.list(step, path, "tool_calls").iter().enumerate() {
            let path = format!("{}[{number}]", at(path, "tool_calls"));
            let Some(call) = self.object(call, &path, CALL) else {
                continue;
            };
            if let Some(id) = self.text(call, &path, "tool_call_id", true) {
                ids.insert(id.to_owned());
            }
            self.text(call, &path, "function_name", true);
            if !call.get("arguments").is_some_and(Value::is_object) {
                self.broken(&at(&path, "arguments"), "must be an object");
            }
        }
        ids
    }

    fn observation(
        &mut self,
        step: &Map<String, Value>,
        path: &str,
        calls: &HashSet<String>,
        embedded: &HashSet<String>,
    ) {
        let Some(observation) = step.get("observation").filter(|value| !value.is_null()) else {
            return;
        };
        let path = at(path, "observation");
        let Some(observation) = self.object(observation, &path, &[("results", 0)]) else {
            return;
        };
        if !observation.contains_key("results") {
            self.broken(&at(&path, "results"), "is required");
        }
        for (number, result) in self.list(observation, &path, "results").iter().enumerate() {
            let path = format!("{}[{number}]", at(&path, "results"));
            let Some(result) = self.object(result, &path, RESULT) else {
                continue;
            };
            if let Some(call) = self.text(result, &path, "source_call_id", false)
                && !calls.contains(call)
            {
                self.broken(
                    &at(&path, "source_call_id"),
                    "must be the tool_call_id of a call of the same step",
                );
            }
            if let Some(content) = result.get("content").filter(|content| !content.is_null()) {
                self.content(content, &at(&path, "content"));
            }
            for (number, agent) in self
                .list(result, &path, "subagent_trajectory_ref")
                .iter()
                .enumerate()
            {
                let path = format!("{}[{number}]", at(&path, "subagent_trajectory_ref"));
                self.agent_ref(agent, &path, embedded);
            }
        }
    }

    fn agent_ref(&mut self, value: &Value, path: &str, embedded: &HashSet<String>) {
        let Some(agent) = self.object(value, path, REF) else {
            return;
        };
        let file = self.text(agent, path, "trajectory_path", false);
        if self.minor < 7 {
            self.text(agent, path, "session_id", true);
            return;
        }
        let id = self.text(agent, path, "trajectory_id", false);
        match (id, file) {
            (None, None) => self.broken(path, "must have a trajectory_id or a trajectory_path"),
            (Some(id), None) if !embedded.contains(id) => {
                self.broken(
                    &at(path, "trajectory_id"),
                    "must be that of an embedded trajectory",
                );
            }
            _ => {}
        }
    }
}

fn at(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
