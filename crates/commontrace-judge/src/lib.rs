//! What a recorded session's reasoning is worth.
//!
//! First without a model: [`checks`] compare what was said with what was recorded, and
//! [`deterministic`] reads levels off them. Then, where an endpoint is configured, a model judges by the
//! [`rubric`]. Sums are made here, never by a model, and what fails is absent with a reason, never a
//! number. The [`verdict`] puts it beside what came of running the tests.
//!
//! Nothing here stores, takes the time or randomness from the world, or runs what it reads.

pub mod calibrate;
pub mod checks;
pub mod deterministic;
pub mod endpoint;
pub mod facts;
pub mod judge;
pub mod judged;
pub mod pack;
pub mod recognise;
pub mod rubric;
#[cfg(test)]
mod sample;
pub mod sign;
mod text;
pub mod verdict;
pub mod words;
