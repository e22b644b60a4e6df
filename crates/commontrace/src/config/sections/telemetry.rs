//! `[telemetry]`: where the program sends what it does.

use url::Url;

use crate::config::setting::{Fallback::*, settings};
use crate::config::value::Secret;

settings! {
    /// Where the program sends what it does.
    pub struct TelemetrySettings in "telemetry" {
        /// Base address of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as
        /// http://localhost:4318; other OTEL_ variables apply as specified
        pub otel_exporter_otlp_endpoint: Option<Url> {
            env: "OTEL_EXPORTER_OTLP_ENDPOINT",
            default: Unset,
            common: false,
        }
        /// Address of a project in Sentry, https://KEY@HOST/NUMBER, that errors are reported to
        pub sentry_dsn: Option<Secret> {
            env: "SENTRY_DSN",
            default: Unset,
            common: false,
        }
    }
}

impl TelemetrySettings {
    /// Says what has no effect in this build.
    pub(crate) fn notice(&self) -> Option<String> {
        let traces = self.otel_exporter_otlp_endpoint.is_some() && !cfg!(feature = "otel");
        let errors = self.sentry_dsn.is_some() && !cfg!(feature = "sentry");
        let (name, feature) = match (traces, errors) {
            (true, true) => (
                "OTEL_EXPORTER_OTLP_ENDPOINT and SENTRY_DSN have",
                "`otel` and `sentry`",
            ),
            (true, false) => ("OTEL_EXPORTER_OTLP_ENDPOINT has", "`otel`"),
            (false, true) => ("SENTRY_DSN has", "`sentry`"),
            (false, false) => return None,
        };
        Some(format!(
            "{name} no effect: this program was built without {feature}"
        ))
    }
}
