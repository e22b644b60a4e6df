//! `commontrace vote` and `commontrace report`: what somebody else's trace was worth.

use std::process::ExitCode;

use clap::ValueEnum;
use commontrace_mcp::Call;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::terminal::one_line;
use super::{ask, asked, dry_run, with_both};
use crate::commands::admin::id;
use crate::commands::say;
use crate::config::Config;
use crate::failure::Failure;

/// A vote.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The trace's id
    #[arg(value_parser = id::<Uuid>)]
    id: Uuid,
    /// For or against
    vote: Vote,
    /// Why it is down; needed for a vote against
    #[arg(long, value_enum, required_if_eq("vote", "down"))]
    because: Option<Reason>,
    /// Anything else, in words
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Vote {
    Up,
    Down,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reason {
    Outdated,
    Wrong,
    SecurityConcern,
    Spam,
}

/// What came of a trace.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The trace's id; you must have read it, with `get` or `search --open`
    #[arg(value_parser = id::<Uuid>)]
    id: Uuid,
    /// What came of it
    outcome: Came,
    /// Where it was tried, such as os=linux or language=python
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = asked::pair)]
    context: Vec<(String, String)>,
    /// Anything else, such as what had to be changed
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Came {
    /// It worked as it is written
    Worked,
    /// It worked after changes
    WorkedWithChanges,
    /// It was tried and did not work
    DidNotWork,
    /// It is about another problem
    NotRelevant,
}

/// Where a trace stands now.
#[derive(Debug, Deserialize)]
struct Answer {
    standing: Standing,
    #[serde(default)]
    replaced: bool,
}

#[derive(Debug, Deserialize)]
struct Standing {
    status: String,
    up_votes: i64,
    down_votes: i64,
    #[serde(default)]
    outcomes: Outcomes,
}

#[derive(Debug, Default, Deserialize)]
struct Outcomes {
    #[serde(default)]
    worked: i64,
    #[serde(default)]
    worked_with_changes: i64,
    #[serde(default)]
    did_not_work: i64,
}

/// The name of a choice in the API.
fn name(choice: &impl ValueEnum) -> String {
    let choice = choice.to_possible_value();
    choice.map_or_else(String::new, |choice| choice.get_name().replace('-', "_"))
}

/// Votes.
pub async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let mut body = Map::new();
    body.insert("vote_type".to_owned(), json!(name(&args.vote)));
    if let Some(reason) = &args.because {
        body.insert("feedback_tag".to_owned(), json!(name(reason)));
    }
    if let Some(note) = &args.note {
        body.insert("feedback_text".to_owned(), json!(note));
    }
    let call = Call::Vote(args.id, redacted(body));
    with_both(config.clone(), "vote", async |both| {
        if args.dry_run {
            return dry_run(&config, both, &call).await;
        }
        let Answer { standing, .. } = ask(both, &call).await?;
        say(format_args!(
            "voted: it is {} with {} up, {} down",
            one_line(&standing.status),
            standing.up_votes,
            standing.down_votes
        ));
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Reports.
pub async fn report(config: Config, args: ReportArgs) -> Result<ExitCode, Failure> {
    let mut body = Map::new();
    body.insert("outcome".to_owned(), json!(name(&args.outcome)));
    if !args.context.is_empty() {
        body.insert(
            "context".to_owned(),
            Value::Object(asked::context(&args.context)),
        );
    }
    if let Some(note) = &args.note {
        body.insert("note".to_owned(), json!(note));
    }
    let call = Call::Outcome(args.id, redacted(body));
    with_both(config.clone(), "report", async |both| {
        if args.dry_run {
            return dry_run(&config, both, &call).await;
        }
        let Answer { standing, replaced } = ask(both, &call).await?;
        let Outcomes { worked, worked_with_changes, did_not_work } = standing.outcomes;
        let again = if replaced { ", in place of your earlier report" } else { "" };
        say(format_args!(
            "reported{again}: it worked for {worked}, with changes for {worked_with_changes}, not for {did_not_work}"
        ));
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn redacted(body: Map<String, Value>) -> Value {
    let mut body = Value::Object(body);
    commontrace_mcp::redact_request(&mut body);
    body
}
