//! What goes into hosts' JSON, as values: the hooks and the MCP server in each host's notation, how ours are
//! told from others, and how they are put in and taken out.

use std::path::Path;

use commontrace_hook::host::{Host, Wiring};
use serde_json::{Map, Value, json};

/// The name of the MCP server, the plugin and the skill.
pub const NAME: &str = "commontrace";

/// The object of a file.
pub type Object = Map<String, Value>;

/// Whether a program is this one, wherever it lies.
pub fn is_own_program(program: &Path) -> bool {
    let name = program.file_stem().and_then(|name| name.to_str());
    name == Some(NAME)
}

/// The command of a hook for hosts that hand it to a shell.
pub fn shell_command(program: &str, host: Host, event: Option<&str>) -> String {
    let event = event.map(|event| format!(" {event}")).unwrap_or_default();
    format!("{} hook {}{event}", quoted(program), host.name())
}

fn quoted(program: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:".contains(c);
    if program.chars().all(is_plain) {
        program.to_owned()
    } else {
        format!("'{}'", program.replace('\'', r"'\''"))
    }
}

/// What stands in the list of an event.
fn entry(host: Host, wiring: &Wiring, program: &str) -> Value {
    let command = shell_command(program, host, None);
    match host {
        // Spawned without a shell.
        Host::Claude => group(
            wiring,
            &json!({
                "type": "command", "command": program, "args": ["hook", host.name()],
                "timeout": wiring.timeout,
            }),
        ),
        Host::Codex => group(
            wiring,
            &json!({ "type": "command", "command": command, "timeout": wiring.timeout }),
        ),
        // Milliseconds.
        Host::Gemini => group(
            wiring,
            &json!({
                "type": "command", "command": command, "name": NAME,
                "timeout": wiring.timeout * 1000,
            }),
        ),
        Host::Cursor => json!({ "command": command, "timeout": wiring.timeout }),
        Host::Vscode => {
            json!({ "type": "command", "command": command, "timeout": wiring.timeout })
        }
        // Its payload does not name the event.
        Host::Copilot => {
            let command = shell_command(program, host, Some(wiring.event));
            json!({
                "type": "command", "bash": command, "powershell": format!("& {command}"),
                "timeoutSec": wiring.timeout,
            })
        }
        Host::Opencode => unreachable!("its plugin is a program of its own"),
    }
}

fn group(wiring: &Wiring, hook: &Value) -> Value {
    match wiring.matcher {
        Some(matcher) => json!({ "matcher": matcher, "hooks": [hook] }),
        None => json!({ "hooks": [hook] }),
    }
}

/// A file with our hooks and nothing else.
pub fn hooks_alone(host: Host, program: &str) -> Object {
    put_hooks(Object::new(), host, program).expect("nothing is in the way")
}

/// Puts our hooks beside those of others, in the place of older ones of ours.
pub fn put_hooks(mut file: Object, host: Host, program: &str) -> Result<Object, String> {
    let hooks = file.entry("hooks").or_insert_with(|| json!({}));
    let hooks = hooks
        .as_object_mut()
        .ok_or("its \"hooks\" is not an object")?;
    take_unwired(hooks, host);
    for wiring in host.events() {
        let list = hooks.entry(wiring.event).or_insert_with(|| json!([]));
        let list = list
            .as_array_mut()
            .ok_or_else(|| format!("its \"hooks\" has no list at \"{}\"", wiring.event))?;
        place(list, host, Some(entry(host, wiring, program)));
    }
    if matches!(host, Host::Cursor | Host::Copilot) {
        // Without a version the whole file counts for nothing.
        file.entry("version").or_insert(json!(1));
    }
    Ok(file)
}

/// Takes our hooks out, with the lists that hold nothing else.
pub fn take_hooks(mut file: Object, host: Host) -> Object {
    let Some(hooks) = file.get_mut("hooks").and_then(Value::as_object_mut) else {
        return file;
    };
    if take(hooks, host, |_| true) && hooks.is_empty() {
        file.remove("hooks");
    }
    file
}

