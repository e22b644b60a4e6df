//! What came of a trace: one report per account, trace and environment, in place of the one before.
//!
//! Like a vote, a report is about the text that was read and counts while that text stands. Environments are
//! counted by reports; trust counts accounts, each once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commontrace_core::fingerprint::Fingerprint;
use commontrace_core::outcome::{self, ENVIRONMENTS_MAX};
use commontrace_core::vote::VoteType;
use commontrace_core::{Outcome, OutcomeCounts, TraceId, UserId};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use crate::pool::on_pool;
use crate::traces::read;
use crate::tx::{Tx, on_tx};
use crate::{Result, Store, Trace, reads, votes};

/// A report to store.
#[derive(Debug, Clone)]
pub struct NewOutcome {
    /// The trace.
    pub trace_id: TraceId,
    /// Who reports.
    pub user_id: UserId,
    /// What came of it.
    pub outcome: Outcome,
    /// Where.
    pub environment: Fingerprint,
    /// Anything else, in words.
    pub note: Option<String>,
    /// The revision that it is about, if they said so.
    pub revision: Option<i64>,
    /// The newest revision that they are known to have opened, besides those that the store knows of.
    pub opened: Option<i64>,
}

/// How reporting went.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportOutcome {
    /// It counts; this is the trace with its new standing.
    Reported {
        /// The trace.
        trace: Box<Trace>,
        /// Whether it took the place of a report from the same environment on the same text.
        replaced: bool,
    },
    /// There is no such trace to see.
    Unknown,
    /// Nobody reports on their own trace.
    OwnTrace,
    /// They have not opened the trace, or not since its text was replaced; this is the revision to read.
    NotRead(i64),
    /// The text that they say they read has been replaced; this is the revision to read.
    Rewritten(i64),
    /// The trace has no such revision yet; this is its last.
    NoSuchRevision(i64),
    /// They have reported from as many environments as they may.
    TooManyEnvironments,
}

/// What was reported from one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentOutcomes {
    /// The environment; empty if it was not said.
    pub environment: BTreeMap<String, String>,
    /// How often each outcome was reported from there.
    pub outcomes: OutcomeCounts,
}

/// An account's report on the text as it is.
#[derive(Debug, sqlx::FromRow)]
struct Reported {
    environment_key: Vec<u8>,
    outcome: Outcome,
    revision: i64,
    number: i64,
}

impl Store {
    /// Stores a report and brings the trace's standing up to date. `threshold` is how many
    /// accounts more than not have to confirm a trace.
    pub async fn report_outcome(
        &self,
        new: NewOutcome,
        threshold: u32,
        now: DateTime<Utc>,
    ) -> Result<ReportOutcome> {
        self.write(move |tx| report(tx, new, threshold, now).boxed())
            .await
    }

    /// Returns what was reported on a trace's text from each environment, at most `limit` of them, those with
    /// the most reports first.
    pub async fn outcome_environments(
        &self,
        trace: TraceId,
        text_revision: i64,
        limit: i64,
    ) -> Result<Vec<EnvironmentOutcomes>> {
        let rows: Vec<(String, i64, i64, i64, i64)> = on_pool!(self, |db| sqlx::query_as(MOST)
            .bind(trace)
            .bind(text_revision)
            .bind(limit)
            .fetch_all(db)
            .await)?;
        let rows = rows.into_iter().map(
            |(environment, worked, worked_with_changes, did_not_work, not_relevant)| {
                EnvironmentOutcomes {
                    environment: serde_json::from_str(&environment).unwrap_or_default(),
                    outcomes: OutcomeCounts {
                        worked,
                        worked_with_changes,
                        did_not_work,
                        not_relevant,
                    },
                }
            },
        );
        Ok(rows.collect())
    }
}

const MOST: &str = "SELECT environment, worked, worked_with_changes, did_not_work, not_relevant
     FROM outcome_environments WHERE trace_id = $1 AND text_revision = $2
     ORDER BY reports DESC, environment_key DESC LIMIT $3";

async fn report(
    tx: &mut Tx<'_>,
    new: NewOutcome,
    threshold: u32,
    now: DateTime<Utc>,
) -> Result<ReportOutcome> {
    read::lock(tx, new.trace_id).await?;
    let Some(mut trace) = read::trace(tx, new.trace_id).await? else {
        return Ok(ReportOutcome::Unknown);
    };
    if trace.contributor_id == new.user_id {
        return Ok(ReportOutcome::OwnTrace);
    }
    if trace.hidden_at.is_some() {
        return Ok(ReportOutcome::Unknown);
    }
    if let Some(refused) = unread(tx, &trace, &new).await? {
        return Ok(refused);
    }
    let environment = serde_json::to_string(&new.environment).expect("strings are JSON");
    let key = Sha256::digest(environment.as_bytes()).to_vec();
    let mut said = reported(tx, new.trace_id, new.user_id).await?;
    let number = said.last().map_or(1, |last| last.number + 1);
    said.retain(|report| report.revision >= trace.text_revision);
    let counted = outcome::counting(said.iter().map(|report| report.outcome));
    let replaced = said.iter().position(|report| report.environment_key == key);
    let replaced = replaced.map(|place| said.remove(place));
    if replaced.is_none() && said.len() >= ENVIRONMENTS_MAX {
        return Ok(ReportOutcome::TooManyEnvironments);
    }
    forget_earlier(tx, &trace, new.user_id).await?;
    record(
        tx,
        &new,
        (&key, &environment),
        (trace.revision, number),
        now,
    )
    .await?;
    let earlier = replaced.as_ref().map(|report| report.outcome);
    count(tx, &trace, (&key, &environment), earlier, new.outcome).await?;
    let said = said.iter().map(|report| report.outcome);
    let counting = outcome::counting(said.chain([new.outcome]));
    let vote = votes::of_text(tx, &trace, new.user_id).await?;
    count_account(&mut trace, vote, counted, counting);
    votes::stand_again(tx, &mut trace, threshold, now).await?;
    Ok(ReportOutcome::Reported {
        trace: Box::new(trace),
        replaced: replaced.is_some(),
    })
}

