//! What to search for: words, or something that a command printed.
//!
//! The order matters: control characters and what stands at a cut go first, then secrets in the whole text, then
//! paths are shortened, and only then is it cut.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use commontrace_hook::Failure as Failed;
use serde_json::{Map, Value};

use crate::config::Environment;
use crate::failure::Failure;

/// Characters that are sent at most.
const QUERY_MAX: usize = 1000;
/// Bytes of a pipe that are kept from its beginning and from its end.
const HEAD: usize = 256 * 1024;
const TAIL: usize = 768 * 1024;

/// Reads what to search for: the words given, else standard input.
pub fn text(words: &[String]) -> Result<String, Failure> {
    match words {
        [dash] if dash == "-" => piped(),
        [] if std::io::stdin().is_terminal() => Err(Failure::new("there is nothing to search for")
            .code(2)
            .hint("give the error message: `commontrace search \"error text\"`, or pipe the output in: `cargo build 2>&1 | commontrace search`")),
        [] => piped(),
        words => Ok(words.join(" ")),
    }
}

/// Reads a pipe to its end, which may be far away, and keeps its beginning and its end in whole lines.
fn piped() -> Result<String, Failure> {
    let failed = |err| Failure::new(format!("cannot read standard input: {err}")).code(2);
    let mut stdin = std::io::stdin().lock();
    let mut head = Vec::new();
    stdin
        .by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(failed)?;
    let mut tail: Vec<u8> = Vec::new();
    let mut is_cut = false;
    let mut part = vec![0; 64 * 1024];
    loop {
        let count = stdin.read(&mut part).map_err(failed)?;
        if count == 0 {
            break;
        }
        tail.extend_from_slice(&part[..count]);
        if tail.len() > 2 * TAIL {
            tail.drain(..tail.len() - TAIL);
            is_cut = true;
        }
    }
    if is_cut || tail.len() > TAIL {
        tail.drain(..tail.len().saturating_sub(TAIL));
        // Half a secret is not recognised as one, so no line is kept in part.
        let end = head
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        head.truncate(end);
        let begin = tail
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(tail.len(), |at| at + 1);
        tail.drain(..begin);
    }
    head.append(&mut tail);
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Makes a query of a text, in this order: clean, redact, shorten paths, choose lines, cut.
pub fn query(text: &str, env: &Environment) -> String {
    let home = env.get("HOME").map(PathBuf::from);
    let project = std::env::current_dir().unwrap_or_default();
    let prepared = commontrace_hook::output(
        text,
        &project,
        home.as_deref().filter(|home| *home != Path::new("/")),
    );
    let prepared = prepared.trim();
    let chosen = if prepared.chars().count() <= QUERY_MAX && prepared.lines().count() <= 12 {
        prepared.to_owned()
    } else {
        Failed::of("", prepared).query
    };
    let cut: String = chosen.chars().take(QUERY_MAX).collect();
    // What a cut may have brought to light.
    commontrace_redact::redact(&cut).text.trim().to_owned()
}

/// Reads `key=value` of an environment, such as `os=linux`.
pub fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as os=linux or language=python"),
    }
}

/// Joins such pairs.
pub fn context(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Environment {
        [("HOME".to_owned(), "/home/mira".to_owned())].into()
    }

    #[test]
    fn a_short_text_is_asked_for_as_it_is() {
        assert_eq!(
            query("error: externally-managed-environment\n", &env()),
            "error: externally-managed-environment"
        );
        assert_eq!(
            query("how do I\nwait for postgres?", &env()),
            "how do I\nwait for postgres?"
        );
    }

    #[test]
    fn of_a_long_output_the_lines_that_say_what_is_wrong_are_asked_for() {
        let mut output: String = (0..400)
            .map(|n| format!("   Compiling crate-{n} v1.0.{n}\n"))
            .collect();
        output.push_str(
            "error[E0425]: cannot find value `frobnicate` in this scope\n --> src/main.rs:3:5\n",
        );
        output
            .push_str("error: could not compile `thing` (bin \"thing\") due to 1 previous error\n");
        let query = query(&output, &env());
        assert!(query.contains("cannot find value `frobnicate`"), "{query}");
        assert!(
            query.chars().count() <= QUERY_MAX && !query.contains("crate-17"),
            "{query}"
        );
    }

    #[test]
    fn no_secret_is_left_wherever_the_text_is_cut() {
        let token = format!("ghp_{}", "aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0");
        for before in (0..1100).step_by(7) {
            let text = format!(
                "{} error: {token} in /home/mira/src was refused",
                "x".repeat(before)
            );
            let query = query(&text, &env());
            assert!(
                !query.contains("ghp_") && !query.contains("mira"),
                "{before}: {query}"
            );
        }
    }
}
