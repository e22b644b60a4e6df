//! `search_traces`.

use chrono::{DateTime, Utc};
use commontrace_api::search::FILTER_TAGS_MAX;
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shown::{Outcomes, Related};
use super::{define, insert_object, reads};
use crate::backend::{Backend, Call};
use crate::outcome::{Refused, ask};
use crate::text::{one_line, plural, redact_request, redacted};

pub(crate) const NAME: &str = "search_traces";

/// Characters of a query at most.
const QUERY_MAX: usize = 1000;
/// Characters of context and of solution that a result shows at most.
const SNIPPET_MAX: usize = 200;
/// Characters that they show at least, however many results there are.
const SNIPPET_MIN: usize = 60;
/// Characters that ten results may take up together.
const ANSWER_MAX: usize = 4_000;
/// Other traces named with a result at most.
const RELATED_MAX: usize = 3;

pub(crate) fn definition() -> Tool {
    define(
        NAME,
        "Find how others solved an error or problem. Call it when a command fails or before working around something \
         unknown. Give the literal error text, without paths and values of your own. Results are short; get_trace has the rest.",
        json!({
            "query": { "type": "string", "default": "", "description": "Error message or question" },
            "tags": { "type": "array", "items": { "type": "string" }, "default": [], "description": "Only traces with all of these" },
            "limit": { "type": "integer", "default": 10, "description": "1 to 50" },
            "context": { "type": "object", "default": {}, "description": "Where you are: language, framework, os, package_manager, runtime, version" },
            "include_expired": { "type": "boolean", "default": true },
        }),
        &[],
        reads("Search traces"),
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    #[serde(default)]
    query: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default = "ten")]
    limit: i64,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default = "yes")]
    include_expired: bool,
}

