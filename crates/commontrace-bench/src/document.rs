//! From a document of an evaluation set to a trace that a user could have contributed.
//!
//! The sets' documents do not all have the three fields that a trace needs. What is missing is
//! taken from what is there; no word is added that the document does not hold, and none is left
//! out while the limits allow it:
//!
//! - no title: the first line of the context;
//! - no context: the title once more;
//! - no solution: the context is the solution, and the title is the context;
//! - only one text: it is split, in order, into first line, first paragraph and rest; one that has
//!   too little for that into first line and rest, and the first line is the context once more;
//! - a title over the limit is cut, and stands in full at the head of the context;
//! - a solution or context that is too short for the write gate is preceded by the title, or
//!   followed by the first lines of the solution.
//!
//! What the gate refuses even so is reported as refused, and its queries count as failed.

use commontrace_core::husk::husk;
use commontrace_core::trace::{TAGS_MAX, TEXT_MAX, TITLE_MAX};
use serde::{Deserialize, Serialize};

/// A document of an evaluation set.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    /// Its name in the relevance judgements.
    pub id: String,
    /// May be empty.
    #[serde(default)]
    pub title: String,
    /// May be empty.
    #[serde(default)]
    pub context: String,
    /// May be empty.
    #[serde(default)]
    pub solution: String,
    /// As the source has them; the server normalises them.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The body of a contribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewTrace {
    /// One line.
    pub title: String,
    /// The problem.
    pub context_text: String,
    /// The answer.
    pub solution_text: String,
    /// Tags before normalising.
    pub tags: Vec<String>,
}

/// Letters and digits that the title and context of a split text get at least.
const CONTEXT_SAYS: usize = 8;
/// Letters and digits that a solution gets at least.
const SOLUTION_SAYS: usize = 15;

/// Returns the trace to contribute, and whether it had to be adapted.
pub fn to_trace(document: &Document) -> (NewTrace, bool) {
    let [title, context, solution] =
        [&document.title, &document.context, &document.solution].map(|text| text.trim());
    let missing = [title, context, solution].map(str::is_empty);
    let (long_title, context, solution) = match missing {
        [true, false, false] => (first_line(context), context, solution),
        [false, true, false] => (title, title, solution),
        [false, false, true] => (title, title, context),
        [true, true, false] => split(solution),
        [true, false, true] => split(context),
        _ => (title, context, solution),
    };
    let title = cut(long_title, TITLE_MAX);
    let (mut context, mut solution) = (context.to_owned(), solution.to_owned());
    if title.len() < long_title.len() && !context.starts_with(long_title) {
        context = format!("{long_title}\n\n{context}");
    }
    if says(&solution) < SOLUTION_SAYS {
        solution = format!("{title}\n{solution}");
    }
    for line in solution.lines() {
        if says(&context) >= CONTEXT_SAYS {
            break;
        }
        context = format!("{context}\n{line}");
    }
    let trace = NewTrace {
        title: title.to_owned(),
        context_text: cut(&context, TEXT_MAX).to_owned(),
        solution_text: cut(&solution, TEXT_MAX).to_owned(),
        tags: document.tags.iter().take(TAGS_MAX).cloned().collect(),
    };
    let adapted = trace.title != document.title.trim()
        || trace.context_text != document.context.trim()
        || trace.solution_text != document.solution.trim();
    (trace, adapted)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text).trim_end()
}

/// Splits a text that is all a document has into title, context and solution; the title is also the
/// context where the second part says nothing. A single word becomes all three, and the gate will
/// refuse it.
fn split(text: &str) -> (&str, &str, &str) {
    let head = cut(text, TITLE_MAX);
    let lines = head.match_indices('\n').map(|(at, _)| at);
    let words = head.match_indices(' ').map(|(at, _)| at).rev();
    let places = lines.chain(words).collect::<Vec<_>>();
    let split_title = |least| split_once(text, &places, least);
    let Some((title, rest)) = split_title(CONTEXT_SAYS).or_else(|| split_title(1)) else {
        return (first_line(text), first_line(text), text);
    };
    let paragraphs = rest.match_indices("\n\n").map(|(at, _)| at).take(20);
    let lines = rest.match_indices('\n').map(|(at, _)| at).take(50);
    let places = paragraphs.chain(lines).collect::<Vec<_>>();
    match split_once(rest, &places, CONTEXT_SAYS) {
        Some((context, solution)) if husk(title, context, solution).is_none() => {
            (title, context, solution)
        }
        _ => (title, title, rest),
    }
}

