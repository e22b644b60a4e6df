//! What a judge says, with everything that it said it by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deterministic::Reason;
use crate::rubric::{self, Dimension};

/// So many dimensions must have a score for their mean to be one of the session.
pub const FEWEST_DIMENSIONS: usize = 4;

/// The scores of a session by a model, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// One for each dimension, in the order of the rubric.
    pub dimensions: Vec<Score>,
    /// The mean of the medians, from 0 to 4; `None` if fewer than four dimensions have one.
    pub mean: Option<f64>,
    /// The mean of the gaps between the medians with and without the reasoning shown. Far above 0 it
    /// says that the story is better than the deeds.
    pub gap: Option<f64>,
    /// The rubric's version.
    pub rubric_version: String,
    /// The rubric's hash.
    pub rubric_hash: String,
    /// How it was asked; `None` if no model is configured.
    pub asked: Option<Asked>,
}

/// What the samples say of one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Of what.
    pub dimension: Dimension,
    /// The median of the valid levels, from 0 to 4.
    pub median: Option<f64>,
    /// The highest level less the lowest.
    pub spread: Option<u8>,
    /// The share of the valid levels that are the most frequent one; `None` for fewer than two.
    pub agreement: Option<f64>,
    /// The valid levels, one for each sample that gave one.
    pub levels: Vec<u8>,
    /// Why there is no median; also what made samples fail where others are valid.
    pub reason: Option<Reason>,
    /// The events that the samples quote.
    pub event_ids: Vec<String>,
    /// What a sample says whose level is nearest to the median.
    pub why: String,
    /// The median where the reasoning was not shown.
    pub without_reasoning: Option<f64>,
    /// The median less that.
    pub gap: Option<f64>,
}

/// What produced the scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The kind of endpoint.
    pub endpoint: String,
    /// The model that was asked for.
    pub model: String,
    /// The model that says it answered, if the endpoint tells.
    pub answered_by: Option<String>,
    /// SHA-256 of the instructions, with the rubric and the schema.
    pub prompt_hash: String,
    /// SHA-256 of the events as they were shown, without the random delimiter.
    pub input_hash: String,
    /// The parameters that were really sent with the last request.
    pub parameters: Value,
    /// How many samples were to be taken of each kind.
    pub samples_wanted: usize,
    /// How many gave a valid answer, with the reasoning shown.
    pub samples_valid: usize,
    /// Every answer and failure, in the order of asking.
    pub samples: Vec<Sample>,
    /// Tokens of all requests, as far as the endpoint tells.
    pub tokens: Tokens,
    /// What that costs at the configured prices; `None` without prices or tokens.
    pub cost: Option<f64>,
    /// How long it took in all.
    pub latency_ms: u64,
    /// How many events were shown, and of how many.
    pub events_shown: usize,
    /// How many events there are.
    pub events: usize,
    /// How many of those shown were cut.
    pub events_cut: usize,
    /// The sequence number of the last event that was there.
    pub events_through_seq: Option<i64>,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Whether the reasoning was shown.
    pub with_reasoning: bool,
    /// The level of each dimension in the order of the rubric; `None` where there is none.
    pub levels: Vec<Option<u8>>,
    /// Why the whole sample failed.
    pub reason: Option<Reason>,
    /// What happened, in words, if it failed. Never holds a key.
    pub error: Option<String>,
    /// How many requests it took.
    pub requests: u32,
    /// Its tokens.
    pub tokens: Tokens,
    /// How long it took.
    pub latency_ms: u64,
}

/// Tokens of requests and of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of requests.
    pub input: u64,
    /// Of answers.
    pub output: u64,
}

impl Judged {
    /// No scores, all for the same reason.
    pub fn absent(reason: Reason) -> Self {
        let dimensions = Dimension::ALL.map(|dimension| Score::absent(dimension, reason));
        Self {
            dimensions: dimensions.to_vec(),
            mean: None,
            gap: None,
            rubric_version: rubric::VERSION.to_owned(),
            rubric_hash: rubric::hash(),
            asked: None,
        }
    }

    /// The dimensions that have a median.
    pub fn scored(&self) -> impl Iterator<Item = &Score> {
        self.dimensions
            .iter()
            .filter(|score| score.median.is_some())
    }
}

impl Score {
    /// No score.
    pub fn absent(dimension: Dimension, reason: Reason) -> Self {
        Self {
            dimension,
            median: None,
            spread: None,
            agreement: None,
            levels: Vec::new(),
            reason: Some(reason),
            event_ids: Vec::new(),
            why: String::new(),
            without_reasoning: None,
            gap: None,
        }
    }
}

impl Tokens {
    /// Adds those of another request.
    pub fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }

    /// All of them.
    pub fn sum(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// The median of levels; the mean of the middle two for an even number.
pub fn median(levels: &[u8]) -> Option<f64> {
    let mut sorted = levels.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((f64::from(lower) + f64::from(upper)) / 2.0)
}

/// The highest level less the lowest.
pub fn spread(levels: &[u8]) -> Option<u8> {
    Some(levels.iter().max()? - levels.iter().min()?)
}

/// The share of the most frequent level; nothing for fewer than two.
pub fn agreement(levels: &[u8]) -> Option<f64> {
    if levels.len() < 2 {
        return None;
    }
    let most = levels
        .iter()
        .map(|level| levels.iter().filter(|other| *other == level).count())
        .max()?;
    Some(most as f64 / levels.len() as f64)
}

/// The mean of numbers; nothing for none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_are_those_computed_by_hand() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3]), Some(3.0));
        assert_eq!(median(&[4, 1]), Some(2.5));
        assert_eq!(median(&[0, 4, 3]), Some(3.0));
        assert_eq!(agreement(&[3, 3, 1, 3]), Some(0.75));
        assert_eq!(agreement(&[3]), None);
        assert_eq!(spread(&[3, 1, 2]), Some(2));
    }

    proptest! {
        #[test]
        fn a_median_lies_between_the_lowest_and_the_highest(levels in prop::collection::vec(0_u8..=4, 1..20)) {
            let middle = median(&levels).expect("levels");
            let (low, high) = (levels.iter().min().copied(), levels.iter().max().copied());
            prop_assert!(f64::from(low.expect("one")) <= middle && middle <= f64::from(high.expect("one")));
            let share = agreement(&levels).unwrap_or(1.0);
            prop_assert!(share > 0.0 && share <= 1.0);
            prop_assert_eq!(spread(&levels) == Some(0), share == 1.0);
        }
    }
}
