//! What clients report about themselves, and what is counted about traces.

use chrono::{DateTime, Utc};
use commontrace_core::{TraceId, UserId};
use futures_util::FutureExt;
use serde_json::Value;
use sqlx::types::Json;

use crate::tx::on_tx;
use crate::write::execute;
use crate::{Result, Store};

/// What a client says of its installation.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Install {
    pub platform: Option<String>,
    pub skill_version: Option<String>,
    pub install_source: Option<String>,
}

/// What a client says of one of its sessions' triggers.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct TriggerReport {
    pub session_id: String,
    pub trigger_stats: Value,
    pub searches_fired: Option<i64>,
    pub traces_consumed: Option<i64>,
    pub resolutions_total: Option<i64>,
    pub resolutions_assisted: Option<i64>,
}

impl Store {
    /// Keeps what an account says of its installation, replacing what it said before.
    pub async fn report_install(
        &self,
        user: UserId,
        install: Install,
        now: DateTime<Utc>,
    ) -> Result<()> {
        execute!(
            self,
            sqlx::query(
                "UPDATE users SET platform = $2, skill_version = $3, install_source = $4,
                     last_seen_at = $5
                 WHERE id = $1",
            )
            .bind(user)
            .bind(&install.platform)
            .bind(&install.skill_version)
            .bind(&install.install_source)
            .bind(now)
        )
        .map(drop)
    }

    /// Notes that an account is in use.
    pub async fn report_ping(&self, user: UserId, now: DateTime<Utc>) -> Result<()> {
        execute!(
            self,
            sqlx::query("UPDATE users SET last_seen_at = $2 WHERE id = $1")
                .bind(user)
                .bind(now)
        )
        .map(drop)
    }

    /// Keeps a session's trigger statistics, replacing an earlier report of the same session.
    pub async fn report_triggers(
        &self,
        user: UserId,
        report: TriggerReport,
        now: DateTime<Utc>,
    ) -> Result<()> {
        execute!(
            self,
            sqlx::query(
                "INSERT INTO trigger_reports (user_id, session_id, trigger_stats,
                     searches_fired, traces_consumed, resolutions_total, resolutions_assisted,
                     created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (user_id, session_id) DO UPDATE SET
                     trigger_stats = excluded.trigger_stats,
                     searches_fired = excluded.searches_fired,
                     traces_consumed = excluded.traces_consumed,
                     resolutions_total = excluded.resolutions_total,
                     resolutions_assisted = excluded.resolutions_assisted,
                     created_at = excluded.created_at",
            )
            .bind(user)
            .bind(&report.session_id)
            .bind(Json(&report.trigger_stats))
            .bind(report.searches_fired)
            .bind(report.traces_consumed)
            .bind(report.resolutions_total)
            .bind(report.resolutions_assisted)
            .bind(now)
        )
        .map(drop)
    }

    /// Adds to how often traces were opened. Nothing that ranks reads these counts.
    pub async fn add_retrievals(&self, mut counts: Vec<(TraceId, i64)>) -> Result<()> {
        // In one order, so that two nodes never wait for each other's rows crosswise.
        counts.sort();
        self.write(move |tx| {
            async move {
                for &(trace, count) in &counts {
                    on_tx!(tx, |db| sqlx::query(
                        "UPDATE traces SET retrieval_count = retrieval_count + $2 WHERE id = $1"
                    )
                    .bind(trace)
                    .bind(count)
                    .execute(db)
                    .await
                    .map(drop))?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }
}
