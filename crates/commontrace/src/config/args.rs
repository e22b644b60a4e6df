//! The flags: one for each setting, and the one that names the settings file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::sections;
use super::setting::{Fallback, Setting};

/// The settings given as flags. Flatten it into a command with `#[command(flatten)]`.
///
/// The flags are global: they may stand before or after a subcommand. Their values are checked
/// together with those from elsewhere, by [`super::Config::load`].
#[derive(Debug, Clone, Default)]
pub struct ConfigArgs {
    file: Option<PathBuf>,
    values: BTreeMap<&'static str, String>,
}

impl ConfigArgs {
    /// Returns the path after `--config`.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the text after the flag of the setting `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

const FILE: &str = "config";

impl Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help(
                "Settings file [default: commontrace/config.toml in the user's configuration \
                 directory, if it exists] [env: COMMONTRACE_CONFIG]",
            )
            .help_heading("settings");
        sections::all().fold(command.arg(file), |command, setting| {
            let arg = Arg::new(setting.name)
                .long(setting.flag)
                .value_name(setting.shape.kind)
                .help(help(setting))
                .help_heading(setting.section)
                .global(true)
                .hide_short_help(!setting.common);
            let switch = setting.shape.switch;
            // Without the equals sign a switch would swallow the subcommand that follows it.
            command.arg(if switch {
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Joins the sentence and what a reader of `--help` looks for.
fn help(setting: &Setting) -> String {
    let default = match setting.default {
        Fallback::Text(text) => format!(" [default: {text}]"),
        Fallback::Unset | Fallback::From(_) => String::new(),
    };
    format!("{}{default} [env: {}]", setting.help.trim(), setting.env)
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name| matches.get_one::<String>(name).cloned();
        Ok(Self {
            file: matches.get_one::<PathBuf>(FILE).cloned(),
            values: sections::all()
                .filter_map(|s| Some((s.name, value(s.name)?)))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
