//! Reads a query before any index is asked: its weighted terms and how much it looks like the
//! output of a tool rather than a question.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use commontrace_core::fusion::QueryShape;

use crate::tokenize::{for_each_token, tokens};

/// Exponent on the number of times a term is repeated: a little, since questions repeat what they
/// are about and pasted code repeats what it is not about.
const REPEAT: f32 = 0.2;

/// What a term of the headline counts more than one of the rest: it names the problem.
const HEADLINE: f32 = 2.0;

/// What a filler counts less than other terms.
const FILLER: f32 = 0.7;

/// A distinct term of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The token.
    pub text: String,
    /// How much it counts in this query, from 1.
    pub weight: f32,
    /// Whether it says nothing of what the query is about, as `how` and `want` do.
    pub filler: bool,
}

/// The tokens of words that hold questions together. Matching them is no evidence that a document
/// is about the same thing, however rare they are in a young collection.
static FILLERS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    tokens(
        "i me my mine we us our you your he him his she her hers them its itself myself one ones \
         how what when where which who whom whose why can could should would may might must shall \
         am were been being do does did done doing have has had having get gets got getting let \
         lets want wants wanted need needs needed try tries trying tried know keep keeps like \
         likes go goes going come take give put see say tell mean means happen happens seem seems \
         use uses used using work works working possible able way ways thing things something \
         anything someone everyone good best better nice right please help thanks thank hi hello \
         just so too very much many some any all each every both few more most less least only own \
         same other another also even still yet now again ever never always here than from about \
         over under between after before during without within out up down off because while \
         until though although via per instead around really actually",
    )
    .into_iter()
    .collect()
});

/// What a query's text says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Distinct terms in order of first appearance.
    pub terms: Vec<Term>,
    /// What decides between words and meaning.
    pub shape: QueryShape,
}

/// Reads a query.
pub fn analyze(text: &str) -> Analysis {
    let headline = headline(text);
    let mut order: Vec<Term> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for_each_token(text, |token| match places.get(token) {
        Some(&at) => order[at].weight += 1.0,
        None => {
            places.insert(token.to_owned(), order.len());
            order.push(Term {
                text: token.to_owned(),
                weight: 1.0,
                filler: false,
            });
        }
    });
    for term in &mut order {
        term.weight = term.weight.powf(REPEAT);
        term.filler = FILLERS.contains(&term.text);
        if term.filler {
            term.weight *= FILLER;
        }
    }
    if headline.len() < text.trim().len() {
        let mut raised = vec![false; order.len()];
        for_each_token(headline, |token| {
            if let Some(&at) = places.get(token)
                && !std::mem::replace(&mut raised[at], true)
            {
                order[at].weight *= HEADLINE;
            }
        });
    }
    Analysis {
        terms: order,
        shape: shape(text),
    }
}

/// The line that names the problem: the first one, or the last one of a stack trace that is
/// printed innermost call last.
fn headline(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("");
    if first.starts_with("Traceback") {
        return lines.next_back().unwrap_or(first);
    }
    first
}

/// Words that tools use and questions rarely do, unless they quote a tool.
const ERROR_WORDS: [&str; 24] = [
    "error",
    "errors",
    "exception",
    "traceback",
    "fatal",
    "panic",
    "panicked",
    "failed",
    "failure",
    "cannot",
    "undefined",
    "unexpected",
    "invalid",
    "warning",
    "denied",
    "unresolved",
    "missing",
    "segfault",
    "abort",
    "aborted",
    "refused",
    "unknown",
    "deprecated",
    "errno",
];

fn shape(text: &str) -> QueryShape {
    let (mut symbols, mut characters) = (0, 0);
    for c in text.chars() {
        characters += 1;
        symbols += usize::from("(){}[]=;<>_`\"'|\\/&$#@*+~^%".contains(c));
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    let errors = text
        .split_whitespace()
        .filter(|word| is_error_word(word.trim_matches(|c: char| !c.is_alphanumeric())))
        .count();
    // One more of them says less than the one before.
    let saturated = |count: usize| 1.0 - (-(count as f64)).exp();
    QueryShape {
        symbols: (symbols as f64 / characters.max(1) as f64 * 5.0).min(1.0),
        errors: saturated(errors),
        lines: saturated(lines.saturating_sub(1)),
    }
}

/// Tells `failed`, `ValueError` and `E0502` from other words.
fn is_error_word(word: &str) -> bool {
    if ERROR_WORDS
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
    {
        return true;
    }
    if word.ends_with("Error") || word.ends_with("Exception") || word.starts_with("error[") {
        return true;
    }
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let rest = word[letters..].trim_start_matches(['-', '_']);
    (1..=6).contains(&letters)
        && (2..=6).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_digit())
}
