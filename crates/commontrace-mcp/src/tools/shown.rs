//! Parts of a trace that several tools show.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text::one_line;

/// Another trace that one names.
#[derive(Debug, Deserialize)]
pub(crate) struct Related {
    id: String,
    title: String,
    relationship_type: String,
}

impl Related {
    /// Names it in one line, its title in at most so many characters.
    pub fn told(&self, title_max: usize) -> String {
        format!(
            "[{}] {} ({})",
            one_line(&self.relationship_type, 40),
            one_line(&self.title, title_max),
            one_line(&self.id, 40)
        )
    }
}

/// How often each outcome was reported.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Outcomes {
    worked: i64,
    worked_with_changes: i64,
    did_not_work: i64,
    not_relevant: i64,
}

impl Outcomes {
    /// Counts those that were reported; nothing if none was.
    pub fn told(&self) -> Option<String> {
        let counts = [
            (self.worked, "worked"),
            (self.worked_with_changes, "worked with changes"),
            (self.did_not_work, "did not work"),
            (self.not_relevant, "not relevant"),
        ];
        let told: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// What was reported from one environment.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    context_fingerprint: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    outcomes: Outcomes,
}

impl Environment {
    /// Names it with its counts in one line.
    pub fn told(&self) -> String {
        let parts: Vec<String> = self
            .context_fingerprint
            .iter()
            .flatten()
            .map(|(name, value)| format!("{} {}", one_line(name, 40), one_line(value, 60)))
            .collect();
        let place = match parts.as_slice() {
            [] => "environment not said".to_owned(),
            parts => parts.join(", "),
        };
        format!("  {place}: {}", self.outcomes.told().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outcomes_are_counted_for_each_environment() {
        let none: Outcomes = serde_json::from_value(json!({ "worked": 0 })).expect("counts");
        assert_eq!(none.told(), None);
        let there = json!({
            "context_fingerprint": { "os": "linux", "python": "3.13\u{1b}[31m" },
            "worked": 2, "worked_with_changes": 0, "did_not_work": 1, "not_relevant": 0,
        });
        let there: Environment = serde_json::from_value(there).expect("an environment");
        assert_eq!(
            there.told(),
            "  os linux, python 3.13: 2 worked, 1 did not work"
        );
        let unsaid = json!({ "context_fingerprint": null, "not_relevant": 1 });
        let unsaid: Environment = serde_json::from_value(unsaid).expect("an environment");
        assert_eq!(unsaid.told(), "  environment not said: 1 not relevant");
    }
}
