//! Log lines on standard error: stdout belongs to what a command answers.

use std::panic;
use std::sync::OnceLock;

use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("the log filter `{0}` is not valid: {1}")]
    Filter(String, #[source] ParseError),
    /// Something in this process logs already.
    #[error("logging is set up already")]
    Twice,
    /// The filter could not be put in the place of the one before.
    #[error("the log filter could not be replaced: {0}")]
    NotReplaced(#[source] reload::Error),
}

/// Puts another filter in the place of the one that logging was set up with.
type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

static REPLACE: OnceLock<Replace> = OnceLock::new();

/// PostgreSQL remarks that a table exists already at every start, as information.
const NO_NOTICES: &str = "sqlx::postgres::notice=warn";

/// Sets up logging for the process. `filter` is as `info` or `info,sqlx=warn`; `colour` only
/// matters to the pretty format.
pub fn init(format: Format, filter: &str, colour: bool) -> Result<(), LoggingError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(std::io::stderr)
        // It would be told on standard error too, where nobody listens, and end in a panic.
        .log_internal_errors(false);
    let replace: Replace = match format {
        Format::Pretty => {
            let builder = builder.with_ansi(colour).with_filter_reloading();
            let handle = builder.reload_handle();
            let started = builder.finish().try_init();
            started.map_err(|_| LoggingError::Twice)?;
            Box::new(move |filter| handle.reload(filter))
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_span_list(false);
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let started = builder.finish().try_init();
            started.map_err(|_| LoggingError::Twice)?;
            Box::new(move |filter| handle.reload(filter))
        }
    };
    // Only whoever has set up logging comes here.
    let _ = REPLACE.set(replace);
    log_panics();
    Ok(())
}

/// Logs by another filter from now on.
pub fn set_filter(filter: &str) -> Result<(), LoggingError> {
    let filter = parse(filter)?;
    match REPLACE.get() {
        Some(replace) => replace(filter).map_err(LoggingError::NotReplaced),
        None => Ok(()),
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|err| LoggingError::Filter(filter.into(), err))?;
    Ok(parsed.add_directive(NO_NOTICES.parse().expect("it is a directive")))
}

/// Makes a panic one line like any other, inside the span of the request that it ended.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        error!(location, "panicked at {location}: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_named() {
        let err = init(Format::Pretty, "info,=nonsense=", false).unwrap_err();
        assert!(
            err.to_string()
                .starts_with("the log filter `info,=nonsense=` is not valid")
        );
    }
}
