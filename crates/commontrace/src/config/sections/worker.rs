//! `[worker]`: the work behind requests, in a worker or inside `serve`.

use std::num::NonZeroU32;

use crate::config::setting::{Fallback::*, settings};

settings! {
    /// The work behind requests, in a worker or inside `serve`.
    pub struct WorkerSettings in "worker" {
        /// Seconds between two looks for texts to embed that nobody announced, and for those that
        /// are to be tried again
        pub worker_poll_seconds: NonZeroU32 {
            env: "COMMONTRACE_WORKER_POLL_SECONDS",
            default: Text("2"),
            common: false,
        }
    }
}
