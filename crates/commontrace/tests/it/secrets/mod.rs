//! Two hundred secrets, planted where agents and people meet them. None of them is sent, stored or logged, nor any
//! twelve characters of one.

mod found;
mod planted;

use std::path::Path;
use std::sync::Mutex;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wiremock::matchers::{any, method, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use self::found::Pieces;
use self::planted::{Planted, planted};
use crate::mcp::agent::Agent;
use crate::place::Place;

const COUNT: usize = 200;
/// Secrets that are in an event at the same time.
const TOGETHER: usize = 10;
/// A word that is no secret, to see that something is stored and sent at all.
const CANARY: &str = "marmotburrow";

/// The key that requests are made with, which is no leak in their header.
const KEY: &str = "the-key-of-this-test";

/// Everything that programs have printed for others than the person who typed the secret.
#[derive(Debug, Default)]
struct Printed(Mutex<Vec<u8>>);

impl Printed {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }
}

/// A server that takes everything and finds nothing.
async fn recording() -> MockServer {
    let server = MockServer::start().await;
    let nothing =
        json!({ "results": [], "total": 0, "query": null, "abstained": true, "degraded": false });
    Mock::given(method("POST"))
        .and(path_regex("/search$"))
        .respond_with(ResponseTemplate::new(200).set_body_json(nothing))
        .mount(&server)
        .await;
    let id = "00000000-0000-4000-8000-000000000001";
    let taken = json!({ "id": id, "trace_id": id, "status": "pending", "message": "taken", "redactions": [] });
    Mock::given(any())
        .respond_with(ResponseTemplate::new(202).set_body_json(taken))
        .mount(&server)
        .await;
    server
}

