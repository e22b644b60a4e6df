//! What a failed command is asked for by, and how the same failure is recognised another time.

use commontrace_search::signature::is_error_word;
use commontrace_session::test_output;

use crate::places;

/// Characters of the line that names the problem.
const HEADLINE: usize = 300;
/// Lines of a query, and its characters. A server takes 1,000.
const LINES: usize = 12;
const QUERY: usize = 900;

/// A failure, made of an output that was prepared by [`crate::text::output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line that names the problem, cut; empty if nothing was printed.
    pub headline: String,
    /// What to search for: that line first, then others that say what is wrong, then the command.
    pub query: String,
    /// The same for the same failure, whatever the paths and numbers in it.
    pub signature: i64,
    /// Whether the output says in a form of its own that something failed: only then is it worth a search
    /// where nobody was told how the command ended.
    pub is_certain: bool,
}

impl Failure {
    /// Reads what a command of this key printed.
    #[must_use]
    pub fn of(key: &str, output: &str) -> Self {
        let lines: Vec<&str> = output
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let best = best(&lines);
        let headline = best.map(|at| bare(lines[at])).unwrap_or_default();
        let mut query = vec![headline];
        if let Some(best) = best {
            let others = others(&lines, best);
            query.extend(others);
        }
        let command: String = key
            .split(" && ")
            .last()
            .unwrap_or(key)
            .chars()
            .take(120)
            .collect();
        let failed = test_output::read(output).failed;
        let mut joined = String::new();
        for line in query.into_iter().chain(std::iter::once(command.as_str())) {
            if joined.chars().count() + line.chars().count() >= QUERY {
                break;
            }
            if !line.is_empty() {
                joined.push_str(line);
                joined.push('\n');
            }
        }
        Self {
            headline: crate::text::cut(headline, HEADLINE),
            signature: signature(key, headline, failed.first().map(String::as_str)),
            query: places::without(joined.trim_end())
                .chars()
                .take(QUERY)
                .collect(),
            is_certain: best.is_some_and(|at| grade(lines[at]) >= STRONG),
        }
    }
}

/// From this grade on a line is the report of a failure and nothing else.
const STRONG: i32 = 8;

/// The line that names the problem: where a Python trace or a panic of Rust puts it, else the strongest, of equals the
/// first. If none says anything, the first of a few lines and the last of many.
fn best(lines: &[&str]) -> Option<usize> {
    if let Some(at) = raised(lines).or_else(|| panicked(lines)) {
        return Some(at);
    }
    let highest = lines.iter().map(|line| grade(line)).max()?;
    if highest > 0 {
        return lines.iter().position(|line| grade(line) == highest);
    }
    let mut telling =
        (0..lines.len()).filter(|&at| !bare(lines[at]).is_empty() && !is_advice(bare(lines[at])));
    let found = match lines.len() {
        ..=8 => telling.next(),
        _ => telling.next_back(),
    };
    found.or_else(|| lines.len().checked_sub(1))
}

/// The last line of a Python trace that is not indented: the exception, whatever its type is called.
fn raised(lines: &[&str]) -> Option<usize> {
    let trace = lines.iter().rposition(|line| {
        line.trim_start()
            .starts_with("Traceback (most recent call last)")
    })?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    (trace + 1..lines.len()).find(|&at| {
        let line = lines[at].trim();
        let kind = line.split([':', ' ']).next().unwrap_or_default();
        let named = kind
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
        indent(lines[at]) <= indent(lines[trace])
            && named
            && kind.len() > 2
            && (kind.len() == line.len() || line[kind.len()..].starts_with(':'))
    })
}

/// What a panic of Rust says: it stands below the place.
fn panicked(lines: &[&str]) -> Option<usize> {
    let is_place = |line: &&str| {
        let line = line.trim();
        line.starts_with("thread '") && line.contains("panicked at ") && line.ends_with(':')
    };
    let place = lines.iter().position(is_place)?;
    (place + 1 < lines.len()).then_some(place + 1)
}

/// Other lines that say what is wrong, strongest first and then in order; what a report adds to its first line stands
/// below it.
fn others<'l>(lines: &[&'l str], best: usize) -> Vec<&'l str> {
    let mut ranked: Vec<(i32, usize)> = (0..lines.len())
        .filter(|&at| at != best)
        .map(|at| {
            let below = at
                .checked_sub(best)
                .is_some_and(|behind| (1..=3).contains(&behind));
            (grade(lines[at]) + if below { 3 } else { 0 }, at)
        })
        .filter(|&(grade, _)| grade >= 3)
        .collect();
    ranked.sort_by_key(|&(grade, at)| (-grade, at));
    ranked.truncate(LINES);
    ranked.sort_by_key(|&(_, at)| at);
    let mut kept: Vec<&str> = Vec::new();
    for (_, at) in ranked {
        let line = bare(lines[at]);
        if line.len() <= 400 && !kept.contains(&line) {
            kept.push(line);
        }
    }
    kept
}

