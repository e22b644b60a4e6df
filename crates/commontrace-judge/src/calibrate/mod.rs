//! How far a judge agrees with people, with what that is worth.
//!
//! A judge that does not agree with itself cannot agree with anybody, so that comes first; and agreement is
//! shown beside what a rater would reach who always says the most frequent level, and beside how far people
//! agree with each other, above which no judge can be told from them.

mod kappa;
mod labels;
mod report;

use std::collections::BTreeMap;

use serde::Serialize;

pub use kappa::{Confusion, LEVELS};
pub use labels::{Label, LabelError, read as read_labels};

use crate::judged::{Judged, median};
use crate::rubric::Dimension;

/// How often the items are drawn anew for an interval.
pub const RESAMPLES: usize = 2_000;

/// What the judge says of one dimension of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedLevels {
    /// The session's id.
    pub trace: String,
    /// Of what.
    pub dimension: Dimension,
    /// The level of each sample.
    pub levels: Vec<u8>,
}

/// The agreement of a judge with people who label by one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of the rule that people labelled by.
    pub rule_version: String,
    /// How many people labelled.
    pub labellers: usize,
    /// How far the judge agrees with itself.
    pub consistency: Consistency,
    /// The judge against people, over all dimensions.
    pub overall: Agreement,
    /// The same for each dimension that has labels.
    pub dimensions: Vec<(Dimension, Agreement)>,
    /// People against each other: the ceiling. `None` if no two labelled the same.
    pub people: Option<Agreement>,
    /// Labels of what the judge did not score.
    pub labels_without_judgement: usize,
}

/// How far the samples of a judge agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Consistency {
    /// What was judged more than once.
    pub items: usize,
    /// The share of pairs of samples of the same item that are equal.
    pub agreement: Option<f64>,
    /// The mean of the highest level less the lowest.
    pub mean_spread: Option<f64>,
}

/// How far two sides agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// How many pairs of levels were compared.
    pub pairs: u32,
    /// Of how many sessions.
    pub traces: usize,
    /// The share that is equal.
    pub agreement: Option<f64>,
    /// The share of people's most frequent level.
    pub base_rate: Option<f64>,
    /// Cohen's kappa.
    pub kappa: Option<f64>,
    /// Where kappa lies in 95 of 100 draws of the sessions.
    pub kappa_interval: Option<(f64, f64)>,
    /// Kappa with quadratic weights.
    pub weighted_kappa: Option<f64>,
    /// Where that lies in 95 of 100 draws of the sessions.
    pub weighted_kappa_interval: Option<(f64, f64)>,
    /// Rows: people's levels; columns: the judge's. Of people against each other both orders count.
    pub confusion: Confusion,
}

/// The levels that a judge gave to a session.
pub fn judged_levels(trace: &str, judged: &Judged) -> Vec<JudgedLevels> {
    let scored = judged.scored();
    scored
        .map(|score| JudgedLevels {
            trace: trace.to_owned(),
            dimension: score.dimension,
            levels: score.levels.clone(),
        })
        .collect()
}

/// Compares a judge with people, once for each version of their rule. The same seed gives the same
/// intervals.
pub fn calibrate(labels: &[Label], judged: &[JudgedLevels], seed: u64) -> Vec<Report> {
    let mut versions: BTreeMap<&str, Vec<&Label>> = BTreeMap::new();
    for label in labels {
        versions.entry(&label.rule_version).or_default().push(label);
    }
    let reports = versions
        .into_iter()
        .map(|(version, labels)| report(version, &labels, judged, seed));
    reports.collect()
}

/// A pair of levels of one session.
type Pair<'a> = (&'a str, u8, u8);

