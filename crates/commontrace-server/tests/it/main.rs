//! The HTTP API as clients meet it: through the router, on both engines.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod accounts;
mod actors;
mod amendments;
mod contributing;
mod finalizing;
mod health;
mod kept;
mod limits;
mod moderation;
mod outcomes;
mod proving;
mod reading;
mod recording;
mod room;
mod searching;
mod seeds;
mod voting;
