//! Texts of tools and of strangers, made fit to be kept and shown.

use std::path::Path;

use commontrace_core::text::clean;

/// Bytes of an output that are read at its beginning and at its end. The reason is mostly in one of them.
const HEAD: usize = 16 * 1024;
const TAIL: usize = 48 * 1024;

/// From this length on a line of one word in a file is taken for one of a key.
const KEY_LINE: usize = 40;

/// Cuts a text at this many characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// Prepares what a command printed, in this order: leaves out what the host added and the terminal was told, and what
/// stands where something was cut; replaces secrets in the whole; shortens the paths of the project and of the user.
pub fn output(text: &str, project: &Path, home: Option<&Path>) -> String {
    let pieces = pieces(text);
    let clean = clean(&pieces);
    let redacted = commontrace_redact::redact(&clean);
    paths(&redacted.text, project, home)
}

/// The parts of an output that are read, without those lines of which something is missing: half a secret is not
/// recognised as one.
fn pieces(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(HEAD + TAIL));
    let (head, tail) = halves(text);
    let mut after_gap = false;
    let mut is_torn = false;
    for (number, part) in [Some(head), tail].into_iter().flatten().enumerate() {
        if number > 0 {
            drop_torn(&mut kept);
            after_gap = true;
        }
        for line in part.split_inclusive('\n') {
            if is_gap(line) {
                is_torn = tears(line);
                if is_torn {
                    drop_line(&mut kept);
                }
                drop_torn(&mut kept);
                after_gap = true;
                continue;
            }
            if is_of_host(line) || (after_gap && line.trim().is_empty()) {
                continue;
            }
            // The rest of a line, or of a key, that began before the gap.
            if std::mem::take(&mut is_torn) || (after_gap && is_blob(line)) {
                continue;
            }
            after_gap = false;
            kept.push_str(line);
        }
    }
    kept
}

/// Beginning and end of a long text, without the lines in which they were cut.
fn halves(text: &str) -> (&str, Option<&str>) {
    if text.len() <= HEAD + TAIL {
        return (text, None);
    }
    let head = &text[..text.floor_char_boundary(HEAD)];
    let tail = &text[text.ceil_char_boundary(text.len() - TAIL)..];
    let head = head.rfind('\n').map_or("", |end| &head[..=end]);
    let tail = tail.find('\n').map_or("", |end| &tail[end + 1..]);
    (head, Some(tail))
}

/// Whether a line in which a host says that it left something out stands between two lines that it has torn: alone,
/// and not in the place of whole lines.
fn tears(line: &str) -> bool {
    let line = line.trim();
    let is_sign = |c: char| !c.is_alphanumeric();
    line.starts_with(is_sign) && line.ends_with(is_sign) && !line.contains("lines")
}

/// Removes the last line that is not empty.
fn drop_line(kept: &mut String) {
    let text = kept.trim_end();
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    kept.truncate(end);
}

/// Removes what a gap may have torn at the end: the last line, and lines of a key before it.
fn drop_torn(kept: &mut String) {
    if !kept.is_empty() && !kept.ends_with('\n') {
        let end = kept.rfind('\n').map_or(0, |end| end + 1);
        kept.truncate(end);
    }
    loop {
        let line = kept
            .trim_end_matches('\n')
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        if line.is_empty() || !(is_blob(line) || line.contains("-----BEGIN")) {
            return;
        }
        let end = kept.trim_end_matches('\n').len() - line.len();
        kept.truncate(end);
    }
}

/// A line in which a host says that it left something out. What stands on it too was torn.
fn is_gap(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let says = |word: &str| line.contains(word);
    (says("truncated")
        && (says("characters")
            || says("chars")
            || says("lines")
            || says("output")
            || says("bytes")
            || says("tokens")))
        || says("[output omitted")
        || says("lines omitted")
        || says("content truncated")
        || line.trim_start().starts_with("[... omitted ")
        || line.trim_start().starts_with("<output too long")
}

/// A line that a host put before or behind what the command printed.
fn is_of_host(line: &str) -> bool {
    let line = line.trim();
    const BEGINNINGS: [&str; 12] = [
        "Command timed out after",
        "Shell cwd was reset to",
        "Exit code ",
        "Process exited with code",
        "Chunk ID:",
        "Wall time:",
        "<exited with exit code",
        "<shellId:",
        "Command failed with exit code",
        "Command exited with code",
        "Original token count:",
        "Exit code: ",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// A line of one long word, as keys and encoded files have.
fn is_blob(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 16
        && line
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b))
}