fn report(version: &str, labels: &[&Label], judged: &[JudgedLevels], seed: u64) -> Report {
    let scores: BTreeMap<(&str, Dimension), u8> = judged
        .iter()
        .filter_map(|score| {
            Some((
                (score.trace.as_str(), score.dimension),
                whole_median(&score.levels)?,
            ))
        })
        .collect();
    let score = |label: &Label| {
        scores
            .get(&(label.trace.as_str(), label.dimension))
            .copied()
    };
    let mut pairs: BTreeMap<Dimension, Vec<Pair<'_>>> = BTreeMap::new();
    let mut without = 0;
    for label in labels {
        match score(label) {
            Some(level) => {
                pairs
                    .entry(label.dimension)
                    .or_default()
                    .push((&label.trace, label.level, level));
            }
            None => without += 1,
        }
    }
    let all: Vec<Pair<'_>> = pairs.values().flatten().copied().collect();
    let people = people(labels);
    let mut names: Vec<&str> = labels.iter().map(|label| label.labeller.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    Report {
        rule_version: version.to_owned(),
        labellers: names.len(),
        consistency: consistency(judged),
        overall: agreement(&all, seed),
        dimensions: pairs
            .iter()
            .map(|(dimension, pairs)| (*dimension, agreement(pairs, seed)))
            .collect(),
        people: (!people.is_empty()).then(|| agreement(&people, seed)),
        labels_without_judgement: without,
    }
}

/// Every two people on the same dimension of the same session, in both orders, since none is the first.
fn people<'a>(labels: &[&'a Label]) -> Vec<Pair<'a>> {
    let mut items: BTreeMap<(&str, Dimension), Vec<&Label>> = BTreeMap::new();
    for label in labels {
        items
            .entry((&label.trace, label.dimension))
            .or_default()
            .push(label);
    }
    let mut pairs = Vec::new();
    for ((trace, _), labels) in items {
        for (place, a) in labels.iter().enumerate() {
            for b in &labels[place + 1..] {
                pairs.extend([(trace, a.level, b.level), (trace, b.level, a.level)]);
            }
        }
    }
    pairs
}

fn consistency(judged: &[JudgedLevels]) -> Consistency {
    let repeated: Vec<&[u8]> = judged
        .iter()
        .map(|item| item.levels.as_slice())
        .filter(|levels| levels.len() > 1)
        .collect();
    let (mut equal, mut pairs) = (0_u64, 0_u64);
    for levels in &repeated {
        for (place, a) in levels.iter().enumerate() {
            for b in &levels[place + 1..] {
                pairs += 1;
                equal += u64::from(a == b);
            }
        }
    }
    let spreads = repeated
        .iter()
        .filter_map(|levels| crate::judged::spread(levels))
        .map(f64::from);
    Consistency {
        items: repeated.len(),
        agreement: (pairs > 0).then(|| equal as f64 / pairs as f64),
        mean_spread: crate::judged::mean(spreads),
    }
}

fn agreement(pairs: &[Pair<'_>], seed: u64) -> Agreement {
    let confusion = Confusion::of(pairs.iter().map(|(_, a, b)| (*a, *b)));
    let mut traces: BTreeMap<&str, Vec<(u8, u8)>> = BTreeMap::new();
    for (trace, a, b) in pairs {
        traces.entry(trace).or_default().push((*a, *b));
    }
    let groups: Vec<Vec<(u8, u8)>> = traces.into_values().collect();
    let draws = resampled(&groups, seed);
    let interval =
        |kappa: fn(&Confusion) -> Option<f64>| interval(draws.iter().filter_map(kappa).collect());
    Agreement {
        pairs: confusion.count(),
        traces: groups.len(),
        agreement: confusion.agreement(),
        base_rate: confusion.base_rate(),
        kappa: confusion.kappa(),
        kappa_interval: interval(Confusion::kappa),
        weighted_kappa: confusion.weighted_kappa(),
        weighted_kappa_interval: interval(Confusion::weighted_kappa),
        confusion,
    }
}

/// Draws sessions with repetition, as many as there are: the dimensions of one session are not independent,
/// so that they are drawn together.
fn resampled(groups: &[Vec<(u8, u8)>], seed: u64) -> Vec<Confusion> {
    if groups.len() < 2 {
        return Vec::new();
    }
    let mut state = seed;
    let draw = |_| {
        let chosen = (0..groups.len()).flat_map(|_| {
            let random = split_mix(&mut state);
            // The bias towards small places is one in 2^64 / groups.
            groups[(random % groups.len() as u64) as usize]
                .iter()
                .copied()
        });
        Confusion::of(chosen)
    };
    (0..RESAMPLES).map(draw).collect()
}

/// The middle 95 of 100 values; nothing if most draws have none.
fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    if values.len() < RESAMPLES / 2 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Some((at(0.025), at(0.975)))
}

/// The median as a level; between two it is the higher one.
fn whole_median(levels: &[u8]) -> Option<u8> {
    // Levels are 0 to 4.
    median(levels).map(|median| median.ceil() as u8)
}

/// SplitMix64, by Steele, Lea and Flood: good enough to draw by, and the same everywhere.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
