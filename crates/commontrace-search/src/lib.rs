//! placeholder

pub mod embed;
pub mod lexical;
pub mod select;
pub mod tokenize;
pub mod vectors;
