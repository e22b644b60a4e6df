//! Spans of what the server does, and the trace that they are part of.
//!
//! They have a target of their own, [`TARGET`], so that log lines do not carry them: what they tell
//! is for a tracing system. Unless the program exports traces nobody listens to them, and making one
//! costs nothing. Without the feature `otel` a trace is only passed on.

#[cfg(feature = "otel")]
#[path = "otel.rs"]
mod listener;

use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use axum::http::{HeaderMap, HeaderName};
use commontrace_core::TraceContext;

/// The target of all spans that are made for a tracing system, in every crate.
pub const TARGET: &str = "commontrace_trace";

/// The header in which a trace context is sent.
const HEADER: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// The trace that a request or a job asks to be part of.
    static ASKED: Option<TraceContext>;
}

/// Reads the trace that a request asks to be part of. Two of them are none.
pub(crate) fn asked_by(headers: &HeaderMap) -> Option<TraceContext> {
    let mut sent = headers.get_all(HEADER).iter();
    let (Some(only), None) = (sent.next(), sent.next()) else {
        return None;
    };
    TraceContext::parse(only.to_str().ok()?)
}

/// Does some work inside `span`, as a part of the trace that `asked` says.
pub(crate) async fn part_of<T>(
    asked: Option<TraceContext>,
    span: Span,
    work: impl Future<Output = T>,
) -> T {
    ASKED.scope(asked, work.instrument(span)).await
}

/// Returns the trace and the span that this task works for, to be passed on to whoever works for it.
pub fn current() -> Option<TraceContext> {
    listener::current().or_else(|| ASKED.try_with(|asked| *asked).ok().flatten())
}

/// Returns [`current`] as the value of the header `traceparent`.
pub fn traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// Makes the span of a request, continuing the trace that it asks to be part of.
pub fn request_span(method: &str, path: &str, asked: Option<TraceContext>) -> Span {
    let span = info_span!(
        target: TARGET,
        "request",
        otel.name = format_args!("{method} {path}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = path,
        http.response.status_code = Empty,
    );
    listener::continues(&span, asked);
    span
}

/// Notes how a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// Makes the span of jobs that are done together. It continues the first of the traces that have
/// asked for them and is linked to the others.
pub fn jobs_span(kind: &str, count: usize, asked: &[TraceContext]) -> Span {
    let span = info_span!(
        target: TARGET,
        "jobs",
        otel.name = format_args!("jobs {kind}"),
        otel.kind = "consumer",
        messaging.batch.message_count = count,
    );
    listener::continues(&span, asked.first().copied());
    for other in asked.iter().skip(1) {
        listener::linked(&span, *other);
    }
    span
}

/// Makes the span of a call of the embedding model.
pub fn embedding_span(model: &str, texts: usize) -> Span {
    info_span!(
        target: TARGET,
        "embedding",
        otel.name = format_args!("embeddings {model}"),
        otel.kind = "client",
        gen_ai.operation.name = "embeddings",
        gen_ai.request.model = model,
        texts,
    )
}

/// Returns the id of the trace that a span is part of, as far as that is known.
pub fn trace_id(span: &Span, asked: Option<TraceContext>) -> Option<String> {
    let context = listener::recorded(span).or(asked)?;
    Some(context.shown_trace_id())
}

/// Without the feature nobody listens.
#[cfg(not(feature = "otel"))]
mod listener {
    use super::{Span, TraceContext};

    pub fn continues(_: &Span, _: Option<TraceContext>) {}

    pub fn linked(_: &Span, _: TraceContext) {}

    pub fn recorded(_: &Span) -> Option<TraceContext> {
        None
    }

    pub fn current() -> Option<TraceContext> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trace_context_is_taken_and_two_are_none() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(asked_by(&headers), None);
        headers.append(HEADER, sent.parse().unwrap());
        assert_eq!(asked_by(&headers), TraceContext::parse(sent));
        headers.append(HEADER, sent.parse().unwrap());
        assert_eq!(asked_by(&headers), None);
    }
}
