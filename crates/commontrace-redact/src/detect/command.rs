//! Passwords given to commands by a short option: `curl -u user:password`, `sshpass -p …`.
//!
//! Only options known to take a password are read. Long ones (`--password …`) are `assignment`'s, and a
//! bare `-p` means anything: `mkdir -p src`.

use super::assignment;
use crate::Kind;
use crate::placeholder;
use crate::scan::{Candidate, Rank};
use crate::view::head;

/// How a command takes its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// `-u user:password`, or one of the other options.
    UserAndPassword(&'static [&'static str]),
    /// `-p password`.
    Word(&'static str),
    /// `-p password` of the subcommand `login`.
    Login,
    /// `-ppassword`, where a user is named by `-u`.
    Attached,
    /// `use \\host\share password /user:name`, in either order.
    Share,
}

/// Commands in small letters, and how each takes its password.
pub(crate) const NAMES: [(&str, Usage); 12] = [
    (
        "curl",
        Usage::UserAndPassword(&["-u", "--user", "-U", "--proxy-user"]),
    ),
    ("http", Usage::UserAndPassword(&["-a", "--auth"])),
    ("https", Usage::UserAndPassword(&["-a", "--auth"])),
    ("sshpass", Usage::Word("-p")),
    ("mongo", Usage::Word("-p")),
    ("mongosh", Usage::Word("-p")),
    ("redis-cli", Usage::Word("-a")),
    ("docker", Usage::Login),
    ("podman", Usage::Login),
    ("mysql", Usage::Attached),
    ("mysqldump", Usage::Attached),
    ("net", Usage::Share),
];

/// Adds the passwords of the commands whose names end at the given places of `text` and its `view`.
pub(crate) fn find(text: &str, view: &str, names: &[(usize, Usage)], out: &mut Vec<Candidate>) {
    // A command named again within the words of the same command has no other options.
    let mut read_to: Vec<(Usage, usize)> = Vec::new();
    for (end, usage) in names {
        let is_read = read_to.iter().any(|(read, to)| read == usage && end <= to);
        if is_read || !view[*end..].starts_with([' ', '\t']) {
            continue;
        }
        // The backslashes of a share's name are no escapes.
        let line = if *usage == Usage::Share { text } else { view };
        let words = words(line, *end);
        read_to.retain(|(read, _)| read != usage);
        read_to.push((
            *usage,
            words
                .last()
                .map_or(*end, |(start, word)| start + word.len()),
        ));
        for (start, password) in passwords(&words, *usage) {
            if !placeholder::is_password(password) {
                let end = start + password.len();
                out.push(Candidate {
                    rule: "password-in-command",
                    kind: Kind::Secret,
                    rank: Rank::Context,
                    start,
                    end,
                });
            }
        }
    }
}

/// A word of a command line: where it starts, and its text without quotes.
type Word<'a> = (usize, &'a str);

fn passwords<'a>(words: &[Word<'a>], usage: Usage) -> Vec<Word<'a>> {
    match usage {
        Usage::UserAndPassword(options) => options
            .iter()
            .flat_map(|option| values(words, option))
            .filter_map(after_user)
            .collect(),
        Usage::Word(option) => values(words, option),
        Usage::Login if words.first().is_some_and(|(_, word)| *word == "login") => {
            values(words, "-p")
        }
        Usage::Login => Vec::new(),
        Usage::Share => of_share(words).into_iter().collect(),
        Usage::Attached => {
            let names_user = words
                .iter()
                .any(|(_, word)| word.starts_with("-u") || word.starts_with("--user"));
            let attached = words
                .iter()
                .filter(|_| names_user)
                .filter_map(|(start, word)| Some((start + 2, word.strip_prefix("-p")?)));
            attached
                .filter(|(_, password)| !password.is_empty())
                .collect()
        }
    }
}

/// The password of `use \\host\share /user:name password`: the word after the share, or after the
/// user. Where a sentence goes on after the command, it has to look like one.
fn of_share<'a>(words: &[Word<'a>]) -> Option<Word<'a>> {
    let is = |word: &str, start: &str| {
        word.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let ((_, verb), words) = words.split_first()?;
    if !verb.eq_ignore_ascii_case("use") || !words.iter().any(|(_, word)| is(word, "/user:")) {
        return None;
    }
    let share = words.iter().position(|(_, word)| word.starts_with(r"\\"))?;
    let mut plain = words[share + 1..]
        .iter()
        .filter(|(_, word)| !word.starts_with('/'));
    let (first, goes_on) = (plain.next()?, plain.next().is_some());
    // In JSON the end of the line is an escape.
    let password = [r"\n", r"\r", "\\\""]
        .iter()
        .fold(first.1, |word, end| word.split(end).next().unwrap_or(word));
    let is_whole = !goes_on && password == first.1;
    let is_asked_for = password == "*";
    (!is_asked_for && (is_whole || assignment::is_password(password)))
        .then_some((first.0, password))
}

