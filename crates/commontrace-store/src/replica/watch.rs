//! Asks the primary and the replica where they are, a few times a second and outside of the pools,
//! and decides whether the replica may be read.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, PgConnection, Row};

use super::Replica;
use super::lag::Unreached;
use crate::WalPosition;
use crate::error::reason;

/// How often both are asked. An account that has written reads from the primary for about as long.
const EVERY: Duration = Duration::from_millis(200);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

const WHERE_IS_THE_PRIMARY: &str = "
    SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS position,
           (SELECT system_identifier FROM pg_control_system()) AS system,
           current_database()::text AS name";
const WHERE_IS_THE_REPLICA: &str = "
    SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint AS position,
           (SELECT system_identifier FROM pg_control_system()) AS system,
           current_database()::text AS name,
           pg_is_in_recovery() AS is_standby";

/// Asks for the first time, then goes on in the background until the replica is dropped or closed.
pub(super) async fn start(
    replica: &Arc<Replica>,
    primary: PgConnectOptions,
    options: PgConnectOptions,
    max_lag: Duration,
) {
    let mut watch = Watch {
        primary: Probe::of(primary),
        replica: Probe::of(options),
        database: None,
        unreached: Unreached::default(),
        max_lag,
        was_usable: None,
    };
    watch.look(replica).await;
    tokio::spawn(run(watch, Arc::downgrade(replica)));
}

async fn run(mut watch: Watch, replica: Weak<Replica>) {
    loop {
        tokio::time::sleep(EVERY).await;
        match replica.upgrade() {
            Some(replica) if !replica.pool.is_closed() => watch.look(&replica).await,
            _ => return,
        }
    }
}

struct Watch {
    primary: Probe,
    replica: Probe,
    /// Which database of which server the primary is, once it has said so.
    database: Option<(i64, String)>,
    unreached: Unreached,
    max_lag: Duration,
    was_usable: Option<bool>,
}

impl Watch {
    async fn look(&mut self, replica: &Replica) {
        let begun = Instant::now();
        // A primary that is away writes nothing, so the replica is not behind for that reason.
        if let Ok(row) = self.primary.ask(WHERE_IS_THE_PRIMARY).await
            && let Ok((position, database)) = read(&row)
        {
            self.database = Some(database);
            self.unreached.seen(begun, position);
        }
        let found = match self.replica.ask(WHERE_IS_THE_REPLICA).await {
            Ok(row) => self.judge(&row),
            Err(fault) => Err(fault),
        };
        let lag = self.unreached.lag(Instant::now());
        let (position, fault) = match found {
            Ok(position) => {
                replica.marks().reached(position);
                (position, self.too_late(lag))
            }
            Err(fault) => (WalPosition::default(), Some(fault)),
        };
        let usable = fault.is_none();
        let replayed = if usable { position.0 } else { 0 };
        replica.replayed.store(replayed, Ordering::Release);
        self.tell(fault.as_deref());
        let mut state = replica.state();
        state.lag = lag;
        state.fault = fault;
    }

    /// Returns where the replica is, or why it is none of ours.
    fn judge(&mut self, row: &PgRow) -> Result<WalPosition, String> {
        let is_standby: bool = row.try_get("is_standby").map_err(|err| err.to_string())?;
        if !is_standby {
            return Err("it is not a standby".to_owned());
        }
        let (position, database) = read(row)?;
        match &self.database {
            Some(ours) if *ours == database => {}
            Some(_) => return Err("it is a copy of another database".to_owned()),
            None => return Err("the primary has not been reached yet".to_owned()),
        }
        self.unreached.reached(position);
        Ok(position)
    }

    fn too_late(&self, lag: Duration) -> Option<String> {
        // Once it was too late it has to come closer, so that it is not in and out all the time.
        let bound = match self.was_usable {
            Some(false) => self.max_lag / 2,
            _ => self.max_lag,
        };
        (lag > bound).then(|| format!("it is {:.1} s behind", lag.as_secs_f64()))
    }

    fn tell(&mut self, fault: Option<&str>) {
        let usable = fault.is_none();
        if self.was_usable.replace(usable) == Some(usable) {
            return;
        }
        match fault {
            Some(fault) => tracing::warn!(
                error = fault,
                "the replica cannot be used, reads go to the primary: {fault}"
            ),
            None => tracing::info!("reads go to the replica"),
        }
    }
}

fn read(row: &PgRow) -> Result<(WalPosition, (i64, String)), String> {
    let position: Option<i64> = row.try_get("position").map_err(|err| err.to_string())?;
    let position = position.ok_or("it does not say how far it is")?;
    let database = row
        .try_get("system")
        .and_then(|system| Ok((system, row.try_get("name")?)));
    let database = database.map_err(|err: sqlx::Error| err.to_string())?;
    Ok((WalPosition::from_bigint(position), database))
}

/// A connection for these questions alone, so that a pool run dry does not hide the answer.
struct Probe {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Probe {
    fn of(options: PgConnectOptions) -> Self {
        Self {
            options,
            connection: None,
        }
    }

    async fn ask(&mut self, question: &'static str) -> Result<PgRow, String> {
        // One that fails or does not answer in time is not used again.
        let connection = self.connection.take();
        let asked = tokio::time::timeout(PATIENCE, async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let row = sqlx::query(question).fetch_one(&mut connection).await?;
            Ok::<_, sqlx::Error>((row, connection))
        });
        match asked.await {
            Ok(Ok((row, connection))) => {
                self.connection = Some(connection);
                Ok(row)
            }
            Ok(Err(err)) => Err(reason(&err)),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}
