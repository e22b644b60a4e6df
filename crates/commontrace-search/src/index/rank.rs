//! Finds candidates with both legs and scores each on both; ranking them is [`crate::ranking`]'s.

use super::state::State;
use crate::document::{Answer, Query};
use crate::query::Analysis;
use crate::ranking::{Candidate, Legs, by_filters, by_text};
use crate::select::{Best, Mask};
use crate::vectors::Probe;

/// How many documents each leg proposes; more never changed the first ten.
const CANDIDATES: usize = 200;

/// Answers a query; without an analysis there is no text and the filters alone decide.
pub fn search(state: &State, query: &Query<'_>, analysis: Option<&Analysis>) -> Answer {
    let mask = state.mask(query);
    match analysis {
        Some(analysis) => search_text(state, query, analysis, mask.as_ref()),
        None => {
            let mask = mask.unwrap_or_else(|| Mask::below(state.entries.len()));
            let used = mask
                .iter()
                .filter_map(|slot| state.entries[slot as usize].as_ref());
            by_filters(query, used.map(|entry| &entry.facts))
        }
    }
}

fn search_text(
    state: &State,
    query: &Query<'_>,
    analysis: &Analysis,
    mask: Option<&Mask>,
) -> Answer {
    let probe = query
        .vector
        .and_then(|vector| state.vectors.probe(vector).ok());
    let probe = probe.filter(|_| !state.vectors.is_empty());
    let terms = state.lexical.weigh(&analysis.terms);
    let lexical = state.lexical.score(&terms);
    let signed = state.signed(&analysis.signatures);
    let slots = candidates(state, &lexical, probe.as_ref(), &signed, mask);
    let legs = Legs {
        shape: analysis.shape,
        lexical: lexical.iter().any(|&score| score > 0.0),
        semantic: probe.is_some(),
    };
    let candidates = slots.into_iter().map(|slot| Candidate {
        facts: &state.entry(slot).facts,
        key: slot,
        lexical: lexical[slot as usize],
        same_error: signed.contains(slot),
        similarity: probe
            .as_ref()
            .and_then(|probe| state.vectors.similarity(probe, slot)),
    });
    by_text(query, legs, candidates, |slot| {
        state.lexical.matched(&terms, slot)
    })
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
