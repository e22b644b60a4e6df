//! Command lines as they are typed for a shell: their parts, whose exit code is the line's, and which part
//! runs tests.
//!
//! It goes by names and signs. It is no shell: nothing is expanded, and of a line that it does not understand
//! it says nothing.

mod runner;

pub use runner::{TestRun, test_run};

/// What stands between a part of a command line and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `|`
    Pipe,
    /// `;`, or the end of a line.
    Next,
    /// `&`
    Background,
    /// Nothing: it is the last.
    End,
}

/// A part of a command line: one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'c> {
    /// As it was typed, without blanks around it; never empty.
    pub text: &'c str,
    /// What follows it.
    pub then: Then,
}

/// Splits a command line at `&&`, `||`, `|`, `;`, `&` and line ends that are not quoted; comments are left
/// out.
pub fn parts(line: &str) -> Vec<Part<'_>> {
    let bytes = line.as_bytes();
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut quote = None;
    while at < bytes.len() {
        let byte = bytes[at];
        let next = bytes.get(at + 1).copied();
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let (then, length) = match (quote, byte) {
            (_, b'\\') if quote != Some(b'\'') => (None, 2),
            (Some(open), _) => {
                if byte == open {
                    quote = None;
                }
                (None, 1)
            }
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                (None, 1)
            }
            // Up to the end of the line, which ends the command before it.
            (None, b'#') if before.is_none_or(|before| before.is_ascii_whitespace()) => {
                let rest = &line[at..];
                (
                    Some(Then::Next),
                    rest.find('\n').map_or(rest.len(), |end| end + 1),
                )
            }
            (None, b'&') if next == Some(b'&') => (Some(Then::And), 2),
            (None, b'|') if next == Some(b'|') => (Some(Then::Or), 2),
            (None, b'|') => (Some(Then::Pipe), 1 + usize::from(next == Some(b'&'))),
            // `2>&1` and `&>file` end no command.
            (None, b'&') if next == Some(b'>') || matches!(before, Some(b'>' | b'<')) => (None, 1),
            (None, b'&') => (Some(Then::Background), 1),
            (None, b';' | b'\n') => (Some(Then::Next), 1),
            (None, _) => (None, 1),
        };
        if let Some(then) = then {
            push(&mut parts, &line[start..at], then);
            start = (at + length).min(line.len());
        }
        at += length;
    }
    push(&mut parts, &line[start..], Then::End);
    // What ends the last one is followed by nothing.
    if let Some(last) = parts.last_mut().filter(|last| last.then == Then::Next) {
        last.then = Then::End;
    }
    parts
}

fn push<'c>(parts: &mut Vec<Part<'c>>, text: &'c str, then: Then) {
    let text = text.trim();
    if !text.is_empty() {
        parts.push(Part { text, then });
    }
}

/// What the exit code of a whole line tells of one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// Whether 0 means that the part ended with 0.
    pub success: bool,
    /// Whether anything else means that the part did not.
    pub failure: bool,
}

/// What the exit code of a line tells of the part at this place.
pub fn owned(parts: &[Part<'_>], at: usize) -> Owned {
    let sets = |option: &str| {
        parts.iter().any(|part| {
            let mut words = part.text.split_whitespace();
            words.next() == Some("set") && words.any(|word| is_option(word, option))
        })
    };
    let (pipefail, errexit) = (sets("pipefail"), sets("e"));
    let mut owned = Owned {
        success: true,
        failure: true,
    };
    for (number, part) in parts.iter().enumerate().skip(at) {
        let harmless = || {
            let next = parts.get(number + 1);
            next.is_none_or(|next| hardly_fails(next.text))
        };
        match part.then {
            Then::And => owned.failure &= harmless(),
            Then::Pipe if pipefail => owned.failure &= harmless(),
            // The line ends here if this fails.
            Then::Next if errexit => owned.failure &= harmless(),
            Then::Pipe | Then::Or | Then::Next | Then::Background => {
                owned = Owned {
                    success: false,
                    failure: false,
                };
            }
            Then::End => {}
        }
    }
    // What stood before may have failed, so that the part was never reached.
    let before = parts.get(..at).unwrap_or(&[]);
    owned.success &= before.last().is_none_or(|part| part.then != Then::Or);
    for part in before.iter().rev() {
        match part.then {
            Then::Next if !errexit => break,
            Then::Background => break,
            Then::Pipe if !pipefail => {}
            _ => owned.failure &= hardly_fails(part.text),
        }
    }
    owned
}

/// Whether a word after `set` turns an option on: `pipefail`, or the letter in `-euo`.
fn is_option(word: &str, option: &str) -> bool {
    word == option
        || (option.len() == 1
            && word
                .strip_prefix('-')
                .is_some_and(|letters| !letters.starts_with('-') && letters.contains(option)))
}

/// Whether a command only sets up the shell or shows something.
fn hardly_fails(command: &str) -> bool {
    const HARDLY: &[&str] = &[
        "cd", "pushd", "popd", "export", "unset", "set", "source", ".", "echo", "printf", "pwd",
        "true", ":", "clear", "date", "tail", "tee", "cat",
    ];
    words(command)
        .first()
        .is_none_or(|first| HARDLY.contains(first))
}

/// Programs that run others and are passed over, with the words that belong to them.
const WRAPPERS: &[&[&str]] = &[
    &["uv", "run"],
    &["poetry", "run"],
    &["pipenv", "run"],
    &["hatch", "run"],
    &["pdm", "run"],
    &["rye", "run"],
    &["bundle", "exec"],
    &["pnpm", "exec"],
    &["pnpm", "dlx"],
    &["yarn", "exec"],
    &["npm", "exec"],
    &["mise", "exec"],
    &["coverage", "run", "-m"],
    &["bash", "-c"],
    &["bash", "-lc"],
    &["sh", "-c"],
    &["npx"],
    &["bunx"],
    &["time"],
    &["timeout"],
    &["sudo"],
    &["env"],
    &["nice"],
    &["nohup"],
    &["command"],
    &["exec"],
    &["xvfb-run"],
    &["cross-env"],
    &["dotenv"],
];

/// The words of a command from its program on, without quotes and brackets around them: variables that are
/// set before it and programs that only run others are left out.
pub fn words(command: &str) -> Vec<&str> {
    let all: Vec<&str> = command
        .split_whitespace()
        .map(|word| word.trim_matches(['(', ')', '"', '\'']))
        .filter(|word| !word.is_empty())
        .collect();
    let mut words = all.as_slice();
    while let Some(first) = words.first() {
        let length = if is_assignment(first) {
            1
        } else if let Some(module) = python_module(words) {
            module
        } else if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| starts_with(words, wrapper)) {
            // `command -v pytest` asks where it is.
            if program(first) == "command" && words.get(1).is_some_and(|word| word.starts_with('-'))
            {
                break;
            }
            // Its own options, and how long or how nicely.
            let is_its_own = |word: &&&str| {
                word.starts_with('-') || word.starts_with(|c: char| c.is_ascii_digit())
            };
            wrapper.len() + words[wrapper.len()..].iter().take_while(is_its_own).count()
        } else {
            break;
        };
        words = &words[length..];
    }
    words.to_vec()
}