/// Takes out what an older version wired and this one does not.
fn take_unwired(hooks: &mut Object, host: Host) {
    let wired = |event: &str| host.events().iter().any(|wiring| wiring.event == event);
    take(hooks, host, |event| !wired(event));
}

fn take(hooks: &mut Object, host: Host, of: impl Fn(&str) -> bool) -> bool {
    let mut taken = false;
    hooks.retain(|event, list| {
        let Some(list) = list.as_array_mut().filter(|_| of(event)) else {
            return true;
        };
        let found = place(list, host, None);
        taken |= found;
        !(found && list.is_empty())
    });
    taken
}

/// Takes our entries out of the list of an event and puts the new one where the first of them was, else at
/// the end. Returns whether there were any.
fn place(list: &mut Vec<Value>, host: Host, new: Option<Value>) -> bool {
    let (mut at, mut found) = (None, false);
    let mut kept = Vec::with_capacity(list.len());
    for mut element in std::mem::take(list) {
        let is_ours = match element.get_mut("hooks").and_then(Value::as_array_mut) {
            Some(inner) => {
                let before = inner.len();
                inner.retain(|hook| !is_own_hook(hook, host));
                found |= inner.len() < before;
                inner.len() < before && inner.is_empty()
            }
            None => is_own_hook(&element, host),
        };
        if is_ours {
            found = true;
            at.get_or_insert(kept.len());
        } else {
            kept.push(element);
        }
    }
    if let Some(new) = new {
        kept.insert(at.unwrap_or(kept.len()), new);
    }
    *list = kept;
    found
}

/// Whether a hook starts this program for this host, wherever the program lay when it was written.
fn is_own_hook(hook: &Value, host: Host) -> bool {
    let text = |name: &str| hook.get(name).and_then(Value::as_str);
    let Some(command) = text("command").or_else(|| text("bash")) else {
        return false;
    };
    if let Some(args) = hook.get("args").and_then(Value::as_array) {
        let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
        return args.first() == Some(&"hook")
            && args.get(1) == Some(&host.name())
            && is_own_program(Path::new(command));
    }
    let Some((program, rest)) = command.rsplit_once(" hook ") else {
        return false;
    };
    rest.split_whitespace().next() == Some(host.name())
        && is_own_program(Path::new(program.trim_matches(['\'', '"', ' '])))
}

/// Puts our server into the table `key`; what the user added to our entry stays.
pub fn put_server(mut file: Object, key: &str, server: &Value) -> Result<Object, String> {
    let servers = file.entry(key).or_insert_with(|| json!({}));
    let servers = servers
        .as_object_mut()
        .ok_or_else(|| format!("its \"{key}\" is not an object"))?;
    let ours = servers.entry(NAME).or_insert_with(|| json!({}));
    if !is_own_server(ours) {
        return Err(format!(
            "has another server named {NAME} in \"{key}\": take it out first, then run this again"
        ));
    }
    let ours = ours.as_object_mut().ok_or("is changed meanwhile")?;
    for (name, value) in server.as_object().into_iter().flatten() {
        // Whoever switched it off, or chose its tools, meant it.
        let is_choice = matches!(name.as_str(), "enabled" | "tools" | "env");
        if !(is_choice && ours.contains_key(name)) {
            ours.insert(name.clone(), value.clone());
        }
    }
    Ok(file)
}

/// Takes our server out, with the table if it holds nothing else.
pub fn take_server(mut file: Object, key: &str) -> Object {
    let Some(servers) = file.get_mut(key).and_then(Value::as_object_mut) else {
        return file;
    };
    if servers.get(NAME).is_some_and(is_own_server) {
        servers.remove(NAME);
        if servers.is_empty() {
            file.remove(key);
        }
    }
    file
}

