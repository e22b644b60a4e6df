//! Whether the hosts of agents that are set up would start this program.

use super::Finding::{self, Fine, Wrong};
use crate::commands::setup;
use crate::config::Environment;

/// Starts what they would start; nothing to say if none is set up.
pub(super) async fn hosts(env: &Environment) -> Option<Finding> {
    let (works, wrong) = setup::look(env).await?;
    Some(if wrong.is_empty() {
        Fine(format!("{} would start this program", works.join(", ")))
    } else {
        let wrong = wrong.join("; ");
        Wrong(format!(
            "{wrong}; `commontrace setup all` mends what it can"
        ))
    })
}
