//! The HTTP API as clients meet it: through the router, on both engines.

mod accounts;
mod actors;
mod amendments;
mod contributing;
mod limits;
mod moderation;
mod reading;
mod searching;
mod seeds;
mod voting;
