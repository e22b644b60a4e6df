//! What an agent's host meets that tells `commontrace hook` of its events.

mod asking;
mod bad_input;
mod remembering;

use serde_json::{Value, json};

use crate::place::{Place, Ran};

/// A session of Claude Code in a project below the home.
struct Session<'p> {
    place: &'p Place,
    name: &'static str,
}

impl<'p> Session<'p> {
    fn new(place: &'p Place, name: &'static str) -> Self {
        std::fs::create_dir_all(place.path("shop/.git")).unwrap();
        Self { place, name }
    }

    fn payload(&self, event: &str, more: Value) -> Value {
        let mut payload = json!({
            "session_id": self.name,
            "cwd": self.place.path("shop"),
            "permission_mode": "default",
            "hook_event_name": event,
        });
        let members = payload.as_object_mut().unwrap();
        let Value::Object(more) = more else {
            panic!("an object")
        };
        members.extend(more);
        payload
    }

    /// Tells of an event, and returns what the agent is told.
    async fn tell(&self, event: &str, more: Value) -> Option<String> {
        let payload = self.payload(event, more);
        facts(&self.hook("claude", &payload).await, event)
    }

    async fn hook(&self, host: &str, payload: &Value) -> Ran {
        let payload = payload.to_string();
        self.place
            .run_with_input(&["hook", host], payload.as_bytes())
            .await
    }

    /// A command failed and printed this.
    async fn failed(&self, command: &str, output: &str) -> Option<String> {
        let more = json!({
            "tool_name": "Bash",
            "tool_input": { "command": command },
            "error": format!("Exit code 1\n{output}"),
            "is_interrupt": false,
        });
        self.tell("PostToolUseFailure", more).await
    }

    /// A command ended well and printed this.
    async fn passed(&self, command: &str, output: &str) -> Option<String> {
        let more = json!({
            "tool_name": "Bash",
            "tool_input": { "command": command },
            "tool_response": { "stdout": output, "stderr": "", "interrupted": false, "isImage": false },
        });
        self.tell("PostToolUse", more).await
    }

    /// A file was changed.
    async fn edited(&self, path: &str, old: &str, new: &str) {
        let path = self.place.path("shop").join(path);
        let more = json!({
            "tool_name": "Edit",
            "tool_input": { "file_path": path, "old_string": old, "new_string": new },
            "tool_response": {},
        });
        assert_eq!(self.tell("PostToolUse", more).await, None);
    }

    async fn stopped(&self, more: Value) -> Option<String> {
        self.tell("Stop", more).await
    }
}

/// What the agent is told by an answer in the form of Claude Code. Nothing else may be printed.
#[track_caller]
fn facts(ran: &Ran, event: &str) -> Option<String> {
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    if ran.stdout.is_empty() {
        return None;
    }
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let inside = &answer["hookSpecificOutput"];
    assert_eq!(inside["hookEventName"], event, "{answer}");
    let facts = inside["additionalContext"]
        .as_str()
        .expect("facts")
        .to_owned();
    assert!(facts.chars().count() <= 1200, "{facts}");
    Some(facts)
}

/// The lines of the hooks' log.
fn log(place: &Place) -> String {
    std::fs::read_to_string(place.data_dir().join("hook.log")).unwrap_or_default()
}

/// A failure that a trace of [`with_trace`] solves.
const UNHASHABLE: &str = "Traceback (most recent call last):\n  File \"graph.py\", line 2, in <module>\n    seen.add([1, 2])\n\
    TypeError: unhashable type: 'list'\n";

/// Puts the trace that solves [`UNHASHABLE`] into a server's store, and others, and returns its id.
async fn with_trace(server: &crate::server::Server) -> String {
    let user = server.user().await;
    let trace = |title: &str, context: &str, solution: &str| json!({ "title": title, "context_text": context, "solution_text": solution, "tags": ["python"] });
    for (title, context, solution) in [
        (
            "Docker build cannot find a file",
            "COPY failed: file not found in build context",
            "Put it into the context and out of .dockerignore.",
        ),
        (
            "git refuses unrelated histories",
            "fatal: refusing to merge unrelated histories",
            "Pass --allow-unrelated-histories once.",
        ),
        (
            "Port is in use",
            "OSError: [Errno 98] Address already in use",
            "End the process that has it, or set SO_REUSEADDR.",
        ),
        (
            "cargo cannot borrow twice",
            "error[E0499]: cannot borrow `x` as mutable more than once at a time",
            "End the first borrow before the second.",
        ),
        (
            "npm peer dependencies",
            "npm error ERESOLVE unable to resolve dependency tree",
            "Install the version that the peer asks for.",
        ),
    ] {
        user.post("/api/v1/traces", trace(title, context, solution))
            .await
            .ok();
    }
    let wanted = trace(
        "Lists cannot be members of a set",
        "TypeError: unhashable type: 'list' when visited places are remembered in a set",
        "Add something that cannot change: `seen.add(tuple(place))`.",
    );
    let made = user.post("/api/v1/traces", wanted).await.ok();
    made["id"].as_str().expect("an id").to_owned()
}
