//! `commontrace amend`: proposes a better solution for somebody's trace.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use commontrace_core::text::clean;
use commontrace_mcp::Call;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::show::Trace;
use super::terminal::one_line;
use super::{ask, consent, dry_run, with_both};
use crate::commands::admin::id;
use crate::commands::{read_text, say};
use crate::commons::Both;
use crate::config::{Config, Environment};
use crate::failure::Failure;

/// Longest text that is read.
const LONGEST: usize = 1 << 20;

/// The trace, and what is better.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The trace's id
    #[arg(value_parser = id::<Uuid>)]
    id: Uuid,
    /// The whole solution as it should read; `-` is standard input. Without it your editor opens the present one
    file: Option<PathBuf>,
    /// What is better about it
    #[arg(short, long, value_name = "TEXT")]
    explanation: String,
    /// Agree without being asked; only where the settings say publish = "always"
    #[arg(short, long)]
    yes: bool,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
struct Amended {
    id: String,
}

/// Proposes.
pub async fn run(config: Config, args: Args, env: &Environment) -> Result<ExitCode, Failure> {
    let shared = config.remote.api_base_url.is_some();
    if shared && !args.dry_run {
        consent::allowed(&config, args.yes)?;
    }
    with_both(config.clone(), "amend", async |both| {
        let is_piped = !std::io::stdin().is_terminal();
        let file = args.file.clone().or_else(|| is_piped.then(|| "-".into()));
        let (solution, written) = match file {
            Some(file) => (
                read_text(&file, LONGEST)
                    .map_err(|failure| failure.code(2))?
                    .1,
                None,
            ),
            None => {
                let trace: Trace = ask(both, &Call::Trace(args.id)).await?;
                let written = consent::edit(&config, env, &trace.solution_text)?;
                if written.text.trim() == trace.solution_text.trim() {
                    written.done();
                    return Err(Failure::new(
                        "the solution was not changed, so nothing is proposed",
                    )
                    .code(Failure::HELD_BACK));
                }
                (written.text.clone(), Some(written))
            }
        };
        let done = propose(&config, &args, both, &solution).await;
        match (done, written) {
            (Ok(code), Some(written)) => {
                written.done();
                Ok(code)
            }
            (Err(failure), Some(written)) => {
                Err(written.kept(failure, &format!("amend --explanation TEXT {}", args.id)))
            }
            (done, None) => done,
        }
    })
    .await
}

async fn propose(
    config: &Config,
    args: &Args,
    both: &Both,
    solution: &str,
) -> Result<ExitCode, Failure> {
    if solution.trim().is_empty() {
        return Err(Failure::new("the solution is empty").code(2));
    }
    let mut body =
        json!({ "improved_solution": solution.trim_end(), "explanation": args.explanation });
    commontrace_mcp::redact_request(&mut body);
    say(format_args!(
        "Explanation: {}\n\nSolution:\n{}\n",
        shown(&body["explanation"]),
        shown(&body["improved_solution"])
    ));
    let call = Call::Amend(args.id, body);
    if args.dry_run {
        return dry_run(config, both, &call).await;
    }
    if config.remote.api_base_url.is_some() && !args.yes {
        consent::agreed(&format!(
            "Propose this for trace {}, for everybody there to read?",
            args.id
        ))?;
    }
    let done: Amended = ask(both, &call).await?;
    say(format_args!(
        "proposed: {}; the trace's contributor decides on it",
        one_line(&done.id)
    ));
    Ok(ExitCode::SUCCESS)
}

fn shown(value: &serde_json::Value) -> String {
    clean(value.as_str().unwrap_or("")).into_owned()
}
