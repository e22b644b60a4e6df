//! Recognises contributions that carry no knowledge, so that they never enter the commons.
//!
//! Most of what automatic posting produces is an unfilled template, a bare file name or the
//! question repeated as its own answer.

use std::fmt;

/// Shortest solution that can say anything, in characters that are letters or digits.
const SOLUTION_MIN: usize = 10;
/// Shortest context likewise.
const CONTEXT_MIN: usize = 8;

/// Why a contribution is refused as empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Husk {
    /// The field's text has too few letters and digits to say anything.
    TooShort(&'static str),
    /// The field holds template slots that nobody filled.
    Template(&'static str),
    /// The solution repeats the problem.
    SolutionIsProblem,
    /// The solution is only the name of a file.
    SolutionIsFileName,
}

impl Husk {
    /// Names the field to mend.
    pub fn field(self) -> &'static str {
        match self {
            Self::TooShort(field) | Self::Template(field) => field,
            Self::SolutionIsProblem | Self::SolutionIsFileName => "solution_text",
        }
    }
}

impl fmt::Display for Husk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort("solution_text") => {
                "says too little to help anybody; describe what to change and why it works"
            }
            Self::TooShort(_) => "says too little; describe the problem and give the error text",
            Self::Template(_) => "is an unfilled template; replace the placeholders",
            Self::SolutionIsProblem => "repeats the problem; say what solved it",
            Self::SolutionIsFileName => "is only a file name; say what to change in it",
        })
    }
}

/// Returns why these texts carry no knowledge, or `None` when they may pass.
pub fn husk(title: &str, context: &str, solution: &str) -> Option<Husk> {
    let fields = [
        ("title", title),
        ("context_text", context),
        ("solution_text", solution),
    ];
    for (name, text) in fields {
        if is_template(text) {
            return Some(Husk::Template(name));
        }
    }
    if is_file_name(solution) {
        return Some(Husk::SolutionIsFileName);
    }
    if weight(solution) < SOLUTION_MIN {
        return Some(Husk::TooShort("solution_text"));
    }
    if weight(context) < CONTEXT_MIN {
        return Some(Husk::TooShort("context_text"));
    }
    let solution_words = squeeze(solution);
    if solution_words == squeeze(context) || solution_words == squeeze(title) {
        return Some(Husk::SolutionIsProblem);
    }
    None
}

/// Counts letters and digits; an ideograph says as much as a short word.
fn weight(text: &str) -> usize {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| {
            if ('\u{3040}'..='\u{9fff}').contains(&c) || ('\u{ac00}'..='\u{d7a3}').contains(&c) {
                3
            } else {
                1
            }
        })
        .sum()
}

fn squeeze(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns whether a text is nothing but template slots and the labels around them.
fn is_template(text: &str) -> bool {
    let mut slots = 0;
    let mut said = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let body = match line.split_once(':') {
            Some((label, body)) if label.split_whitespace().count() <= 4 => body.trim(),
            _ => line.trim_start_matches(['#', '-', '*', '>', ' ']),
        };
        let heading =
            line.starts_with('#') || (line.ends_with(':') && line.split_whitespace().count() <= 4);
        let slot = !heading && is_slot(body);
        slots += usize::from(slot);
        said += usize::from(!slot && !heading && weight(body) > 0);
    }
    slots > 0 && said == 0
}

/// What people write where something is still to be written.
const PLACEHOLDERS: [&str; 20] = [
    "todo",
    "tbd",
    "n/a",
    "none",
    "fixme",
    "placeholder",
    "lorem ipsum",
    "to be filled in",
    "fill in",
    "fill me in",
    "paste",
    "insert",
    "describe",
    "description",
    "solution",
    "problem",
    "context",
    "error",
    "title",
    "text",
];

/// Returns whether a line holds a placeholder instead of a text: a word such as `TODO`, or a
/// bracket around such a word or around several (`<describe the fix>`). A tag of markup is neither.
fn is_slot(body: &str) -> bool {
    let lower = body.to_lowercase();
    let bare = lower.trim_matches(['.', ' ', '*', '_', '`']);
    if PLACEHOLDERS.contains(&bare) {
        return true;
    }
    let inside = [('<', '>'), ('[', ']'), ('{', '}')]
        .iter()
        .find_map(|&(open, close)| bare.strip_prefix(open)?.strip_suffix(close));
    let Some(inside) = inside.map(|inside| inside.trim_matches(['[', ']', '{', '}', ' ', '.']))
    else {
        return false;
    };
    let is_phrase = inside
        .chars()
        .all(|c| c.is_alphanumeric() || " _-'?,.".contains(c));
    let words = inside
        .split([' ', '_', '-'])
        .filter(|word| !word.is_empty());
    is_phrase && (words.count() >= 2 || PLACEHOLDERS.contains(&inside))
}

fn is_file_name(text: &str) -> bool {
    let text = text.trim().trim_matches('`');
    let Some((stem, extension)) = text.rsplit_once('.') else {
        return false;
    };
    !stem.is_empty()
        && (1..=5).contains(&extension.len())
        && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        && !text.contains(char::is_whitespace)
        && !text.contains("()")
        && !text.contains("://")
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "/\\._-~@+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(context: &str, solution: &str, expected: Option<Husk>) {
        assert_eq!(
            husk("a title that is fine", context, solution),
            expected,
            "{solution:?}"
        );
    }

    #[test]
    fn husks_are_refused_with_the_reason() {
        let problem = "pytest fails with fixture 'db' not found";
        check(problem, "ok", Some(Husk::TooShort("solution_text")));
        check(
            "??",
            "Declare the fixture in conftest.py",
            Some(Husk::TooShort("context_text")),
        );
        check(
            problem,
            "Pytest fails with fixture 'db' not found!",
            Some(Husk::SolutionIsProblem),
        );
        check(
            problem,
            "tests/unit/conftest.py",
            Some(Husk::SolutionIsFileName),
        );
        check(
            problem,
            "<describe the solution here>",
            Some(Husk::Template("solution_text")),
        );
        check(
            "Problem: [TODO]\nError: [paste]",
            "Declare it in conftest.py",
            Some(Husk::Template("context_text")),
        );
        check(
            problem,
            "## Solution\nTODO",
            Some(Husk::Template("solution_text")),
        );
    }

    #[test]
    fn short_but_real_solutions_pass() {
        check(
            "fatal: refusing to merge unrelated histories",
            "git pull --allow-unrelated-histories",
            None,
        );
        check(
            "error: linker `cc` not found",
            "apt-get install build-essential",
            None,
        );
        check(
            "pytest fails",
            "TODO: none\nMove the fixture to conftest.py",
            None,
        );
        check("フィクスチャが見つからない", "conftest.pyへ移動する", None);
    }
}
