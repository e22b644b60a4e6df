//! Asks a model several times, with and without the reasoning shown, and adds up what it says.
//!
//! The model gives levels; medians, means and the verdict are made here. A sample that fails costs that
//! sample; a dimension that fails costs that dimension; what succeeded is kept.

mod answer;
mod prompt;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::answer::Said;
pub(crate) use self::answer::unfenced;
pub(crate) use self::prompt::object;
use crate::deterministic::Reason;
use crate::endpoint::{Answer, Endpoint, Failure, Prompt};
use crate::judged::{
    Asked, FEWEST_DIMENSIONS, Judged, Sample, Score, Tokens, agreement, mean, median, spread,
};
use crate::pack::Pack;
use crate::rubric::{self, DIMENSIONS, Dimension};
use commontrace_core::hex;

/// Further requests of a sample where the service is away or busy.
const RETRIES: u32 = 2;
/// The longest pause before asking again, whatever the service asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How to ask.
#[derive(Debug, Clone)]
pub struct Asking {
    /// How many valid answers are wanted of each kind.
    pub samples: usize,
    /// The pause before asking again where the service is away or busy; later ones double.
    pub pause: Duration,
    /// What tokens cost, if that is to be known.
    pub prices: Option<Prices>,
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Of requests.
    pub input: f64,
    /// Of answers.
    pub output: f64,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The session as it is.
    pub pack: &'a Pack,
    /// The session with the reasoning removed.
    pub without_reasoning: &'a Pack,
    /// The sequence number of the last event.
    pub events_through_seq: Option<i64>,
}

/// What comes from the world.
pub struct World<'a> {
    /// What time it is.
    pub now: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    /// Random bytes for a delimiter.
    pub random: &'a (dyn Fn() -> [u8; 16] + Sync),
    /// Ends the asking; what was answered until then is kept.
    pub cancelled: &'a CancellationToken,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            samples: 3,
            pause: Duration::from_secs(2),
            prices: None,
        }
    }
}

/// Judges a session by a model.
pub async fn judge(
    endpoint: &dyn Endpoint,
    asking: &Asking,
    case: Case<'_>,
    world: World<'_>,
) -> Judged {
    if case.pack.shown == 0 {
        return Judged::absent(Reason::NotApplicable);
    }
    let started = (world.now)();
    let mut asker = Asker {
        endpoint,
        asking,
        world,
        started,
        system: prompt::instructions(),
        schema: prompt::schema(),
        samples: Vec::new(),
        tokens: Tokens::default(),
        answered_by: None,
        sent: Value::Null,
    };
    let shown = asker.series(case.pack, true).await;
    let hidden = if shown.iter().any(Result::is_ok) {
        asker.series(case.without_reasoning, false).await
    } else {
        Vec::new()
    };
    asker.judged(&shown, &hidden, case)
}

/// A line that nobody could write down before it was drawn.
pub(crate) fn delimiter(random: [u8; 16]) -> String {
    format!("=={}==", hex::encode(&random))
}

/// What one sample says of each dimension, or why it failed.
type Outcome = Result<[Said; DIMENSIONS], Reason>;

struct Asker<'a> {
    endpoint: &'a dyn Endpoint,
    asking: &'a Asking,
    world: World<'a>,
    started: DateTime<Utc>,
    system: String,
    schema: Value,
    samples: Vec<Sample>,
    tokens: Tokens,
    answered_by: Option<String>,
    sent: Value,
}