/// The values of an option: the word after it, or what is attached to it.
fn values<'a>(words: &[Word<'a>], option: &str) -> Vec<Word<'a>> {
    let value = |(at, (start, word)): (usize, &Word<'a>)| {
        let attached = word.strip_prefix(option)?;
        if attached.is_empty() {
            return words.get(at + 1).copied();
        }
        let is_long = option.starts_with("--");
        let value = attached
            .strip_prefix('=')
            .or((!is_long).then_some(attached))?;
        let value = value.trim_matches(['"', '\'']);
        Some((start + word.find(value)?, value))
    };
    words.iter().enumerate().filter_map(value).collect()
}

/// The password of `user:password`.
fn after_user((start, word): Word<'_>) -> Option<Word<'_>> {
    let (user, password) = word.split_once(':')?;
    let is_url = password.starts_with("//");
    (!is_url && !password.is_empty()).then_some((start + user.len() + 1, password))
}

/// The words of the command from `start` to its end.
fn words(view: &str, start: usize) -> Vec<Word<'_>> {
    const LONGEST: usize = 2048;
    let line = head(&view[start..], LONGEST);
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        match c {
            '\n' if !line[..at].trim_end_matches('\r').ends_with('\\') => break,
            '|' | ';' | '&' | '<' | '>' | '`' => break,
            '"' | '\'' => {
                let inner = &line[at + 1..];
                let quoted = &inner[..inner.find([c, '\n']).unwrap_or(inner.len())];
                words.push((start + at + 1, quoted.trim_end()));
                at += 1 + quoted.len() + usize::from(inner[quoted.len()..].starts_with(c));
            }
            c if c.is_whitespace() => at += c.len_utf8(),
            _ => {
                let rest = &line[at..];
                let word = &rest[..rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '|' | ';' | '`'))
                    .unwrap_or(rest.len())];
                words.push((start + at, word));
                at += word.len();
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn passwords_of_commands_are_replaced() {
        let cases = [
            (
                "curl -u mira:tiger-lily https://x.io",
                "curl -u mira:[redacted:password-in-command] https://x.io",
            ),
            (
                "curl -sS \\\n  --user 'mira:k v' -X GET",
                "curl -sS \\\n  --user 'mira:[redacted:password-in-command]' -X GET",
            ),
            (
                "curl -umira:tigerlily x",
                "curl -umira:[redacted:password-in-command] x",
            ),
            (
                "curl --user=\"mira:tigerlily\" x",
                "curl --user=\"mira:[redacted:password-in-command]\" x",
            ),
            (
                "http -a mira:tigerlily GET x",
                "http -a mira:[redacted:password-in-command] GET x",
            ),
            (
                "sshpass -p 'tigerlily' ssh x",
                "sshpass -p '[redacted:password-in-command]' ssh x",
            ),
            (
                "mysql -h db -u root -ptigerlily app",
                "mysql -h db -u root -p[redacted:password-in-command] app",
            ),
            (
                "docker login -u mira -p tigerlily x",
                "docker login -u mira -p [redacted:password-in-command] x",
            ),
            (
                r"net use \\nas\media /user:dom\bob PassW0rd",
                r"net use \\nas\media /user:dom\bob [redacted:password-in-command]",
            ),
            (
                r"NET USE Z: \\nas\media tigerlily /USER:bob /persistent:yes",
                r"NET USE Z: \\nas\media [redacted:password-in-command] /USER:bob /persistent:yes",
            ),
            (
                r#"`net use "\\nas\my media" /user:bob "tiger lily 1"` fails"#,
                r#"`net use "\\nas\my media" /user:bob "[redacted:password-in-command]"` fails"#,
            ),
            (
                r"net use \\nas\media /user:bob PassW0rd fails with error 1326",
                r"net use \\nas\media /user:bob [redacted:password-in-command] fails with error 1326",
            ),
            (
                r#"{"run": "net use \\\\nas\\tools /user:dom\\nina PassW0rd\nnet view"}"#,
                r#"{"run": "net use \\\\nas\\tools /user:dom\\nina [redacted:password-in-command]\nnet view"}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected);
        }
    }

    #[test]
    fn other_options_are_left_alone() {
        for text in [
            "mkdir -p src && curl https://x.io:8443",
            "curl -u user:password https://x.io",
            "curl -u $USER:$PASS x; curl -u \"$1:$2\" x",
            "docker run -p 8080:80 -u 1000:1000 x",
            "find / -name mysql -print",
            "mysql -u root -p app",
            "curl -u https://x.io/tigerlily",
            r"net use \\nas\media /user:bob * /persistent:yes",
            r"net use \\nas\media /user:bob %PASSWORD%",
            r"net use \\nas\media /user:bob gives system error 1326",
            r"net use Z: \\nas\media fails; net use Z: /delete",
            r"net start tigerlily /user:bob \\nas\media x",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}
