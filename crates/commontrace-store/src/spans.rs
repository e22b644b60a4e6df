//! Spans of statements, for whoever exports traces. They name the file that has the statement and
//! never say more of it: no text, no values.

use tracing::Span;

use crate::Engine;

/// The target of all spans that `commontrace-server` exports.
const TARGET: &str = "commontrace_trace";

/// Makes the span of one statement that reads, or of one transaction that writes. `file` is the
/// source file that has it.
///
/// There is one only as a part of something else that is exported: what the server does by itself
/// every second belongs to nobody's trace.
pub(crate) fn statement(file: &'static str, operation: &'static str, engine: Engine) -> Span {
    let around = Span::current().metadata().map(tracing::Metadata::target);
    if around != Some(TARGET) {
        return Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        "sql",
        otel.name = format_args!("{operation} {}", family(file)),
        otel.kind = "client",
        db.system.name = match engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgresql",
        },
        db.operation.name = operation,
        db.collection.name = family(file),
    )
}

/// Returns `traces/read` of `crates/commontrace-store/src/traces/read.rs`.
fn family(file: &'static str) -> &'static str {
    let inner = file.rsplit_once("src/").map_or(file, |(_, inner)| inner);
    inner.strip_suffix(".rs").unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_the_file_that_has_it() {
        assert_eq!(family(file!()), "spans");
        assert_eq!(
            family("crates/commontrace-store/src/traces/read.rs"),
            "traces/read"
        );
    }
}
