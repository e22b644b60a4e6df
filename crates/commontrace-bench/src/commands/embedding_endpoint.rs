//! `embedding-endpoint`: answers as an embedding service does, until it is interrupted.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::capacity::Source;
use crate::endpoint::Endpoint;
use crate::report::{Report, note};

/// How to answer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port of this machine to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Length of the vectors
    #[arg(long, default_value_t = 1536, value_parser = clap::value_parser!(u16).range(1..=4096))]
    dim: u16,
    /// What the vectors are made from; the same as that of the generated traces
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each answer is held back
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    delay_ms: u64,
}

/// Answers until the process is interrupted.
pub async fn run(args: &Args) -> Result<Report> {
    let source = Source::new(args.seed, args.dim.into());
    let delay = Duration::from_millis(args.delay_ms);
    let endpoint = Endpoint::start(source, delay, args.port).await?;
    let settings = endpoint.settings();
    let settings = settings.map(|(name, value)| format!("{name}={value}"));
    note(format_args!("{}", settings.join(" ")));
    endpoint.wait().await?;
    bail!("the endpoint ended by itself")
}
