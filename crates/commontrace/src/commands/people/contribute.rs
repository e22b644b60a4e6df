//! `commontrace contribute`: publishes a solved problem, once its author has seen the text and agreed; or keeps
//! it on this machine.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use commontrace_api::traces::ContributeTrace;
use commontrace_core::husk::husk;
use commontrace_core::text::clean;
use commontrace_mcp::{Backend as _, Call};
use commontrace_redact::Summary;
use commontrace_server::sessions::distil;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::consent::{self, Written};
use super::template::Form;
use super::terminal::{Style, Terminal, one_line};
use super::{asked, dry_run, read, with_both};
use crate::commands::sessions::events;
use crate::commands::{read_text, say};
use crate::commons::{Both, account};
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::{local_user, start};

/// Longest text that is read.
const LONGEST: usize = 1 << 20;

/// What to contribute, and to whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A filled form, or JSON as POST /api/v1/traces takes it; `-` is standard input. Without it your editor opens
    /// the form
    file: Option<PathBuf>,
    /// Begin with the draft of this recorded session, as `sessions list` shows its id
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    session: Option<String>,
    /// Add this tag
    #[arg(short, long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Where it happened, such as os=linux or language=python
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = asked::pair)]
    context: Vec<(String, String)>,
    /// Keep it on this machine: it is never sent anywhere
    #[arg(long)]
    private: bool,
    /// Agree without being asked; only where the settings say publish = "always"
    #[arg(short, long)]
    yes: bool,
    /// Show the text as it would be published, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the empty form
    #[arg(long, exclusive = true)]
    template: bool,
}

#[derive(Debug, Deserialize)]
struct Contributed {
    #[serde(default)]
    id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    dropped_tags: Vec<String>,
}

