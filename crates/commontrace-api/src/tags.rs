//! Tags in use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which tags to list.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListTags {
    /// Only tags that begin so.
    pub prefix: Option<String>,
    /// Whether to say how many traces carry each.
    pub with_counts: bool,
}

/// Tags in use, alphabetically.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TagList {
    /// The tags.
    pub tags: Vec<String>,
    /// The same with counts, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Vec<TagWithCount>>,
}

/// A tag and how many traces carry it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TagWithCount {
    /// The tag.
    pub name: String,
    /// Traces that carry it.
    pub trace_count: i64,
}
