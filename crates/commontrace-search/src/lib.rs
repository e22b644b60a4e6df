//! placeholder

pub mod document;
pub mod embed;
pub mod index;
pub mod lexical;
pub mod query;
pub mod select;
pub mod signature;
pub mod text;
pub mod tokenize;
pub mod vectors;
