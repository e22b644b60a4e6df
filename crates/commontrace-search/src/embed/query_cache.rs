//! Keeps the vectors of recent queries, so that a repeated search need not be embedded again.
//!
//! Two generations: entries go into the young one, a hit in the old one moves back to the young,
//! and when the young holds half the allowed bytes it becomes the old and the old is dropped.
//! That is close to least-recently-used, with constant-time operations and no list to maintain.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::{EmbedError, ModelInfo};

/// Model and text, hashed: keys are small, of one size, and keep no query text in memory.
type Key = [u8; 32];
/// Filled once; callers asking for the same key meanwhile wait for the first.
type Slot = Arc<OnceCell<Arc<[f32]>>>;

/// Bytes an entry takes beside its vector: key, pointers, counters and table slack.
const ENTRY_OVERHEAD_BYTES: usize = 192;

/// A bounded, thread-safe cache of query vectors.
#[derive(Debug)]
pub struct QueryCache {
    generations: Mutex<Generations>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Slot>,
    old: HashMap<Key, Slot>,
    young_bytes: usize,
}

impl QueryCache {
    /// Makes a cache that takes about `max_bytes` of memory at most; zero keeps nothing.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            generations: Mutex::default(),
            max_bytes,
        }
    }

    /// Returns the kept vector of a model and text, or else computes and keeps it.
    ///
    /// A failure is returned but not kept. Callers that ask for the same text at the same time
    /// share one computation.
    pub async fn get_or_compute<F>(
        &self,
        model: &ModelInfo,
        text: &str,
        compute: impl FnOnce() -> F,
    ) -> Result<Arc<[f32]>, EmbedError>
    where
        F: Future<Output = Result<Vec<f32>, EmbedError>>,
    {
        let key = query_hash(model, text);
        let slot = self.slot(key, model.dimensions);
        slot.get_or_try_init(|| async { compute().await.map(Arc::from) })
            .await
            .cloned()
    }

    /// Finds or makes the slot of a key, and makes it young.
    fn slot(&self, key: Key, dimensions: usize) -> Slot {
        let mut generations = self.lock();
        if let Some(slot) = generations.young.get(&key) {
            return Arc::clone(slot);
        }
        let slot = generations.old.remove(&key).unwrap_or_default();
        let bytes = dimensions * size_of::<f32>() + ENTRY_OVERHEAD_BYTES;
        let mut dropped = HashMap::new();
        if bytes <= self.max_bytes / 2 {
            if generations.young_bytes + bytes > self.max_bytes / 2 {
                let young = std::mem::take(&mut generations.young);
                dropped = std::mem::replace(&mut generations.old, young);
                generations.young_bytes = 0;
            }
            generations.young.insert(key, Arc::clone(&slot));
            generations.young_bytes += bytes;
        }
        drop(generations);
        // Thousands of vectors are freed after the lock is released.
        drop(dropped);
        slot
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // A panic cannot leave the maps half-changed in a way that matters to a cache.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the hash under which the vector of a model and text is kept, here and elsewhere.
#[must_use]
pub fn query_hash(model: &ModelInfo, text: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&model.id, &model.version] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update((model.dimensions as u64).to_le_bytes());
    hash.update(text);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn model(id: &str) -> ModelInfo {
        ModelInfo {
            id: id.to_owned(),
            version: "1".to_owned(),
            dimensions: 2,
        }
    }

    const ENTRY_BYTES: usize = 2 * 4 + ENTRY_OVERHEAD_BYTES;

    async fn ask(cache: &QueryCache, model_id: &str, text: &str, vector: [f32; 2]) -> Vec<f32> {
        cache
            .get_or_compute(&model(model_id), text, || ready(Ok(vector.to_vec())))
            .await
            .expect("computing succeeds")
            .to_vec()
    }

    #[tokio::test]
    async fn a_repeated_query_is_answered_from_the_cache() {
        let cache = QueryCache::new(1 << 20);
        assert_eq!(ask(&cache, "m", "a", [1.0, 0.0]).await, [1.0, 0.0]);
        assert_eq!(ask(&cache, "m", "a", [0.0, 1.0]).await, [1.0, 0.0]);
    }

    #[tokio::test]
    async fn another_model_or_text_is_another_entry() {
        let cache = QueryCache::new(1 << 20);
        ask(&cache, "m", "a", [1.0, 0.0]).await;
        assert_eq!(ask(&cache, "n", "a", [0.0, 1.0]).await, [0.0, 1.0]);
        assert_eq!(ask(&cache, "m", "b", [0.0, 1.0]).await, [0.0, 1.0]);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = QueryCache::new(1 << 20);
        let failed = cache
            .get_or_compute(&model("m"), "a", || ready(Err(EmbedError::Stopped)))
            .await;
        assert!(failed.is_err());
        assert_eq!(ask(&cache, "m", "a", [1.0, 0.0]).await, [1.0, 0.0]);
    }

    #[tokio::test]
    async fn memory_stays_bounded_and_queries_in_use_stay_cached() {
        let cache = QueryCache::new(20 * ENTRY_BYTES);
        ask(&cache, "m", "popular", [1.0, 0.0]).await;
        for i in 0..200 {
            ask(&cache, "m", &format!("rare {i}"), [0.5, 0.5]).await;
            if i % 5 == 0 {
                let vector = ask(&cache, "m", "popular", [0.0, 1.0]).await;
                assert_eq!(vector, [1.0, 0.0], "still cached after {i} others");
            }
        }
        let generations = cache.lock();
        assert!(generations.young.len() + generations.old.len() <= 20);
    }

    #[tokio::test]
    async fn a_cache_of_no_size_only_computes() {
        let cache = QueryCache::new(0);
        ask(&cache, "m", "a", [1.0, 0.0]).await;
        assert_eq!(ask(&cache, "m", "a", [0.0, 1.0]).await, [0.0, 1.0]);
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_computation() {
        let cache = QueryCache::new(1 << 20);
        let computations = AtomicU64::new(0);
        let ask = || async {
            cache
                .get_or_compute(&model("m"), "a", || async {
                    computations.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(vec![1.0, 0.0])
                })
                .await
        };
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        assert_eq!(computations.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_abandoned_computation_does_not_block_the_next() {
        let cache = QueryCache::new(1 << 20);
        let m = model("m");
        let mut stuck = Box::pin(cache.get_or_compute(&m, "a", pending));
        tokio::select! {
            biased;
            _ = &mut stuck => unreachable!("it never finishes"),
            () = tokio::task::yield_now() => {}
        }
        drop(stuck);
        assert_eq!(ask(&cache, "m", "a", [1.0, 0.0]).await, [1.0, 0.0]);
    }
}