/// How many words stand before the module of `python -W error -m module`.
fn python_module(words: &[&str]) -> Option<usize> {
    is_python(program(words.first()?)).then_some(())?;
    let at = words.iter().position(|word| *word == "-m")?;
    let is_script = |word: &&str| word.ends_with(".py");
    (at + 1 < words.len() && !words[1..at].iter().any(is_script)).then_some(at + 1)
}

/// Whether a program is Python: `python`, `python3`, `python3.12`, `py`.
fn is_python(name: &str) -> bool {
    name == "py"
        || name
            .strip_prefix("python")
            .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn starts_with(words: &[&str], start: &[&str]) -> bool {
    words.len() >= start.len()
        && program(words[0]) == start[0]
        && words[1..].iter().zip(&start[1..]).all(|(a, b)| a == b)
}

/// `X=1`, as it stands before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// The name of a program without its folder and what Windows appends.
pub fn program(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.strip_suffix(".exe")
        .or_else(|| name.strip_suffix(".bat"))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, part: &str, success: bool, failure: bool) {
        let parts = parts(line);
        let at = parts
            .iter()
            .position(|known| known.text == part)
            .unwrap_or_else(|| panic!("{part} is a part of {line}: {parts:?}"));
        assert_eq!(owned(&parts, at), Owned { success, failure }, "{line}");
    }

    #[test]
    fn an_exit_code_is_owned_by_what_decides_it() {
        check("pytest", "pytest", true, true);
        check("cd x && A=1 && pytest", "pytest", true, true);
        check("make && pytest", "pytest", true, false);
        check("make; pytest", "pytest", true, true);
        check("make\npytest\n", "pytest", true, true);
        check("set -e; make; pytest", "pytest", true, false);
        check("set -e; pytest; echo done", "pytest", true, true);
        check("set -e; pytest; make", "pytest", true, false);
        check("pytest && echo passed", "pytest", true, true);
        check("pytest; echo done", "pytest", false, false);
        check("pytest; # that is all", "pytest", true, true);
        check("pytest && make", "pytest", true, false);
        check("pytest || true", "pytest", false, false);
        check("pytest &", "pytest", false, false);
        check("make || pytest", "pytest", false, false);
        check("make || exit 1; pytest", "pytest", true, true);
        check("pytest | tail", "pytest", false, false);
        check("set -o pipefail; pytest | tail", "pytest", true, true);
        check("set -o pipefail; pytest | grep x", "pytest", true, false);
        check("yes | pytest", "pytest", true, true);
        check("make && yes | pytest", "pytest", true, false);
    }

    #[test]
    fn quotes_comments_and_redirections_end_no_part() {
        let texts = |line| parts(line).iter().map(|part| part.text).collect::<Vec<_>>();
        assert_eq!(texts("a 'x;y' 2>&1 &> f"), ["a 'x;y' 2>&1 &> f"]);
        assert_eq!(texts("a # don't; b\nc#d"), ["a", "c#d"]);
        for (line, count) in [
            ("a '", 1),
            ("a \"\\", 1),
            ("\\", 1),
            ("é|ü;ö", 3),
            (";;", 0),
            ("", 0),
            ("#", 0),
        ] {
            assert_eq!(parts(line).len(), count, "{line}");
        }
    }

    #[test]
    fn what_only_runs_another_program_is_passed_over() {
        for (command, expected) in [
            ("A=1 timeout 60 cargo test", "cargo test"),
            ("(npx -y jest --ci)", "jest --ci"),
            ("nice -n 10 make check", "make check"),
            (".venv/bin/python3.12 -W error -m pytest -q", "pytest -q"),
            ("python x.py -m y", "python x.py -m y"),
            ("command -v pytest", "command -v pytest"),
            ("bash -lc 'make test'", "make test"),
            ("A=1", ""),
        ] {
            assert_eq!(words(command).join(" "), expected, "{command}");
        }
    }
}