/// How much a line looks like the one that says what is wrong.
fn grade(line: &str) -> i32 {
    let placed = line.trim();
    let line = bare(line);
    if line.len() > 600 || line.is_empty() {
        return 0;
    }
    let lower = line.to_ascii_lowercase();
    const EMPTY: [&str; 30] = [
        "traceback (most recent",
        "error: aborting due to",
        "error: could not compile",
        "a complete log of this run",
        "for more information about this error",
        "some errors have detailed",
        "exit status",
        "exited with code",
        "elifecycle",
        "npm error code elifecycle",
        "recipe for target",
        "this error originates from a subprocess",
        "see above for output",
        "note: this is an issue with",
        "error: process completed",
        "command failed with exit",
        "error: test failed, to rerun",
        "error: failed to push some refs",
        "the above exception",
        "during handling of",
        "error command failed",
        "errors occurred",
        "1 error",
        "error: subprocess-exited",
        "caused by:",
        "error: build failed",
        "failed to solve: process",
        "short test summary",
        "node.js v",
        "process finished",
    ];
    if EMPTY.iter().any(|empty| lower.contains(empty)) {
        return 1;
    }
    if lower.starts_with("make") && lower.contains("***") {
        return 1;
    }
    let first = line.split([' ', ':', '(']).next().unwrap_or_default();
    // `ValueError: …`, `java.lang.NullPointerException: …`
    let is_type = first.len() > 5
        && (first.ends_with("Error")
            || first.ends_with("Exception")
            || first.ends_with("NotFound")
            || first.ends_with("Warning"))
        && line.len() > first.len();
    const BEGINNINGS: [&str; 24] = [
        "error:",
        "error[",
        "error ",
        "fatal:",
        "fatal error:",
        "panic:",
        "thread '",
        "npm err!",
        "npm error",
        "e:",
        "err:",
        "failed:",
        "exception:",
        "critical:",
        "uncaught ",
        "unhandled ",
        "segmentation fault",
        "psql:",
        "sqlstate",
        "docker: error",
        "unable to",
        "cannot ",
        "can't ",
        "could not",
    ];
    let mut grade = 0;
    if is_type {
        grade += 9;
    }
    if BEGINNINGS
        .iter()
        .any(|beginning| lower.starts_with(beginning))
    {
        grade += 8;
    }
    if lower.contains(": error:")
        || lower.contains(": fatal error")
        || lower.contains(" error ts")
        || lower.contains("error: ")
    {
        grade += 5;
    }
    const SAYINGS: [&str; 23] = [
        "not found",
        "no such file",
        "permission denied",
        "cannot find",
        "is not defined",
        "undefined",
        "unresolved",
        "refused",
        "no module named",
        "is not recognized",
        "does not exist",
        "already exists",
        "already in use",
        "not permitted",
        "denied",
        "mismatch",
        "conflict",
        "invalid",
        "unexpected",
        "unknown",
        "missing",
        "panicked at",
        "unable to",
    ];
    if SAYINGS.iter().any(|saying| lower.contains(saying)) {
        grade += 3;
    }
    if line.split_whitespace().any(is_error_word) {
        grade += 2;
    }
    // `main.go:7:2: undefined: x`
    if is_placed(placed) {
        grade += 3;
    }
    if lower.starts_with("warning")
        || lower.contains("deprecat")
        || lower.starts_with("npm warn")
        || lower.starts_with("note:")
    {
        grade -= 6;
    }
    if lower.starts_with("npm error code") {
        grade -= 2;
    }
    if is_advice(line) {
        grade -= 6;
    }
    // Of a stack.
    if lower.starts_with("at ") || lower.starts_with("file \"") || lower.starts_with("in ") {
        grade -= 4;
    }
    grade
}

/// `path:line:` or `path(line,column)`, as compilers begin.
fn is_placed(line: &str) -> bool {
    let Some((place, rest)) = line.split_once(": ") else {
        return false;
    };
    let digits = place.bytes().filter(u8::is_ascii_digit).count();
    !rest.is_empty()
        && !place.contains(' ')
        && place.contains('.')
        && digits > 0
        && place.len() < 200
}

/// A line without what pytest and test runners put before it, and without the place in a file that it begins with.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix("E  ").map_or(line, str::trim_start);
    let mut line = line
        .trim_start_matches(['>', '|', '│', '×', '✗', '✘', '●', '@'])
        .trim();
    line = line.strip_prefix("vet: ").unwrap_or(line);
    for _ in 0..3 {
        let Some((place, rest)) = line.split_once(": ") else {
            break;
        };
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (file, at) = place.split_once([':', '(']).unwrap_or((place, ""));
        let at = at.trim_end_matches(')');
        let is_place =
            !file.contains(' ') && file.contains(['.', '/']) && at.split([':', ',']).all(number);
        // `x.sh: line 3: …`, `x.sh: 3: …`
        let is_line = number(place) || place.strip_prefix("line ").is_some_and(number);
        let is_script = !place.contains(' ')
            && place.contains('.')
            && rest.split_once(": ").is_some_and(|(next, _)| {
                number(next) || next.strip_prefix("line ").is_some_and(number)
            });
        if !(is_place || is_line || is_script) || rest.trim().is_empty() {
            break;
        }
        line = rest.trim_start();
    }
    line
}

