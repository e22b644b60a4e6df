//! `[log]`: what is logged and how.

use tracing_subscriber::EnvFilter;

use crate::config::setting::{Fallback::*, settings};
use crate::config::source::{Source, Values};
use crate::config::value::Value;

settings! {
    /// What is logged and how.
    pub struct LogSettings in "log" {
        /// Log at level debug instead of info; nothing else depends on it
        pub debug: bool {
            env: "DEBUG",
            default: Text("false"),
            common: false,
        }
        /// What to log, as levels by module: `info`, or `warn,commontrace_server=debug`
        pub log: LogFilter {
            env: "COMMONTRACE_LOG",
            default: From(|known| Ok(default_filter(known.text("debug")).to_owned())),
            common: true,
        }
        /// Form of a log line: pretty or json
        pub log_format: LogFormat {
            env: "COMMONTRACE_LOG_FORMAT",
            default: Text("pretty"),
            common: false,
        }
    }
}

fn default_filter(debug: &str) -> &'static str {
    if bool::parse(debug) == Some(true) {
        "debug"
    } else {
        "info"
    }
}

impl LogSettings {
    /// Says what has no effect.
    pub(crate) fn notice(&self, values: &Values) -> Option<String> {
        let overruled = self.debug && values.entry("log").source != Source::Default;
        overruled.then(|| "DEBUG has no effect: COMMONTRACE_LOG says what is logged".to_owned())
    }
}

/// Which log lines to write, in the language of `tracing_subscriber::EnvFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Builds the filter to give to the subscriber.
    pub fn to_filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.0).expect("`parse` has tried the same text")
    }
}

impl Value for LogFilter {
    const KIND: &'static str = "FILTER";
    const ACCEPTS: &'static str = "a level (error, warn, info, debug, trace, off), \
        or levels by module such as `info,commontrace_store=debug`";

    fn parse(text: &str) -> Option<Self> {
        // A single word that is no level would be taken for a module, and nothing else would be
        // logged.
        let level = |word: &str| {
            !word.is_empty()
                && word
                    .parse::<tracing_subscriber::filter::LevelFilter>()
                    .is_ok()
        };
        let sensible = text.contains(['=', '[']) || text.split(',').any(|part| level(part.trim()));
        (sensible && EnvFilter::try_new(text).is_ok()).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Value for LogFormat {
    const KIND: &'static str = "FORMAT";
    const ACCEPTS: &'static str = "pretty or json";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_must_be_able_to_log_something() {
        for text in [
            "info",
            "WARN",
            "off",
            "warn,commontrace_store=debug",
            "commontrace=trace",
        ] {
            assert!(LogFilter::parse(text).is_some(), "{text}");
        }
        for text in ["", "verbose", "info,=", "commontrace=loud"] {
            assert!(LogFilter::parse(text).is_none(), "{text}");
        }
    }
}
