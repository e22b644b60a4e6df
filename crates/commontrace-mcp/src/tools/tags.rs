//! `list_tags`.

use rmcp::model::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{define, reads};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{one_line, plural};

pub(crate) const NAME: &str = "list_tags";

/// Tags shown at most.
const SHOWN_MAX: usize = 200;

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "List the tags in use, to filter searches by.",
        json!({ "prefix": { "type": "string", "default": "", "description": "Only tags that begin so" } }),
        &[],
        reads("List tags"),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    #[serde(default)]
    prefix: String,
}

#[derive(Deserialize)]
struct Tags {
    tags: Vec<String>,
    counts: Option<Vec<Count>>,
    /// What the reader should know about whose tags these are.
    #[serde(default)]
    notices: Vec<String>,
}

#[derive(Deserialize)]
struct Count {
    name: String,
    trace_count: i64,
}

pub(crate) async fn call(backend: &impl Backend, given: Arguments) -> Result<String, Refused> {
    let prefix = given.prefix.trim().to_lowercase();
    let stands_in_tags = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !prefix.chars().all(stands_in_tags) {
        return Ok("0 tags: tags have only letters, digits, `.`, `_` and `-`.".to_owned());
    }
    let mut found: Tags = ask(backend, &Call::Tags(prefix.clone())).await?;
    // A server that knows no prefix lists all.
    found.tags.retain(|tag| tag.starts_with(&prefix));
    let count = found.tags.len();
    let notices: String = found
        .notices
        .iter()
        .map(|notice| format!("\n({})", one_line(notice, 300)))
        .collect();
    let begin = match prefix.as_str() {
        "" => String::new(),
        prefix => format!(" beginning with `{prefix}`"),
    };
    if count == 0 {
        return Ok(format!("0 tags{begin}.{notices}"));
    }
    let mut shown = found.tags;
    if count > SHOWN_MAX
        && let Some(mut counts) = found.counts
    {
        counts.sort_by(|a, b| (b.trace_count, &a.name).cmp(&(a.trace_count, &b.name)));
        shown = counts.into_iter().map(|count| count.name).collect();
    }
    shown.truncate(SHOWN_MAX);
    shown.sort();
    let shown: Vec<String> = shown.iter().map(|tag| one_line(tag, 50)).collect();
    let which = if count > SHOWN_MAX {
        format!(" (the {SHOWN_MAX} most used; `prefix` narrows down)")
    } else {
        String::new()
    };
    Ok(format!(
        "{count} tag{}{begin}{which}:\n{}{notices}",
        plural(count),
        shown.join(", ")
    ))
}
