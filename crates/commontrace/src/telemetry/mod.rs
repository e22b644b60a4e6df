//! Sends what the program does, and what goes wrong, to whoever was named in the settings, as far as it
//! was built to.

#[cfg(feature = "otel")]
mod otlp;
#[cfg(feature = "sentry")]
mod sentry;

use commontrace_server::logging::Listener;

use crate::config::{Environment, TelemetrySettings};
use crate::failure::Failure;

/// What is sent beside the work, until it is flushed.
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<otlp::Traces>,
    errors: Option<sentry::Errors>,
}

impl Telemetry {
    /// Starts what the settings ask for, and returns who listens to spans and events for it.
    pub fn start(
        settings: &TelemetrySettings,
        env: &Environment,
    ) -> Result<(Self, Vec<Listener>), Failure> {
        let (traces, of_traces) = otlp::start(settings, env)?.unzip();
        let (errors, of_errors) = sentry::start(settings, env)?.unzip();
        let listeners = of_traces.into_iter().chain(of_errors).collect();
        Ok((Self { traces, errors }, listeners))
    }

    /// Sends what has not been sent yet; a receiver that is away is not waited for long.
    pub fn flush(self) {
        if let Some(traces) = self.traces {
            traces.flush();
        }
        if let Some(errors) = self.errors {
            errors.flush();
        }
    }
}

/// Starts a thread to send from, so that neither who receives nor a busy server holds up the other.
#[cfg(any(feature = "otel", feature = "sentry"))]
fn background() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telemetry")
        .enable_all()
        .build()
        .map_err(|err| {
            Failure::new(format!(
                "cannot start the thread that sends telemetry: {err}"
            ))
        })
}

/// Without the feature there is nothing to start.
#[cfg(not(feature = "otel"))]
mod otlp {
    use super::{Environment, Failure, Listener, TelemetrySettings};

    #[derive(Debug)]
    pub enum Traces {}

    impl Traces {
        pub fn flush(self) {
            match self {}
        }
    }

    pub fn start(
        _: &TelemetrySettings,
        _: &Environment,
    ) -> Result<Option<(Traces, Listener)>, Failure> {
        Ok(None)
    }
}

/// Without the feature there is nothing to start.
#[cfg(not(feature = "sentry"))]
mod sentry {
    use super::{Environment, Failure, Listener, TelemetrySettings};

    #[derive(Debug)]
    pub enum Errors {}

    impl Errors {
        pub fn flush(self) {
            match self {}
        }
    }

    pub fn start(
        _: &TelemetrySettings,
        _: &Environment,
    ) -> Result<Option<(Errors, Listener)>, Failure> {
        Ok(None)
    }
}
