//! Where a value comes from, and the combination of all sources.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::args::ConfigArgs;
use super::error::{ConfigError, Refused};
use super::sections;
use super::setting::{Fallback, Known, Setting};
use super::value::Value;

/// The environment of a process: names and values of its variables.
pub type Environment = BTreeMap<String, String>;

/// Reads the environment of this process; called once, by `main`.
///
/// A value that is not UTF-8 gets replacement characters, so that the setting it belongs to is
/// refused or not found rather than silently ignored.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn environment() -> Environment {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (lossy(name), lossy(value)))
        .collect()
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub(crate) enum Source {
    /// Nobody gave one.
    Default,
    /// The settings file of this path.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(&'static str),
    /// The flag of this name, with its dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The value that won, for one setting.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub setting: &'static Setting,
    pub source: Source,
    /// As `config show` prints it.
    pub shown: String,
}

/// The winning text of every setting, all of them acceptable.
#[derive(Clone)]
pub(crate) struct Values {
    pub entries: Vec<Entry>,
    texts: BTreeMap<&'static str, String>,
}

/// The texts may be secret.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.entries.iter().map(|e| (e.setting.name, &e.shown)))
            .finish()
    }
}

impl Values {
    /// Picks the text of each setting from the most specific source that gives one, and checks it.
    pub fn combine(
        mut file: BTreeMap<&'static str, (String, Source)>,
        env: &Environment,
        args: &ConfigArgs,
    ) -> Result<Self, ConfigError> {
        let (mut entries, mut texts, mut refused) = (Vec::new(), BTreeMap::new(), Vec::new());
        for setting in sections::all() {
            let flag = args.value(setting.name);
            // A variable that is set to nothing, as compose files do it, counts as not set.
            let variable = env.get(setting.env).filter(|text| !text.is_empty());
            let given = flag
                .map(|text| (text.to_owned(), Source::Flag(format!("--{}", setting.flag))))
                .or_else(|| variable.map(|text| (text.clone(), Source::Environment(setting.env))))
                .or_else(|| file.remove(setting.name));
            let (text, source) = match given {
                Some(given) => given,
                None => match fallback(setting, &Known { env, texts: &texts }) {
                    Ok(text) => (text, Source::Default),
                    Err(why) => {
                        refused.push(Refused::no_default(setting, why));
                        continue;
                    }
                },
            };
            match (setting.shape.show)(&text) {
                Some(shown) => entries.push(Entry {
                    setting,
                    source,
                    shown,
                }),
                None => refused.push(Refused::value(setting, &source, &text)),
            }
            texts.insert(setting.name, text);
        }
        if refused.is_empty() {
            Ok(Self { entries, texts })
        } else {
            Err(ConfigError::Refused(refused))
        }
    }

    /// Returns the value of the setting `name`, whose type must be the declared one.
    pub fn typed<T: Value>(&self, name: &str) -> T {
        let text = self
            .texts
            .get(name)
            .expect("sections ask only for settings they declared");
        T::parse(text).expect("`combine` has parsed the same text as the same type")
    }

    /// Lists the settings that have another value in `other`, in the order of declaration.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Setting> + 'a {
        sections::all().filter(|setting| {
            // What is shown of a secret does not tell.
            self.texts.get(setting.name) != other.texts.get(setting.name)
        })
    }

    /// Returns what is known about the setting `name`.
    pub fn entry(&self, name: &str) -> &Entry {
        let found = self.entries.iter().find(|entry| entry.setting.name == name);
        found.expect("sections ask only for settings they declared")
    }
}

fn fallback(setting: &Setting, known: &Known<'_>) -> Result<String, &'static str> {
    match setting.default {
        Fallback::Unset => Ok(String::new()),
        Fallback::Text(text) => Ok(text.to_owned()),
        Fallback::From(compute) => compute(known),
    }
}