/// Splits at the first of the places at which the left side says at least so much and the right
/// side enough for a solution.
fn split_once<'a>(text: &'a str, places: &[usize], least: usize) -> Option<(&'a str, &'a str)> {
    let enough = |at: usize| says(&text[..at]) >= least && says(&text[at..]) >= SOLUTION_SAYS;
    let at = places.iter().copied().find(|&at| enough(at))?;
    Some((text[..at].trim(), text[at..].trim()))
}

/// Counts letters and digits.
fn says(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Returns the first `max` characters.
pub fn cut(text: &str, max: usize) -> &str {
    text.char_indices()
        .nth(max)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn adapt(title: &str, context: &str, solution: &str) -> NewTrace {
        let document = Document {
            id: "d".into(),
            title: title.into(),
            context: context.into(),
            solution: solution.into(),
            tags: vec!["rust".into()],
        };
        to_trace(&document).0
    }

    fn passes_gate(trace: &NewTrace) -> bool {
        husk(&trace.title, &trace.context_text, &trace.solution_text).is_none()
    }

    fn fields(trace: &NewTrace) -> [&str; 3] {
        [&trace.title, &trace.context_text, &trace.solution_text]
    }

    const CODE: &str = "def paste():\n    return clipboard.read()";

    #[test]
    fn complete_documents_stay_as_they_are() {
        let document = Document {
            id: "d".into(),
            title: "a title".into(),
            context: "the whole problem".into(),
            solution: CODE.into(),
            tags: vec!["t".into(); 30],
        };
        let (trace, adapted) = to_trace(&document);
        assert_eq!(fields(&trace), ["a title", "the whole problem", CODE]);
        assert_eq!((adapted, trace.tags.len()), (false, TAGS_MAX));
    }

    #[test]
    fn what_is_missing_is_taken_from_what_is_there() {
        let docstring = "Returns system clipboard contents.\nLonger.";
        let cases = [
            (
                adapt("", docstring, CODE),
                ["Returns system clipboard contents.", docstring, CODE],
            ),
            (
                adapt("read the clipboard", "", CODE),
                ["read the clipboard", "read the clipboard", CODE],
            ),
            (
                adapt("read the clipboard", docstring, ""),
                ["read the clipboard", "read the clipboard", docstring],
            ),
            (
                adapt("list all files", "", "ls -la"),
                ["list all files", "list all files", "list all files\nls -la"],
            ),
            (
                adapt("", "Pops.", CODE),
                ["Pops.", "Pops.\ndef paste():", CODE],
            ),
        ];
        for (trace, expected) in &cases {
            assert_eq!(fields(trace), *expected);
            assert!(passes_gate(trace));
        }
    }

    #[test]
    fn a_single_text_is_split_in_order_without_repeating() {
        let trace = adapt(
            "",
            "",
            "I prefer these patterns:\n\nformat them like this\n\nprintln!(\"{:016b}\", 12000u16);",
        );
        assert_eq!(
            fields(&trace),
            [
                "I prefer these patterns:",
                "format them like this",
                "println!(\"{:016b}\", 12000u16);"
            ]
        );
        let one_line = adapt("", "", &"word ".repeat(100));
        assert!(passes_gate(&one_line));
        assert!(one_line.title.len() <= TITLE_MAX);
        assert!(passes_gate(&adapt(
            "",
            "",
            "use names.sort() and then reverse the list"
        )));
        assert!(passes_gate(&adapt(
            "",
            "",
            "`sudo ln -s /bin/mkdir /usr/bin/mkdir`"
        )));
        assert!(!passes_gate(&adapt(
            "",
            "",
            "~/.dotnet/corefx/cryptography"
        )));
    }

    #[test]
    fn a_title_over_the_limit_stays_in_full_in_the_context() {
        let title = "no such thing ".repeat(20);
        let trace = adapt(&title, "the whole problem", CODE);
        assert_eq!(trace.title, cut(title.trim(), TITLE_MAX));
        assert_eq!(
            trace.context_text,
            format!("{}\n\nthe whole problem", title.trim())
        );
    }

    fn words(texts: &[&str]) -> std::collections::BTreeSet<String> {
        let words = texts.iter().flat_map(|text| text.split_whitespace());
        words.map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn no_word_is_lost_or_invented(
            title in "([a-z]{1,12} ){0,6}",
            context in "([a-z]{1,12}[ \n]){0,40}",
            solution in "([a-z]{1,12}[ \n]){0,40}",
        ) {
            let trace = adapt(&title, &context, &solution);
            prop_assert_eq!(words(&fields(&trace)), words(&[&title, &context, &solution]));
        }
    }
}
