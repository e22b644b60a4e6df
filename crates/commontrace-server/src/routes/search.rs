//! Searching.

use std::collections::HashMap;
use std::time::Instant;

use axum::Json as JsonBody;
use axum::extract::State;
use chrono::{DateTime, Utc};
use commontrace_api::search::{
    Confidence, FILTER_TAGS_MAX, ScoreParts, SearchAnswer, SearchResult, SearchTraces,
};
use commontrace_api::traces::{Legacy, RelatedTrace};
use commontrace_core::confidence::Confidence as Found;
use commontrace_core::fingerprint::fingerprint;
use commontrace_core::{TraceId, tag};
use commontrace_search::document::{Hit, Query};
use commontrace_store::{Store, Trace};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, Reader};
use crate::{intake, metrics, present};

/// Links shown of each result.
const RELATED_MAX: i64 = 3;

/// Searches traces by text, tags or both.
pub async fn search(
    State(app): State<App>,
    caller: Reader,
    Json(body): Json<SearchTraces>,
) -> ApiResult<JsonBody<SearchAnswer>> {
    let begun = Instant::now();
    intake::check_tag_count(&body.tags, FILTER_TAGS_MAX)?;
    if body.q.is_none() && body.tags.is_empty() {
        return Err(ApiError::unprocessable("give q, tags or both"));
    }
    let tags = tag::normalize_all(&body.tags);
    let has_tags = !body.tags.is_empty();
    let blank = body.q.as_deref().is_none_or(|q| q.trim().is_empty());
    // No trace carries a tag that cannot exist, and who asks for nothing finds nothing.
    let answer = if !tags.dropped.is_empty() || (blank && !has_tags) {
        SearchAnswer {
            results: Vec::new(),
            total: 0,
            query: body.q.map(commontrace_api::Text::into_string),
            abstained: true,
            confidence: None,
            degraded: false,
        }
    } else {
        answer(&app, caller.store(), body, &tags.kept).await?
    };
    metrics::search(has_tags, answer.abstained, answer.degraded, begun.elapsed());
    Ok(JsonBody(answer))
}

async fn answer(
    app: &App,
    store: &Store,
    body: SearchTraces,
    tags: &[String],
) -> ApiResult<SearchAnswer> {
    // The query may hold what the stored texts must not, and it may leave for a remote model.
    let text = body.q.as_deref().map(commontrace_redact::redact);
    let text = text
        .as_ref()
        .map(|redacted| redacted.text.trim())
        .filter(|text| !text.is_empty());
    let search = app.search.current();
    let vector = match text {
        Some(text) => search.query_vector(text).await,
        None => None,
    };
    let context = body.context.map(|context| fingerprint(&context.into_map()));
    let now = app.clock.now();
    let query = Query {
        text,
        vector: vector.as_deref(),
        tags,
        context: context.as_ref(),
        include_expired: body.include_expired,
        now: now.timestamp_micros(),
        limit: body.limit.value() as usize,
        abstain: true,
    };
    let found = search.search(store, &query).await?;
    let results = results(store, found.hits, now).await?;
    Ok(SearchAnswer {
        total: results.len(),
        abstained: results.is_empty(),
        results,
        confidence: text.is_some().then_some(match found.confidence {
            Found::Strong => Confidence::Strong,
            Found::Weak => Confidence::Weak,
            Found::None => Confidence::None,
        }),
        degraded: text.is_some() && !found.semantic,
        query: body.q.map(commontrace_api::Text::into_string),
    })
}

async fn results(
    store: &Store,
    hits: Vec<Hit>,
    now: DateTime<Utc>,
) -> ApiResult<Vec<SearchResult>> {
    let ids: Vec<TraceId> = hits.iter().map(|hit| hit.id).collect();
    let mut traces: HashMap<TraceId, Trace> = store
        .traces(&ids)
        .await?
        .into_iter()
        .map(|trace| (trace.id, trace))
        .collect();
    let mut results = Vec::with_capacity(hits.len());
    for hit in hits {
        // Deleted or hidden since the index was asked.
        let trace = traces
            .remove(&hit.id)
            .filter(|trace| trace.hidden_at.is_none());
        let Some(trace) = trace else { continue };
        let related = related(store, &trace).await?;
        results.push(result(&hit, trace, related, now));
    }
    Ok(results)
}

/// Reads a trace's links, but only where superseding has left its mark.
async fn related(store: &Store, trace: &Trace) -> ApiResult<Vec<RelatedTrace>> {
    if trace.valid_from.is_none() && trace.valid_until.is_none() {
        return Ok(Vec::new());
    }
    let related = store.relations(trace.id, RELATED_MAX).await?;
    Ok(related
        .into_iter()
        .map(|relation| present::related(relation, trace.id))
        .collect())
}

fn result(
    hit: &Hit,
    trace: Trace,
    related_traces: Vec<RelatedTrace>,
    now: DateTime<Utc>,
) -> SearchResult {
    let depth_score = present::depth(&trace);
    let is_stale = present::is_stale(&trace, now);
    let evidence = present::evidence(&trace);
    let contributor_name =
        present::contributor_name(trace.contributor_id, trace.contributor_name.as_deref());
    SearchResult {
        id: trace.id,
        title: trace.title,
        context_text: trace.context_text,
        solution_text: trace.solution_text,
        tags: trace.tags.0,
        trust_score: trace.trust_score,
        evidence,
        outcomes: trace.outcomes,
        similarity_score: hit.similarity,
        combined_score: hit.score,
        score: ScoreParts {
            relevance: hit.relevance,
            lexical: hit.lexical,
            trust: hit.trust_prior,
            context: hit.context_prior,
        },
        status: trace.status,
        contributor_id: trace.contributor_id,
        contributor_name,
        created_at: trace.created_at,
        retrieval_count: trace.retrieval_count,
        depth_score,
        context_fingerprint: present::fingerprint(trace.context.0),
        is_stale,
        valid_from: trace.valid_from,
        valid_until: present::ended(trace.valid_until, now),
        related_traces,
        legacy: Legacy::default(),
    }
}
