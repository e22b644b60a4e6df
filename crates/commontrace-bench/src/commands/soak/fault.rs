//! What happens to the deployment, and how it is put right again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{Connection as _, PgConnection};

use super::ballast::Ballast;
use super::deployment::Deployment;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// kill -9 of a node that serves
    KillNode,
    /// kill -9 of the worker
    KillWorker,
    /// kill -9 of PostgreSQL
    KillPostgres,
    /// kill -9 of Redis, which forgets everything
    KillRedis,
    /// kill -9 of the standby that is read from
    KillStandby,
    /// The embedding endpoint is gone with all its connections
    KillEndpoint,
    /// A node is stopped and started, as for an upgrade
    RestartNode,
    /// The worker is stopped and started
    RestartWorker,
    /// PostgreSQL is stopped without waiting for its clients, and started
    RestartPostgres,
    /// The standby stops replaying
    LaggingStandby,
    /// The embedding endpoint keeps its connections and does not answer
    SilentEndpoint,
    /// Every statement waits for a lock until no connection is free
    DryPool,
    /// No room is left where PostgreSQL keeps its data; needs --small-disk
    FullDisk,
}

/// The six that `--rounds` goes through by default.
pub const KILLS: [Fault; 6] = [
    Fault::KillNode,
    Fault::KillWorker,
    Fault::KillPostgres,
    Fault::KillRedis,
    Fault::KillStandby,
    Fault::KillEndpoint,
];

/// What keeps a fault going until it is put right.
#[derive(Debug, Default)]
pub struct Held {
    lock: Option<PgConnection>,
    ballast: Option<Ballast>,
}

impl Fault {
    /// Names it as on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether connections to a node may end under its clients.
    pub fn cuts_off(self) -> bool {
        matches!(self, Self::KillNode | Self::RestartNode)
    }

    /// Whether 503 may be answered: where the truth cannot be written.
    pub fn makes_unavailable(self) -> bool {
        matches!(
            self,
            Self::KillPostgres | Self::RestartPostgres | Self::DryPool | Self::FullDisk
        )
    }

    /// How long it lasts at least: those without an end of their own have to be noticed.
    pub fn lasts(self) -> Duration {
        match self {
            Self::LaggingStandby | Self::SilentEndpoint | Self::FullDisk => Duration::from_secs(3),
            Self::DryPool => Duration::from_secs(5),
            _ => Duration::from_millis(300),
        }
    }

    /// Lets it happen.
    pub async fn happen(self, to: &mut Deployment, disk: Option<&Path>) -> Result<Held> {
        let mut held = Held::default();
        match self {
            Self::KillNode => to.nodes[0].kill().await?,
            Self::KillWorker => to.worker.kill().await?,
            Self::KillPostgres => to.cluster.primary.kill(),
            Self::KillRedis => to.redis.kill(),
            Self::KillStandby => to.cluster.standby.kill(),
            Self::KillEndpoint => to.endpoint.kill(),
            Self::RestartNode => to.nodes[0].end().await?,
            Self::RestartWorker => to.worker.end().await?,
            Self::RestartPostgres => to.cluster.primary.stop(),
            Self::LaggingStandby => {
                let standby = &to.cluster.standby;
                standby.execute("SELECT pg_wal_replay_pause()").await;
            }
            Self::SilentEndpoint => to.endpoint.be_silent(true),
            Self::DryPool => {
                let mut db = PgConnection::connect(&to.cluster.primary.url())
                    .await
                    .context("cannot connect to PostgreSQL")?;
                sqlx::raw_sql("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
                    .execute(&mut db)
                    .await
                    .context("cannot lock a table")?;
                held.lock = Some(db);
            }
            Self::FullDisk => {
                let disk = disk.context("a full disk needs --small-disk")?;
                held.ballast = Some(Ballast::fill(disk)?);
            }
        }
        Ok(held)
    }

    /// Puts it right: starts what is gone, gives back what is held.
    pub async fn put_right(self, held: Held, to: &mut Deployment) -> Result<()> {
        match self {
            Self::KillNode | Self::RestartNode => to.start_node_again().await?,
            Self::KillWorker | Self::RestartWorker => to.start_worker_again().await?,
            Self::KillRedis => to.redis.start_again().await,
            Self::KillPostgres | Self::RestartPostgres => to.cluster.primary.start().await,
            Self::KillStandby => to.cluster.standby.start().await,
            Self::KillEndpoint => to.endpoint.start_again().await?,
            Self::LaggingStandby => {
                let standby = &to.cluster.standby;
                standby.execute("SELECT pg_wal_replay_resume()").await;
            }
            Self::SilentEndpoint => to.endpoint.be_silent(false),
            Self::DryPool => {
                if let Some(db) = held.lock {
                    db.close().await.context("cannot give back a lock")?;
                }
            }
            Self::FullDisk => {
                drop(held.ballast);
                // Without room for its log PostgreSQL ends itself, as it must.
                to.cluster.primary.start_if_ended().await;
                to.cluster.standby.start_if_ended().await;
            }
        }
        Ok(())
    }
}