/// Contributes.
pub async fn run(config: Config, args: Args, env: &Environment) -> Result<ExitCode, Failure> {
    if args.template {
        say(Form::default().to_text().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let shared = config.remote.api_base_url.is_some() && !args.private;
    if shared && !args.dry_run {
        consent::allowed(&config, args.yes)?;
    }
    let (mut body, written) = source(&config, &args, env).await?;
    let done = async {
        complete(&mut body, &args);
        let replaced = commontrace_mcp::redact_request(&mut body);
        check(&body)?;
        publish(&config, &args, body, &replaced, &Terminal::of(env), shared).await
    };
    let done = done.await;
    match (done, written) {
        (Ok(code), Some(written)) => {
            written.done();
            Ok(code)
        }
        (Err(failure), Some(written)) => Err(written.kept(failure, "contribute")),
        (done, None) => done,
    }
}

/// Reads what to contribute, from a file, standard input, or the editor.
async fn source(
    config: &Config,
    args: &Args,
    env: &Environment,
) -> Result<(Value, Option<Written>), Failure> {
    let is_piped = !std::io::stdin().is_terminal();
    let file = args
        .file
        .clone()
        .or_else(|| (is_piped && args.session.is_none()).then(|| "-".into()));
    if let Some(file) = file {
        let (name, text) = read_text(&file, LONGEST).map_err(|failure| failure.code(2))?;
        return Ok((parsed(&text, &name)?, None));
    }
    let (form, rest) = match &args.session {
        Some(id) => draft(config, id).await?,
        None => (Form::default(), Map::new()),
    };
    if is_piped {
        return Ok((body(&form, rest), None));
    }
    let written = consent::edit(config, env, &form.to_text())?;
    let form = Form::parse(&written.text)
        .map_err(|why| written.kept(Failure::new(why).code(2), "contribute"))?;
    if form.is_empty() {
        written.done();
        return Err(
            Failure::new("nothing was written, so nothing is contributed").code(Failure::HELD_BACK),
        );
    }
    Ok((body(&form, rest), Some(written)))
}

fn parsed(text: &str, name: &str) -> Result<Value, Failure> {
    let wrong = |why: &str| Failure::new(format!("{name}: {why}")).code(2);
    if text.trim_start().starts_with('{') {
        let read: Map<String, Value> =
            serde_json::from_str(text).map_err(|err| wrong(&format!("no JSON object: {err}")))?;
        return Ok(Value::Object(read));
    }
    let form = Form::parse(text).map_err(wrong)?;
    if form.is_empty() {
        return Err(
            wrong("it is empty").hint("`commontrace contribute --template` prints the form")
        );
    }
    Ok(body(&form, Map::new()))
}

fn body(form: &Form, mut rest: Map<String, Value>) -> Value {
    rest.insert("title".to_owned(), json!(form.title));
    rest.insert("context_text".to_owned(), json!(form.problem));
    rest.insert("solution_text".to_owned(), json!(form.solution));
    rest.insert("tags".to_owned(), json!(form.tags));
    Value::Object(rest)
}

/// Drafts a trace of a session in this machine's store. Its verdict is there and goes nowhere else.
async fn draft(config: &Config, id: &str) -> Result<(Form, Map<String, Value>), Failure> {
    let store = start::store(config).await?;
    local_user::ensure(&store).await?;
    let row = events::find(&store, local_user::ID, id).await?;
    let draft = distil::of(&store, row).await.map_err(events::failure)?;
    store.close().await;
    let mut rest = Map::new();
    if !draft.context.is_empty() {
        rest.insert("context".to_owned(), Value::Object(draft.context));
    }
    rest.extend(
        draft
            .agent_model
            .map(|model| ("agent_model".to_owned(), json!(model))),
    );
    let form = Form {
        title: draft.title,
        tags: draft.tags,
        problem: draft.context_text,
        solution: draft.solution_text,
    };
    Ok((form, rest))
}

/// Adds what was given as flags.
fn complete(body: &mut Value, args: &Args) {
    if !args.tags.is_empty() {
        let mut tags = body["tags"].as_array().cloned().unwrap_or_default();
        tags.extend(args.tags.iter().map(|tag| json!(tag)));
        body["tags"] = Value::Array(tags);
    }
    if !args.context.is_empty() {
        let mut context = body["context"].as_object().cloned().unwrap_or_default();
        context.extend(asked::context(&args.context));
        body["context"] = Value::Object(context);
    }
}

/// Finds what a server would refuse, before anybody is asked and before it waits in vain.
fn check(body: &Value) -> Result<(), Failure> {
    let wrong = |why: String| Failure::new(why).code(2);
    let read: Result<ContributeTrace, _> = serde_path_to_error::deserialize(body);
    read.map_err(|err| wrong(err.to_string()))?;
    let text = |name: &str| body[name].as_str().unwrap_or("");
    match husk(text("title"), text("context_text"), text("solution_text")) {
        None => Ok(()),
        Some(husk) => {
            let part = match husk.field() {
                "title" => "the title",
                "context_text" => "the problem",
                _ => "the solution",
            };
            Err(wrong(format!("{part} {husk}")))
        }
    }
}

async fn publish(
    config: &Config,
    args: &Args,
    body: Value,
    replaced: &Summary,
    terminal: &Terminal,
    shared: bool,
) -> Result<ExitCode, Failure> {
    if args.dry_run || shared {
        show(&body, replaced, terminal);
    }
    let call = Call::Contribute(body);
    let both = Both::new(config.clone(), "contribute")?;
    if args.dry_run {
        return match args.private {
            true => {
                say("\nIt would be kept on this machine. Nothing was sent.");
                Ok(ExitCode::SUCCESS)
            }
            false => dry_run(config, &both, &call).await,
        };
    }
    if shared && !args.yes {
        let host = both
            .remote()
            .map(crate::commons::remote::Remote::origin)
            .unwrap_or_default();
        consent::agreed(&format!(
            "Publish this on {host}, for everybody there to read?"
        ))?;
    }
    drop(both);
    with_both(config.clone(), "contribute", async |both| {
        let answer = if shared {
            both.send(&call).await
        } else {
            both.local().send(&call).await
        };
        let done: Contributed = read(&answer.map_err(account::away)?)?;
        match (done.id.as_str(), shared) {
            ("", _) => say(clean(&done.message)),
            (id, true) => say(format_args!("published: {}", one_line(id))),
            (id, false) => say(format_args!("kept on this machine: {}", one_line(id))),
        }
        if !done.dropped_tags.is_empty() {
            say(format_args!(
                "left out, as no tags: {}",
                one_line(&done.dropped_tags.join(", "))
            ));
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Shows every part of the text as it will be published.
fn show(body: &Value, replaced: &Summary, terminal: &Terminal) {
    let part = |name: &str| terminal.styled(Style::Strong, name);
    let text = |value: &Value| clean(value.as_str().unwrap_or("")).into_owned();
    let tags: Vec<String> = body["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    say(format_args!("{} {}", part("Title:"), text(&body["title"])));
    say(format_args!("{} {}", part("Tags:"), tags.join(", ")));
    for (name, value) in body.as_object().into_iter().flatten() {
        if !["title", "tags", "context_text", "solution_text"].contains(&name.as_str()) {
            say(format_args!("{} {value}", part(&format!("{name}:"))));
        }
    }
    for (name, field) in [("Problem:", "context_text"), ("Solution:", "solution_text")] {
        say(format_args!("\n{}\n{}", part(name), text(&body[field])));
    }
    if replaced.total() > 0 {
        let rules: Vec<String> = replaced
            .rules()
            .map(|rule| format!("{} {}", rule.count, rule.rule))
            .collect();
        say(format_args!("\nReplaced by marks: {}.", rules.join(", ")));
    }
    say("");
}
