//! Tags in use.

use axum::Json as JsonBody;
use commontrace_api::tags::{ListTags, TagList, TagWithCount};

use crate::error::ApiResult;
use crate::extract::{Query, Reader};

/// Tags listed at most; a prefix narrows them down.
const LIST_MAX: i64 = 10_000;

/// Lists tags in use, alphabetically.
pub async fn list(caller: Reader, Query(query): Query<ListTags>) -> ApiResult<JsonBody<TagList>> {
    let prefix = query.prefix.unwrap_or_default().trim().to_lowercase();
    let can_exist = prefix
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let found = if can_exist {
        caller.store().tags(&prefix, LIST_MAX).await?
    } else {
        Vec::new()
    };
    let tags = found.iter().map(|tag| tag.name.clone()).collect();
    let counts = query.with_counts.then(|| {
        let count = |tag: commontrace_store::TagCount| TagWithCount {
            name: tag.name,
            trace_count: tag.trace_count,
        };
        found.into_iter().map(count).collect()
    });
    Ok(JsonBody(TagList { tags, counts }))
}