/// A line that says where to read on.
fn is_advice(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    const BEGINNINGS: [&str; 9] = [
        "hint:", "see '", "see \"", "try '", "usage:", "use \"", "run '", "note:", "help:",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| line.starts_with(beginning))
        || line.contains("for more information")
}

/// The same number for the same failure: of the words of the line that names it, without paths and numbers, of the test
/// that failed, and where that says little, of the command.
fn signature(key: &str, headline: &str, test: Option<&str>) -> i64 {
    let mut words = 0;
    let mut hash = Fnv::default();
    for word in headline.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let digits = bare.bytes().filter(u8::is_ascii_digit).count();
        let path = word.contains(['/', '\\']) && !word.starts_with(['@', '\'', '"']);
        if bare.is_empty() || path || digits * 2 > bare.len() {
            continue;
        }
        words += 1;
        hash.add(&bare.to_lowercase());
    }
    if let Some(test) = test {
        hash.add(test);
    }
    if words < 3 {
        hash.add(key);
    }
    hash.0 as i64
}

/// FNV-1a: stable over releases, unlike the standard library's hasher.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, word: &str) {
        for byte in word.bytes().chain(std::iter::once(b' ')) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headline(output: &str) -> String {
        Failure::of("x", output).headline
    }

    #[test]
    fn the_line_that_names_the_problem_is_found() {
        assert_eq!(
            headline(
                "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import numpy\nModuleNotFoundError: No module named 'numpy'"
            ),
            "ModuleNotFoundError: No module named 'numpy'"
        );
        assert_eq!(
            headline(
                "   Compiling shop v0.1.0\nwarning: unused variable: `x`\nerror[E0382]: borrow of moved value: `v`\n --> src/main.rs:4:5\nerror: aborting due to 1 previous error\nerror: could not compile `shop`"
            ),
            "error[E0382]: borrow of moved value: `v`"
        );
        assert_eq!(
            headline(
                "npm warn deprecated x\nnpm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree\nnpm error A complete log of this run can be found in: x"
            ),
            "npm error ERESOLVE unable to resolve dependency tree"
        );
        assert_eq!(
            headline("# shop\n./main.go:7:2: undefined: fmt.Printl"),
            "undefined: fmt.Printl"
        );
        assert_eq!(
            headline(
                "node:internal/modules/cjs/loader:1143\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire stack:\n- /x/a.js\n    at Module._load (node:x)\n\nNode.js v20"
            ),
            "Error: Cannot find module 'express'"
        );
        assert_eq!(
            headline(
                "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\ndjango.core.exceptions.ImproperlyConfigured: Requested setting DEBUG"
            ),
            "django.core.exceptions.ImproperlyConfigured: Requested setting DEBUG"
        );
        assert_eq!(
            headline(
                "thread 'main' panicked at src/main.rs:3:25:\nindex out of bounds: the len is 1\nnote: run with `RUST_BACKTRACE=1`"
            ),
            "index out of bounds: the len is 1"
        );
        assert_eq!(
            headline("a.sh: line 3: HOST: unbound variable"),
            "HOST: unbound variable"
        );
        assert_eq!(
            headline("a.ts(1,7): error TS2322: Type"),
            "error TS2322: Type"
        );
        assert_eq!(
            headline("these paths are ignored:\n.env\nhint: use -f"),
            "these paths are ignored:"
        );
        assert_eq!(headline(""), "");
    }

    #[test]
    fn the_same_failure_has_one_signature_wherever_it_happens() {
        let of = |line: &str| Failure::of("cargo build", line).signature;
        assert_eq!(
            of("error: cannot open /a/b.rs at line 12"),
            of("error: cannot open /c/d.rs at line 7")
        );
        assert_ne!(
            of("ModuleNotFoundError: No module named 'numpy'"),
            of("ModuleNotFoundError: No module named 'pandas'")
        );
        let short = |key: &str| Failure::of(key, "Killed").signature;
        assert_ne!(short("make a"), short("make b"));
    }

    proptest! {
        #[test]
        fn any_output_makes_a_bounded_query(output in "(?s).{0,2000}", key in ".{0,300}") {
            let failure = Failure::of(&key, &output);
            prop_assert!(failure.query.chars().count() <= QUERY + 1);
            prop_assert!(failure.headline.chars().count() <= HEADLINE + 1);
        }
    }
}
