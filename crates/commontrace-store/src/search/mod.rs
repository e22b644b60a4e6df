//! Searching inside PostgreSQL: documents of words, vectors, and the counts that ranking needs.
//!
//! All tables here are derived from `traces` and `embeddings`. What is written to those is written
//! here in the same transaction; what is missing (an older database, tables that were emptied) is
//! made in the background. Nothing here knows how words become numbers: [`MakeDocument`] is handed
//! in. Nothing here ranks.

mod candidates;
mod document;
mod fill;
mod halfvec;
mod index;
mod listed;
mod models;
mod snapshot;
mod statement;
mod statistics;
mod tables;
mod vector;

pub use candidates::{
    COMBINATIONS, Candidates, Filter, Found, INDEXED_DIMENSIONS, Near, Wanted, Words,
};
pub(crate) use document::{drop_document, put_document, put_document_of};
pub use fill::{Fill, Filled};
#[cfg(feature = "bulk")]
pub(crate) use halfvec::HalfVec;
pub use index::VectorIndex;
#[cfg(feature = "bulk")]
pub(crate) use models::number;
pub use snapshot::Snapshot;
pub use statistics::Statistics;
pub(crate) use tables::ensure;
pub(crate) use vector::{put_vector, restore_vectors};

/// The texts of a trace that can be found.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Texts<'a> {
    pub title: &'a str,
    pub context_text: &'a str,
    pub solution_text: &'a str,
    pub tags: &'a [String],
}

/// What is kept of a trace's words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct SearchDocument {
    pub terms: Vec<i32>,
    pub postings: Vec<u8>,
    pub length: u32,
}

/// Turns texts into numbers, by rules that have a version.
#[derive(Debug, Clone, Copy)]
pub struct MakeDocument {
    /// The version of the rules.
    pub version: i32,
    /// The rules.
    pub make: fn(Texts<'_>) -> SearchDocument,
}

/// Tables to search in, as a transaction knows them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Derived {
    /// How documents are made; without it they are left to the background work of a server.
    pub make: Option<MakeDocument>,
}
