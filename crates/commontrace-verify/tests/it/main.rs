//! Tests of the crate through its public door, on real repositories and real processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod git;
mod kinds;
mod process;
mod repositories;
mod support;
mod verify;
