//! Tells the format of a file by its content.

use super::Format;

/// How much of a file is looked at, in bytes.
pub(crate) const HEAD: usize = 1024 * 1024;

/// At most so many lines are tried before a file counts as unknown.
const MOST_LINES: usize = 64;

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One record a line.
    Lines(Format),
    /// One JSON document.
    Document(Format),
}

/// The layout of a file that begins with `head`; `None` if it is none that is known.
pub(crate) fn sniff(head: &[u8]) -> Option<Layout> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut rest = head.trim_ascii_start();
    if rest.first() == Some(&b'[') {
        let first = rest[1..].trim_ascii_start();
        let keys = members(first)?;
        return (keys.has("role") || keys.has("info"))
            .then_some(Layout::Document(Format::MiniSweAgent));
    }
    for _ in 0..MOST_LINES {
        if let Some(layout) = members(rest).and_then(|keys| layout(&keys)) {
            return Some(layout);
        }
        // The first line may be damaged, or of a kind that says nothing of the format.
        let at = memchr::memchr(b'\n', rest)?;
        rest = rest[at..].trim_ascii_start();
    }
    None
}

fn layout(keys: &Keys<'_>) -> Option<Layout> {
    use Format::{Atif, ClaudeCode, Codex, Gemini, MiniSweAgent, Seed, SweAgent};
    if keys
        .text("schema_version")
        .is_some_and(|version| version.starts_with("ATIF"))
    {
        return Some(Layout::Document(Atif));
    }
    if keys.has("payload") && keys.has("type") || keys.has("record_type") {
        return Some(Layout::Lines(Codex));
    }
    if keys.has("$set") || keys.has("$rewindTo") {
        return Some(Layout::Lines(Gemini));
    }
    if keys.has("sessionId") && (keys.has("messages") || keys.has("projectHash")) {
        let whole = keys.has("messages");
        return Some(if whole {
            Layout::Document(Gemini)
        } else {
            Layout::Lines(Gemini)
        });
    }
    if keys.has("session") && keys.has("items") {
        return Some(Layout::Document(Codex));
    }
    if keys.has("trajectory_format") {
        return Some(Layout::Document(MiniSweAgent));
    }
    if keys.has("trajectory") || keys.has("history") {
        return Some(Layout::Document(SweAgent));
    }
    if keys.has("messages") {
        return Some(Layout::Document(MiniSweAgent));
    }
    if keys.has("developer_id") || (keys.has("trace_id") && keys.has("events")) {
        return Some(Layout::Document(Seed));
    }
    if keys.has("steps") && keys.has("agent") {
        return Some(Layout::Document(Atif));
    }
    if keys.has("type") {
        let claude = [
            "sessionId",
            "uuid",
            "parentUuid",
            "leafUuid",
            "messageId",
            "isSidechain",
        ];
        if claude.iter().any(|key| keys.has(key)) {
            return Some(Layout::Lines(ClaudeCode));
        }
        let kind = keys.text("type").unwrap_or("");
        if keys.has("id") && matches!(kind, "user" | "gemini" | "info" | "error" | "warning") {
            return Some(Layout::Lines(Gemini));
        }
        let codex = [
            "message",
            "reasoning",
            "function_call",
            "function_call_output",
            "local_shell_call",
        ];
        return codex.contains(&kind).then_some(Layout::Lines(Codex));
    }
    let first_of_old =
        keys.has("id") && keys.has("timestamp") && (keys.has("instructions") || keys.has("git"));
    if first_of_old {
        return Some(Layout::Lines(Codex));
    }
    // The messages may stand behind more than what was looked at.
    keys.has("info").then_some(Layout::Document(MiniSweAgent))
}

/// The members of an object, as far as they could be read.
struct Keys<'h> {
    /// Each name with the first bytes of its value.
    found: Vec<(&'h [u8], &'h [u8])>,
}

