//! Commands as they were typed, and how long they took.

use serde_json::Value;

use super::super::json::{self, Member, members};
use super::super::paths::last_part;

/// The command of a shell's arguments, as it would be typed.
pub(super) fn command_of(arguments: &Value) -> String {
    let command = arguments.get("command").or_else(|| arguments.get("cmd"));
    match command {
        Some(Value::String(command)) => command.clone(),
        Some(Value::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            match words.as_slice() {
                [shell, flag, script]
                    if matches!(last_part(shell), "bash" | "sh" | "zsh")
                        && matches!(*flag, "-lc" | "-c" | "-ic" | "-lic") =>
                {
                    (*script).to_owned()
                }
                words => words
                    .iter()
                    .map(|word| quoted(word))
                    .collect::<Vec<_>>()
                    .join(" "),
            }
        }
        _ => arguments.as_str().unwrap_or("").to_owned(),
    }
}

/// A word as a shell needs it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "-_./=:,@%+".contains(c));
    if is_plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `{secs, nanos}`, or a text such as `1.5s`.
pub(super) fn seconds(duration: Member<'_>) -> Option<f64> {
    members!(
        /// A duration.
        Parts {
            secs = "secs",
            nanos = "nanos",
        }
    );
    if let Some(parts) = json::object::<Parts<'_>>(duration) {
        return Some(json::float(parts.secs)? + json::float(parts.nanos).unwrap_or(0.0) / 1e9);
    }
    if let Some(text) = json::text(duration) {
        let (number, scale) = match text.strip_suffix("ms") {
            Some(number) => (number, 1e-3),
            None => (text.strip_suffix('s')?, 1.0),
        };
        return number
            .trim()
            .parse::<f64>()
            .ok()
            .map(|number| number * scale);
    }
    json::float(duration)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_are_as_they_were_typed() {
        for (arguments, expected) in [
            (
                json!({"command": ["bash", "-lc", "cargo test | tail"]}),
                "cargo test | tail",
            ),
            (
                json!({"command": ["git", "commit", "-m", "it's done"]}),
                r"git commit -m 'it'\''s done'",
            ),
            (json!({"command": "ls"}), "ls"),
            (json!({"cmd": "ls -l"}), "ls -l"),
            (json!(null), ""),
        ] {
            assert_eq!(command_of(&arguments), expected);
        }
    }
}
