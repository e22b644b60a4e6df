//! SWE-agent: one document with the steps, and with the conversation that they were made in.
//!
//! It has no id, no times and no exit codes. Steps carry a copy of the whole prompt, which is kept with the
//! record and never becomes events.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::{SessionKey, short_hash};
use super::json::{self, members};
use super::paths::Roots;
use super::tools::{self, Used};
use super::{Format, ImportError};
use crate::{Actor, Body, Event, diff};

members!(
    /// The document.
    Whole {
        trajectory = "trajectory",
        history = "history",
        info = "info",
        environment = "environment",
        replay = "replay_config",
    }
);

members!(
    /// A step, or an item of the conversation.
    Step {
        role = "role",
        content = "content",
        response = "response",
        thought = "thought",
        action = "action",
        observation = "observation",
        state = "state",
        took = "execution_time",
        demo = "is_demo",
        kind = "message_type",
    }
);

members!(
    /// The state of the editor after a step: an object, or in older files the text of one.
    EditorState {
        open = "open_file",
        folder = "working_dir",
    }
);

members!(
    /// How it went.
    Info {
        stats = "model_stats",
        submission = "submission",
        status = "exit_status",
        edited = "edited_files",
    }
);

members!(
    /// What it cost.
    Stats {
        sent = "tokens_sent",
        received = "tokens_received",
    }
);

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let Some(whole) = json::object::<Whole<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let history = json::items(whole.history);
    let steps = json::items(whole.trajectory);
    // A file that grows keeps its start, and another run of the same task has another first step.
    let mut words: Vec<&str> = history.iter().take(2).map(|item| item.get()).collect();
    words.extend(steps.first().map(|step| step.get()));
    words.extend(whole.environment.map(RawValue::get));
    let key = SessionKey {
        format: Format::SweAgent.name(),
        id: format!("{:032x}", short_hash(&words)).into(),
    };
    header(desk, &key, &whole);
    document.rest(desk, &key, &["trajectory", "history"])?;
    let mut memory = Editor::default();
    if steps.is_empty() {
        return conversation(document, desk, &key, &history, &mut memory);
    }
    for item in &history {
        let step: Step<'_> = json::object(Some(item)).unwrap_or_default();
        if json::text(step.role).as_deref() == Some("assistant") {
            break;
        }
        prompt(document, desk, &key, item, step)?;
    }
    for raw in steps {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        let observation = json::text(step.observation).map(|text| text.replace("\r\n", "\n"));
        document.item(desk, &key, Identity::Content, ("step", raw.get()), |desk| {
            acted(desk, &key, step, observation.as_deref(), &mut memory)
        })?;
    }
    Ok(())
}

fn header(desk: &mut Desk<'_>, key: &SessionKey, whole: &Whole<'_>) {
    let info: Info<'_> = json::object(whole.info).unwrap_or_default();
    let stats: Stats<'_> = json::object(info.stats).unwrap_or_default();
    let state = desk.state(key);
    for (kind, member) in [
        ("input_tokens", stats.sent),
        ("output_tokens", stats.received),
    ] {
        if let Some(count) = json::int(member).and_then(|count| u64::try_from(count).ok()) {
            state.usage.insert(kind, count);
        }
    }
    let model = json::text(whole.replay)
        .and_then(|replay| serde_json::from_str::<Value>(&replay).ok())
        .and_then(|replay| {
            Some(
                replay
                    .get("agent")?
                    .get("model")?
                    .get("name")?
                    .as_str()?
                    .to_owned(),
            )
        });
    if let Some(model) = model {
        state.saw_model(&model);
    }
    let extra = &mut desk.header(key).extra;
    let members = [
        ("environment", whole.environment),
        ("exit_status", info.status),
        ("submission", info.submission),
        ("model_stats", info.stats),
        ("edited_files", info.edited),
    ];
    for (name, member) in members {
        if let Some(value) = json::value(member).filter(|value| !value.is_null()) {
            extra.insert(name.to_owned(), value);
        }
    }
}

