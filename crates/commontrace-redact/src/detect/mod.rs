//! Detectors that need more than one expression: one file for each kind of thing.
//!
//! Each looks only at the places the prefilter names, and reports [`crate::scan::Candidate`]s.

pub(crate) mod assignment;
pub(crate) mod bot_token;
pub(crate) mod command;
pub(crate) mod email;
pub(crate) mod header;
pub(crate) mod home;
pub(crate) mod setting;
pub(crate) mod tilde;
pub(crate) mod url;
