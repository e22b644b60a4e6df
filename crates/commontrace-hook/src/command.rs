//! Command lines of agents: which of them are the same, which only look at things, and which hide how they ended.

use commontrace_session::shell::{Then, parts, program, words};

/// Characters of a command that are kept at most.
const KEPT: usize = 200;

/// Programs that only set up the shell or say something.
const AROUND: [&str; 14] = [
    "cd", "pushd", "popd", "export", "unset", "set", "source", ".", "echo", "printf", "pwd",
    "true", ":", "clear",
];

/// Programs that show what others print, or things that are there.
const READERS: [&str; 34] = [
    "cat", "head", "tail", "less", "more", "grep", "egrep", "fgrep", "rg", "ag", "ls", "find",
    "fd", "wc", "sort", "uniq", "cut", "awk", "tee", "tree", "stat", "file", "which", "whereis",
    "type", "du", "df", "ps", "jq", "diff", "cmp", "test", "[", "sleep",
];

/// Those whose exit code 1 is an answer and no failure.
const ANSWERING: [&str; 14] = [
    "grep", "egrep", "fgrep", "rg", "ag", "diff", "cmp", "test", "[", "find", "which", "pgrep",
    "type", "false",
];

/// Returns what two runs of the same command have in common: without changes of the folder, variables, wrappers,
/// redirections, and what only cuts the output. Empty if there is nothing else.
pub fn key(line: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut piped = false;
    for part in parts(line) {
        let into = std::mem::replace(&mut piped, part.then == Then::Pipe);
        let words: Vec<&str> = words(part.text)
            .into_iter()
            .filter(|word| !is_redirection(word))
            .collect();
        let Some(first) = words.first() else { continue };
        let name = program(first);
        if AROUND.contains(&name) || (into && READERS.contains(&name)) {
            continue;
        }
        let rest = words[1..].iter().copied();
        kept.push(
            std::iter::once(name)
                .chain(rest)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    kept.join(" && ")
}

/// `2>&1`, `>/dev/null`, `&>log`; a space before the file leaves the file, which does no harm.
fn is_redirection(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
    word.starts_with('>') || word.starts_with("<<")
}

/// Returns whether a command is of no use to look at: our own program, and one that was never meant to end
/// otherwise.
pub fn is_ignored(line: &str, code: Option<i32>) -> bool {
    let parts = parts(line);
    let names = || {
        parts
            .iter()
            .filter_map(|part| words(part.text).first().map(|word| program(word)))
    };
    if names().any(|name| name == "commontrace") {
        return true;
    }
    // The user has ended it.
    if matches!(code, Some(130 | 143)) {
        return true;
    }
    let mut told = names().filter(|name| !AROUND.contains(name));
    let last = told.next_back();
    code.unwrap_or(1) == 1 && last.is_some_and(|name| ANSWERING.contains(&name))
}

/// Returns whether a command only looks at things, so that it is no part of what mended something.
pub fn only_reads(line: &str) -> bool {
    const GIT: [&str; 9] = [
        "status",
        "log",
        "diff",
        "show",
        "branch",
        "blame",
        "remote",
        "rev-parse",
        "ls-files",
    ];
    parts(line).iter().all(|part| {
        let words = words(part.text);
        let Some(first) = words.first() else {
            return true;
        };
        let name = program(first);
        let second = words.get(1).copied().unwrap_or_default();
        match name {
            // It writes if it is told to.
            "sed" => !words
                .iter()
                .any(|word| word.starts_with("-i") || *word == "--in-place"),
            "git" => GIT.contains(&second),
            _ => {
                AROUND.contains(&name)
                    || READERS.contains(&name)
                    || matches!(second, "--version" | "--help")
            }
        }
    })
}

/// Returns whether the exit code of a line says nothing of a program in it that builds, tests or runs something,
/// because its output goes through a pipe or something else runs behind it.
pub fn is_masked(line: &str) -> bool {
    let parts = parts(line);
    parts.iter().enumerate().any(|(at, part)| {
        let Some(name) = words(part.text)
            .first()
            .map(|word| program(word).to_owned())
        else {
            return false;
        };
        let shows = AROUND.contains(&name.as_str())
            || READERS.contains(&name.as_str())
            || name == "git"
            || name == "sed";
        !shows && !commontrace_session::shell::owned(&parts, at).success
    })
}

/// Returns a command as it is kept and shown: redacted, on one line, cut.
pub fn shown(line: &str) -> String {
    let redacted = commontrace_redact::redact(line);
    crate::text::cut(&commontrace_core::text::clean_line(&redacted.text), KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_has_one_key() {
        for line in [
            "npm test",
            "cd web && npm test",
            "CI=1 npm test 2>&1 | tail -50",
            "npm test 2>&1",
            "cd /x; npm test | tee log.txt",
            "bash -lc 'npm test'",
        ] {
            assert_eq!(key(line), "npm test", "{line}");
        }
        assert_eq!(key("make && make install"), "make && make install");
        assert_ne!(key("pip install a"), key("pip install b"));
        assert_eq!(key("cd x"), "");
    }

    #[test]
    fn an_answer_is_no_failure() {
        assert!(is_ignored("grep -rn foo src", Some(1)));
        assert!(is_ignored("cd x && rg foo", Some(1)));
        assert!(is_ignored("test -f x", Some(1)));
        assert!(!is_ignored("grep -rn foo nowhere", Some(2)));
        assert!(!is_ignored("cargo test", Some(101)));
        assert!(is_ignored("commontrace search x", Some(1)));
        assert!(is_ignored("cargo run", Some(130)));
    }

    #[test]
    fn looking_is_no_change() {
        assert!(only_reads("git status && ls -l"));
        assert!(only_reads("sed -n 1,5p x | head"));
        assert!(!only_reads("sed -i s/a/b/ x"));
        assert!(!only_reads("pip install requests"));
        assert!(only_reads("node --version"));
    }

    #[test]
    fn a_pipe_hides_the_end_of_what_runs_before_it() {
        assert!(is_masked("pytest 2>&1 | tail -5"));
        assert!(is_masked("cargo build || true"));
        assert!(!is_masked("set -o pipefail; pytest | tail"));
        assert!(!is_masked("cat log | grep Traceback"));
        assert!(!is_masked("git log | head"));
        assert!(!is_masked("cargo build"));
    }
}
