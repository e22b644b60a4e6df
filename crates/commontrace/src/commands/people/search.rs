//! `commontrace search`: finds how others solved an error.

use std::process::ExitCode;

use commontrace_mcp::{Backend as _, Call};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::show::{Hit, Trace, origins, words};
use super::terminal::{Style, Terminal, harmless_json, one_line};
use super::{ask, asked, dry_run, read, with_both};
use crate::commands::{complain, say};
use crate::commons::{account, remote};
use crate::config::{Config, Environment};
use crate::failure::Failure;

/// What to search for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The error message or a question; without it, or with `-`, what standard input holds
    #[arg(value_name = "TEXT")]
    words: Vec<String>,
    /// Only traces with this tag; several times for all of several
    #[arg(short, long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Where you are, such as os=linux or language=python; traces from a like environment win near-ties
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = asked::pair)]
    context: Vec<(String, String)>,
    /// Results at most
    #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    limit: u8,
    /// Show the whole of this result instead of a list
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=50))]
    open: Option<u8>,
    /// Print the answer as JSON
    #[arg(long, conflicts_with = "open")]
    json: bool,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
struct Found {
    results: Vec<Hit>,
    #[serde(default)]
    degraded: bool,
    confidence: Option<String>,
    #[serde(default)]
    notices: Vec<String>,
}

/// Searches; exit code 1 if nothing is found.
pub async fn run(config: Config, args: Args, env: &Environment) -> Result<ExitCode, Failure> {
    let query = if args.words.is_empty() && !args.tags.is_empty() {
        String::new()
    } else {
        asked::query(&asked::text(&args.words)?, env)
    };
    if query.is_empty() && args.tags.is_empty() {
        return Err(Failure::new("there is nothing to search for: the text is empty").code(2));
    }
    let limit = args.limit.max(args.open.unwrap_or(0));
    let mut body = Map::new();
    body.insert(
        "q".to_owned(),
        if query.is_empty() {
            Value::Null
        } else {
            json!(query)
        },
    );
    body.insert("tags".to_owned(), json!(args.tags));
    body.insert("limit".to_owned(), json!(limit));
    if !args.context.is_empty() {
        body.insert(
            "context".to_owned(),
            Value::Object(asked::context(&args.context)),
        );
    }
    let mut body = Value::Object(body);
    commontrace_mcp::redact_request(&mut body);
    let call = Call::Search(body);
    let terminal = Terminal::of(env);
    with_both(config.clone(), "search", async |both| {
        if args.dry_run {
            return dry_run(&config, both, &call).await;
        }
        let answer = both.send(&call).await.map_err(account::away)?;
        let found: Found = read(&answer)?;
        let code = ExitCode::from(u8::from(found.results.is_empty()));
        if args.json {
            let whole: Value = read(&answer)?;
            say(harmless_json(&format!("{whole:#}")));
            return Ok(code);
        }
        for notice in &found.notices {
            complain(&format!("note: {}", one_line(notice)));
        }
        match args.open {
            Some(number) => {
                let hit = found.results.get(usize::from(number) - 1).ok_or_else(|| {
                    Failure::new(match found.results.len() {
                        0 => "nothing was found".to_owned(),
                        1 => "there is one result only".to_owned(),
                        count => format!("there are {count} results only"),
                    })
                    .code(1)
                })?;
                let id = hit.id.parse().map_err(|_| {
                    Failure::new("the answer holds no trace id").code(Failure::REFUSED)
                })?;
                let trace: Trace = ask(both, &Call::Trace(id)).await?;
                trace.print(&terminal, remote::now());
            }
            None => print(&found, &query, &terminal),
        }
        Ok(code)
    })
    .await
}

fn print(found: &Found, query: &str, terminal: &Terminal) {
    if found.results.is_empty() {
        complain("nothing relevant is known");
        return;
    }
    let words = words(query);
    let now = remote::now();
    for (hit, number) in found.results.iter().zip(1..) {
        if number > 1 {
            say("");
        }
        hit.print(number, &words, terminal, now);
    }
    // Whoever reads a pipe has not asked for these.
    if terminal.is_terminal {
        let weak = match found.confidence.as_deref() {
            Some("weak") => " The best may be about something else.",
            _ => "",
        };
        let words_only = if found.degraded {
            " By words alone: no embedding model is at hand."
        } else {
            ""
        };
        let told = format!(
            "{}.{weak}{words_only} `--open N` or `commontrace get ID` shows one whole.",
            origins(&found.results)
        );
        say("");
        say(terminal.styled(Style::Faint, &terminal.wrap(&told, "")));
    }
}
