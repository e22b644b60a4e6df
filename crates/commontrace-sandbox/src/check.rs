//! Finds out which isolation works here, by using it.

use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::outcome::{Backend, Outcome};
use crate::spec::{Launcher, Spec, TreeMode, Wanted};
use crate::{Error, run};

/// What one backend can do here.
#[derive(Debug)]
pub struct Finding {
    /// The backend.
    pub backend: Backend,
    /// What came of running `true` in it, or why that was not possible.
    pub result: Result<Outcome, Error>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(outcome) => {
                let by = outcome.isolation.enforcement;
                write!(f, "{}; memory by {}", outcome.isolation, by.memory)?;
                write!(
                    f,
                    ", processes by {}, processor time by {}",
                    by.processes, by.cpu
                )?;
                write!(f, ", disk by {}; {:.1?}", by.disk, outcome.usage.wall)
            }
            Err(err) => write!(f, "{}: does not work: {err}", self.backend),
        }
    }
}

/// Tries the embedded backend and bubblewrap with a command that does nothing. The first that works
/// is what [`Wanted::Auto`] uses.
pub async fn check(launcher: &Launcher) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (backend, isolation) in [
        (Backend::Embedded, Wanted::Embedded),
        (Backend::Bubblewrap, Wanted::Bubblewrap),
    ] {
        let mut spec = Spec::new(["true"], "/usr".into());
        spec.tree_mode = TreeMode::ReadOnly;
        spec.isolation = isolation;
        let log = "/dev/null".as_ref();
        let result = run(&spec, launcher, log, &CancellationToken::new()).await;
        findings.push(Finding { backend, result });
    }
    findings
}
