//! The gate that every text passes on its way into the store: secrets and personal data are
//! replaced, tags are normalised, and what carries no knowledge is refused.

use commontrace_api::traces::Redaction;
use commontrace_core::husk::husk;
use commontrace_core::tag::{self, Tags};
use commontrace_redact::Summary;
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};

/// Texts longer than this, in bytes together, are scanned off the threads that serve requests.
const SCAN_INLINE: usize = 16 * 1024;

/// Replaces secrets and personal data field by field and keeps count of what was replaced.
#[derive(Debug, Default)]
pub struct Redactor {
    found: Vec<Redaction>,
}

impl Redactor {
    /// Redacts one field's text.
    pub fn text(&mut self, field: &str, text: &str) -> String {
        let redacted = commontrace_redact::redact(text);
        self.note(field, &redacted.findings.iter().collect());
        redacted.text.into_owned()
    }

    /// Redacts one optional field's text.
    pub fn optional(&mut self, field: &str, text: Option<impl AsRef<str>>) -> Option<String> {
        text.map(|text| self.text(field, text.as_ref()))
    }

    /// Redacts every string in an object, its keys included.
    pub fn object(&mut self, field: &str, object: Map<String, Value>) -> Map<String, Value> {
        let mut value = Value::Object(object);
        self.note(field, &commontrace_redact::redact_json(&mut value));
        match value {
            Value::Object(object) => object,
            _ => unreachable!("redacting keeps the shape of a value"),
        }
    }

    /// Redacts tags and then normalises them.
    pub fn tags(&mut self, tags: &[String]) -> Tags {
        let redacted: Vec<_> = tags.iter().map(|tag| self.text("tags", tag)).collect();
        tag::normalize_all(redacted)
    }

    fn note(&mut self, field: &str, summary: &Summary) {
        self.found.extend(summary.rules().map(|found| Redaction {
            field: field.to_owned(),
            rule: found.rule.to_owned(),
            count: found.count,
        }));
    }

    /// Returns what was replaced.
    pub fn finish(self) -> Vec<Redaction> {
        self.found
    }
}

/// Runs a scan of `size` bytes of text where it does not hold up other requests.
pub async fn scan<T: Send + 'static>(
    size: usize,
    scan: impl FnOnce() -> T + Send + 'static,
) -> ApiResult<T> {
    if size <= SCAN_INLINE {
        return Ok(scan());
    }
    tokio::task::spawn_blocking(scan)
        .await
        .map_err(|err| ApiError::internal(format!("scanning a text failed: {err}")))
}

/// Refuses texts that carry no knowledge, naming the field and the reason.
pub fn refuse_husk(title: &str, context: &str, solution: &str) -> ApiResult<()> {
    match husk(title, context, solution) {
        None => Ok(()),
        Some(husk) => Err(ApiError::invalid(husk.field(), husk.to_string())),
    }
}

/// Refuses more tags than a request may carry, before any work is done on them.
pub fn check_tag_count(tags: &[String], max: usize) -> ApiResult<()> {
    if tags.len() > max {
        return Err(ApiError::invalid(
            "tags",
            format!("must have at most {max} entries"),
        ));
    }
    Ok(())
}