/// Whether an entry starts this program, or is still empty.
pub fn is_own_server(server: &Value) -> bool {
    let command = match server.get("command") {
        Some(Value::String(command)) => Some(command.as_str()),
        Some(Value::Array(words)) => words.first().and_then(Value::as_str),
        _ => None,
    };
    match command {
        Some(command) => is_own_program(Path::new(command)),
        None => server.as_object().is_some_and(Map::is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/home/ada/.local/bin/commontrace";

    fn object(value: &Value) -> Object {
        value.as_object().expect("an object").clone()
    }

    fn in_files() -> impl Iterator<Item = Host> {
        Host::ALL.into_iter().filter(|host| *host != Host::Opencode)
    }

    #[test]
    fn what_is_put_in_twice_is_there_once_and_goes_out_whole() {
        for host in in_files() {
            let once = hooks_alone(host, PROGRAM);
            assert_eq!(put_hooks(once.clone(), host, PROGRAM).as_ref(), Ok(&once));
            let moved = put_hooks(once.clone(), host, "/opt/a b/commontrace").unwrap();
            assert_ne!(moved, once);
            assert_eq!(
                put_hooks(moved, host, PROGRAM).as_ref(),
                Ok(&once),
                "{host:?}"
            );
            let mut out = take_hooks(once, host);
            out.remove("version");
            assert_eq!(out, Object::new(), "{host:?}");
        }
    }

    #[test]
    fn hooks_of_others_stay_where_they_are() {
        let theirs = json!({ "hooks": {
            "Stop": [{ "hooks": [{ "type": "command", "command": "say done" }] }],
            "PreToolUse": [{ "matcher": "Bash", "hooks": [
                { "type": "command", "command": "guard" },
                { "type": "command", "command": "/old/commontrace", "args": ["hook", "claude"] },
            ] }],
            "Notification": "not a list",
        }});
        let with = put_hooks(object(&theirs), Host::Claude, PROGRAM).unwrap();
        assert_eq!(with["hooks"]["Stop"][0]["hooks"][0]["command"], "say done");
        assert_eq!(with["hooks"]["Stop"].as_array().unwrap().len(), 2);
        let kept = &with["hooks"]["PreToolUse"][0]["hooks"];
        assert_eq!(kept, &json!([{ "type": "command", "command": "guard" }]));
        let without = take_hooks(with, Host::Claude);
        assert_eq!(
            Value::Object(without),
            json!({ "hooks": {
                "Stop": [{ "hooks": [{ "type": "command", "command": "say done" }] }],
                "PreToolUse": [{ "matcher": "Bash", "hooks": [
                    { "type": "command", "command": "guard" },
                ] }],
                "Notification": "not a list",
            }})
        );
    }

    #[test]
    fn a_program_of_another_name_is_not_ours() {
        for command in [
            "/opt/mycommontrace hook codex",
            "commontrace-next hook codex",
            "/opt/commontrace hook codexx",
            "/opt/commontrace mcp",
            "echo hook codex",
        ] {
            assert!(
                !is_own_hook(&json!({ "command": command }), Host::Codex),
                "{command}"
            );
        }
        for command in [
            "commontrace hook codex",
            "'/opt/a b/commontrace' hook codex Stop",
        ] {
            assert!(
                is_own_hook(&json!({ "command": command }), Host::Codex),
                "{command}"
            );
        }
    }

    #[test]
    fn what_a_user_decided_about_our_server_stays() {
        let file = object(&json!({ "mcp": { "commontrace": {
            "type": "local", "command": ["/old/commontrace", "mcp"], "enabled": false, "timeout": 9,
        } } }));
        let server = json!({ "type": "local", "command": [PROGRAM, "mcp"], "enabled": true });
        let file = put_server(file, "mcp", &server).unwrap();
        assert_eq!(
            file["mcp"]["commontrace"],
            json!({ "type": "local", "command": [PROGRAM, "mcp"], "enabled": false, "timeout": 9 })
        );
        let theirs = object(&json!({ "mcp": { "commontrace": { "url": "https://x" } } }));
        assert!(put_server(theirs.clone(), "mcp", &server).is_err());
        assert_eq!(take_server(theirs.clone(), "mcp"), theirs);
    }
}
