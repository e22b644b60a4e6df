//! How stored rows look on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_api::evidence::TraceEvidence;
use commontrace_api::traces::{Legacy, RelatedTrace, TraceBody};
use commontrace_core::trace::depth_score;
use commontrace_core::{TraceId, UserId};
use commontrace_store::{Relation, Trace};

/// Longest contributor name shown, in characters.
const NAME_MAX: usize = 40;

/// Returns a trace as clients see it at `now`.
pub fn trace(trace: Trace, related_traces: Vec<RelatedTrace>, now: DateTime<Utc>) -> TraceBody {
    let depth_score = depth(&trace);
    let is_stale = is_stale(&trace, now);
    let evidence = evidence(&trace);
    let contributor_name =
        contributor_name(trace.contributor_id, trace.contributor_name.as_deref());
    TraceBody {
        evidence,
        id: trace.id,
        status: trace.status,
        title: trace.title,
        context_text: trace.context_text,
        solution_text: trace.solution_text,
        tags: trace.tags.0,
        trust_score: trace.trust_score,
        up_votes: trace.up_votes,
        down_votes: trace.down_votes,
        outcomes: trace.outcomes,
        outcome_environments: Vec::new(),
        confirmation_count: (trace.up_votes - trace.down_votes).max(0),
        depth_score,
        retrieval_count: trace.retrieval_count,
        context_fingerprint: fingerprint(trace.context.0),
        metadata_json: trace.metadata_json.map(|json| json.0),
        agent_model: trace.agent_model,
        agent_version: trace.agent_version,
        is_seed: trace.is_seed,
        is_stale,
        is_flagged: trace.flag_count > 0,
        is_hidden: trace.hidden_at.is_some(),
        revision: trace.revision,
        review_after: trace.review_after,
        watch_condition: trace.watch_condition,
        valid_from: trace.valid_from,
        valid_until: ended(trace.valid_until, now),
        contributor_id: trace.contributor_id,
        contributor_name,
        created_at: trace.created_at,
        updated_at: trace.updated_at,
        related_traces,
        legacy: Legacy::default(),
    }
}

/// Returns what running tests proved of a trace. What cannot be read is left out and logged, so that one damaged
/// row does not keep a whole list from being shown.
pub fn evidence(trace: &Trace) -> Option<TraceEvidence> {
    let summary = trace.evidence_summary.as_deref()?;
    let evidence = serde_json::from_str(summary).inspect_err(|err| {
        let id = trace.id;
        tracing::error!(trace.id = %id, "the evidence of trace `{id}` is unreadable: {err}");
    });
    Some(TraceEvidence {
        evidence: evidence.ok()?,
        counts: trace.proof().is_some(),
        revision: trace.evidence_revision?,
    })
}

/// Returns how complete a trace's text looks.
pub fn depth(trace: &Trace) -> u8 {
    depth_score(
        &trace.context_text,
        &trace.solution_text,
        !trace.context.is_empty(),
    )
}

/// Returns whether a trace's review date has passed.
pub fn is_stale(trace: &Trace, now: DateTime<Utc>) -> bool {
    trace.review_after.is_some_and(|review| review <= now)
}

/// Returns the end of validity only once it has passed: old clients print any value as "expired".
pub fn ended(valid_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    valid_until.filter(|end| *end <= now)
}

/// Returns an environment, or null when nothing is known of it.
pub fn fingerprint(context: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!context.is_empty()).then_some(context)
}

/// Returns the name to show for an account: what it chose, reduced to letters, digits, spaces,
/// dots, hyphens and underscores, or `anon-` and the first 8 characters of its id.
pub fn contributor_name(id: UserId, chosen: Option<&str>) -> String {
    let name: String = chosen
        .unwrap_or_default()
        .chars()
        .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_'))
        .take(NAME_MAX)
        .collect();
    match name.trim() {
        "" => format!("anon-{}", &id.to_string()[..8]),
        name => name.to_owned(),
    }
}

/// Returns a link as seen from the trace `from`.
pub fn related(relation: Relation, from: TraceId) -> RelatedTrace {
    let leaves = relation.source_id == from;
    RelatedTrace {
        id: if leaves {
            relation.target_id
        } else {
            relation.source_id
        },
        title: relation.title,
        relationship_type: match (relation.relationship_type.as_str(), leaves) {
            ("SUPERSEDES", false) => "SUPERSEDED_BY".to_owned(),
            _ => relation.relationship_type,
        },
        strength: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_name_shows_nothing_that_could_be_markup() {
        let id = UserId(Uuid::from_u128(0xabcd_ef01 << 96));
        assert_eq!(contributor_name(id, None), "anon-abcdef01");
        assert_eq!(contributor_name(id, Some("  ")), "anon-abcdef01");
        assert_eq!(
            contributor_name(id, Some("Ada L. [x](http://e)")),
            "Ada L. xhttpe"
        );
    }
}
