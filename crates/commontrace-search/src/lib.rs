//! Finds the traces that answer a question: words, vectors, their fusion, and silence.
//!
//! [`index::SearchIndex`] holds everything in memory and answers a [`document::Query`]; [`stored`]
//! is what a database keeps to answer it instead; [`embed`] makes the vectors. The ranking formula
//! itself is in [`commontrace_core::fusion`]. Nothing here stores anything, knows of users or
//! requests, or reads a clock.

pub mod bm25;
pub mod document;
pub mod embed;
pub mod index;
pub mod lexical;
pub mod query;
pub mod ranking;
pub mod select;
pub mod signature;
pub mod stored;
pub mod text;
pub mod tokenize;
pub mod vectors;
