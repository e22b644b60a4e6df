//! `commontrace sessions prune`: deletes sessions that nothing was added to for long, and what only they
//! needed.

use chrono::TimeDelta;
use commontrace_server::clock::Clock;

use crate::commands::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Which sessions to delete.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Days since something was last added, of all accounts' sessions
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    older_than: u32,
    /// Only say how many there are
    #[arg(long)]
    dry_run: bool,
}

/// Deletes, and says how many.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let now = Clock::System.now();
    let before = now - TimeDelta::days(args.older_than.into());
    if args.dry_run {
        let idle = store.idle_sessions(before).await?;
        say(format_args!("{idle} sessions would be deleted"));
    } else {
        let deleted = store.delete_idle_sessions(before, now).await?;
        store.remove_deleted_sessions().await?;
        say(format_args!("{deleted} sessions deleted"));
    }
    store.close().await;
    Ok(())
}
