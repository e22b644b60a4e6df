//! The environment that a session was recorded in, as far as its outputs tell.

use commontrace_judge::facts::Facts;
use commontrace_session::Body;
use serde_json::{Map, Value};

/// What stands before a version in the output of a language's tools.
const BANNERS: [(&str, &str); 9] = [
    ("python", "Python "),
    ("rust", "rustc "),
    ("go", "go version go"),
    ("java", "openjdk version \""),
    ("java", "java version \""),
    ("ruby", "ruby "),
    ("php", "PHP "),
    ("javascript", "Node.js v"),
    ("typescript", "Node.js v"),
];

/// Commands whose output is a version and nothing else.
const VERSION_ALONE: [(&str, &str); 4] = [
    ("javascript", "node --version"),
    ("javascript", "node -v"),
    ("typescript", "node --version"),
    ("typescript", "node -v"),
];

/// Operating systems as pytest's header names them.
const SYSTEMS: [(&str, &str); 3] = [
    ("platform linux", "linux"),
    ("platform darwin", "macos"),
    ("platform win32", "windows"),
];

/// Returns the members of a trace's context that the session tells.
pub fn environment(facts: &Facts<'_>, language: Option<&str>) -> Map<String, Value> {
    let mut found = Map::new();
    let Some(language) = language else {
        return found;
    };
    found.insert("language".to_owned(), language.into());
    if let Some(version) =
        outputs(facts).find_map(|(command, output)| version(language, command, output))
    {
        found.insert("version".to_owned(), version.into());
    }
    let system = outputs(facts).find_map(|(_, output)| {
        let named = SYSTEMS.iter().find(|(header, _)| output.contains(header));
        named.map(|(_, system)| *system)
    });
    if let Some(system) = system {
        found.insert("os".to_owned(), system.into());
    }
    found
}

fn outputs<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    facts.events.iter().filter_map(|event| match &event.body {
        Body::TerminalCommand {
            command, output, ..
        } => Some((command.as_str(), output.as_str())),
        _ => None,
    })
}

fn version<'a>(language: &str, command: &str, output: &'a str) -> Option<&'a str> {
    let mut banners = BANNERS.iter().filter(|(of, _)| *of == language);
    let after_banner = banners.find_map(|(_, banner)| {
        let mut found = output.match_indices(banner);
        found.find_map(|(at, _)| digits(&output[at + banner.len()..]))
    });
    after_banner.or_else(|| {
        VERSION_ALONE
            .contains(&(language, command.trim()))
            .then_some(())?;
        digits(output.trim().strip_prefix('v')?)
    })
}

/// The version that a text begins with: digits with at least one dot.
fn digits(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let version = text[..end.unwrap_or(text.len())].trim_end_matches('.');
    let begins_well = version.starts_with(|c: char| c.is_ascii_digit());
    (begins_well && version.contains('.') && version.len() <= 20).then_some(version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(language: &str, command: &str, output: &str, expected: &Value) {
        let event = json!({
            "id": "1", "timestamp": null, "event_type": "terminal_command",
            "data": {"command": command, "exit_code": 0, "output": output},
        });
        let events = [serde_json::from_value(event).expect("an event")];
        let facts = Facts::read(&events, "");
        let found = environment(&facts, Some(language));
        assert_eq!(&Value::Object(found), expected, "{output}");
    }

    #[test]
    fn versions_are_read_from_what_tools_print() {
        let pytest = "platform linux -- Python 3.11.2, pytest-7.4.0, pluggy-1.0.0";
        check(
            "python",
            "pytest",
            pytest,
            &json!({"language": "python", "version": "3.11.2", "os": "linux"}),
        );
        let rustc = "rustc 1.95.0 (f2d3ce0bd 2026-03-21)";
        check(
            "rust",
            "rustc -V",
            rustc,
            &json!({"language": "rust", "version": "1.95.0"}),
        );
        check(
            "go",
            "go version",
            "go version go1.22.1 linux/amd64",
            &json!({"language": "go", "version": "1.22.1"}),
        );
        check(
            "javascript",
            "node -v",
            "v20.1.0\n",
            &json!({"language": "javascript", "version": "20.1.0"}),
        );
    }

    #[test]
    fn what_only_looks_like_a_version_is_none() {
        check(
            "javascript",
            "cat VERSION",
            "v20.1.0\n",
            &json!({"language": "javascript"}),
        );
        check(
            "python",
            "ls",
            "Python is here; Python 3",
            &json!({"language": "python"}),
        );
        check("go", "rustc -V", "rustc 1.95.0", &json!({"language": "go"}));
    }
}
