//! Redis: whether it can be used, how fast it answers, and what it does when it is full.

use std::time::Duration;

use commontrace_server::shared::{Condition, Eviction, RedisAddress, Unseen};

use super::Finding::{self, Fine, Weak};

/// What Redis may take to answer: every limited request waits for it once.
const SLOW: Duration = Duration::from_millis(10);

/// Without Redis the server goes on, so nothing here is worse than weak.
pub async fn redis(address: &RedisAddress) -> Finding {
    let found = match Condition::of(address).await {
        Ok(found) => found,
        Err(Unseen::Unusable { why, remedy }) => {
            return Weak(format!(
                "{address}: {why}; until it can be used, each node limits by itself: {remedy}"
            ));
        }
        Err(Unseen::Closed(why)) => {
            return Weak(format!(
                "{address} can be used, but not looked at: {why}; allow this user +info"
            ));
        }
    };
    let Condition {
        version, latency, ..
    } = &found;
    let milliseconds = latency.as_secs_f64() * 1000.0;
    let is = format!("{version} at {address} answers in {milliseconds:.2} ms");
    if !found.is_recent() {
        return Weak(format!("{is}; use version 6 or later"));
    }
    if *latency > SLOW {
        return Weak(format!(
            "{is}, and every limited request waits for that: move it nearer to the nodes"
        ));
    }
    match (found.max_memory, found.eviction) {
        (0, _) => Fine(format!("{is}, no limit on its memory")),
        (_, Eviction::Oldest) => Fine(is),
        (_, Eviction::Refuses) => Weak(format!(
            "{is}, and refuses writes when its memory is full, each node then limits by itself: set \
             maxmemory-policy allkeys-lru"
        )),
        (_, Eviction::Buckets) => Weak(format!(
            "{is}, and when its memory is full forgets who used up a limit: set maxmemory-policy \
             allkeys-lru"
        )),
    }
}
