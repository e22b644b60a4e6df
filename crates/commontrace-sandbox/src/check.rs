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
    /// What it offers, or why it does not work.
    pub result: Result<String, Error>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(offers) => write!(f, "{}: works: {offers}", self.backend),
            Err(err) => write!(f, "{}: does not work: {err}", self.backend),
        }
    }
}

/// Tries every backend: the embedded one and bubblewrap with a command that does nothing, engines by
/// asking for their version. The first of the former two that works is what [`Wanted::Auto`] uses.
pub async fn check(launcher: &Launcher) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (backend, isolation) in [
        (Backend::Embedded, Wanted::Embedded),
        (Backend::Bubblewrap, Wanted::Bubblewrap),
    ] {
        let mut spec = Spec::new(["true"], "/usr".into());
        spec.tree_mode = TreeMode::ReadOnly;
        spec.isolation = isolation;
        let result = run(
            &spec,
            launcher,
            "/dev/null".as_ref(),
            &CancellationToken::new(),
        )
        .await;
        findings.push(Finding {
            backend,
            result: result.map(|outcome| describe(&outcome)),
        });
    }
    #[cfg(target_os = "linux")]
    for backend in [Backend::Docker, Backend::Podman] {
        findings.push(Finding {
            backend,
            result: crate::engine::version(backend).await,
        });
    }
    findings
}

fn describe(outcome: &Outcome) -> String {
    let by = outcome.isolation.enforcement;
    let layers: Vec<_> = outcome
        .isolation
        .layers
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "{}; memory is limited by {}, processes by {}, processor time by {}",
        layers.join("+"),
        by.memory,
        by.processes,
        by.cpu,
    )
}
