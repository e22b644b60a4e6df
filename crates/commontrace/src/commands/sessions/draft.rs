//! `commontrace sessions draft`: what a session would be as a trace of the commons.

use commontrace_api::sessions::TraceDraft;
use commontrace_server::sessions::distil;

use super::{Owner, events};
use crate::commands::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Which session, and how to show it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session's id, as `sessions list` shows it
    id: String,
    /// Print the JSON that POST /api/v1/traces takes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    owner: Owner,
}

/// Prints the draft. Nothing is published.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let row = events::find(&store, user, &args.id).await?;
    let draft = distil::of(&store, row).await.map_err(events::failure)?;
    store.close().await;
    if args.json {
        let text = serde_json::to_string_pretty(&draft);
        say(text.map_err(|err| Failure::new(format!("the draft is no JSON: {err}")))?);
    } else {
        say(readable(&draft));
    }
    Ok(())
}

fn readable(draft: &TraceDraft) -> String {
    let evidence = draft.evidence.as_ref().map_or_else(
        || "None: `commontrace sessions finalize` runs the tests.".to_owned(),
        |found| {
            let stale = if found.stale {
                " Events were added since."
            } else {
                ""
            };
            format!("{}{stale}", found.evidence.summary)
        },
    );
    format!(
        "# {}\n\n## Problem\n\n{}\n\n## Solution\n\n{}\n\n## Evidence\n\n{evidence}\n\nTags: {}",
        draft.title,
        draft.context_text,
        draft.solution_text,
        draft.tags.join(", ")
    )
}
