//! What the store promises, told as stories. Every promise that is not about a file is kept on both
//! engines by the same test body.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails the test that called it"
)]

mod accounts;
mod amendments;
mod backup;
#[cfg(feature = "bulk")]
mod bulk;
mod changing;
mod deadlock;
mod deleting;
mod durability;
mod feed;
mod jobs;
mod listing;
mod moderation;
mod opening;
mod outcomes;
mod replica;
mod runs;
mod search;
mod sessions;
mod support;
mod traces;
mod usage;
mod vectors;
mod votes;
