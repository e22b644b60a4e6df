//! Where the server takes identifiers and random bytes from, so that a test can repeat them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::{Builder, Uuid};

/// A source of identifiers and random bytes.
#[derive(Debug, Clone)]
pub enum Ids {
    /// The operating system's random numbers.
    Random,
    /// A counter, for tests: every value it gives is different and the same in every run.
    Seeded(Arc<AtomicU64>),
}

impl Ids {
    /// Creates a repeatable source that starts at `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// Returns a fresh version 4 UUID.
    pub fn uuid(&self) -> Uuid {
        Builder::from_random_bytes(self.random_bytes()).into_uuid()
    }

    /// Returns a fresh identifier of the wanted kind, such as `TraceId`.
    pub fn id<T: From<Uuid>>(&self) -> T {
        self.uuid().into()
    }

    /// Returns `N` fresh bytes, unpredictable unless the source is seeded.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the source of randomness that everything else is handed"
            )]
            Self::Random => getrandom::fill(&mut bytes)
                .expect("the operating system gives random bytes once it is up"),
            Self::Seeded(counter) => {
                let number = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                // The counter comes last, so that snapshots of ids differ where a reader looks.
                for (byte, digit) in bytes.iter_mut().rev().zip(number.iter().rev()) {
                    *byte = *digit;
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_version_four_and_differ() {
        let (a, b) = (Ids::Random.uuid(), Ids::Random.uuid());
        assert_eq!(a.get_version_num(), 4);
        assert_ne!(a, b);
    }

    #[test]
    fn a_seed_repeats_its_ids() {
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_eq!(a.uuid().to_string(), "00000000-0000-4000-8000-000000000008");
        assert_ne!(a.random_bytes::<32>(), a.random_bytes::<32>());
    }
}
