//! `[limits]`: how much a client may ask for.

use std::num::NonZeroU32;

use crate::config::setting::{Fallback::*, settings};

settings! {
    /// How much a client may ask for.
    pub struct LimitSettings in "limits" {
        /// Reading requests of one account in a minute
        pub rate_limit_read_per_minute: NonZeroU32 {
            env: "RATE_LIMIT_READ_PER_MINUTE",
            default: Text("60"),
            common: false,
        }
        /// Writing requests of one account in a minute
        pub rate_limit_write_per_minute: NonZeroU32 {
            env: "RATE_LIMIT_WRITE_PER_MINUTE",
            default: Text("20"),
            common: false,
        }
        /// Requests of one account in a minute that record a session
        pub rate_limit_record_per_minute: NonZeroU32 {
            env: "RATE_LIMIT_RECORD_PER_MINUTE",
            default: Text("600"),
            common: false,
        }
        /// Registrations from one address in an hour
        pub rate_limit_register_per_hour: NonZeroU32 {
            env: "RATE_LIMIT_REGISTER_PER_HOUR",
            default: Text("30"),
            common: false,
        }
        /// Requests with a wrong key from one address in a minute
        pub rate_limit_failed_keys_per_minute: NonZeroU32 {
            env: "RATE_LIMIT_FAILED_KEYS_PER_MINUTE",
            default: Text("30"),
            common: false,
        }
        /// Largest body of a request that records a session, in bytes
        pub max_session_body_bytes: NonZeroU32 {
            env: "COMMONTRACE_MAX_SESSION_BODY_BYTES",
            default: Text("10485760"),
            common: false,
        }
        /// How many bytes the sessions of one account may take up in the store; 0 for as many as they like
        pub max_account_session_bytes: u64 {
            env: "COMMONTRACE_MAX_ACCOUNT_SESSION_BYTES",
            default: Text("10737418240"),
            common: false,
        }
        /// Largest body of any other request, in bytes
        pub max_body_bytes: NonZeroU32 {
            env: "COMMONTRACE_MAX_BODY_BYTES",
            default: Text("1048576"),
            common: false,
        }
    }
}
