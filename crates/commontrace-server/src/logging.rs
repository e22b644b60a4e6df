//! Log lines on standard error: stdout belongs to what a command answers.

mod hasty;

use std::io;
use std::panic;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, error};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use self::hasty::Hasty;
use crate::telemetry;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What is done about lines for which nobody makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// They are waited for, so that none is lost.
    Wait,
    /// They are left out, because whoever started the program may never read them.
    LeaveOut,
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

/// The protocol of agents remarks on each of their requests three times, as information. A filter that names
/// it has its way.
const NO_PROTOCOL: &str = "rmcp=warn";

/// What else listens to spans and events, whatever the filter of the log.
pub type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets up logging for the process. `filter` is as `info` or `info,sqlx=warn`; `colour` only
/// matters to the pretty format.
pub fn init(
    format: Format,
    filter: &str,
    colour: bool,
    when_full: WhenFull,
    listeners: Vec<Listener>,
) -> Result<(), LoggingError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let filter = AskedEachTime(filter);
    let writer = match when_full {
        WhenFull::Wait => BoxMakeWriter::new(io::stderr),
        WhenFull::LeaveOut => BoxMakeWriter::new(|| Hasty(io::stderr())),
    };
    let lines = fmt::layer()
        .with_writer(writer)
        // It would be told on standard error too, where nobody listens, and end in a panic.
        .log_internal_errors(false);
    let lines: Listener = match format {
        Format::Pretty => lines.with_ansi(colour).with_filter(filter).boxed(),
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_span_list(false);
            lines.with_filter(filter).boxed()
        }
    };
    let layers: Vec<Listener> = [lines].into_iter().chain(listeners).collect();
    let started = Registry::default().with(layers).try_init();
    started.map_err(|_| LoggingError::Twice)?;
    let replace: Replace = Box::new(move |filter| handle.reload(filter));
    // Only whoever has set up logging comes here.
    let _ = REPLACE.set(replace);
    log_panics();
    Ok(())
}

/// A filter that is asked about every event, and not once for each line of code that makes some.
///
/// Where an event may skip it, `tracing-subscriber` remembers the answer to the question before, and
/// drops the event if that was no, as after `tracing::enabled!` in the driver of PostgreSQL.
struct AskedEachTime<F>(F);

impl<S, F: Filter<S>> Filter<S> for AskedEachTime<F> {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = self.0.callsite_enabled(metadata);
        if interest.is_always() {
            Interest::sometimes()
        } else {
            interest
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.0.enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
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
        .parse(format!("{NO_PROTOCOL},{filter}"))
        .map_err(|err| LoggingError::Filter(filter.into(), err))?;
    let directive = |text: &str| text.parse().expect("it is a directive");
    Ok(parsed
        .add_directive(directive(NO_NOTICES))
        .add_directive(directive(&format!("{}=off", telemetry::TARGET))))
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::callsite::{Callsite, Identifier};
    use tracing::field::FieldSet;
    use tracing::metadata::{Kind, Level};

    use super::*;

    /// What a library asks about before it makes an event.
    static ASKED: Metadata<'static> = Metadata::new(
        "asked",
        "a_library",
        Level::DEBUG,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&Asked)),
        Kind::EVENT,
    );

    struct Asked;

    impl Callsite for Asked {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &ASKED
        }
    }

    /// Counts the events that reach it.
    #[derive(Clone, Default)]
    struct Count(Arc<AtomicUsize>);

    impl Layer<Registry> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, Registry>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_line_is_written_whatever_was_asked_of_the_filter_before() {
        let count = Count::default();
        let (filter, _handle) = reload::Layer::new(parse("info").unwrap());
        let layers: Vec<Listener> = vec![count.clone().with_filter(AskedEachTime(filter)).boxed()];
        let subscriber = Registry::default().with(layers);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..2 {
                tracing::info!("a line");
                tracing::dispatcher::get_default(|dispatch| dispatch.enabled(&ASKED));
            }
            tracing::info!("the last line");
        });
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_filter_that_is_none_is_named() {
        let err = init(
            Format::Pretty,
            "info,=nonsense=",
            false,
            WhenFull::Wait,
            Vec::new(),
        )
        .unwrap_err();
        assert!(
            err.to_string()
                .starts_with("the log filter `info,=nonsense=` is not valid")
        );
    }
}
