//! The settings file: TOML with one table per section and the settings' names as keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::ConfigArgs;
use super::error::ConfigError;
use super::nearest::nearest;
use super::sections::{self, user_dir};
use super::source::{Environment, Source};

/// The variable that names the settings file.
pub(crate) const PATH: &str = "COMMONTRACE_CONFIG";

/// Finds the file to read: the one that is named, else the user's, if it exists.
pub(crate) fn locate(args: &ConfigArgs, env: &Environment) -> Option<PathBuf> {
    named(args, env).or_else(|| users(env).filter(|path| path.exists()))
}

/// Finds the file to write: the one that is named, else the user's; nothing where the home directory is
/// unknown.
pub fn to_write(args: &ConfigArgs, env: &Environment) -> Option<PathBuf> {
    named(args, env).or_else(|| users(env))
}

/// Whether a variable or a flag names the file, so that it need not be the user's own.
pub(crate) fn is_named(args: &ConfigArgs, env: &Environment) -> bool {
    named(args, env).is_some()
}

fn named(args: &ConfigArgs, env: &Environment) -> Option<PathBuf> {
    let variable = env.get(PATH).filter(|path| !path.is_empty());
    let flag = args.file().map(Path::to_path_buf);
    flag.or_else(|| variable.map(PathBuf::from))
}

fn users(env: &Environment) -> Option<PathBuf> {
    Some(user_dir(env, "XDG_CONFIG_HOME", ".config")?.join("config.toml"))
}

/// Reads a settings file.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Reads what the file at `path` gives, by setting, from its text.
pub(crate) fn parse(
    text: &str,
    path: &Path,
) -> Result<BTreeMap<&'static str, (String, Source)>, ConfigError> {
    let table: toml::Table = text
        .parse()
        .map_err(|err: toml::de::Error| ConfigError::NotToml {
            path: path.to_owned(),
            line: err
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
            message: err.message().to_owned(),
        })?;
    let texts = settings_in(&table).map_err(|problem| ConfigError::Meaningless {
        path: path.to_owned(),
        problem,
    })?;
    let source = || Source::File(path.to_owned());
    Ok(texts
        .into_iter()
        .map(|(name, text)| (name, (text, source())))
        .collect())
}

/// Collects the texts of the settings in a parsed file, or says what in it means nothing.
fn settings_in(file: &toml::Table) -> Result<BTreeMap<&'static str, String>, String> {
    let mut texts = BTreeMap::new();
    for (section, content) in file {
        let toml::Value::Table(keys) = content else {
            return Err(
                match sections::all().find(|setting| setting.name == section) {
                    Some(setting) => format!(
                        "key `{section}` stands outside its section [{}]",
                        setting.section
                    ),
                    None => format!(
                        "unknown key `{section}`{}",
                        suggestion(section, sections::all().map(|s| s.name))
                    ),
                },
            );
        };
        if !sections::all().any(|setting| setting.section == section) {
            return Err(format!(
                "unknown section [{section}]{}",
                suggestion(section, sections::all().map(|s| s.section))
            ));
        }
        for (key, value) in keys {
            let setting = match sections::all().find(|setting| setting.name == key) {
                Some(setting) if setting.section == section => setting,
                Some(setting) => {
                    return Err(format!(
                        "key `{key}` belongs in [{}], not in [{section}]",
                        setting.section
                    ));
                }
                None => {
                    let meant = suggestion(key, sections::all().map(|setting| setting.name));
                    return Err(format!("unknown key `{key}` in [{section}]{meant}"));
                }
            };
            let text = text_of(value).ok_or_else(|| {
                format!(
                    "key `{key}` in [{section}] has the type {}, expected {}",
                    value.type_str(),
                    setting.shape.accepts
                )
            })?;
            texts.insert(setting.name, text);
        }
    }
    Ok(texts)
}

/// Spells a value as a flag would spell it; a list is joined by commas.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => "; `commontrace config show` lists what there is".to_owned(),
    }
}
