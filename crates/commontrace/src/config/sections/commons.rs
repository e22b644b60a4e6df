//! `[commons]`: the rules of the shared knowledge base.

use std::num::NonZeroU32;

use crate::config::setting::{Fallback::*, settings};

settings! {
    /// The rules of the shared knowledge base.
    pub struct CommonsSettings in "commons" {
        /// Import the starter traces at the first start
        pub import_seeds: bool {
            env: "COMMONTRACE_IMPORT_SEEDS",
            default: Text("true"),
            common: true,
        }
        /// Let every account contribute; if false, only accounts that were admitted
        pub open_publishing: bool {
            env: "COMMONTRACE_OPEN_PUBLISHING",
            default: Text("true"),
            common: false,
        }
        /// Accounts that have to confirm a trace, net of those that do not, by vote or outcome
        pub validation_threshold: NonZeroU32 {
            env: "VALIDATION_THRESHOLD",
            default: Text("2"),
            common: false,
        }
        /// Independent flags that hide a trace
        pub flags_to_hide: NonZeroU32 {
            env: "COMMONTRACE_FLAGS_TO_HIDE",
            default: Text("3"),
            common: false,
        }
    }
}
