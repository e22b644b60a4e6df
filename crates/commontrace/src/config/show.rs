//! `commontrace config show`: every setting with its value and where that comes from.

use std::path::Path;

use serde::Serialize;

use super::Config;
use super::source::{Entry, Source};
use super::value::NOT_SET;

#[derive(Serialize)]
struct Shown<'a> {
    file: Option<&'a Path>,
    settings: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    section: &'static str,
    name: &'static str,
    /// As text, secrets as `(set)`; null if not set.
    value: Option<&'a str>,
    source: &'a Source,
    env: &'static str,
    flag: String,
}

impl Config {
    /// Renders the settings for a reader: name, value and source in columns, by section. Secrets
    /// are left out.
    pub fn to_text(&self) -> String {
        let entries = &self.values.entries;
        let names = width(entries, |entry| entry.setting.name);
        let values = width(entries, |entry| &entry.shown);
        let mut text = match &self.file {
            Some(path) => format!("settings file: {}\n", path.display()),
            None => "settings file: none\n".to_owned(),
        };
        let mut section = "";
        for Entry {
            setting,
            source,
            shown,
        } in entries
        {
            if setting.section != section {
                section = setting.section;
                text += &format!("\n[{section}]\n");
            }
            text += &format!("{:names$}  {shown:values$}  {source}\n", setting.name);
        }
        text
    }

    /// Renders the same for a program, as JSON.
    pub fn to_json(&self) -> String {
        let settings = self
            .values
            .entries
            .iter()
            .map(
                |Entry {
                     setting,
                     source,
                     shown,
                 }| Line {
                    section: setting.section,
                    name: setting.name,
                    value: Some(shown.as_str()).filter(|shown| *shown != NOT_SET),
                    source,
                    env: setting.env,
                    flag: format!("--{}", setting.flag),
                },
            )
            .collect();
        let shown = Shown {
            file: self.file.as_deref(),
            settings,
        };
        serde_json::to_string_pretty(&shown).expect("texts in a struct always serialize")
    }
}

/// Measures the longest text of a column, in characters, up to a point: one long path must not push
/// the rest off the screen.
fn width<'a>(entries: &'a [Entry], column: impl Fn(&'a Entry) -> &'a str) -> usize {
    entries
        .iter()
        .map(|entry| column(entry).chars().count())
        .max()
        .unwrap_or(0)
        .min(60)
}
