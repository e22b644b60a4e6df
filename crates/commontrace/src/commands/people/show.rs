//! How traces are shown to a person.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::terminal::{Style, Terminal, one_line, plural};
use crate::commands::say;

/// Lines of a result that are shown because they match.
const MATCHES: usize = 3;

/// A result of a search.
#[derive(Debug, Deserialize)]
pub struct Hit {
    pub id: String,
    title: String,
    context_text: String,
    solution_text: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    combined_score: f64,
    evidence: Option<Evidence>,
    #[serde(default)]
    outcomes: Outcomes,
    valid_until: Option<DateTime<Utc>>,
    origin: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Evidence {
    status: String,
    #[serde(default)]
    summary: String,
}

#[derive(Debug, Default, Deserialize)]
struct Outcomes {
    #[serde(default)]
    worked: i64,
    #[serde(default)]
    worked_with_changes: i64,
    #[serde(default)]
    did_not_work: i64,
}

/// A whole trace.
#[derive(Debug, Deserialize)]
pub struct Trace {
    id: String,
    title: String,
    pub context_text: String,
    pub solution_text: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    status: String,
    contributor_name: Option<String>,
    created_at: Option<DateTime<Utc>>,
    valid_until: Option<DateTime<Utc>>,
    #[serde(default)]
    up_votes: i64,
    #[serde(default)]
    down_votes: i64,
    #[serde(default)]
    outcomes: Outcomes,
    evidence: Option<Evidence>,
    #[serde(default)]
    is_seed: bool,
    #[serde(default)]
    is_stale: bool,
    #[serde(default)]
    is_flagged: bool,
}

impl Outcomes {
    fn told(&self) -> Option<String> {
        let good = self.worked + self.worked_with_changes;
        (good + self.did_not_work > 0)
            .then(|| format!("worked for {good}, not for {}", self.did_not_work))
    }
}

impl Hit {
    /// Prints it with the lines that match and the beginning of the solution.
    pub fn print(&self, number: usize, words: &[String], terminal: &Terminal, now: DateTime<Utc>) {
        let before = format!("{number}. ");
        let title = terminal.fit(&one_line(&self.title), before.len());
        say(format_args!(
            "{before}{}",
            terminal.styled(Style::Strong, &title)
        ));
        let mut facts = vec![format!("{:.2}", self.combined_score)];
        facts.extend(self.origin.as_deref().map(one_line));
        facts.push(one_line(&self.status));
        facts.extend(
            self.evidence
                .as_ref()
                .map(|evidence| format!("tests: {}", one_line(&evidence.status))),
        );
        facts.extend(self.outcomes.told());
        if self.valid_until.is_some_and(|end| end <= now) {
            facts.push("expired".to_owned());
        }
        facts.push(
            self.tags
                .iter()
                .map(|tag| one_line(tag))
                .collect::<Vec<_>>()
                .join(", "),
        );
        let facts = terminal.fit(&facts.join(" · "), 3);
        say(format_args!("   {}", terminal.styled(Style::Faint, &facts)));
        let first = first_sentence(&self.solution_text);
        let mut lines = matching(&self.context_text, &self.solution_text, words);
        lines.retain(|line| Some(line) != first.as_ref());
        for line in lines {
            let line = terminal.fit(&line, 5);
            say(format_args!(
                "   {} {}",
                terminal.styled(Style::Faint, "|"),
                highlighted(&line, words, terminal)
            ));
        }
        if let Some(first) = first {
            let line = terminal.fit(&first, 6);
            say(format_args!(
                "   {} {line}",
                terminal.styled(Style::Good, "=>")
            ));
        }
        say(format_args!("   {}", one_line(&self.id)));
    }
}

/// The first line of a solution that is prose.
fn first_sentence(solution: &str) -> Option<String> {
    let mut lines = solution.lines().map(one_line);
    lines.find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("```"))
}

/// The words of a query that are looked for in a text.
pub fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.chars().count() >= 3)
        .map(str::to_lowercase)
        .collect();
    words.sort();
    words.dedup();
    words
}

