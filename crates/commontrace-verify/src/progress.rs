//! What a verification is doing, for whoever waits for it.

use serde::Serialize;

use crate::verdict::Side;

/// A step that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Progress {
    /// The repository is being fetched.
    Fetching,
    /// The change is being applied and parted.
    Preparing,
    /// Dependencies of a state are being set up.
    SettingUp {
        /// Which state.
        side: Side,
    },
    /// Tests are being run.
    Running {
        /// At which state.
        side: Side,
        /// Which run of that state, from 1.
        run: u32,
        /// How many runs there will be of it.
        of: u32,
    },
    /// Results are being compared.
    Deciding,
}