/// Why a report is not about a text that its account has read and that still stands, if so.
async fn unread(tx: &mut Tx<'_>, trace: &Trace, new: &NewOutcome) -> Result<Option<ReportOutcome>> {
    match new.revision {
        Some(said) if said > trace.revision => {
            return Ok(Some(ReportOutcome::NoSuchRevision(trace.revision)));
        }
        Some(said) if said < trace.text_revision => {
            return Ok(Some(ReportOutcome::Rewritten(trace.revision)));
        }
        _ => {}
    }
    let opened = reads::revision(tx, new.user_id, trace.id).await?;
    let has_read = opened.max(new.opened) >= Some(trace.text_revision);
    Ok((!has_read).then_some(ReportOutcome::NotRead(trace.revision)))
}

/// Moves an account from what counted of its reports to what counts of them now. What it has tried counts in
/// place of its `vote`.
fn count_account(
    trace: &mut Trace,
    vote: Option<VoteType>,
    before: Option<Outcome>,
    now: Option<Outcome>,
) {
    for (counting, by) in [(before, -1), (now, 1)] {
        let Some(counting) = counting else { continue };
        trace.outcomes.add(counting, by);
        if counting.was_tried() {
            replace_vote(trace, vote, by);
        }
    }
}

/// Counts a vote as replaced by what its account has reported.
pub(crate) fn replace_vote(trace: &mut Trace, vote: Option<VoteType>, by: i64) {
    match vote {
        Some(VoteType::Up) => trace.replaced_up_votes += by,
        Some(VoteType::Down) => trace.replaced_down_votes += by,
        None => {}
    }
}

/// Whether an account has tried the text of a trace and reported what came of it.
pub(crate) async fn has_tried(tx: &mut Tx<'_>, trace: &Trace, user: UserId) -> Result<bool> {
    if trace.outcomes.total() == 0 {
        return Ok(false);
    }
    let said = reported(tx, trace.id, user).await?;
    Ok(said
        .iter()
        .any(|report| report.revision >= trace.text_revision && report.outcome.was_tried()))
}

/// Returns an account's reports on a trace, the last one last.
async fn reported(tx: &mut Tx<'_>, trace: TraceId, user: UserId) -> Result<Vec<Reported>> {
    Ok(on_tx!(tx, |db| sqlx::query_as(
        "SELECT environment_key, outcome, revision, number FROM outcomes
         WHERE trace_id = $1 AND user_id = $2 ORDER BY number"
    )
    .bind(trace)
    .bind(user)
    .fetch_all(db)
    .await)?)
}

/// Removes an account's reports on earlier texts of a trace, of which nothing counts any more.
async fn forget_earlier(tx: &mut Tx<'_>, trace: &Trace, user: UserId) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "DELETE FROM outcomes WHERE trace_id = $1 AND user_id = $2 AND revision < $3"
    )
    .bind(trace.id)
    .bind(user)
    .bind(trace.text_revision)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Stores a report in place of the one from the same environment.
async fn record(
    tx: &mut Tx<'_>,
    new: &NewOutcome,
    (key, environment): (&[u8], &str),
    (revision, number): (i64, i64),
    now: DateTime<Utc>,
) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO outcomes (trace_id, user_id, environment_key, environment, outcome, note,
                               revision, number, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (trace_id, user_id, environment_key) DO UPDATE SET
             outcome = excluded.outcome, note = excluded.note, revision = excluded.revision,
             number = excluded.number, created_at = excluded.created_at",
    )
    .bind(new.trace_id)
    .bind(new.user_id)
    .bind(key)
    .bind(environment)
    .bind(new.outcome)
    .bind(&new.note)
    .bind(revision)
    .bind(number)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

/// Counts a report for its environment, in place of the `earlier` one from there.
async fn count(
    tx: &mut Tx<'_>,
    trace: &Trace,
    (key, environment): (&[u8], &str),
    earlier: Option<Outcome>,
    outcome: Outcome,
) -> Result<()> {
    let mut by = OutcomeCounts::default();
    by.add(outcome, 1);
    if let Some(earlier) = earlier {
        by.add(earlier, -1);
    }
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO outcome_environments AS e
             (trace_id, text_revision, environment_key, environment, worked, worked_with_changes,
              did_not_work, not_relevant, reports)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (trace_id, text_revision, environment_key) DO UPDATE SET
             worked = e.worked + excluded.worked,
             worked_with_changes = e.worked_with_changes + excluded.worked_with_changes,
             did_not_work = e.did_not_work + excluded.did_not_work,
             not_relevant = e.not_relevant + excluded.not_relevant,
             reports = e.reports + excluded.reports",
    )
    .bind(trace.id)
    .bind(trace.text_revision)
    .bind(key)
    .bind(environment)
    .bind(by.worked)
    .bind(by.worked_with_changes)
    .bind(by.did_not_work)
    .bind(by.not_relevant)
    .bind(by.total())
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::assert_indexed;

    #[tokio::test]
    async fn the_environments_with_most_reports_come_out_of_an_index() {
        assert_indexed(MOST).await;
    }
}
