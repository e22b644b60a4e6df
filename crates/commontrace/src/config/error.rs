//! What can be wrong with settings. Every message names the setting, its source, and what to do.

use std::path::PathBuf;

use super::setting::Setting;
use super::source::{Entry, Source};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Values that are not acceptable.
    #[error("{}", lines(.0))]
    Refused(Vec<Refused>),
    /// A settings file that cannot be read.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A settings file that cannot be changed.
    #[error("cannot write the settings file {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A settings file that is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said, without the text of the line: it may hold a secret.
        message: String,
    },
    /// Something in a settings file that has no meaning.
    #[error("{}: {problem}", path.display())]
    Meaningless {
        /// The file.
        path: PathBuf,
        /// The key, why it means nothing, and what was probably meant.
        problem: String,
    },
}

/// One value that is not acceptable, as a message.
#[derive(Debug)]
pub struct Refused(String);

impl Refused {
    /// A text that its setting's type does not accept.
    pub(crate) fn value(setting: &Setting, source: &Source, text: &str) -> Self {
        let Setting { name, shape, .. } = setting;
        let got = if shape.may_show {
            format!("`{}`", text.escape_debug())
        } else {
            "the value".to_owned()
        };
        Self(format!(
            "setting `{name}` ({source}): {got} is not accepted, expected {}",
            shape.accepts
        ))
    }

    /// A default that this machine does not offer.
    pub(crate) fn no_default(setting: &Setting, why: &str) -> Self {
        let Setting { name, env, .. } = setting;
        Self(format!(
            "setting `{name}` has no default here, as {why}: set {env} or --{}",
            setting.flag
        ))
    }

    /// A value that does not go with other settings.
    pub(crate) fn together(entry: &Entry, why: &str) -> Self {
        let Entry {
            setting,
            source,
            shown,
        } = entry;
        let given = match source {
            Source::Default => shown.trim_matches(['(', ')']).to_owned(),
            _ => format!("{source}: {shown}"),
        };
        Self(format!("setting `{}` ({given}): {why}", setting.name))
    }
}

fn lines(refused: &[Refused]) -> String {
    let lines: Vec<&str> = refused.iter().map(|refused| refused.0.as_str()).collect();
    lines.join("\n")
}
