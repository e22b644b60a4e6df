//! Reads what tests reported: structured reports first, the output's text where there is none.
//!
//! Every parser is a plain function from bytes to [`Parsed`]. What it reads is a stranger's: it never
//! panics, keeps at most [`MAX_RESULTS`] results of bounded size, and says what it left out.
//!
//! Which tests there are and how they ended is decided here; whether to believe it is not (see
//! [`validity`](crate::validity)).

mod collect;
pub mod ctrf;
mod detect;
pub mod go_json;
pub mod jest;
mod json;
pub mod junit;
pub mod libtest_json;
mod lines;
pub mod mocha;
pub mod tap;
pub mod text;

pub use collect::Collector;
pub(crate) use collect::prefix;
pub(crate) use detect::merge;
pub use detect::{parse_file, parse_files};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::{TestResult, Totals};

/// The most results that are kept of one run.
pub const MAX_RESULTS: usize = 200_000;
/// The longest id. Of a longer one the start is kept, and a hash of the whole.
pub const MAX_ID_BYTES: usize = 1_000;
/// The longest message of a failure.
pub const MAX_DETAIL_BYTES: usize = 400;
/// The longest report that is read.
pub const MAX_REPORT_BYTES: u64 = 32 << 20;
/// Changes when the same bytes would be read differently. Part of the key of every cached result.
pub const PARSER_VERSION: u32 = 1;

const MAX_WARNINGS: usize = 20;

/// Every parser by name: what a fuzzer has to drive.
pub const PARSERS: [(&str, text::Parser); 14] = [
    ("any_report", parse_file),
    ("junit_xml", junit::parse),
    ("go_json", go_json::parse),
    ("jest_json", jest::parse),
    ("mocha_json", mocha::parse),
    ("ctrf", ctrf::parse),
    ("tap", tap::parse),
    ("libtest_json", libtest_json::parse),
    ("cargo_text", text::cargo::parse),
    ("nextest_text", text::nextest::parse),
    ("pytest_text", text::pytest::parse),
    ("go_text", text::go::parse),
    ("unittest_text", text::unittest::parse),
    ("jest_text", text::jest::parse),
];

/// What results were read from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// JUnit XML, one file or several.
    JunitXml,
    /// `go test -json`.
    GoJson,
    /// jest's or vitest's JSON report.
    JestJson,
    /// mocha's JSON report.
    MochaJson,
    /// Common Test Report Format.
    Ctrf,
    /// Test Anything Protocol, versions 13 and 14.
    Tap,
    /// The JSON lines of Rust's libtest.
    LibtestJson,
    /// The output of `cargo test`.
    CargoText,
    /// The output of `cargo nextest run`.
    NextestText,
    /// The output of pytest.
    PytestText,
    /// The output of `go test -v`.
    GoText,
    /// The output of `python -m unittest -v`.
    UnittestText,
    /// The output of jest, vitest or mocha.
    JestText,
    /// Nothing that could be recognised.
    None,
}

impl Source {
    /// Whether results were read from an output that anything may write to.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::CargoText
                | Self::NextestText
                | Self::PytestText
                | Self::GoText
                | Self::UnittestText
                | Self::JestText
        )
    }
}

/// How much results may be relied upon.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// No results were recognised.
    None,
    /// Text without a summary to check it by, or against its summary; a report that is cut off.
    Low,
    /// Text that agrees with its tool's own summary.
    Medium,
    /// A whole report.
    High,
}

/// What a parser found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// What it was read from.
    pub source: Source,
    /// One result for each id, sorted by id. Of several results with one id the worst was kept.
    pub results: Vec<TestResult>,
    /// Ids of tests that failed and passed within this run, because the tool tries again.
    pub flaky: Vec<String>,
    /// How much it may be relied upon.
    pub confidence: Confidence,
    /// Whether it was read to its end and the end was the right one.
    pub complete: bool,
    /// Whether the tool itself said how many tests there were, and it was a different number.
    pub disagrees: bool,
    /// Failures that belong to no test: a file that could not be loaded, a package that did not build.
    pub failures_outside_tests: u64,
    /// Whether the tests could not be built.
    pub build_failed: bool,
    /// Ids that occurred more than once.
    pub duplicates: u64,
    /// What a reader should know, in words.
    pub warnings: Vec<String>,
}

impl Parsed {
    /// Nothing recognised.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            source: Source::None,
            results: Vec::new(),
            flaky: Vec::new(),
            confidence: Confidence::None,
            complete: true,
            disagrees: false,
            failures_outside_tests: 0,
            build_failed: false,
            duplicates: 0,
            warnings: Vec::new(),
        }
    }

    /// A report that is not what it should be.
    #[must_use]
    pub fn invalid(source: Source, why: impl Into<String>) -> Self {
        Self {
            source,
            complete: false,
            confidence: Confidence::Low,
            warnings: vec![why.into()],
            ..Self::nothing()
        }
    }

    /// How many tests ended how.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(&self.results)
    }

    /// Whether there is anything to go by: results, or at least a statement that something broke.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.failures_outside_tests == 0 && !self.build_failed
    }
}