/// Everything that a server was asked, but for the key.
async fn sent(server: &MockServer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in server.received_requests().await.unwrap() {
        bytes.extend_from_slice(request.url.as_str().as_bytes());
        for (name, value) in &request.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes.extend_from_slice(&request.body);
        bytes.push(b'\n');
    }
    bytes
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_planted_secrets_nothing_is_sent_stored_or_logged() {
    let secrets = planted(COUNT);
    assert_eq!(secrets.len(), COUNT);
    let server = recording().await;
    let connected = Place::new()
        .with("COMMONTRACE_API_BASE_URL", &server.uri())
        .with("COMMONTRACE_API_KEY", KEY);
    let alone = Place::new();
    let printed = Printed::default();
    // The hooks find a store with traces.
    for place in [&connected, &alone] {
        place.settings("[remote]\npublish = 'always'\n");
        place.run(&["import-seeds"]).await.ok();
    }

    let plant = async |place: &Place, secrets: &[Planted]| {
        for (number, together) in secrets.chunks(TOGETHER).enumerate() {
            in_a_session(place, number, together, &printed).await;
        }
        for (number, secret) in secrets.iter().enumerate() {
            across_a_cut(place, number, secret, &printed).await;
        }
        // As many as one agent's log has room for while nobody reads it.
        for together in secrets.chunks(2 * TOGETHER) {
            by_tools(place, together, &printed).await;
        }
        by_recordings(place, secrets, &printed).await;
        by_hand(place, secrets).await;
    };
    let (one, other) = secrets.split_at(COUNT / 2);
    join_all([plant(&connected, one), plant(&alone, other)]).await;

    let sent = sent(&server).await;
    assert!(has(&sent, CANARY), "nothing was sent");
    let log = std::fs::read(connected.data_dir().join("sent.jsonl")).unwrap();
    for command in ["hook", "mcp", "search", "contribute", "vote"] {
        let by = format!("\"command\":\"{command}");
        assert!(has(&log, &by), "{command} has sent nothing");
    }
    let mut pieces = Pieces::of(&secrets);
    pieces.look("what was sent", &sent);
    pieces.look("what was printed", &printed.0.lock().unwrap());
    for place in [&connected, &alone] {
        let history = std::fs::read(place.data_dir().join("history.db")).unwrap();
        assert!(has(&history, CANARY), "nothing was noted");
        assert!(place.data_dir().join("hook.log").exists());
        pieces.look_below(&place.path(""));
    }
    let found = pieces.found();
    assert!(
        found.is_empty(),
        "{} leaks:\n{}",
        found.len(),
        found[..found.len().min(40)].join("\n")
    );
}

/// Runs the hook of a host on an event, and keeps what it prints.
async fn hook(place: &Place, arguments: &[&str], event: &[u8], printed: &Printed) {
    let mut all = vec!["hook"];
    all.extend(arguments);
    let ran = place.run_with_input(&all, event).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    printed.add(&ran.stdout);
}

async fn claude(place: &Place, event: &Value, printed: &Printed) {
    hook(place, &["claude"], event.to_string().as_bytes(), printed).await;
}

/// An event of Claude Code in a project below the home.
fn event(place: &Place, session: &str, name: &str, more: Value) -> Value {
    let mut event = json!({
        "session_id": session, "cwd": place.path("project"), "permission_mode": "default",
        "transcript_path": place.path("transcript.jsonl"), "hook_event_name": name,
    });
    let (Value::Object(all), Value::Object(more)) = (&mut event, more) else {
        unreachable!("both are objects")
    };
    all.extend(more);
    event
}

fn failed(place: &Place, session: &str, call: &str, command: &str, output: &str) -> Value {
    event(
        place,
        session,
        "PostToolUseFailure",
        json!({
            "tool_name": "Bash", "tool_input": { "command": command, "description": "Run it" },
            "tool_use_id": call, "error": format!("Exit code 1\n{output}"), "is_interrupt": false,
        }),
    )
}

fn passed(place: &Place, session: &str, call: &str, command: &str, output: &str) -> Value {
    event(
        place,
        session,
        "PostToolUse",
        json!({
            "tool_name": "Bash", "tool_input": { "command": command, "description": "Run it" }, "tool_use_id": call,
            "tool_response": { "stdout": output, "stderr": output, "interrupted": false, "isImage": false },
        }),
    )
}

/// A session from its start to its end, twice, with secrets in everything that is typed, printed and changed.
async fn in_a_session(place: &Place, number: usize, secrets: &[Planted], printed: &Printed) {
    let lines = secrets
        .iter()
        .map(|secret| format!("error: {CANARY}{number} refused {}", secret.text));
    let lines = lines.collect::<Vec<_>>().join("\n");
    for (turn, secret) in [&secrets[0], &secrets[1]].into_iter().enumerate() {
        let session = format!("session-{number}-{turn}");
        let call = |name: &str| format!("toolu_{session}_{name}");
        let one_line = secret.text.replace('\n', " ");
        let command = format!("make {CANARY}{number} ARGS='{one_line}'");
        let output = format!("starting\n{lines}\nerror: {CANARY}{number} gave up at step {number}");
        let edit = |name: &str, text: &str| {
            json!({
                "tool_name": "Edit", "tool_use_id": call(name),
                "tool_input": {
                    "file_path": place.path(&format!("project/settings/{one_line}")), "old_string": text,
                    "new_string": format!("fixed\n{text}"),
                },
                "tool_response": { "filePath": "x", "originalFile": text },
            })
        };
        let events = [
            event(
                place,
                &session,
                "SessionStart",
                json!({ "source": "startup" }),
            ),
            event(
                place,
                &session,
                "UserPromptSubmit",
                json!({ "prompt": output }),
            ),
            failed(place, &session, &call("1"), &command, &output),
            failed(place, &session, &call("2"), &command, &output),
            event(place, &session, "PostToolUse", edit("3", &lines)),
            passed(
                place,
                &session,
                &call("4"),
                &format!("echo '{one_line}' > .env"),
                &lines,
            ),
            passed(place, &session, &call("5"), &command, &lines),
            event(
                place,
                &session,
                "Stop",
                json!({ "stop_hook_active": false, "last_assistant_message": lines, "background_tasks": [] }),
            ),
            event(place, &session, "SessionEnd", json!({ "reason": "other" })),
        ];
        for event in events {
            claude(place, &event, printed).await;
        }
    }
    // Other hosts' forms of the same, and events that are none.
    let session = format!("session-{number}-other");
    let codex = json!({
        "session_id": session, "turn_id": "t", "cwd": place.path("project"), "hook_event_name": "PostToolUse", "model": "m",
        "permission_mode": "default", "tool_name": "Bash", "tool_input": { "command": "make" }, "tool_use_id": "c",
        "tool_response": format!("Exit code: 2\nWall time: 1 seconds\nOutput:\n{lines}"),
    });
    hook(place, &["codex"], codex.to_string().as_bytes(), printed).await;
    let copilot = json!({
        "sessionId": session, "timestamp": 1, "cwd": place.path("project"), "toolName": "bash",
        "toolArgs": json!({ "command": format!("run {}", secrets[0].text) }).to_string(), "error": lines,
    });
    let arguments = ["copilot", "postToolUseFailure"];
    hook(place, &arguments, copilot.to_string().as_bytes(), printed).await;
    let broken = format!("{{\"hook_event_name\": \"{lines}");
    hook(place, &["claude"], broken.as_bytes(), printed).await;
    let unknown = json!({ "hook_event_name": lines, "session_id": lines, "tool_name": lines });
    claude(place, &unknown, printed).await;
}

/// One secret so that a cut goes through it.
async fn across_a_cut(place: &Place, number: usize, secret: &Planted, printed: &Printed) {
    let session = format!("cut-{number}");
    let middle = middle(secret);
    let words =
        |length: usize| "marmots like alpine meadows ".repeat(length / 28 + 1)[..length].to_owned();
    // So much text that the cut is in the middle of the secret.
    let before = |cut: usize| format!("{} ", words(cut.saturating_sub(middle + 1)));
    let one_line = secret.text.replace('\n', " ");
    match number % 8 {
        // The host has left out what is behind the middle of the secret, or before it.
        0 => {
            let (head, tail) = secret.text.split_at(middle);
            let head = format!("error: {CANARY} began\n{}{head}", lines_of(5000));
            let tail = format!("{tail}\n{}error: {CANARY} ended", lines_of(4900));
            for output in [
                format!("{head}\n\n... [5000 characters truncated] ...\n\nerror: {CANARY} ended"),
                format!("error: {CANARY} began\n\n... [5000 characters truncated] ...\n\n{tail}"),
                format!("{head}\n\n... [9 characters truncated] ...\n\n{tail}"),
                format!("{head}... [9 characters truncated] ...{tail}"),
            ] {
                let event = failed(place, &session, &call(&output), "make all", &output);
                claude(place, &event, printed).await;
            }
        }
        // More than is read of an event.
        1 => {
            let start = failed(place, &session, "c", "make all", "")
                .to_string()
                .len();
            let output = format!("{}{}\nerror: end", before((1 << 20) - start), secret.text);
            claude(
                place,
                &failed(place, &session, "c", "make all", &output),
                printed,
            )
            .await;
        }
        // More than is read of an output: its beginning, and its end.
        2 => {
            let fill = lines_of(16 * 1024);
            let cut = &fill[..fill.len() - middle];
            let output = format!(
                "{cut}{}\n{}error: {CANARY} end",
                secret.text,
                lines_of(80_000)
            );
            claude(
                place,
                &failed(place, &session, "c", "make all", &output),
                printed,
            )
            .await;
            let rest = lines_of(48 * 1024);
            let rest = &rest[..rest.len() - (secret.text.len() - middle)];
            let output = format!("error: {CANARY}\n{}{}{rest}", lines_of(80_000), secret.text);
            claude(
                place,
                &failed(place, &session, "d", "make all", &output),
                printed,
            )
            .await;
        }
        // Commands, their keys and what is shown of them.
        3 => {
            for cut in [120, 200] {
                let command = format!("make {}{one_line} {}", before(cut - 5), words(300));
                let output = format!("error: {CANARY} at {cut}");
                let first = failed(place, &session, &format!("f{cut}"), &command, &output);
                claude(place, &first, printed).await;
                let other = format!("cp {}{one_line} target", before(cut - 3));
                claude(
                    place,
                    &passed(place, &session, &format!("o{cut}"), &other, ""),
                    printed,
                )
                .await;
                let last = passed(place, &session, &format!("l{cut}"), &command, "");
                claude(place, &last, printed).await;
            }
        }
        // The line that names the problem.
        4 => {
            for cut in [160, 300, 500] {
                let output = format!("Error: {}{one_line} {}", before(cut - 7), words(400));
                let event = failed(place, &session, &format!("c{cut}"), "make all", &output);
                claude(place, &event, printed).await;
            }
        }
        // The words that are looked for.
        5 => {
            for cut in [900, 1000, 1200] {
                let mut output = String::new();
                while output.len() + 60 + middle < cut {
                    output.push_str(&format!(
                        "error: {CANARY} no. {} has failed\n",
                        output.len()
                    ));
                }
                output.push_str(&format!(
                    "error: {}",
                    before((cut - 7).saturating_sub(output.len()))
                ));
                output.push_str(&format!("{one_line}\nerror: {CANARY} end {cut}"));
                let event = failed(place, &session, &format!("c{cut}"), "make all", &output);
                claude(place, &event, printed).await;
            }
        }
        // What was changed.
        6 => {
            let open = failed(
                place,
                &session,
                "1",
                "make all",
                &format!("error: {CANARY} {number}"),
            );
            claude(place, &open, printed).await;
            let text = format!("{}{}\n{}", before(300), secret.text, words(300));
            let edit = json!({
                "tool_name": "Write", "tool_use_id": "2",
                "tool_input": { "file_path": place.path("project/a.txt"), "content": text },
                "tool_response": { "type": "create" },
            });
            claude(place, &event(place, &session, "PostToolUse", edit), printed).await;
            claude(
                place,
                &passed(place, &session, "3", "make all", ""),
                printed,
            )
            .await;
            // Told from now on where it happens again.
            let again = format!("again-{number}");
            let same = failed(
                place,
                &again,
                "4",
                "make all",
                &format!("error: {CANARY} {number}"),
            );
            claude(place, &same, printed).await;
        }
        // A line of the log.
        _ => {
            let broken = format!("{{\"hook_event_name\": {}{one_line}", before(480));
            hook(place, &["claude"], broken.as_bytes(), printed).await;
            let host = format!("{}{one_line}", before(450));
            hook(place, &[&host], b"{}", printed).await;
            hook(place, &["claude", &host], b"{}", printed).await;
        }
    }
}

/// The place in a text at which its secret is cut in two.
fn middle(secret: &Planted) -> usize {
    let start = secret.text.find(&secret.value).unwrap_or(0);
    start + secret.value.len() / 2
}

/// About so many bytes of lines that say nothing.
fn lines_of(length: usize) -> String {
    const LINE: &str = "    at marmots.meadow (alpine/meadow.js)\n";
    LINE.repeat(length.div_ceil(LINE.len()))
}

fn call(text: &str) -> String {
    format!("toolu_{}", text.len())
}

/// What an agent types into the tools.
async fn by_tools(place: &Place, secrets: &[Planted], printed: &Printed) {
    let mut agent = Agent::connect(place).await;
    let id = "00000000-0000-4000-8000-000000000001";
    for (number, secret) in secrets.iter().enumerate() {
        let text = format!("{CANARY} number {number} is refused: {}", secret.text);
        // A query is cut at 1000 characters, a title at 200.
        let cut = |at: usize| {
            let words = "marmots like meadows ".repeat(60);
            format!(
                "{} {}",
                &words[..at.saturating_sub(middle(secret) + 1)],
                secret.text
            )
        };
        let calls = [
            (
                "search_traces",
                json!({ "query": if number % 2 == 0 { text.clone() } else { cut(1000) } }),
            ),
            (
                "contribute_trace",
                json!({
                    "title": if number % 2 == 0 { format!("{CANARY} {}", secret.text) } else { cut(200) },
                    "context_text": format!("The deployment of {CANARY} number {number} stops.\n{text}"),
                    "solution_text": format!("Set it again and start anew, then it goes on:\n{}", secret.text),
                    "tags": ["deploy", &secret.text],
                }),
            ),
            (
                "vote_trace",
                json!({ "trace_id": id, "vote_type": "down", "feedback_tag": "wrong", "feedback_text": text }),
            ),
            (
                "amend_trace",
                json!({ "trace_id": id, "improved_solution": text, "explanation": secret.text }),
            ),
        ];
        // One of them each would do; a search and a contribution always.
        for (tool, arguments) in &calls[..if number % 4 == 0 { 4 } else { 2 }] {
            printed.add(&agent.call(tool, arguments.clone()).await.text);
        }
    }
    let (code, _, log) = agent.leave().await;
    assert_eq!(code, Some(0));
    printed.add(&log);
}

/// What an agent has recorded, with files that were read and outputs, imported.
async fn by_recordings(place: &Place, secrets: &[Planted], printed: &Printed) {
    let mut lines = Vec::new();
    for (number, secret) in secrets.iter().enumerate() {
        let id = format!("u{number}");
        let parent = number.checked_sub(1).map(|before| format!("u{before}"));
        let message = match number % 2 {
            0 => json!({ "role": "user", "content": format!("I pasted {}", secret.text) }),
            _ => json!({
                "role": "user",
                "content": [{
                    "type": "tool_result", "tool_use_id": format!("t{number}"),
                    "content": format!("     1\tfile of {CANARY}\n     2\t{}\n", secret.text),
                }],
            }),
        };
        lines.push(
            json!({
                "type": "user", "uuid": id, "parentUuid": parent, "cwd": "/home/ada/shop", "version": "2.0.0",
                "sessionId": "5d1a7c9e-0000-4000-8000-0000000000aa", "timestamp": "2026-01-02T12:00:00.000Z",
                "message": message,
            })
            .to_string(),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let ran = place.run(&["sessions", "import", path(&file)]).await;
    printed.add(&ran.stderr);
    printed.add(&ran.ok());
}

/// What a person types and pipes at the command line. What they see of it there is their own.
async fn by_hand(place: &Place, secrets: &[Planted]) {
    for (number, together) in secrets.chunks(TOGETHER).enumerate() {
        let lines: Vec<&str> = together.iter().map(|secret| secret.text.as_str()).collect();
        let lines = lines.join("\n");
        let first = &together[0].text;
        let output = format!("error: {CANARY} {number} is refused\n{lines}");
        place.run_with_input(&["search"], output.as_bytes()).await;
        place.run(&["search", &format!("{CANARY} {first}")]).await;
        let trace = json!({
            "title": format!("{CANARY} {number} typed {first}"), "context_text": output,
            "solution_text": format!("Take another one and put it where it belongs.\n{lines}"), "tags": [first],
        });
        let done = place
            .run_with_input(&["contribute", "--yes", "-"], trace.to_string().as_bytes())
            .await;
        done.ok();
        let id = "00000000-0000-4000-8000-000000000001";
        let note = ["vote", id, "down", "--because", "wrong", "--note", first];
        place.run(&note).await;
        place.run(&["log"]).await;
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}
