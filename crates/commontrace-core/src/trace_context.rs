//! The W3C trace context: which trace a piece of work belongs to, across processes.

use std::fmt;

/// The place of a piece of work in a distributed trace, as the header `traceparent` has it.
///
/// `tracestate` is not kept: nothing here adds to it, and a vendor that needs it samples before us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The span that asks for the work; never zero.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads the value of a header, as <https://www.w3.org/TR/trace-context/> has it. What is none is
    /// ignored, as is asked for there.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let known = version == "00";
        // A later version may have more behind these four, this one may not.
        if known && parts.next().is_some() || version == "ff" {
            return None;
        }
        hex(version, 2)?;
        let context = Self {
            trace_id: hex(trace, 32)?,
            span_id: hex(span, 16)?.try_into().ok()?,
            sampled: hex(flags, 2)? & 1 == 1,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// Returns the trace's id as logs and tracing systems show it.
    pub fn shown_trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// Reads exactly so many lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// As the header has it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.trace_id, self.span_id, u8::from(self.sampled));
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_specifications_example_is_read() {
        let context = TraceContext::parse(SENT).unwrap();
        assert_eq!(context.shown_trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.sampled);
        assert_eq!(context.to_string(), SENT);
        let later = SENT.replacen("00-", "cc-", 1) + "-what-the-future-is";
        assert_eq!(TraceContext::parse(&later), Some(context));
    }

    #[test]
    fn what_is_no_trace_context_is_ignored() {
        for wrong in [
            "",
            "00",
            &SENT.to_uppercase(),
            &SENT.replace("01", "1"),
            &SENT.replacen("00-", "ff-", 1),
            &SENT.replacen("00-", "0-", 1),
            &format!("{SENT}-more"),
            &format!(" {SENT}"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id in 1u128.., span_id in 1u64.., sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = TraceContext::parse(&text);
        }
    }
}