impl Asker<'_> {
    /// Takes the samples of one kind; ends early if the next one would fail for the same reason.
    async fn series(&mut self, pack: &Pack, with_reasoning: bool) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for _ in 0..self.asking.samples.max(1) {
            let outcome = self.sample(pack, with_reasoning).await;
            let over = matches!(
                outcome,
                Err(Reason::Unreachable
                    | Reason::Timeout
                    | Reason::RateLimited
                    | Reason::BudgetExceeded
                    | Reason::Cancelled)
            );
            outcomes.push(outcome);
            if over {
                break;
            }
        }
        outcomes
    }

    /// Takes one sample: asks again while the service is away, and once if the answer is of no use.
    async fn sample(&mut self, pack: &Pack, with_reasoning: bool) -> Outcome {
        let started = (self.world.now)();
        let (mut tokens, mut requests, mut pauses, mut invalid) = (Tokens::default(), 0, 0, false);
        let result = loop {
            if self.world.cancelled.is_cancelled() {
                break Err(cancelled());
            }
            requests += 1;
            match self.once(pack).await {
                Ok(answer) => {
                    tokens.add(answer.tokens);
                    self.tokens.add(answer.tokens);
                    let read = answer::read(&answer.text, pack);
                    self.answered_by = answer.model.or(self.answered_by.take());
                    self.sent = answer.sent;
                    let broken = |said: &Said| said.level == Err(Reason::SchemaInvalid);
                    match read {
                        // What is broken the second time is lost, and the rest is kept.
                        Some(said) if invalid || !said.iter().any(broken) => break Ok(said),
                        None if invalid => {
                            let what = "the answer is not of the shape that was asked for, twice";
                            break Err(Failure::new(Reason::SchemaInvalid, what));
                        }
                        _ => invalid = true,
                    }
                }
                Err(failure) => {
                    tokens.add(failure.tokens);
                    self.tokens.add(failure.tokens);
                    let passing =
                        matches!(failure.reason, Reason::Unreachable | Reason::RateLimited);
                    if failure.reason == Reason::SchemaInvalid && !invalid {
                        invalid = true;
                    } else if passing && pauses < RETRIES {
                        let pause = self.asking.pause.saturating_mul(1 << pauses.min(8));
                        let pause = pause
                            .max(failure.retry_after.unwrap_or_default())
                            .min(LONGEST_PAUSE);
                        pauses += 1;
                        tokio::select! {
                            () = self.world.cancelled.cancelled() => {}
                            () = tokio::time::sleep(pause) => {}
                        }
                    } else {
                        break Err(failure);
                    }
                }
            }
        };
        let (reason, error) = match &result {
            Ok(_) => (None, None),
            Err(failure) => (Some(failure.reason), Some(failure.message.clone())),
        };
        if let Some(error) = &error {
            tracing::debug!(%error, "a sample of the judge failed");
        }
        let levels = match &result {
            Ok(said) => said.iter().map(|said| said.level.ok()).collect(),
            Err(_) => vec![None; DIMENSIONS],
        };
        self.samples.push(Sample {
            with_reasoning,
            levels,
            reason,
            error,
            requests,
            tokens,
            latency_ms: milliseconds(started, (self.world.now)()),
        });
        result.map_err(|failure| failure.reason)
    }

    async fn once(&self, pack: &Pack) -> Result<Answer, Failure> {
        let prompt = Prompt {
            system: self.system.clone(),
            user: pack.message(&delimiter((self.world.random)()), prompt::TASK),
            schema: self.schema.clone(),
        };
        tokio::select! {
            biased;
            () = self.world.cancelled.cancelled() => Err(cancelled()),
            answer = self.endpoint.ask(&prompt) => answer,
        }
    }

    /// What the tokens cost; nothing without prices, or where the endpoint tells of no tokens.
    fn cost(&self) -> Option<f64> {
        let prices = self.asking.prices.filter(|_| self.tokens.sum() > 0)?;
        let Tokens { input, output } = self.tokens;
        let cost = (input as f64 * prices.input + output as f64 * prices.output) / 1e6;
        cost.is_finite().then_some(cost)
    }

    fn judged(self, shown: &[Outcome], hidden: &[Outcome], case: Case<'_>) -> Judged {
        let scores = Dimension::ALL.into_iter().enumerate();
        let dimensions: Vec<Score> = scores
            .map(|(place, dimension)| score(dimension, place, shown, hidden))
            .collect();
        let medians: Vec<f64> = dimensions.iter().filter_map(|score| score.median).collect();
        let enough = medians.len() >= FEWEST_DIMENSIONS;
        let cost = self.cost();
        Judged {
            mean: mean(medians).filter(|_| enough),
            gap: mean(dimensions.iter().filter_map(|score| score.gap)),
            rubric_version: rubric::VERSION.to_owned(),
            rubric_hash: rubric::hash(),
            asked: Some(Asked {
                endpoint: self.endpoint.kind().to_owned(),
                model: self.endpoint.model().to_owned(),
                answered_by: self.answered_by,
                prompt_hash: prompt::hash(),
                input_hash: case.pack.hash.clone(),
                parameters: self.sent,
                samples_wanted: self.asking.samples,
                samples_valid: shown.iter().filter(|outcome| outcome.is_ok()).count(),
                samples: self.samples,
                tokens: self.tokens,
                cost,
                latency_ms: milliseconds(self.started, (self.world.now)()),
                events_shown: case.pack.shown,
                events: case.pack.events,
                events_cut: case.pack.cut,
                events_through_seq: case.events_through_seq,
            }),
            dimensions,
        }
    }
}

/// What the samples come to in one dimension.
fn score(dimension: Dimension, place: usize, shown: &[Outcome], hidden: &[Outcome]) -> Score {
    let said: Vec<&Said> = shown.iter().flatten().map(|said| &said[place]).collect();
    let levels = levels(shown, place);
    let reason = reason(shown, place);
    let inapplicable = said
        .iter()
        .filter(|said| said.level == Err(Reason::NotApplicable))
        .count();
    if levels.is_empty() || inapplicable > levels.len() {
        let reason = if inapplicable > 0 && inapplicable >= levels.len() {
            Reason::NotApplicable
        } else {
            reason.unwrap_or(Reason::NotApplicable)
        };
        return Score {
            levels,
            ..Score::absent(dimension, reason)
        };
    }
    let median_with = median(&levels);
    let mut event_ids: Vec<String> = said
        .iter()
        .flat_map(|said| said.event_ids.clone())
        .collect();
    event_ids.sort_unstable();
    event_ids.dedup();
    let distance = |said: &&&Said| {
        let level = said.level.map_or(f64::INFINITY, f64::from);
        (level - median_with.unwrap_or_default()).abs()
    };
    let nearest = said
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let without = median(&self::levels(hidden, place));
    Score {
        dimension,
        median: median_with,
        spread: spread(&levels),
        agreement: agreement(&levels),
        reason,
        event_ids,
        why: nearest.map(|said| said.why.clone()).unwrap_or_default(),
        without_reasoning: without,
        gap: median_with
            .zip(without)
            .map(|(with, without)| with - without),
        levels,
    }
}

fn levels(outcomes: &[Outcome], place: usize) -> Vec<u8> {
    outcomes
        .iter()
        .flatten()
        .filter_map(|said| said[place].level.ok())
        .collect()
}

/// The most frequent reason why samples have no level here; of equally frequent ones the first.
fn reason(outcomes: &[Outcome], place: usize) -> Option<Reason> {
    let reasons: Vec<Reason> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Ok(said) => said[place].level.err(),
            Err(reason) => Some(*reason),
        })
        .collect();
    let count = |reason: &Reason| reasons.iter().filter(|other| *other == reason).count();
    reasons
        .iter()
        .rev()
        .max_by_key(|reason| count(reason))
        .copied()
}

fn cancelled() -> Failure {
    Failure::new(Reason::Cancelled, "the judging was cancelled")
}

fn milliseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
