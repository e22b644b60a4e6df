//! The settings of the program: where they come from, what they are, what is wrong with them.
//!
//! Each setting is declared once, in the file of its section under `sections/`: its name, type,
//! default and help. The flag, the environment variable, the file key, the checks and the `config
//! show` line all follow from that. A value comes from the default, else the settings file, else
//! the environment, else a flag; the last one given wins, and every value remembers its source.
//! Nothing else in the program reads the environment, and nothing here acts on a setting.

mod args;
mod edit;
mod error;
mod file;
mod nearest;
mod sections;
mod setting;
mod show;
mod source;
mod unused;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use args::ConfigArgs;
pub use edit::SettingsFile;
pub use error::ConfigError;
pub use file::to_write as settings_path;
pub use sections::{
    BaseUrl, CorsOrigins, Embedder, JudgeProvider, LogFormat, Publish, RemoteSettings, SearchScope,
    TelemetrySettings,
};
pub use source::{Environment, environment};

use crate::commons::files;
use sections::{
    CommonsSettings, EmbeddingSettings, LimitSettings, LogSettings, ServerSettings,
    SessionSettings, StorageSettings, WorkerSettings,
};
use source::Values;

/// Every setting of the program, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens and how it answers.
    pub server: ServerSettings,
    /// Where data is kept.
    pub storage: StorageSettings,
    /// What turns text into vectors.
    pub embedding: EmbeddingSettings,
    /// The work behind requests.
    pub worker: WorkerSettings,
    /// How recorded sessions are examined.
    pub sessions: SessionSettings,
    /// The rules of the shared knowledge base.
    pub commons: CommonsSettings,
    /// The server whose commons this machine's programs use.
    pub remote: RemoteSettings,
    /// How much a client may ask for.
    pub limits: LimitSettings,
    /// What is logged and how.
    pub log: LogSettings,
    /// Where the program sends what it does.
    pub telemetry: TelemetrySettings,
    /// What the reader should know although it stops nothing, one sentence each.
    pub notices: Vec<String>,
    /// The settings file that was read, if any.
    pub file: Option<PathBuf>,
    values: Values,
}

impl Config {
    /// Combines defaults, the settings file, the environment and the flags, in that order, and
    /// checks the outcome.
    ///
    /// All values that cannot be used are reported together.
    pub fn load(args: &ConfigArgs, env: &Environment) -> Result<Self, ConfigError> {
        let file = match file::locate(args, env) {
            Some(path) => Some((file::read(&path)?, path)),
            None => None,
        };
        let mut config = Self::combine(file, args, env)?;
        let open = config.open_key();
        config.notices.extend(open);
        Ok(config)
    }

    /// Says so if others on this machine can read the API key in the settings file.
    fn open_key(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let holds_key = matches!(self.values.entry("api_key").source, source::Source::File(_));
        (holds_key && files::open_to_others(file) != 0).then(|| {
            let file = file.display();
            format!("{file} holds an API key and others may read it: `chmod 600 {file}`")
        })
    }

    /// Returns whether nobody has given the setting `name`.
    pub fn is_default(&self, name: &str) -> bool {
        self.values.entry(name).source == source::Source::Default
    }

    /// Whether a setting comes from a flag or the environment, which programs started otherwise do not have.
    pub fn is_given_to_this_process(&self, name: &str) -> bool {
        let source = &self.values.entry(name).source;
        matches!(
            source,
            source::Source::Flag(_) | source::Source::Environment(_)
        )
    }

    /// Lists the settings that have another value in `other`, as section and name.
    pub fn changed(&self, other: &Self) -> Vec<(&'static str, &'static str)> {
        let changed = self.values.changed(&other.values);
        changed
            .map(|setting| (setting.section, setting.name))
            .collect()
    }

    /// Does the same with a settings file whose text and path are given.
    fn combine(
        file: Option<(String, PathBuf)>,
        args: &ConfigArgs,
        env: &Environment,
    ) -> Result<Self, ConfigError> {
        let given = match &file {
            Some((text, path)) => file::parse(text, path)?,
            None => BTreeMap::new(),
        };
        let server_in_file = given.get("api_base_url").map(|(text, _)| text.clone());
        let values = Values::combine(given, env, args)?;
        let embedding = EmbeddingSettings::read(&values);
        embedding.check(&values)?;
        let storage = StorageSettings::read(&values);
        storage.check(&values)?;

        let mut notices = unused::notices(env);
        notices.extend(embedding.notice());
        let log = LogSettings::read(&values);
        notices.extend(log.notice(&values));
        let telemetry = TelemetrySettings::read(&values);
        notices.extend(telemetry.notice());
        let mut remote = RemoteSettings::read(&values);
        notices.extend(remote.bind_key(&values, server_in_file.as_deref()));
        notices.extend(remote.bind_consent(&values, file::is_named(args, env)));
        Ok(Self {
            server: ServerSettings::read(&values),
            storage,
            embedding,
            worker: WorkerSettings::read(&values),
            sessions: SessionSettings::read(&values),
            commons: CommonsSettings::read(&values),
            remote,
            limits: LimitSettings::read(&values),
            log,
            telemetry,
            notices,
            file: file.map(|(_, path)| path),
            values,
        })
    }
}

#[cfg(test)]
mod tests;
