//! The program as its operator and its clients meet it: real processes, real sockets, on both
//! engines where the data is at stake.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod calibrating;
mod client;
mod commands;
mod deployment;
mod doctor;
mod embedding;
mod exporting;
mod finalizing;
mod full_disk;
mod health;
mod hook;
mod killed_runs;
mod leaks;
mod mcp;
mod moderating;
mod nodes;
#[cfg(feature = "otel")]
mod otel;
mod outages;
mod passwords;
mod people;
mod place;
mod provider;
mod proxies;
mod replica;
mod sandbox;
mod searching;
mod secrets;
#[cfg(feature = "sentry")]
mod sentry;
mod server;
mod sessions;
mod setup;
mod sharing;
mod starter_traces;
mod starting;
mod stopping;
mod switching;
mod trace_context;
mod verdicts;
mod verifying;
mod watching;
mod workers;
