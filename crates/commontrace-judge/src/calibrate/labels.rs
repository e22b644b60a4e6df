//! The labels that people gave, one JSON object on each line.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::rubric::{Dimension, HIGHEST};

/// The most bytes of a line.
const LINE_BYTES: usize = 64 << 10;

/// One person's level for one dimension of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The session's id.
    pub trace: String,
    /// Of what.
    pub dimension: Dimension,
    /// From 0 to 4.
    pub level: u8,
    /// Who says so: a person, never a model.
    pub labeller: String,
    /// The version of the rule that people label by. One clause of a rule can move a third of all labels,
    /// so labels by different rules are never compared.
    pub rule_version: String,
}

/// Says why a file of labels cannot be used, and where.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file cannot be read.
    #[error("cannot read the labels: {0}")]
    Io(#[from] std::io::Error),
    /// A line is no label.
    #[error("line {line} is no label: {what}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Somebody said two things.
    #[error("line {line}: {labeller} has labelled {dimension} of {trace} before, in another way")]
    Twice {
        /// The line's number, from 1.
        line: usize,
        /// Who.
        labeller: String,
        /// Of what.
        dimension: &'static str,
        /// Which session.
        trace: String,
    },
}

/// Reads labels. Empty lines do not count, and a label that is there twice counts once.
pub fn read(mut from: impl BufRead) -> Result<Vec<Label>, LabelError> {
    let mut seen = std::collections::HashMap::new();
    let (mut labels, mut text, mut line) = (Vec::new(), String::new(), 0);
    loop {
        text.clear();
        line += 1;
        let bad = |what: String| LabelError::Line { line, what };
        let mut limited = std::io::Read::take(&mut from, LINE_BYTES as u64 + 1);
        if limited.read_line(&mut text)? == 0 {
            return Ok(labels);
        }
        if text.len() > LINE_BYTES {
            return Err(bad(format!("it has more than {LINE_BYTES} bytes")));
        }
        if text.trim().is_empty() {
            continue;
        }
        let label: Label = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if label.level > HIGHEST {
            return Err(bad(format!("level {} is above {HIGHEST}", label.level)));
        }
        if label.trace.is_empty() || label.labeller.trim().is_empty() {
            return Err(bad("trace and labeller must not be empty".to_owned()));
        }
        let key = (
            label.trace.clone(),
            label.dimension,
            label.labeller.clone(),
            label.rule_version.clone(),
        );
        match seen.insert(key, label.level) {
            None => labels.push(label),
            Some(level) if level == label.level => {}
            Some(_) => {
                return Err(LabelError::Twice {
                    line,
                    labeller: label.labeller,
                    dimension: label.dimension.name(),
                    trace: label.trace,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"trace": "t1", "dimension": "honesty", "level": 3, "labeller": "ada", "rule_version": "1"}"#;

    #[test]
    fn a_label_that_is_there_twice_counts_once_and_a_contradiction_is_named() {
        let labels = read(format!("{LINE}\n\n{LINE}\n").as_bytes()).expect("labels");
        assert_eq!(labels.len(), 1);
        let other = LINE.replace('3', "2");
        let error = read(format!("{LINE}\n{other}\n").as_bytes()).expect_err("a contradiction");
        assert_eq!(
            error.to_string(),
            "line 2: ada has labelled honesty of t1 before, in another way"
        );
    }

    #[test]
    fn a_line_that_is_no_label_is_named() {
        for (bad, what) in [
            ("{}", "missing field"),
            (&LINE.replace('3', "5"), "level 5 is above 4"),
            (&LINE.replace("honesty", "style"), "unknown variant"),
            (&LINE.replace("ada", ""), "must not be empty"),
            (&"x".repeat(70_000), "more than"),
        ] {
            let error = read(format!("{LINE}\n{bad}\n").as_bytes())
                .expect_err("no label")
                .to_string();
            assert!(
                error.starts_with("line 2 ") && error.contains(what),
                "{error}"
            );
        }
    }
}
