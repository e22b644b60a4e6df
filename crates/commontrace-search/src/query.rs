//! Reads a query before any index is asked: its weighted terms and how much it looks like the
//! output of a tool rather than a question.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use commontrace_core::fusion::QueryShape;

use crate::signature::{is_error_word, signatures};
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
    /// Signatures of the error lines in it.
    pub signatures: Vec<u64>,
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
        signatures: signatures(text),
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

fn shape(text: &str) -> QueryShape {
    let (mut symbols, mut characters) = (0, 0);
    for c in text.chars() {
        characters += 1;
        symbols += usize::from("(){}[]=;<>_`\"'|\\/&$#@*+~^%".contains(c));
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    let errors = text
        .split_whitespace()
        .filter(|word| is_error_word(word))
        .count();
    // One more of them says less than the one before.
    let saturated = |count: usize| 1.0 - (-(count as f64)).exp();
    QueryShape {
        symbols: (symbols as f64 / characters.max(1) as f64 * 5.0).min(1.0),
        errors: saturated(errors),
        lines: saturated(lines.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(analysis: &Analysis, text: &str) -> f32 {
        let term = analysis.terms.iter().find(|term| term.text == text);
        term.expect("the query has this term").weight
    }

    #[test]
    fn the_headline_counts_more_than_what_is_pasted_below() {
        let analysis = analyze("borrow checker fails\nlet x = value;");
        assert!(weight(&analysis, "borrow") > weight(&analysis, "valu"));
        let single = analyze("borrow checker fails");
        assert!((weight(&single, "borrow") - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn a_python_trace_is_named_by_its_last_line() {
        let text = "Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 'colour'\n";
        assert_eq!(headline(text), "KeyError: 'colour'");
        assert_eq!(headline("\n  first \n second"), "first");
    }

    #[test]
    fn fillers_are_marked_and_count_less() {
        let analysis = analyze("how do I want sqlite");
        let fillers = analysis.terms.iter().filter(|term| term.filler).count();
        assert_eq!((fillers, analysis.terms.len()), (4, 5));
        assert!(weight(&analysis, "how") < weight(&analysis, "sqlite"));
    }

    #[test]
    fn tool_output_looks_unlike_a_question() {
        let question = analyze("how to reverse a list in python").shape;
        let output =
            analyze("error[E0502]: cannot borrow `v`\n  --> src/main.rs:4:5\n4 | v.push(1);").shape;
        assert!(question.dense_weight() > output.dense_weight() + 0.3);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            let analysis = analyze(&text);
            prop_assert!(analysis.terms.iter().all(|term| term.weight > 0.0));
            let weight = analysis.shape.dense_weight();
            prop_assert!((0.0..=1.0).contains(&weight));
        }
    }
}
