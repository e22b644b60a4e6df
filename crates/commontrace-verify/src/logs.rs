//! Where the whole outputs of runs go. What a verdict shows of them is short; whoever wants to see more finds
//! it by its hash.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runner::Finished;

/// Keeps the outputs of runs.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Keeps an output, and says where; nothing if it cannot be kept.
    async fn keep(&self, output: Vec<u8>) -> Option<KeptLog>;

    /// Whether the output of an earlier run is there, for this verification too.
    async fn has(&self, kept: &KeptLog) -> bool;
}

/// An output that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptLog {
    /// SHA-256 of what is kept, in hexadecimal digits.
    pub sha256: String,
    /// How many bytes that are.
    pub bytes: u64,
}

/// An output, whose first bytes are `log`, with its last bytes where `log` has not all of it.
pub(crate) fn whole(log: Vec<u8>, finished: &Finished) -> Vec<u8> {
    let total = finished.head.len() as u64 + finished.omitted + finished.tail.len() as u64;
    let missing = total.saturating_sub(log.len() as u64);
    let mut output = log;
    let tail = &finished.tail;
    match missing.checked_sub(tail.len() as u64) {
        None => output.extend(&tail[tail.len() - missing as usize..]),
        Some(0) => output.extend(tail),
        Some(omitted) => {
            output.extend(format!("\n[… {omitted} bytes left out …]\n").into_bytes());
            output.extend(tail);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runner::End;

    #[test]
    fn an_output_that_was_cut_has_its_end_and_says_what_is_missing() {
        let finished = |omitted| Finished {
            end: End::Exited(0),
            head: b"0123".to_vec(),
            tail: b"wxyz".to_vec(),
            omitted,
            isolation: String::new(),
            duration: Duration::ZERO,
        };
        for (log, omitted, expected) in [
            ("0123wxyz", 0, "0123wxyz"),
            ("0123wx", 0, "0123wxyz"),
            ("0123ab", 2, "0123abwxyz"),
            ("0123", 3, "0123\n[… 3 bytes left out …]\nwxyz"),
        ] {
            let output = whole(log.as_bytes().to_vec(), &finished(omitted));
            assert_eq!(String::from_utf8(output).unwrap(), expected);
        }
    }
}
