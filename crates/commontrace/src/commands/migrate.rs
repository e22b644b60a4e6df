//! `commontrace migrate`: brings the schema up to date, as every start does.

use super::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Migrates and says which engine it was.
pub async fn run(config: Config) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    say(format_args!(
        "the schema is up to date ({})",
        store.engine_version().await?
    ));
    store.close().await;
    Ok(())
}
