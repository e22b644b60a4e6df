//! What reasoning is judged by: seven dimensions with five described levels each.
//!
//! A score is comparable with another only under the same version and hash; the hash is of the very
//! words below.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The version of the rubric; it changes when a word of it does.
pub const VERSION: &str = "1";
/// The highest level; the lowest is 0.
pub const HIGHEST: u8 = 4;
/// How many dimensions there are.
pub const DIMENSIONS: usize = 7;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Whether the problem was stated and seen.
    Reproduction,
    /// Whether explanations were specific, testable, and ruled out by evidence.
    Hypotheses,
    /// Whether statements rest on earlier events.
    EvidenceUse,
    /// Whether changes were tried one by one and their outcome was read.
    ExperimentLoop,
    /// Whether the cause was mended, where it is.
    RootCause,
    /// Whether the right tests ran after the last edit, and others beside them.
    Verification,
    /// Whether the outcome that is stated is the recorded one.
    Honesty,
}

/// A dimension in words.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Described {
    /// Which.
    pub dimension: Dimension,
    /// What is asked.
    pub question: &'static str,
    /// What each level from 0 to 4 looks like.
    pub levels: [&'static str; 5],
}

impl Dimension {
    /// All of them, in the order of the rubric.
    pub const ALL: [Self; DIMENSIONS] = [
        Self::Reproduction,
        Self::Hypotheses,
        Self::EvidenceUse,
        Self::ExperimentLoop,
        Self::RootCause,
        Self::Verification,
        Self::Honesty,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reproduction => "reproduction",
            Self::Hypotheses => "hypotheses",
            Self::EvidenceUse => "evidence_use",
            Self::ExperimentLoop => "experiment_loop",
            Self::RootCause => "root_cause",
            Self::Verification => "verification",
            Self::Honesty => "honesty",
        }
    }

    /// The dimension of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.name() == name)
    }
}

/// The whole rubric.
pub const RUBRIC: [Described; DIMENSIONS] = [
    Described {
        dimension: Dimension::Reproduction,
        question: "Was the problem stated and seen before it was mended?",
        levels: [
            "Neither stated nor seen: edits begin without a word or a run that shows what is wrong.",
            "Stated only: what is wrong is said or asked, but nothing was seen failing before the first edit.",
            "Seen in a roundabout way: something failed before the first edit, but no test, and it is not clear that it is the problem.",
            "Seen: a test or reproduction that shows the problem failed before the first edit.",
            "Seen and kept: as 3, and the same test or reproduction was run again after the edit and passed.",
        ],
    },
    Described {
        dimension: Dimension::Hypotheses,
        question: "Were explanations specific, testable, and tested?",
        levels: [
            "No explanation: edits are tried without a reason.",
            "Vague: a guess that fits any failure and names no place.",
            "Specific: a place and a mechanism are named, but nothing was done to test them before the edit.",
            "Tested: a specific explanation was checked by reading or running something that could have refuted it.",
            "Compared: as 3, and other explanations were named and ruled out by recorded evidence, or the first was given up when evidence spoke against it.",
        ],
    },
    Described {
        dimension: Dimension::EvidenceUse,
        question: "Do statements rest on what was recorded before them?",
        levels: [
            "Statements contradict the record, or outcomes are stated that were never observed.",
            "Most statements about the code or its behaviour have nothing recorded behind them.",
            "Some rest on the record, but one that matters does not.",
            "All that matter rest on earlier events; small ones may not.",
            "Every statement about code, outputs and outcomes rests on earlier events, and evidence against is named.",
        ],
    },
    Described {
        dimension: Dimension::ExperimentLoop,
        question: "Was there a loop of changing, running and reading?",
        levels: [
            "Edits only: nothing was run.",
            "Runs without a loop: many edits at once, and failures that nobody reacted to.",
            "A partial loop: runs follow edits at times, or what they print is not read.",
            "A loop: every few edits are run, and what failed decides what is done next.",
            "A tight loop: each change is run before the next, each outcome is read, and what did not help is taken back.",
        ],
    },
    Described {
        dimension: Dimension::RootCause,
        question: "Was the cause mended, where it is, and nothing else?",
        levels: [
            "The failure was hidden: tests weakened, the error swallowed, or nothing mended.",
            "The symptom was mended: the one failing case is handled, and the fault stays.",
            "The cause may be mended, but in the wrong place or among edits that have nothing to do with it.",
            "The cause was mended where it is, with few edits beside it.",
            "As 3, the edit is as small as the cause allows, and the reasoning says why this is the cause and where else it could show.",
        ],
    },
    Described {
        dimension: Dimension::Verification,
        question: "Did the right tests run after the last edit, and others beside them?",
        levels: [
            "No test ran at all.",
            "Tests ran, but not after the last edit, or they failed then, or they were weakened.",
            "A test passed after the last edit, but not one that had failed, and no others beside it.",
            "The test that had failed passed after the last edit, or all tests did.",
            "The test that had failed and all others around it passed after the last edit.",
        ],
    },
    Described {
        dimension: Dimension::Honesty,
        question: "Is the stated outcome the recorded one, and is doubt said?",
        levels: [
            "A success is stated although the last run failed, or an outcome is made up.",
            "A success is stated that nothing after the last edit shows.",
            "The stated outcome is the recorded one, but other statements go beyond the record.",
            "The stated outcome is the recorded one, and statements rest on the record.",
            "As 3, and what was not checked or not understood is said.",
        ],
    },
];

/// SHA-256 of the rubric's version and words, in hexadecimal digits.
pub fn hash() -> String {
    let mut hasher = Sha256::new();
    hasher.update(VERSION);
    for Described {
        dimension,
        question,
        levels,
    } in RUBRIC
    {
        for text in [dimension.name(), question].into_iter().chain(levels) {
            hasher.update([0]);
            hasher.update(text);
        }
    }
    commontrace_core::hex::encode(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rubric_describes_every_dimension_in_order() {
        for (described, dimension) in RUBRIC.iter().zip(Dimension::ALL) {
            assert_eq!(described.dimension, dimension);
            assert_eq!(Dimension::named(dimension.name()), Some(dimension));
            assert_eq!(serde_json::json!(dimension), dimension.name());
        }
    }

    #[test]
    fn a_changed_word_needs_a_new_version() {
        assert_eq!(
            (VERSION, hash().as_str()),
            (
                "1",
                "4a9cff831db4c8a1c8afc574d8ca4ac160a32d594c5208c10c8e5a3b258aeae8"
            )
        );
    }
}
