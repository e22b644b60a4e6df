//! The format of a starter trace: TOML front matter and four sections of Markdown.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{tag, trace};

/// The sections of a starter trace, in order.
const SECTIONS: [&str; 4] = ["Problem", "Cause", "Fix", "Check"];

/// A starter trace as the commons stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// One line that names the error and where it occurs.
    pub title: String,
    /// The problem with the literal error text, and the versions it applies to.
    pub context_text: String,
    /// Cause, fix, check and source.
    pub solution_text: String,
    /// Normalised tags.
    pub tags: Vec<String>,
    /// The environment it was written in.
    pub context: BTreeMap<String, String>,
}

/// Why a file is not a starter trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// The file does not begin with `+++` … `+++`.
    #[error("no front matter: the file must begin with a line `+++`, TOML, and a line `+++`")]
    NoFrontMatter,
    /// The front matter is not the TOML that is expected.
    #[error("bad front matter: {0}")]
    FrontMatter(String),
    /// A value breaks a rule.
    #[error("`{field}` {fault}")]
    Field {
        /// The front matter key or section.
        field: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// The sections are not exactly the four expected.
    #[error("sections are {found:?}, expected `## Problem`, `## Cause`, `## Fix`, `## Check`")]
    Sections {
        /// The `##` headings that stand in the file.
        found: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    tags: Vec<String>,
    applies_to: String,
    source: String,
    #[serde(default)]
    context: BTreeMap<String, String>,
}

/// Parses and validates one starter trace.
pub fn parse(file: &str) -> Result<Seed, SeedError> {
    let file = file.replace("\r\n", "\n");
    let rest = file.strip_prefix("+++\n").ok_or(SeedError::NoFrontMatter)?;
    let (front, body) = rest.split_once("\n+++\n").ok_or(SeedError::NoFrontMatter)?;
    let front: FrontMatter =
        toml::from_str(front).map_err(|err| SeedError::FrontMatter(err.message().to_owned()))?;
    let sections = sections(body)?;
    let tags = check_front(&front)?;
    for (name, text) in SECTIONS.into_iter().zip(&sections) {
        check_section(name, text)?;
    }
    let [problem, cause, fix, check] = &sections;
    let seed = Seed {
        context_text: format!("{problem}\n\nApplies to: {}", front.applies_to),
        solution_text: format!(
            "## Cause\n\n{cause}\n\n## Fix\n\n{fix}\n\n## Check\n\n{check}\n\nSource: {}",
            front.source
        ),
        title: front.title,
        tags,
        context: front.context,
    };
    for (field, text) in [
        ("Problem", &seed.context_text),
        ("Cause, Fix and Check together", &seed.solution_text),
    ] {
        if text.chars().count() > trace::TEXT_MAX {
            return Err(fault(
                field,
                format!("are longer than {} characters", trace::TEXT_MAX),
            ));
        }
    }
    Ok(seed)
}

fn check_front(front: &FrontMatter) -> Result<Vec<String>, SeedError> {
    if front.title.trim().is_empty() || front.title.chars().count() > trace::TITLE_MAX {
        return Err(fault(
            "title",
            format!("must have 1 to {} characters", trace::TITLE_MAX),
        ));
    }
    if front.applies_to.trim().is_empty() {
        return Err(fault("applies_to", "must name versions"));
    }
    if !front.source.starts_with("https://") {
        return Err(fault("source", "must be an https address"));
    }
    if let Some(key) = front
        .context
        .keys()
        .find(|k| !crate::fingerprint::KEYS.contains(&k.as_str()))
    {
        return Err(fault("context", format!("has the unknown key `{key}`")));
    }
    let tags = tag::normalize_all(&front.tags);
    if tags.kept != front.tags {
        return Err(fault(
            "tags",
            "must be normalised and distinct ([a-z0-9._-], lower case)",
        ));
    }
    if !(2..=6).contains(&tags.kept.len()) {
        return Err(fault("tags", "must have 2 to 6 entries"));
    }
    Ok(tags.kept)
}

fn check_section(name: &'static str, text: &str) -> Result<(), SeedError> {
    if text.is_empty() {
        return Err(fault(name, "is empty"));
    }
    if name != "Cause" && !text.contains("\n```") && !text.starts_with("```") {
        return Err(fault(name, "needs a fenced block"));
    }
    Ok(())
}

fn fault(field: &'static str, fault: impl Into<String>) -> SeedError {
    SeedError::Field {
        field,
        fault: fault.into(),
    }
}

/// Splits the body at its `##` headings; those inside fenced blocks are text.
fn sections(body: &str) -> Result<[String; 4], SeedError> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in body.lines() {
        let marker = line.trim_start();
        match fence {
            Some(open) if marker.starts_with(open) && marker.trim_matches('`').is_empty() => {
                fence = None;
            }
            None if marker.starts_with("```") => {
                fence = Some(&marker[..marker.len() - marker.trim_start_matches('`').len()]);
            }
            _ => {}
        }
        match (fence, line.strip_prefix("## ")) {
            (None, Some(name)) => found.push((name.trim().to_owned(), Vec::new())),
            _ => match found.last_mut() {
                Some((_, lines)) => lines.push(line),
                None if line.trim().is_empty() => {}
                None => {
                    return Err(fault(
                        "Problem",
                        "must be the first thing after the front matter",
                    ));
                }
            },
        }
    }
    if found.iter().map(|(name, _)| name.as_str()).ne(SECTIONS) {
        return Err(SeedError::Sections {
            found: found.into_iter().map(|(name, _)| name).collect(),
        });
    }
    let mut texts = found
        .into_iter()
        .map(|(_, lines)| lines.join("\n").trim().to_owned());
    Ok(std::array::from_fn(|_| {
        texts.next().expect("four sections were counted")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"+++
title = "fatal: not a git repository"
tags = ["git", "setup"]
applies_to = "git 2.x"
source = "https://git-scm.com/docs/git-init"
[context]
language = "shell"
+++

## Problem

Outside a work tree:

```
fatal: not a git repository
## not a heading
```

## Cause

There is no `.git` folder here or above.

## Fix

```sh
git init
```

## Check

```sh
git status
```
"#;

    #[test]
    fn a_good_file_becomes_a_trace() {
        let seed = parse(GOOD).expect("the example is valid");
        assert_eq!(seed.title, "fatal: not a git repository");
        assert!(seed.context_text.contains("## not a heading"));
        assert!(seed.context_text.ends_with("Applies to: git 2.x"));
        assert!(seed.solution_text.contains("git init"));
        assert!(
            seed.solution_text
                .ends_with("Source: https://git-scm.com/docs/git-init")
        );
    }

    #[track_caller]
    fn refused(from: &str, to: &str, expected: &str) {
        let err = parse(&GOOD.replacen(from, to, 1)).expect_err("the file is broken");
        assert!(err.to_string().contains(expected), "{err}");
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong() {
        refused("+++\n", "", "no front matter");
        refused("title", "titel", "bad front matter");
        refused("\"git\", \"setup\"", "\"git\"", "`tags` must have 2 to 6");
        refused("\"git\",", "\"Git\",", "`tags` must be normalised");
        refused("## Cause", "## Reason", "sections are");
        refused("https://", "ftp://", "`source` must be");
        refused("language", "mood", "unknown key `mood`");
        refused(
            "```sh\ngit status\n```",
            "git status",
            "`Check` needs a fenced block",
        );
    }
}
