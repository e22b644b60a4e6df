//! How spans and OpenTelemetry's trace contexts belong together.

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use commontrace_core::TraceContext;

/// Lets a span that nobody has entered yet continue a trace.
pub fn continues(span: &Span, asked: Option<TraceContext>) {
    let Some(asked) = asked else { return };
    let parent = opentelemetry::Context::new().with_remote_span_context(remote(asked));
    // It fails where nobody exports spans, and then there is nothing to continue.
    let _ = span.set_parent(parent);
}

/// Links a span to another trace.
pub fn linked(span: &Span, other: TraceContext) {
    span.add_link(remote(other));
}

/// Returns the place of a span in its trace, if it is exported.
pub fn recorded(span: &Span) -> Option<TraceContext> {
    local(span.context().span().span_context())
}

/// Returns the place of the work that this thread is doing, if it is exported.
pub fn current() -> Option<TraceContext> {
    opentelemetry::Context::map_current(|context| local(context.span().span_context()))
}

fn local(found: &SpanContext) -> Option<TraceContext> {
    found.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(found.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(found.span_id().to_bytes()),
        sampled: found.is_sampled(),
    })
}

fn remote(context: TraceContext) -> SpanContext {
    let flags = if context.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    SpanContext::new(
        TraceId::from_bytes(context.trace_id.to_be_bytes()),
        SpanId::from_bytes(context.span_id.to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    )
}
