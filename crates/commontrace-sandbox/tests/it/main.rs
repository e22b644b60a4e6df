//! What the sandbox promises: how commands end, and that none gets out. Every test runs as the user of
//! the tests, which is often root, and as a user without rights.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod backends;
mod engine;
mod escape;
mod files;
mod harness;
mod leftovers;
mod limits;
mod outcomes;
mod syscalls;
