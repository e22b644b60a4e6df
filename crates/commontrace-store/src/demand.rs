//! How many connections to the primary there are, and how many statements and transactions want one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Store;
use crate::pool::Pool;

/// Counts the statements and transactions under way, whether they have a connection yet or wait for
/// one, which the pool does not tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand(Arc<AtomicU32>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Wanted(Demand);

impl Demand {
    /// Counts one more.
    pub fn one(&self) -> Wanted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Wanted(self.clone())
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections to the primary at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// How many there may be.
    pub max: u32,
    /// Those with something to do.
    pub used: u32,
    /// Those without.
    pub idle: u32,
    /// Statements and transactions that have none yet.
    pub waiting: u32,
}

impl Store {
    /// Counts the connections to the primary; none where there is no server.
    pub fn connections(&self) -> Option<ConnectionCounts> {
        let Pool::Postgres(pool) = &self.pool else {
            return None;
        };
        let (open, max) = (pool.size(), pool.options().get_max_connections());
        let idle = u32::try_from(pool.num_idle()).map_or(open, |idle| idle.min(open));
        let used = open - idle;
        let wanted = self.demand.0.load(Ordering::Relaxed);
        Some(ConnectionCounts {
            max,
            used,
            idle,
            waiting: wanted.saturating_sub(used),
        })
    }
}
