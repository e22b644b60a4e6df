//! Reading what hosts send: the same thing has several names, in snake case and in camel case, and may be absent.

use serde_json::{Map, Value};

/// An object as a host sends it.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'v>(&'v Map<String, Value>);

impl<'v> Fields<'v> {
    /// Returns nothing if the value is no object.
    pub fn of(value: &'v Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// Returns the first of these that is there and not null.
    pub fn any(self, names: &[&str]) -> Option<&'v Value> {
        let found = names.iter().filter_map(|name| self.0.get(*name));
        found.into_iter().find(|value| !value.is_null())
    }

    /// Returns the first of these that is a text.
    pub fn text(self, names: &[&str]) -> Option<&'v str> {
        names.iter().find_map(|name| self.0.get(*name)?.as_str())
    }

    /// Returns the first of these that is a whole number, as an exit code is.
    pub fn code(self, names: &[&str]) -> Option<i32> {
        let number = |name: &&str| self.0.get(*name)?.as_i64()?.try_into().ok();
        names.iter().find_map(number)
    }

    /// Returns whether the first of these that is there is true.
    pub fn is(self, names: &[&str]) -> bool {
        self.any(names).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns the first of these that is an object.
    pub fn object(self, names: &[&str]) -> Option<Self> {
        names.iter().find_map(|name| Self::of(self.0.get(*name)?))
    }
}

/// Returns a text, or the texts of a list or of an object's members that carry what was printed, in lines.
pub fn printed(value: &Value) -> String {
    const PARTS: [&str; 10] = [
        "stdout",
        "stderr",
        "output",
        "text",
        "content",
        "error",
        "message",
        "llmContent",
        "textResultForLlm",
        "text_result_for_llm",
    ];
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().map(printed).collect();
            join(texts)
        }
        Value::Object(members) => {
            let texts = PARTS
                .iter()
                .filter_map(|part| members.get(*part))
                .map(printed);
            join(texts.collect())
        }
        _ => String::new(),
    }
}

fn join(texts: Vec<String>) -> String {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

/// Returns the command of a shell tool: a text, or a list of words of which `bash -lc` and the like are left out.
pub fn command(input: Fields<'_>) -> Option<String> {
    match input.any(&["command", "cmd", "script"])? {
        Value::String(line) => Some(line.clone()),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().map_while(Value::as_str).collect();
            match words.as_slice() {
                [shell, flag, line] if is_shell(shell) && flag.starts_with('-') => {
                    Some((*line).to_owned())
                }
                [] => None,
                words => Some(words.join(" ")),
            }
        }
        _ => None,
    }
}

fn is_shell(program: &str) -> bool {
    let name = commontrace_session::shell::program(program);
    matches!(
        name,
        "bash" | "sh" | "zsh" | "dash" | "fish" | "pwsh" | "powershell"
    )
}

/// Reads `Exit code 1`, `exited with code 1` and the like, each on a line of its own, in what a host made of a
/// command's end.
pub fn exit_code(text: &str) -> Option<i32> {
    const BEFORE: [&str; 7] = [
        "process exited with code ",
        "command exited with code ",
        "command failed with exit code ",
        "<exited with exit code ",
        "exit code: ",
        "exit code ",
        "exited with code ",
    ];
    // Hosts say so in their first or last lines; between them is what the command printed.
    let lines = text.lines().take(6).chain(text.lines().rev().take(3));
    lines.into_iter().find_map(|line| {
        let line = line.trim().to_ascii_lowercase();
        let told = BEFORE.iter().find_map(|before| line.strip_prefix(before));
        let of_shell = || {
            line.strip_prefix("<shellid: ")?
                .split_once(" completed with exit code ")
        };
        let rest = told.or_else(|| of_shell().map(|(_, rest)| rest))?;
        rest.trim_end_matches(['.', '>']).trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_come_as_lines_and_as_words() {
        let read = |value: Value| command(Fields::of(&value).expect("an object"));
        assert_eq!(read(json!({"command": "ls -l"})).as_deref(), Some("ls -l"));
        assert_eq!(
            read(json!({"command": ["bash", "-lc", "cargo test"]})).as_deref(),
            Some("cargo test")
        );
        assert_eq!(
            read(json!({"cmd": ["npm", "ci"]})).as_deref(),
            Some("npm ci")
        );
        assert_eq!(read(json!({"command": 7})), None);
    }

    #[test]
    fn an_exit_code_stands_on_a_line_of_its_own() {
        assert_eq!(exit_code("Exit code 1\nError: x"), Some(1));
        assert_eq!(
            exit_code("Wall time: 1 s\nProcess exited with code 0\nOutput:\n"),
            Some(0)
        );
        assert_eq!(exit_code("a\nb\n<exited with exit code 2>"), Some(2));
        assert_eq!(
            exit_code("a\n<shellId: 1 completed with exit code 3>"),
            Some(3)
        );
        assert_eq!(exit_code("it said: Exit code 1 is bad"), None);
        assert_eq!(exit_code(""), None);
    }
}
