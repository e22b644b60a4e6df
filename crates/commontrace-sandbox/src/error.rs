//! Why a command was not started.

use std::path::PathBuf;

/// Why a command was not started. Nothing here says anything about the command's own success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The wanted isolation does not work here.
    #[error("cannot isolate the command: {reason}; {hint}")]
    Unavailable {
        /// What failed.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The program could not be run: it is not there, or is not executable.
    #[error("cannot run `{program}` in the sandbox: {reason}")]
    NotRunnable {
        /// The program as it was given.
        program: String,
        /// Why, in the kernel's words.
        reason: String,
        /// Whether there is no such program, rather than one that may not be run.
        missing: bool,
    },
    /// Something failed while the sandbox was set up.
    #[error("cannot set up the sandbox: {what}: {reason}")]
    Launch {
        /// What was being done.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// The engine does not have the image.
    #[error("the engine has no image `{image}`; pull or build it first, or name another one")]
    ImageMissing {
        /// The image as it was given.
        image: String,
    },
    /// This backend cannot do what the spec asks for.
    #[error("{backend} cannot do this: {what}")]
    Unsupported {
        /// The backend.
        backend: crate::Backend,
        /// What it cannot do, and what to do instead.
        what: String,
    },
    /// The spec contradicts itself or names what is not there.
    #[error("`{}` cannot be used in the sandbox: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The log file could not be written.
    #[error("cannot write the log `{}`", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// The reason code for a verdict.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "sandbox_unavailable",
            Self::ImageMissing { .. } => "image_missing",
            Self::NotRunnable { .. }
            | Self::Launch { .. }
            | Self::Unsupported { .. }
            | Self::Path { .. }
            | Self::Log { .. } => "launch_failed",
        }
    }
}
