//! Made-up problems, solutions and queries of realistic shape and size, repeatable by their seed.
//!
//! They serve to measure speed only; nothing about the quality of answers is read from them.

use crate::document::NewTrace;
use crate::rng::Rng;

const TOOLS: [&str; 16] = [
    "pytest",
    "cargo",
    "webpack",
    "docker compose",
    "terraform",
    "gradle",
    "alembic",
    "vite",
    "kubectl",
    "ansible",
    "poetry",
    "eslint",
    "psql",
    "celery",
    "nginx",
    "systemd",
];
/// Languages that solutions are written in, each a tag.
pub const LANGUAGES: [&str; 8] = [
    "python",
    "rust",
    "typescript",
    "go",
    "java",
    "shell",
    "ruby",
    "csharp",
];
const ERRORS: [&str; 12] = [
    "TimeoutError",
    "ConnectionResetError",
    "TypeError",
    "IntegrityError",
    "PermissionDenied",
    "ModuleNotFoundError",
    "SegmentationFault",
    "DeadlineExceeded",
    "InvalidStateError",
    "UnicodeDecodeError",
    "OutOfMemoryError",
    "StaleHandleError",
];
const NOUNS: [&str; 20] = [
    "worker",
    "connection",
    "migration",
    "fixture",
    "cache",
    "token",
    "queue",
    "session",
    "schema",
    "volume",
    "lockfile",
    "handler",
    "stream",
    "index",
    "cursor",
    "socket",
    "bundle",
    "snapshot",
    "certificate",
    "replica",
];
const VERBS: [&str; 12] = [
    "open", "flush", "rename", "resolve", "mount", "rotate", "compile", "decode", "attach",
    "release", "verify", "restore",
];
const MOMENTS: [&str; 8] = [
    "after the upgrade",
    "only in the container",
    "when two jobs run at once",
    "on the second request",
    "behind the proxy",
    "with a cold cache",
    "once the table is large",
    "in the nightly build",
];

fn version(rng: &mut Rng) -> String {
    format!("{}.{}.{}", rng.below(20), rng.below(30), rng.below(15))
}

fn symbol(rng: &mut Rng) -> String {
    format!(
        "{}_{}_{}",
        rng.pick(&VERBS),
        rng.pick(&NOUNS),
        rng.below(1000)
    )
}

fn sentence(rng: &mut Rng) -> String {
    format!(
        "The {} cannot {} its {} {}, although the {} was {}ed by `{}` before.",
        rng.pick(&NOUNS),
        rng.pick(&VERBS),
        rng.pick(&NOUNS),
        rng.pick(&MOMENTS),
        rng.pick(&NOUNS),
        rng.pick(&VERBS),
        symbol(rng),
    )
}

/// Returns a query such as an agent asks: a tool, an error, what it was about; some 20 tokens.
pub fn query(rng: &mut Rng) -> String {
    format!(
        "{} {} {}: cannot {} {} `{}` {}",
        rng.pick(&TOOLS),
        version(rng),
        rng.pick(&ERRORS),
        rng.pick(&VERBS),
        rng.pick(&NOUNS),
        symbol(rng),
        rng.pick(&MOMENTS),
    )
}

/// Returns a trace whose texts have 1 to 2 kB together; `number` makes its title unique.
pub fn trace(rng: &mut Rng, number: usize) -> NewTrace {
    let (tool, language, error) = (rng.pick(&TOOLS), rng.pick(&LANGUAGES), rng.pick(&ERRORS));
    let (symbol, version) = (symbol(rng), version(rng));
    let mut context = format!("{tool} {version} fails {}.\n\n```\n", rng.pick(&MOMENTS));
    for depth in 0..2 + rng.below(3) {
        let (file, line) = (rng.pick(&NOUNS), rng.below(900));
        context += &format!("  File \"src/{file}.py\", line {line}, in {symbol}_{depth}\n");
    }
    context += &format!("{error}: could not {} {symbol}\n```\n\n", rng.pick(&VERBS));
    let mut solution = String::new();
    for _ in 0..3 + rng.below(2) {
        context += &format!("{} ", sentence(rng));
        solution += &format!("{} ", sentence(rng));
    }
    solution += &format!("\n\n```{language}\n");
    for _ in 0..4 + rng.below(6) {
        let (object, call) = (rng.pick(&NOUNS), self::symbol(rng));
        solution += &format!(
            "{object} = {call}({}, timeout={})\n",
            rng.pick(&NOUNS),
            rng.below(90)
        );
    }
    solution += &format!(
        "```\n\nRun `{tool} {}` again; it ends with status 0.",
        rng.pick(&VERBS)
    );
    NewTrace {
        title: format!("{error} in {tool} {version}: {symbol} #{number}"),
        context_text: context,
        solution_text: solution,
        tags: vec![language.to_owned(), tool.replace(' ', "-")],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use commontrace_core::husk::husk;

    use super::*;

    #[test]
    fn traces_are_distinct_of_real_size_and_pass_the_gate() {
        let mut rng = Rng::part(7, 0);
        let traces: Vec<_> = (0..500).map(|number| trace(&mut rng, number)).collect();
        for trace in &traces {
            let size = trace.context_text.len() + trace.solution_text.len();
            assert!((1000..2000).contains(&size), "{size}");
            let husk = husk(&trace.title, &trace.context_text, &trace.solution_text);
            assert!(husk.is_none() && trace.title.len() <= 200);
        }
        let texts: HashSet<_> = traces.iter().map(|trace| &trace.context_text).collect();
        assert_eq!(texts.len(), traces.len());
    }

    #[test]
    fn queries_are_distinct() {
        let mut rng = Rng::part(7, 0);
        let queries: HashSet<_> = (0..1000).map(|_| query(&mut rng)).collect();
        assert_eq!(queries.len(), 1000);
    }
}
