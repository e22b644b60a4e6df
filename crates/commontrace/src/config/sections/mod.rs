//! The sections: one file each, which owns its settings, their defaults and their validation.

mod commons;
mod embedding;
mod limits;
mod log;
mod remote;
mod server;
mod sessions;
mod storage;
mod telemetry;
mod worker;

use std::path::PathBuf;

pub use commons::CommonsSettings;
pub use embedding::{Embedder, EmbeddingSettings};
pub use limits::LimitSettings;
pub use log::{LogFormat, LogSettings};
pub use remote::{BaseUrl, Publish, RemoteSettings, SearchScope};
pub use server::{CorsOrigins, ServerSettings};
pub use sessions::{JudgeProvider, SessionSettings};
pub use storage::StorageSettings;
pub use telemetry::TelemetrySettings;
pub use worker::WorkerSettings;

use super::setting::Setting;
use super::source::Environment;

/// Lists every setting there is, in the order in which they are shown and their defaults computed.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    [
        server::SETTINGS,
        storage::SETTINGS,
        embedding::SETTINGS,
        worker::SETTINGS,
        sessions::SETTINGS,
        commons::SETTINGS,
        remote::SETTINGS,
        limits::SETTINGS,
        log::SETTINGS,
        telemetry::SETTINGS,
    ]
    .into_iter()
    .flatten()
}

/// Finds this program's directory of one kind for this user, by the XDG base directory
/// specification.
///
/// Nothing if neither the variable nor the home directory is known. A relative path in the variable
/// is ignored, as the specification says.
pub(crate) fn user_dir(env: &Environment, variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| {
        env.get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("commontrace"))
}

/// Finds a path below [`user_dir`] as the text of a default.
fn user_path(
    env: &Environment,
    variable: &str,
    below_home: &str,
    rest: &str,
) -> Result<String, &'static str> {
    let dir = user_dir(env, variable, below_home)
        .ok_or("the home directory is unknown (HOME is not set)")?;
    let path = if rest.is_empty() { dir } else { dir.join(rest) };
    path.into_os_string()
        .into_string()
        .map_err(|_| "the home directory is not valid UTF-8")
}
