//! `commontrace sessions list`.

use commontrace_store::SessionFilter;

use super::Owner;
use crate::commands::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Which sessions to list.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    owner: Owner,
    /// Only those that this tool recorded, such as claude-code
    #[arg(long)]
    format: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// Lists one session a line: id, beginning, events, tool, repository.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let filter = SessionFilter {
        format: args.format,
        ..SessionFilter::default()
    };
    for session in store.list_sessions(user, &filter, None, args.limit).await? {
        say(format_args!(
            "{}  {}  {:>6} events  {}  {}",
            session.id,
            session.start_time.format("%Y-%m-%d %H:%M"),
            session.last_seq,
            session.format.as_deref().unwrap_or("posted"),
            session.repo_name,
        ));
    }
    store.close().await;
    Ok(())
}