/// Prepares a part of a file, which may begin and end in a key: lines as keys have them are left out.
pub fn excerpt(text: &str, project: &Path, home: Option<&Path>) -> String {
    let output = output(text, project, home);
    let lines = output
        .lines()
        .filter(|line| line.len() < KEY_LINE || !is_blob(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Shortens the paths of the project and of the user's home.
fn paths(text: &str, project: &Path, home: Option<&Path>) -> String {
    let mut text = text.to_owned();
    let places = [(Some(project), "."), (home, "~")];
    for (place, short) in places {
        let Some(place) = place.and_then(Path::to_str) else {
            continue;
        };
        if place.len() > 1 {
            text = shortened(&text, place, short);
            // As it looks once the user's name was replaced.
            let hidden = commontrace_redact::redact(place).text;
            if hidden != place {
                text = shortened(&text, &hidden, short);
            }
        }
    }
    text
}

/// Replaces a folder's path. `/a/shop` does not stand in `/a/shop2` and `/a/shop.old`, which are other folders.
fn shortened(text: &str, place: &str, short: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, found) in text.match_indices(place) {
        let mut behind = text[at + found.len()..].chars();
        let goes_on = match behind.next() {
            Some('.') => behind.next().is_some_and(char::is_alphanumeric),
            Some(next) => next.is_alphanumeric() || "_-".contains(next),
            None => false,
        };
        if !goes_on {
            out.push_str(&text[copied..at]);
            out.push_str(short);
            copied = at + found.len();
        }
    }
    out.push_str(&text[copied..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prepared(text: &str) -> String {
        output(
            text,
            Path::new("/home/mira/shop"),
            Some(Path::new("/home/mira")),
        )
    }

    #[test]
    fn what_the_host_and_the_terminal_added_is_left_out() {
        let text = "Exit code 1\n\u{1b}[31merror\u{1b}[0m: no\nShell cwd was reset to /home/mira\n";
        assert_eq!(prepared(text), "error: no\n");
    }

    #[test]
    fn paths_of_the_user_become_short() {
        assert_eq!(
            prepared("at /home/mira/shop/src/a.js and /home/mira/.npmrc"),
            "at ./src/a.js and ~/.npmrc"
        );
        assert_eq!(
            prepared("in /home/mira/shop, not in /home/mira/shop2/a or /home/mira/shop.old/b"),
            "in ., not in ~/shop2/a or ~/shop.old/b"
        );
    }

    #[test]
    fn what_a_cut_has_torn_is_left_out() {
        let text = "first\ntoken is ghp_aB3dE6g\n... [812 characters truncated] ...\nQ5sTvW8xYzA1cF4iJ7oR0aaaa\nlast\n";
        let prepared = prepared(text);
        assert!(
            prepared.contains("first") && prepared.contains("last"),
            "{prepared}"
        );
        assert!(
            !prepared.contains("Q5sT") && !prepared.contains("ghp_"),
            "{prepared}"
        );
        let around = super::tests::prepared(
            "first\nuse ghp_aB3dE6g\n\n... [812 characters truncated] ...\n\nQ5sTvW8xYzA1 now\nlast\n",
        );
        assert_eq!(around, "first\nlast\n");
        let whole = super::tests::prepared("one\n[... omitted 40 of 300 lines ...]\ntwo\n");
        assert_eq!(whole, "one\ntwo\n");
        for gap in [
            "[... omitted 40 of 300 lines ...]",
            "... [CONTENT TRUNCATED] ...",
            "<output too long - dropped 40 lines from the middle>",
        ] {
            let key = format!("a b\n{gap}\nQ5sTvW8xYzA1cF4iJ7oR0aaaa\n-----END PRIVATE KEY-----\n");
            assert!(!super::tests::prepared(&key).contains("Q5sT"), "{gap}");
        }
        let torn = prepared_torn();
        assert!(!torn.contains("ghp_"), "{torn}");
    }

    #[test]
    fn a_part_of_a_key_is_left_out_of_what_changed() {
        let text = "a\nSeUP73QZTLmG3o8HyaylO34MxgQISx2nsqM3kNVndJZ2TzAG4srL7\nb\nlet short_word";
        let excerpt = excerpt(text, Path::new("/p"), None);
        assert_eq!(excerpt, "a\nb\nlet short_word");
    }

    fn prepared_torn() -> String {
        prepared(
            "first\ntoken is ghp_aB3dE6g... [812 characters truncated] ...Q5sTvW8xYzA1\nlast\n",
        )
    }

    proptest! {
        #[test]
        fn any_text_can_be_prepared(text in any::<String>()) {
            let _ = prepared(&text);
        }

        #[test]
        fn a_long_text_keeps_whole_lines(lines in 1_usize..4000) {
            let text: String = (0..lines).map(|n| format!("line number {n} ä\n")).collect();
            for line in prepared(&text).lines() {
                prop_assert!(line.starts_with("line number ") && line.ends_with('ä'));
            }
        }
    }
}