/// What stands before the first step: the rules and the task. Examples of other sessions are left out.
fn prompt(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    raw: &RawValue,
    step: Step<'_>,
) -> Result<(), ImportError> {
    if json::flag(step.demo) == Some(true)
        || json::text(step.kind).as_deref() == Some("demonstration")
    {
        desk.report
            .skip("an example that was planted in the prompt");
        return Ok(());
    }
    let actor = match json::text(step.role).as_deref() {
        Some("system") => Actor::System,
        _ => Actor::Human,
    };
    document.item(desk, key, Identity::Content, ("history", raw.get()), |_| {
        let content = content(step);
        vec![Event {
            actor,
            ..Event::new(Body::UserMessage { content })
        }]
    })
}

/// The text of an item: a text, or parts of one.
fn content(step: Step<'_>) -> String {
    members!(
        /// A part.
        Part { text = "text" }
    );
    if let Some(text) = json::text(step.content) {
        return text.into_owned();
    }
    let parts = json::objects::<Part<'_>>(step.content);
    parts
        .into_iter()
        .map(|part| json::string(part.text))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads a conversation without steps, as demonstrations are.
fn conversation(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    history: &[&RawValue],
    memory: &mut Editor,
) -> Result<(), ImportError> {
    let mut items = history.iter().peekable();
    while let Some(raw) = items.next() {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        if json::text(step.role).as_deref() != Some("assistant") {
            prompt(document, desk, key, raw, step)?;
            continue;
        }
        let answer = items.next_if(|next| {
            let next: Step<'_> = json::object(Some(next)).unwrap_or_default();
            matches!(json::text(next.role).as_deref(), Some("user" | "tool"))
        });
        let observation = answer
            .map(|raw| content(json::object(Some(raw)).unwrap_or_default()).replace("\r\n", "\n"));
        document.item(
            desk,
            key,
            Identity::Content,
            ("history", raw.get()),
            |desk| acted(desk, key, step, observation.as_deref(), memory),
        )?;
        if let Some(raw) = answer {
            document.item(desk, key, Identity::Content, ("history", raw.get()), |_| {
                Vec::new()
            })?;
        }
    }
    Ok(())
}

/// What is known of the file that is open in the editor.
#[derive(Default)]
struct Editor {
    open: Option<String>,
    /// The lines that were shown last, by number.
    shown: BTreeMap<usize, String>,
}

fn acted(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    step: Step<'_>,
    observation: Option<&str>,
    memory: &mut Editor,
) -> Vec<Event> {
    let thought =
        json::said(step.thought).map_or_else(String::new, |thought| thought.trim().to_owned());
    let action = json::string(step.action);
    let action = action.trim();
    let took = json::float(step.took).map(|seconds| (seconds.max(0.0) * 1e3).round() as u64);
    let mut events = Vec::new();
    if !thought.is_empty() {
        let mut event = Event::new(Body::ReasoningStep { content: thought });
        event.extra.insert("kind".to_owned(), Value::from("text"));
        events.push(event);
    } else if action.is_empty() {
        let content =
            json::said(step.response).map_or_else(|| content(step), std::borrow::Cow::into_owned);
        if !content.trim().is_empty() {
            events.push(Event::new(Body::ReasoningStep { content }));
        }
    }
    if let Some(folder) = memory.opened(step) {
        desk.state(key).saw_folder(&folder);
    }
    if !action.is_empty() {
        let (bodies, told) = bodies(desk, key, action, observation.unwrap_or(""), took, memory);
        for body in bodies {
            let mut event = Event::new(body);
            if !told {
                event
                    .extra
                    .insert("position".to_owned(), Value::from("unknown"));
            }
            events.push(event);
        }
    }
    memory.see(observation.unwrap_or(""));
    events
}

/// What an action is, and whether an edit's place is known.
fn bodies(
    desk: &mut Desk<'_>,
    key: &SessionKey,
    action: &str,
    observation: &str,
    took: Option<u64>,
    memory: &Editor,
) -> (Vec<Body>, bool) {
    let (first, rest) = action
        .split_once(char::is_whitespace)
        .unwrap_or((action, ""));
    let argument = rest.trim().trim_matches(['"', '\'']);
    let roots = &desk.state(key).roots;
    match first {
        "open" if !argument.is_empty() => {
            let path = argument.split_whitespace().next().unwrap_or("");
            (
                vec![Body::FileOpen {
                    file_path: roots.relative(path),
                }],
                true,
            )
        }
        "find_file" | "search_dir" | "search_file" => {
            let body = Body::Search {
                query: argument.to_owned(),
                path: None,
                results: Some(observation.to_owned()),
            };
            (vec![body], true)
        }
        "edit" => match memory.edit(rest, roots) {
            Some((path, _)) if refused(observation) => {
                let message = format!("edit {path}: {}", observation.trim());
                (vec![Body::Error { message }], true)
            }
            Some((path, diff)) => {
                let placed = diff.is_some();
                let body = Body::CodeEdit {
                    file_path: path,
                    diff: diff.unwrap_or_default(),
                    snapshot_after: None,
                };
                (vec![body], placed)
            }
            None => match memory.replacement(rest, roots) {
                Some((path, _)) if refused(observation) => {
                    let message = format!("edit {path}: {}", observation.trim());
                    (vec![Body::Error { message }], true)
                }
                Some((path, diff)) => {
                    let body = Body::CodeEdit {
                        file_path: path,
                        diff,
                        snapshot_after: None,
                    };
                    (vec![body], false)
                }
                None => (vec![tool(first, argument, observation)], true),
            },
        },
        "str_replace_editor" => {
            let arguments = editor_arguments(rest);
            let used = Used {
                name: first,
                arguments: &arguments,
                answer: Some(observation),
                duration_ms: took,
            };
            let placed = arguments.get("command").and_then(Value::as_str) != Some("str_replace");
            (tools::bodies(&used, roots), placed)
        }
        "goto" | "scroll_down" | "scroll_up" | "submit" | "exit_forfeit" => {
            (vec![tool(first, argument, observation)], true)
        }
        "create" if !argument.is_empty() => {
            let body = Body::CodeEdit {
                file_path: roots.relative(argument),
                diff: diff::between(&roots.relative(argument), None, Some("\n")),
                snapshot_after: None,
            };
            (vec![body], true)
        }
        _ => {
            let body = Body::TerminalCommand {
                command: action.to_owned(),
                exit_code: None,
                output: observation.to_owned(),
                duration_ms: took,
                cwd: None,
                ended: None,
            };
            (vec![body], true)
        }
    }
}

fn tool(name: &str, argument: &str, observation: &str) -> Body {
    Body::ToolResult {
        name: Some(format!("{name} {argument}").trim().to_owned()),
        content: observation.to_owned(),
        is_error: None,
    }
}

/// Whether the editor did not take an edit.
fn refused(observation: &str) -> bool {
    observation.contains("Your proposed edit has introduced new syntax error")
        || observation.starts_with("Usage: edit")
}

/// The quoted words at the start of a text.
fn quoted(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(quote @ ('\'' | '"')) = rest.chars().next() {
        let mut word = String::new();
        let mut chars = rest.char_indices().skip(1);
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if quote == '"' => word.extend(chars.next().map(|(_, c)| c)),
                c if c == quote => {
                    end = at + 1;
                    break;
                }
                c => word.push(c),
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words
}

/// `view PATH`, `create PATH --file_text '…'` and the like, as the tool was called on a command line.
fn editor_arguments(rest: &str) -> Value {
    let mut words = rest.trim().splitn(3, char::is_whitespace);
    let mut arguments = serde_json::Map::new();
    let mut put = |name: &str, value: &str| {
        arguments.insert(name.to_owned(), Value::from(value));
    };
    put("command", words.next().unwrap_or(""));
    put("path", words.next().unwrap_or(""));
    let mut options = words.next().unwrap_or("").trim();
    while let Some(rest) = options.strip_prefix("--") {
        let (name, after) = rest.split_once([' ', '=']).unwrap_or((rest, ""));
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('\'') {
            // Within single quotes a shell writes a quote as `'"'"'`.
            Some(quoted) => {
                let text = quoted.replace("'\"'\"'", "\u{0}");
                let (value, left) = text.split_once('\'').unwrap_or((&text, ""));
                let value = value.replace('\u{0}', "'");
                let left = left.replace('\u{0}', "'\"'\"'");
                (value, after[after.len() - left.len()..].to_owned())
            }
            None => {
                let (value, left) = after.split_once(" --").unwrap_or((after, ""));
                let left = if left.is_empty() {
                    String::new()
                } else {
                    format!("--{left}")
                };
                (value.to_owned(), left)
            }
        };
        put(name, &value);
        options = &options[options.len().saturating_sub(left.trim_start().len())..];
        if left.trim().is_empty() {
            break;
        }
    }
    Value::Object(arguments)
}

impl Editor {
    /// Notes the file that is open when a step is taken; returns the folder that the shell is in.
    fn opened(&mut self, step: Step<'_>) -> Option<String> {
        let owned = json::text(step.state);
        let state = match &owned {
            Some(text) => serde_json::from_str::<EditorState<'_>>(text).ok(),
            None => json::object(step.state),
        };
        let state = state?;
        let text = |member| json::said(member).map(std::borrow::Cow::into_owned);
        if let Some(open) = text(state.open).filter(|open| open != "n/a") {
            self.open = Some(open);
        }
        text(state.folder)
    }

    /// Notes what a step shows of a file: `[File: path (3 lines total)]` and numbered lines.
    fn see(&mut self, observation: &str) {
        let file = observation
            .lines()
            .find_map(|line| line.strip_prefix("[File: ")?.split(" (").next());
        let Some(file) = file else {
            return;
        };
        self.open = Some(file.to_owned());
        self.shown = observation
            .lines()
            .filter_map(|line| {
                let (number, text) = line.split_once(':')?;
                Some((number.parse().ok()?, text.to_owned()))
            })
            .collect();
    }

    /// What `'old' 'new'` asks to be replaced in the open file.
    fn replacement(&self, rest: &str, roots: &Roots) -> Option<(String, String)> {
        let path = &*roots.relative(self.open.as_deref()?);
        let mut words = quoted(rest).into_iter();
        let (old, new) = (words.next()?, words.next()?);
        Some((
            path.to_owned(),
            diff::between(path, Some(&tools::ended(&old)), Some(&tools::ended(&new))),
        ))
    }

    /// The file and the diff of `4:4\nnew lines\nend_of_edit`; no diff if the old lines were not shown.
    fn edit(&self, rest: &str, roots: &Roots) -> Option<(String, Option<String>)> {
        let path = roots.relative(self.open.as_deref()?);
        let (range, text) = rest.split_once('\n')?;
        let (first, last) = range.trim().split_once(':')?;
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        let text = text.trim_end().strip_suffix("end_of_edit").unwrap_or(text);
        if first == 0 || last < first || last - first > 100_000 {
            return Some((path, None));
        }
        let old: Option<Vec<String>> = (first..=last)
            .map(|line| Some(format!("{}\n", self.shown.get(&line)?)))
            .collect();
        let diff = old.map(|old| {
            let mut out = diff::header(&path, true, true);
            let new = tools::ended(text);
            let lines = old
                .iter()
                .map(|line| ('-', &**line))
                .chain(new.split_inclusive('\n').map(|line| ('+', line)));
            diff::push_hunk(&mut out, first - 1, first - 1, lines);
            out
        });
        Some((path, diff))
    }
}
