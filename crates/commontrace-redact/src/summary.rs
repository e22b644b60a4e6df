//! Counts of findings, for telling a contributor what was taken out of a text.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::Finding;

/// How often each rule fired; written as a list of [`RuleCount`]s in the order of the rules' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    counts: BTreeMap<&'static str, usize>,
}

/// One rule and how often it fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule, such as `github-pat` or `email`.
    pub rule: &'static str,
    /// How many places it marked.
    pub count: usize,
}

impl Summary {
    /// Counts one more finding of `rule`.
    pub fn count(&mut self, rule: &'static str) {
        *self.counts.entry(rule).or_default() += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (rule, count) in &other.counts {
            *self.counts.entry(rule).or_default() += count;
        }
    }

    /// The counts in the order of the rules' names.
    pub fn rules(&self) -> impl Iterator<Item = RuleCount> {
        self.counts.iter().map(|(rule, count)| RuleCount {
            rule,
            count: *count,
        })
    }

    /// How many places were marked in all.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl<'a> FromIterator<&'a Finding> for Summary {
    fn from_iter<I: IntoIterator<Item = &'a Finding>>(findings: I) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            summary.count(finding.rule);
        }
        summary
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rules())
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use crate::redact;

    #[test]
    fn rules_are_counted_in_order() {
        let answer = redact("mira@holt.dev in /home/mira, eve@holt.dev");
        let summary: Summary = answer.findings.iter().collect();
        assert_eq!(summary.total(), 3);
        let json = serde_json::to_string(&summary).expect("plain data");
        assert_eq!(
            json,
            r#"[{"rule":"email","count":2},{"rule":"home-path","count":1}]"#
        );
    }
}
