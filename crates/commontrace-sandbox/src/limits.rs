//! What a command may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// What a command and everything that it starts may use up together, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may take. 10 minutes.
    pub wall: Duration,
    /// How long it may go without writing any output. 5 minutes.
    pub idle: Duration,
    /// How much time of processors it may use. 20 minutes.
    pub cpu: Duration,
    /// Bytes of memory, with what it writes to `/tmp`, `/dev/shm` and an overlay where a control
    /// group counts it. 2 GiB.
    pub memory: u64,
    /// Processes and threads at a time. 512.
    pub processes: u64,
    /// Open files of one process. 4,096.
    pub open_files: u64,
    /// Bytes of one file. 1 GiB.
    pub file_size: u64,
    /// Bytes that `/tmp` can hold; `/dev/shm` can hold a quarter of it. 1 GiB.
    pub disk: u64,
    /// Bytes of output after which the command is ended. 256 MiB.
    pub output: u64,
    /// Bytes of output that the outcome holds, half of them from the start and half from the end.
    /// 64 KiB.
    pub kept_output: u64,
    /// Bytes of output that are written to the log file. 16 MiB.
    pub log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(5 * 60),
            cpu: Duration::from_secs(20 * 60),
            memory: 2 * GIB,
            processes: 512,
            open_files: 4096,
            file_size: GIB,
            disk: GIB,
            output: 256 * MIB,
            kept_output: 64 * KIB,
            log: 16 * MIB,
        }
    }
}
