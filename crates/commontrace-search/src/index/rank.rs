//! From a query to ordered hits: candidates from both legs, each scored on both.

use commontrace_core::fingerprint::Fingerprint;
use commontrace_core::fusion;

use super::state::State;
use crate::document::{Answer, Confidence, Hit, Query, Signals};
use crate::lexical::Weighed;
use crate::query::Analysis;
use crate::select::{Best, Mask};
use crate::vectors::Probe;

/// How many documents each leg proposes; more never changed the first ten.
const CANDIDATES: usize = 200;

/// Answers a query; without an analysis there is no text and the filters alone decide.
pub fn search(state: &State, query: &Query<'_>, analysis: Option<&Analysis>) -> Answer {
    let mask = state.mask(query);
    match analysis {
        Some(analysis) => by_text(state, query, analysis, mask.as_ref()),
        None => by_filters(state, query, mask),
    }
}

fn by_filters(state: &State, query: &Query<'_>, mask: Option<Mask>) -> Answer {
    let mask = mask.unwrap_or_else(|| Mask::below(state.entries.len()));
    let used = mask
        .iter()
        .filter(|&slot| state.entries[slot as usize].is_some());
    let mut hits: Vec<Ranked> = used.map(|slot| rank(state, query, slot, 1.0)).collect();
    order(&mut hits, query.limit);
    Answer {
        confidence: if hits.is_empty() {
            Confidence::None
        } else {
            Confidence::Strong
        },
        hits: hits.into_iter().map(|ranked| ranked.hit).collect(),
        abstained: false,
        signals: None,
        semantic: false,
    }
}

fn by_text(state: &State, query: &Query<'_>, analysis: &Analysis, mask: Option<&Mask>) -> Answer {
    let probe = query
        .vector
        .and_then(|vector| state.vectors.probe(vector).ok());
    let probe = probe.filter(|_| !state.vectors.is_empty());
    let terms = state.lexical.weigh(&analysis.terms);
    let lexical = state.lexical.score(&terms);
    let signed = state.signed(&analysis.signatures);
    let slots = candidates(state, &lexical, probe.as_ref(), &signed, mask);
    let weight = match (&probe, lexical.iter().any(|&score| score > 0.0)) {
        (None, _) => 0.0,
        (Some(_), true) => analysis.shape.dense_weight(),
        // No word of the query is known here: meaning is all there is.
        (Some(_), false) => 1.0,
    };
    let mut hits: Vec<Ranked> = slots
        .into_iter()
        .map(|slot| {
            let similarity = probe
                .as_ref()
                .and_then(|p| state.vectors.similarity(p, slot));
            let similarity = similarity.map(f64::from);
            let mut lexical = f64::from(lexical[slot as usize]);
            if signed.contains(slot) {
                lexical = fusion::same_error(lexical);
            }
            let relevance = fusion::relevance(lexical, similarity, weight);
            let mut ranked = rank(state, query, slot, relevance);
            ranked.hit.similarity = similarity.unwrap_or(0.0);
            ranked.hit.lexical = lexical;
            ranked
        })
        .collect();
    order(&mut hits, query.limit.max(JUDGED));
    let signals = signals(state, &terms, &hits, probe.is_some());
    let confidence = signals.map_or(Confidence::None, |signals| signals.confidence());
    if query.abstain && confidence == Confidence::None {
        hits.clear();
    }
    hits.truncate(query.limit);
    Answer {
        abstained: hits.is_empty(),
        confidence,
        hits: hits.into_iter().map(|ranked| ranked.hit).collect(),
        signals,
        semantic: probe.is_some(),
    }
}

/// The documents that either leg proposes, ascending.
fn candidates(
    state: &State,
    lexical: &[f32],
    probe: Option<&Probe>,
    signed: &Mask,
    mask: Option<&Mask>,
) -> Vec<u32> {
    let allowed = |slot: &u32| mask.is_none_or(|mask| mask.contains(*slot));
    let mut best = Best::new(CANDIDATES);
    for (slot, &score) in lexical.iter().enumerate() {
        let slot = slot as u32;
        if score > 0.0 && allowed(&slot) {
            best.push(score, slot);
        }
    }
    let mut slots: Vec<u32> = best
        .into_sorted()
        .into_iter()
        .map(|(_, slot)| slot)
        .collect();
    if let Some(probe) = probe {
        let near = state.vectors.nearest(probe, mask, CANDIDATES);
        slots.extend(near.into_iter().map(|(slot, _)| slot));
    }
    slots.extend(signed.iter().filter(allowed));
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// A hit and what decides between equals.
struct Ranked {
    slot: u32,
    created_at: i64,
    hit: Hit,
}

fn rank(state: &State, query: &Query<'_>, slot: u32, relevance: f64) -> Ranked {
    let entry = state.entry(slot);
    let expired = entry.expired(query.now);
    let stale = entry.review_after.is_some_and(|due| due <= query.now);
    let trust_prior = fusion::trust_prior(entry.trust, stale);
    let prior = |asked: &Fingerprint| fusion::context_prior(asked, &entry.fingerprint);
    let context_prior = query.context.map_or(0.0, prior);
    Ranked {
        slot,
        created_at: entry.created_at,
        hit: Hit {
            id: entry.id,
            score: fusion::score(relevance, trust_prior + context_prior, expired),
            relevance,
            similarity: 0.0,
            lexical: 0.0,
            trust_prior,
            context_prior,
            expired,
        },
    }
}

/// Puts the best first and keeps `limit`; equals are ordered newest first, then by id.
fn order(hits: &mut Vec<Ranked>, limit: usize) {
    let compare = |a: &Ranked, b: &Ranked| {
        (b.hit.score.total_cmp(&a.hit.score))
            .then_with(|| b.created_at.cmp(&a.created_at))
            .then_with(|| a.hit.id.cmp(&b.hit.id))
    };
    if hits.len() > limit && limit > 0 {
        hits.select_nth_unstable_by(limit - 1, compare);
    }
    hits.truncate(limit);
    hits.sort_unstable_by(compare);
}

/// How many hits are looked at to judge the answer.
const JUDGED: usize = 5;

fn signals(state: &State, terms: &[Weighed], hits: &[Ranked], semantic: bool) -> Option<Signals> {
    let judged = &hits[..hits.len().min(JUDGED)];
    let (first, last) = (judged.first()?, judged.last()?);
    // In a handful of documents the others' places are taken as half as relevant.
    let fifth = match judged.len() {
        JUDGED => last.hit.relevance,
        _ => last.hit.relevance.min(first.hit.relevance / 2.0),
    };
    let highest = |part: fn(&Hit) -> f64| judged.iter().map(|r| part(&r.hit)).fold(0.0, f64::max);
    Some(Signals {
        similarity: semantic.then(|| highest(|hit| hit.similarity)),
        lexical: highest(|hit| hit.lexical),
        matched: state.lexical.matched(terms, first.slot),
        lead: first.hit.relevance - fifth,
    })
}
