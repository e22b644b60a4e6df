//! Made-up texts for a large store: words as unevenly frequent as those of a language, so that the
//! lists of common words are long and most words are rare.
//!
//! The words that the load scenarios search for are among the common ones: about one trace in ten
//! to one in two has each of them.

use crate::rng::Rng;
use crate::texts::LANGUAGES;

/// Distinct words that texts are made of.
const VOCABULARY: usize = 50_000;

/// The most common words, most common first; made-up ones follow.
const COMMON: [&str; 96] = [
    "error",
    "with",
    "from",
    "file",
    "when",
    "after",
    "test",
    "value",
    "server",
    "version",
    "build",
    "python",
    "run",
    "config",
    "request",
    "client",
    "user",
    "data",
    "docker",
    "path",
    "install",
    "package",
    "module",
    "function",
    "import",
    "timeout",
    "handling",
    "async",
    "command",
    "table",
    "query",
    "react",
    "token",
    "key",
    "container",
    "image",
    "github",
    "postgresql",
    "branch",
    "commit",
    "worker",
    "queue",
    "retry",
    "compose",
    "cache",
    "redis",
    "actions",
    "hook",
    "hooks",
    "schema",
    "index",
    "column",
    "migration",
    "fastapi",
    "pipeline",
    "authentication",
    "middleware",
    "session",
    "header",
    "socket",
    "thread",
    "memory",
    "port",
    "volume",
    "pattern",
    "ci",
    "workflow",
    "runner",
    "component",
    "state",
    "useState",
    "render",
    "effect",
    "props",
    "jwt",
    "login",
    "secret",
    "expired",
    "sqlalchemy",
    "model",
    "engine",
    "pool",
    "alembic",
    "revision",
    "upgrade",
    "downgrade",
    "healthcheck",
    "service",
    "depends",
    "interval",
    "caching",
    "ttl",
    "eviction",
    "backoff",
    "exception",
    "deadlock",
];

/// Tags of which every trace has one; each is on about 2 % of the traces.
pub const TOPICS: usize = 50;

/// A made-up trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One line, different for every number.
    pub title: String,
    /// The problem.
    pub context: String,
    /// The answer.
    pub solution: String,
    /// One of [`TOPICS`] tags, and a language.
    pub tags: Vec<String>,
}

/// Returns the text of trace `number`, of 1 to 2 kB.
pub fn trace(seed: u64, number: usize) -> Text {
    let mut rng = Rng::part(!seed, number as u64);
    let language = rng.pick(&LANGUAGES);
    let title = format!("{} #{number}", words(&mut rng, 7));
    let context = format!(
        "{}.\n\n```\n{}Error: {}\n  at {}_{} line {}\n```\n\n{}.",
        words(&mut rng, 30),
        word(&mut rng),
        words(&mut rng, 6),
        word(&mut rng),
        word(&mut rng),
        rng.below(900),
        words(&mut rng, 30),
    );
    let mut solution = format!("{}.\n\n```{language}\n", words(&mut rng, 40));
    for _ in 0..6 {
        solution += &format!(
            "{} = {}_{}({})\n",
            word(&mut rng),
            word(&mut rng),
            word(&mut rng),
            word(&mut rng)
        );
    }
    solution += &format!("```\n\n{}.", words(&mut rng, 30));
    Text {
        title,
        context,
        solution,
        tags: vec![topic(rng.below(TOPICS)), (*language).to_owned()],
    }
}

/// Returns the name of a topic's tag.
pub fn topic(number: usize) -> String {
    format!("topic-{number:02}")
}

fn words(rng: &mut Rng, count: usize) -> String {
    let words: Vec<String> = (0..count).map(|_| word(rng)).collect();
    words.join(" ")
}

/// Returns a word: the one of rank r is about twice as frequent as that of rank 2 r (Zipf's law,
/// from a logarithm that is evenly distributed).
fn word(rng: &mut Rng) -> String {
    let even = (rng.next() >> 11) as f64 / (1u64 << 53) as f64;
    let rank = ((VOCABULARY as f64).powf(even) as usize).min(VOCABULARY) - 1;
    match COMMON.get(rank) {
        Some(word) => (*word).to_owned(),
        None => made_up(rank),
    }
}

/// Spells a number in syllables.
fn made_up(mut rank: usize) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aiou";
    let mut word = String::new();
    while rank > 0 {
        word.push(char::from(CONSONANTS[rank % CONSONANTS.len()]));
        rank /= CONSONANTS.len();
        word.push(char::from(VOWELS[rank % VOWELS.len()]));
        rank /= VOWELS.len();
    }
    word.push('x');
    word
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn words_are_as_unevenly_frequent_as_in_a_language() {
        let mut traces_with = HashMap::<String, usize>::new();
        for number in 0..400 {
            let trace = trace(7, number);
            let size = trace.context.len() + trace.solution.len();
            assert!((800..2400).contains(&size), "{size}");
            let text = format!("{} {} {}", trace.title, trace.context, trace.solution);
            let words: std::collections::HashSet<_> = text
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_owned)
                .collect();
            for word in words {
                *traces_with.entry(word).or_default() += 1;
            }
        }
        assert!(traces_with["python"] > 200);
        assert!((40..200).contains(&traces_with["migration"]));
        let rare = traces_with.values().filter(|&&count| count == 1).count();
        assert!(rare * 2 > traces_with.len());
    }

    #[test]
    fn a_trace_is_the_same_whenever_it_is_asked_for() {
        assert_eq!(trace(7, 3), trace(7, 3));
        assert_ne!(trace(7, 3), trace(7, 4));
        assert_ne!(trace(7, 3), trace(8, 3));
    }
}
