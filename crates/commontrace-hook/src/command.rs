//! Command lines of agents: which of them are the same, which only look at things, and which hide how they ended.

use std::borrow::Cow;

use commontrace_session::shell::{Part, Then, parts, program, words};

/// Characters of a command that are kept at most.
const KEPT: usize = 200;

/// Programs that only set up the shell or say something.
const AROUND: [&str; 14] = [
    "cd", "pushd", "popd", "export", "unset", "set", "source", ".", "echo", "printf", "pwd",
    "true", ":", "clear",
];

/// Programs that show what others print, or things that are there.
const READERS: [&str; 37] = [
    "cat",
    "head",
    "tail",
    "less",
    "more",
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "ag",
    "ls",
    "find",
    "fd",
    "wc",
    "sort",
    "uniq",
    "cut",
    "awk",
    "tee",
    "tree",
    "stat",
    "file",
    "which",
    "whereis",
    "type",
    "du",
    "df",
    "ps",
    "jq",
    "diff",
    "cmp",
    "test",
    "[",
    "sleep",
    "zcat",
    "xzcat",
    "journalctl",
];

/// Those whose exit code 1 is an answer and no failure.
const ANSWERING: [&str; 14] = [
    "grep", "egrep", "fgrep", "rg", "ag", "diff", "cmp", "test", "[", "find", "which", "pgrep",
    "type", "false",
];

/// Returns what two runs of the same command have in common: without changes of the folder, variables, wrappers,
/// redirections, and what only cuts the output. Empty if there is nothing else.
pub fn key(line: &str) -> String {
    let line = without_documents(line, |program| matches!(program, "cat" | "tee"));
    let mut kept: Vec<String> = Vec::new();
    let mut piped = false;
    for part in parts(&line) {
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

/// A line without the texts that it hands to programs of these names: what stands between `<<EOF` and `EOF` is no
/// command, though a shell that is fed with it or Python takes it for a program.
fn without_documents(line: &str, is_meant: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !line.contains("<<") {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let (first, behind) = rest.split_at(end);
        out.push_str(first);
        rest = match document(first, &is_meant) {
            // Without its end it is none.
            Some(word) => after(behind, word).unwrap_or(behind),
            None => behind,
        };
    }
    Cow::Owned(out)
}

/// The word that ends the text that this line begins, if it goes to a program that is meant.
fn document(line: &str, is_meant: impl Fn(&str) -> bool) -> Option<&str> {
    let at = line.find("<<")?;
    let word = line[at + 2..].trim_start_matches(['-', ' ']);
    let word = word.trim_start_matches(['\'', '"', '\\']);
    let end = word
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(word.len());
    let word = &word[..end];
    let parts = parts(&line[..at]);
    let name = words(parts.last()?.text)
        .first()
        .map(|word| program(word.trim_start_matches("$(")))?;
    (word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && is_meant(name))
        .then_some(word)
}

/// What follows the line that is this word.
fn after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.trim() == word {
            return Some(&text[at..]);
        }
    }
    None
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
    parts(&without_documents(line, |_| true))
        .iter()
        .all(|part| {
            if writes(part) {
                return false;
            }
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
                        || shows_a_log(&words)
                        || matches!(second, "--version" | "--help")
                }
            }
        })
}

/// `docker compose logs api`, `gh run view 7 --log-failed`: what is printed is of another program.
fn shows_a_log(words: &[&str]) -> bool {
    const KEEPERS: [&str; 9] = [
        "docker",
        "docker-compose",
        "podman",
        "kubectl",
        "oc",
        "gh",
        "heroku",
        "fly",
        "flyctl",
    ];
    words
        .first()
        .is_some_and(|first| KEEPERS.contains(&program(first)))
        && words
            .iter()
            .any(|word| matches!(*word, "logs" | "--log" | "--log-failed"))
}

/// Whether a part of a line puts what it prints into a file.
fn writes(part: &Part<'_>) -> bool {
    let words: Vec<&str> = part.text.split_whitespace().collect();
    let is_file =
        |name: &str| !name.is_empty() && !name.starts_with('&') && !name.starts_with("/dev/");
    let redirected = words.iter().enumerate().any(|(at, word)| {
        let sign = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        let Some(file) = sign.strip_prefix('>') else {
            return false;
        };
        match file.trim_start_matches(['>', '|']) {
            "" => words.get(at + 1).is_some_and(|next| is_file(next)),
            file => is_file(file),
        }
    });
    let copied = words.first().is_some_and(|first| program(first) == "tee")
        && words[1..]
            .iter()
            .any(|word| !word.starts_with('-') && is_file(word));
    redirected || copied
}

/// Returns whether the exit code of a line says nothing of a program in it that builds, tests or runs something,
/// because its output goes through a pipe or something else runs behind it.
pub fn is_masked(line: &str) -> bool {
    let line = without_documents(line, |_| true);
    let parts = parts(&line);
    parts.iter().enumerate().any(|(at, part)| {
        let words = words(part.text);
        let Some(name) = words.first().map(|word| program(word)) else {
            return false;
        };
        let shows = AROUND.contains(&name)
            || READERS.contains(&name)
            || matches!(name, "git" | "sed")
            || shows_a_log(&words);
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
        // What a file is filled with is no command; what Python is fed with is one.
        let write = |text| key(&format!("cat > a.py <<'EOF'\n{text}\nEOF\npython a.py"));
        assert_eq!(write("import x"), write("don't; import y"));
        let run = |text| key(&format!("python - <<EOF\n{text}\nEOF"));
        assert_ne!(run("import x"), run("import y"));
        assert_eq!(key("echo $((1 << n))\nmake"), "make");
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
        assert!(only_reads("ls src 2>/dev/null && cat a 2>&1"));
        for line in [
            "cat > src/server.js <<'EOF'\nlet x\nEOF",
            "echo DEBUG=1 >> .env",
            "echo x >.env",
            "printf x | tee -a notes",
        ] {
            assert!(!only_reads(line), "{line}");
        }
    }

    #[test]
    fn a_pipe_hides_the_end_of_what_runs_before_it() {
        assert!(is_masked("pytest 2>&1 | tail -5"));
        assert!(is_masked("cargo build || true"));
        assert!(!is_masked("set -o pipefail; pytest | tail"));
        assert!(!is_masked("cat log | grep Traceback"));
        assert!(!is_masked("git log | head"));
        assert!(!is_masked("cargo build"));
        assert!(!is_masked("python - <<EOF\nimport x; y()\nEOF"));
        assert!(is_masked("python - <<EOF | tail\nimport x\nEOF"));
        for log in [
            "docker compose logs api 2>&1 | tail -5",
            "gh run view 7 --log-failed | tail",
            "journalctl -u shop | tail",
        ] {
            assert!(!is_masked(log) && only_reads(log), "{log}");
        }
    }
}
