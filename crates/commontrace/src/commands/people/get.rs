//! `commontrace get`: shows a trace whole.

use std::process::ExitCode;

use commontrace_mcp::Call;
use serde_json::Value;
use uuid::Uuid;

use super::show::Trace;
use super::terminal::{self, Terminal};
use super::{ask, with_both};
use crate::commands::admin::id;
use crate::commands::say;
use crate::commons::remote;
use crate::config::{Config, Environment};
use crate::failure::Failure;

/// Which trace.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The trace's id, as `search` shows it
    #[arg(value_parser = id::<Uuid>)]
    id: Uuid,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows it; exit code 1 if there is none.
pub async fn run(config: Config, args: Args, env: &Environment) -> Result<ExitCode, Failure> {
    let terminal = Terminal::of(env);
    with_both(config, "get", async |both| {
        let call = Call::Trace(args.id);
        if args.json {
            let trace: Value = ask(both, &call).await?;
            say(terminal::harmless_json(&format!("{trace:#}")));
        } else {
            let trace: Trace = ask(both, &call).await?;
            trace.print(&terminal, remote::now());
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}