/// The lines of a trace that have most of the words, in their order.
fn matching(context: &str, solution: &str, words: &[String]) -> Vec<String> {
    let lines: Vec<String> = context
        .lines()
        .chain(solution.lines())
        .map(one_line)
        .collect();
    let score = |line: &String| {
        let line = line.to_lowercase();
        words
            .iter()
            .filter(|word| line.contains(word.as_str()))
            .map(String::len)
            .sum::<usize>()
    };
    let mut ranked: Vec<(usize, usize)> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| (score(line), at))
        .filter(|(score, _)| *score > 0)
        .collect();
    ranked.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), *at));
    // A line that has little beside one that has much is noise.
    let best = ranked.first().map_or(0, |(score, _)| *score);
    ranked.retain(|(score, _)| 2 * score >= best);
    ranked.truncate(MATCHES);
    ranked.sort_by_key(|(_, at)| *at);
    ranked
        .into_iter()
        .map(|(_, at)| lines[at].clone())
        .collect()
}

/// Marks the words in a line.
fn highlighted(line: &str, words: &[String], terminal: &Terminal) -> String {
    let mut out = String::new();
    let mut piece = String::new();
    let flush = |piece: &mut String, out: &mut String| {
        let is_match = words.binary_search(&piece.to_lowercase()).is_ok();
        let style = if is_match {
            terminal.styled(Style::Match, piece)
        } else {
            piece.clone()
        };
        out.push_str(&style);
        piece.clear();
    };
    for c in line.chars() {
        if c.is_alphanumeric() || c == '_' {
            piece.push(c);
        } else {
            flush(&mut piece, &mut out);
            out.push(c);
        }
    }
    flush(&mut piece, &mut out);
    out
}

impl Trace {
    /// Prints it whole.
    pub fn print(&self, terminal: &Terminal, now: DateTime<Utc>) {
        say(terminal.styled(Style::Strong, &terminal.wrap(&one_line(&self.title), "")));
        let mut facts = vec![one_line(&self.status)];
        if let Some(name) = &self.contributor_name {
            let starter = if self.is_seed {
                " (reviewed starter trace)"
            } else {
                ""
            };
            facts.push(format!("by {}{starter}", one_line(name)));
        }
        facts.extend(
            self.created_at
                .map(|time| time.format("%Y-%m-%d").to_string()),
        );
        if self.up_votes + self.down_votes > 0 {
            facts.push(format!("{} up, {} down", self.up_votes, self.down_votes));
        }
        facts.extend(self.outcomes.told());
        facts.push(
            self.tags
                .iter()
                .map(|tag| one_line(tag))
                .collect::<Vec<_>>()
                .join(", "),
        );
        say(terminal.styled(Style::Faint, &terminal.wrap(&facts.join(" · "), "")));
        say(terminal.styled(Style::Faint, &one_line(&self.id)));
        if let Some(evidence) = &self.evidence {
            let said = format!(
                "tests: {}: {}",
                one_line(&evidence.status),
                one_line(&evidence.summary)
            );
            say(terminal.wrap(&said, ""));
        }
        let mut warnings = Vec::new();
        if self.valid_until.is_some_and(|end| end <= now) {
            warnings.push("a later trace has replaced this one");
        }
        if self.is_stale {
            warnings.push("its date of review has passed; it may be outdated");
        }
        if self.is_flagged {
            warnings.push("somebody has reported it to the moderators");
        }
        for warning in warnings {
            say(terminal.styled(Style::Bad, &format!("note: {warning}")));
        }
        for (name, text) in [
            ("Problem", &self.context_text),
            ("Solution", &self.solution_text),
        ] {
            say("");
            say(terminal.styled(Style::Strong, name));
            say(terminal.text(text, "  "));
        }
    }
}

/// Counts results by where they are from.
pub fn origins(hits: &[Hit]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for origin in hits.iter().filter_map(|hit| hit.origin.as_deref()) {
        match counts.iter_mut().find(|(known, _)| *known == origin) {
            Some((_, count)) => *count += 1,
            None => counts.push((origin, 1)),
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(origin, count)| format!("{count} from {origin}"))
        .collect();
    let all = format!("{} result{}", hits.len(), plural(hits.len()));
    if counts.is_empty() {
        all
    } else {
        format!("{all}: {}", counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_with_most_of_the_words_are_shown_in_their_order() {
        let words = words("error: externally-managed-environment");
        let context =
            "`pip install` says:\n\nerror: externally-managed-environment\n\nSince Debian 12.";
        let solution = "## Fix\nMake an environment.\nThe file EXTERNALLY-MANAGED marks a managed environment.";
        assert_eq!(
            matching(context, solution, &words),
            [
                "error: externally-managed-environment",
                "The file EXTERNALLY-MANAGED marks a managed environment."
            ]
        );
        assert_eq!(
            first_sentence(solution).as_deref(),
            Some("Make an environment.")
        );
    }
}