fn ten() -> i64 {
    10
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Found {
    results: Vec<Hit>,
    #[serde(default)]
    degraded: bool,
    /// What the reader should know about where was searched.
    #[serde(default)]
    notices: Vec<String>,
}

/// Whether an answer can be read as that to a search.
pub fn is_search_answer(answer: &Value) -> bool {
    Found::deserialize(answer).is_ok()
}

#[derive(Deserialize)]
struct Hit {
    id: String,
    title: String,
    context_text: String,
    solution_text: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    trust_score: f64,
    #[serde(default)]
    similarity_score: f64,
    score: Option<Parts>,
    #[serde(default)]
    retrieval_count: i64,
    #[serde(default)]
    depth_score: i64,
    memory_temperature: Option<String>,
    valid_until: Option<DateTime<Utc>>,
    evidence: Option<Evidence>,
    #[serde(default)]
    outcomes: Outcomes,
    #[serde(default)]
    related_traces: Vec<Related>,
    /// Which of several stores has it.
    origin: Option<String>,
}

#[derive(Deserialize)]
struct Parts {
    relevance: f64,
}

#[derive(Deserialize)]
struct Evidence {
    status: String,
}

pub(crate) async fn call(
    backend: &impl Backend,
    given: Arguments,
    now: DateTime<Utc>,
) -> Result<String, Refused> {
    let query = redacted(given.query.trim(), QUERY_MAX);
    let mut tags = given.tags;
    tags.retain(|tag| !tag.trim().is_empty());
    if query.is_empty() && tags.is_empty() {
        return Ok(
            "Nothing to search for: give `query` (the error message), `tags`, or both.".to_owned(),
        );
    }
    let left_out = tags.len().saturating_sub(FILTER_TAGS_MAX);
    tags.truncate(FILTER_TAGS_MAX);
    let mut body = JsonObject::new();
    body.insert(
        "q".to_owned(),
        if query.is_empty() {
            Value::Null
        } else {
            json!(query)
        },
    );
    body.insert("tags".to_owned(), json!(tags));
    body.insert("limit".to_owned(), json!(given.limit.clamp(1, 50)));
    insert_object(&mut body, "context", given.context);
    if !given.include_expired {
        body.insert("include_expired".to_owned(), json!(false));
    }
    let mut body = Value::Object(body);
    redact_request(&mut body);
    let found: Found = ask(backend, &Call::Search(body)).await?;
    let mut text = show(&query, &found, now);
    if found.degraded {
        text.push_str("\n\n(Searched by words alone: no embedding model is at hand.)");
    }
    for notice in &found.notices {
        text.push_str(&format!("\n\n({})", one_line(notice, 300)));
    }
    if left_out > 0 {
        text.push_str(&format!(
            "\n\n(Only the first {FILTER_TAGS_MAX} tags were used.)"
        ));
    }
    Ok(text)
}

fn show(query: &str, found: &Found, now: DateTime<Utc>) -> String {
    let about = match query {
        "" => String::new(),
        query => format!(" for \"{}\"", one_line(query, 100)),
    };
    let count = found.results.len();
    if count == 0 {
        return format!("No traces found{about}. Nothing relevant is known; go on without.");
    }
    // Everything but the snippets, then as much of them as there is room for.
    let bare = |snippet| -> Vec<String> {
        let numbered = found.results.iter().zip(1..);
        numbered
            .map(|(hit, number)| hit.show(number, snippet, now))
            .collect()
    };
    let others: usize = bare(0).iter().map(|hit| hit.chars().count()).sum();
    let room = ANSWER_MAX.saturating_sub(others) / (2 * count);
    let hits = bare(room.clamp(SNIPPET_MIN, SNIPPET_MAX));
    format!(
        "Found {count} result{}{about}:\n\n{}",
        plural(count),
        hits.join("\n\n")
    )
}

impl Hit {
    fn show(&self, number: usize, snippet: usize, now: DateTime<Utc>) -> String {
        let temperature = self.memory_temperature.as_deref();
        let frozen = temperature.filter(|known| matches!(*known, "FROZEN" | "COLD"));
        let expired = self
            .valid_until
            .filter(|end| *end <= now)
            .map(|_| "EXPIRED");
        let labels: String = frozen
            .into_iter()
            .chain(expired)
            .map(|label| format!("[{label}] "))
            .collect();
        let score = self
            .score
            .as_ref()
            .map_or(self.similarity_score, |score| score.relevance);
        let mut text = format!(
            "{number}. {labels}{} (score: {score:.2}, trust: {:.1}, retrievals: {}, depth: {})",
            one_line(&self.title, 200),
            self.trust_score,
            self.retrieval_count,
            self.depth_score
        );
        if let Some(evidence) = &self.evidence {
            text.push_str(&format!("\n   Tests: {}", one_line(&evidence.status, 40)));
        }
        if let Some(outcomes) = self.outcomes.told() {
            text.push_str(&format!("\n   Outcomes: {outcomes}"));
        }
        let tags: Vec<String> = self.tags.iter().map(|tag| one_line(tag, 50)).collect();
        text.push_str(&format!(
            "\n   Tags: {}\n   Context: {}\n   Solution: {}\n   ID: {}",
            tags.join(", "),
            one_line(&self.context_text, snippet),
            one_line(&self.solution_text, snippet),
            one_line(&self.id, 40),
        ));
        if let Some(origin) = &self.origin {
            text.push_str(&format!("\n   From: {}", one_line(origin, 100)));
        }
        for (position, related) in self.related_traces.iter().take(RELATED_MAX).enumerate() {
            if position == 0 {
                text.push_str("\n   Related:");
            }
            text.push_str(&format!("\n     - {}", related.told(100)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().expect("a time")
    }

    fn a_hit(number: usize) -> Value {
        json!({
            "id": format!("00000000-0000-4000-8000-{number:012}"),
            "title": "t".repeat(80),
            "context_text": "c ".repeat(300),
            "solution_text": "s ".repeat(300),
            "tags": ["a", "b"],
            "trust_score": 0.25,
            "similarity_score": 0.5,
            "related_traces": [],
        })
    }

    fn shown(results: &[Value]) -> String {
        let found = serde_json::from_value(json!({ "results": results })).expect("an answer");
        show("q", &found, now())
    }

    #[test]
    fn ten_results_take_up_four_thousand_characters_at_most() {
        let text = shown(&(0..10).map(a_hit).collect::<Vec<_>>());
        assert!(
            text.chars().count() <= ANSWER_MAX + 100,
            "{}",
            text.chars().count()
        );
        let text = shown(&[a_hit(1)]);
        assert!(
            text.contains(&format!("Context: {}...", "c ".repeat(100))),
            "{text}"
        );
    }

    #[test]
    fn a_result_has_the_lines_that_prompts_and_hooks_know() {
        let mut hit = a_hit(7);
        hit["title"] = json!("a\nb");
        hit["context_text"] = json!("x");
        hit["solution_text"] = json!("y\u{202e}z");
        hit["memory_temperature"] = json!("COLD");
        hit["related_traces"] = json!([{ "id": "i", "title": "old", "relationship_type": "SUPERSEDES", "strength": 1.0 }]);
        assert_eq!(
            shown(&[hit]),
            "Found 1 result for \"q\":\n\n\
             1. [COLD] a b (score: 0.50, trust: 0.2, retrievals: 0, depth: 0)\n   \
             Tags: a, b\n   Context: x\n   Solution: yz\n   \
             ID: 00000000-0000-4000-8000-000000000007\n   \
             Related:\n     - [SUPERSEDES] old (i)"
        );
    }

    #[test]
    fn only_what_has_expired_is_called_so() {
        for (until, expired) in [
            ("2026-11-20T11:59:59Z", true),
            ("2026-11-21T00:00:00Z", false),
        ] {
            let mut hit = a_hit(1);
            hit["valid_until"] = json!(until);
            assert_eq!(shown(&[hit]).contains("[EXPIRED]"), expired, "{until}");
        }
    }
}