impl<'h> Keys<'h> {
    fn value(&self, name: &str) -> Option<&'h [u8]> {
        self.found
            .iter()
            .find(|(key, _)| *key == name.as_bytes())
            .map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&'h str> {
        let value = self.value(name)?.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', value)?;
        std::str::from_utf8(&value[..end]).ok()
    }
}

/// The members of the object that `text` begins with, up to its end or that of the text; `None` if it
/// begins with none.
fn members(text: &[u8]) -> Option<Keys<'_>> {
    /// More members than any format has.
    const MOST: usize = 256;
    let mut keys = Keys { found: Vec::new() };
    let mut at = 1;
    if text.first() != Some(&b'{') {
        return None;
    }
    while keys.found.len() < MOST {
        at = skip(text, at, |byte| byte.is_ascii_whitespace() || byte == b',');
        if text.get(at) != Some(&b'"') {
            break;
        }
        let Some(end) = string_end(text, at) else {
            break;
        };
        let name = &text[at + 1..end - 1];
        at = skip(text, end, |byte| byte.is_ascii_whitespace());
        if text.get(at) != Some(&b':') {
            break;
        }
        at = skip(text, at + 1, |byte| byte.is_ascii_whitespace());
        keys.found.push((name, &text[at..text.len().min(at + 256)]));
        match value_end(text, at) {
            Some(end) => at = end,
            None => break,
        }
    }
    Some(keys)
}

fn skip(text: &[u8], mut at: usize, what: impl Fn(u8) -> bool) -> usize {
    while text.get(at).is_some_and(|byte| what(*byte)) {
        at += 1;
    }
    at
}

/// Behind the closing quote of the string that opens at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the value that begins at `at`.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_members() {
        use Format::{Atif, ClaudeCode, Codex, Gemini, MiniSweAgent, Seed, SweAgent};
        use Layout::{Document, Lines};
        for (head, expected) in [
            (
                r#"{"type":"summary","summary":"x","leafUuid":"u"}"#,
                Lines(ClaudeCode),
            ),
            (
                r#"{"type":"queue-operation","operation":"x","sessionId":"s"}"#,
                Lines(ClaudeCode),
            ),
            (
                "garbage\n{\"parentUuid\":null,\"type\":\"user\",\"message\":{}}",
                Lines(ClaudeCode),
            ),
            (
                r#"{"timestamp":"t","type":"session_meta","payload":{"id":"x"#,
                Lines(Codex),
            ),
            (
                r#"{"id":"x","timestamp":"t","instructions":null}"#,
                Lines(Codex),
            ),
            ("{\n \"session\": {}, \"items\": [", Document(Codex)),
            (
                "{\n  \"sessionId\": \"s\",\n  \"projectHash\": \"h\",\n  \"messages\": [",
                Document(Gemini),
            ),
            (
                r#"{"sessionId":"s","projectHash":"h","startTime":"t"}"#,
                Lines(Gemini),
            ),
            (
                r#"{"schema_version": "ATIF-v1.5", "steps": []}"#,
                Document(Atif),
            ),
            (
                "{\"environment\":\"e\",\n\"trajectory\":[",
                Document(SweAgent),
            ),
            (r#"{"history":[]}"#, Document(SweAgent)),
            ("[\n {\"role\": \"system\"", Document(MiniSweAgent)),
            (
                r#"{"info":{},"messages":[],"trajectory_format":"mini-swe-agent-1.1"}"#,
                Document(MiniSweAgent),
            ),
            (r#"{"developer_id":"d","repo":{}}"#, Document(Seed)),
        ] {
            assert_eq!(sniff(head.as_bytes()), Some(expected), "{head}");
        }
    }

    #[test]
    fn other_files_are_of_no_format() {
        for head in [
            "",
            "# Readme",
            "{}",
            "[1,2]",
            "{\"a\":",
            "{\"a\\",
            "[{",
            "\u{feff}",
            "null\nnull\n",
        ] {
            assert_eq!(sniff(head.as_bytes()), None, "{head}");
        }
    }
}
