//! `commontrace setup --check`: proves that each host would start what is wired into it, by doing so.

use std::path::Path;

use commontrace_hook::host::Host;
use serde_json::{Value, json};

use super::home::Home;
use super::hosts::{self, Wired, title};
use super::{plan, started, wiring};

/// What was found out about a host.
#[derive(Debug)]
pub struct Checked {
    pub host: Host,
    pub works: Vec<String>,
    pub wrong: Vec<String>,
}

/// Which hosts have anything of ours.
pub fn wired_hosts(home: &Home) -> Vec<Host> {
    let is_wired = |host: &Host| {
        let wired = hosts::wired(*host, home);
        let mut servers = wired.servers.iter();
        let server = |(path, table): &(std::path::PathBuf, &str)| {
            started::read(path).is_ok_and(|file| {
                let server = &file[table][wiring::NAME];
                !server.is_null() && wiring::is_own_server(server)
            })
        };
        servers.any(server) || has_hooks(*host, &wired)
    };
    Host::ALL.into_iter().filter(is_wired).collect()
}

fn has_hooks(host: Host, wired: &Wired) -> bool {
    let mut events = host.events().iter();
    events.any(|wiring| {
        started::hooks(host, &wired.hooks, wiring.event).is_ok_and(|hooks| !hooks.is_empty())
    })
}

/// Starts everything that a host would start.
pub async fn check(host: Host, home: &Home, data: &Path) -> Checked {
    let mut checked = Checked {
        host,
        works: Vec::new(),
        wrong: Vec::new(),
    };
    if host == Host::Claude && plan::has_plugin(home) {
        checked
            .works
            .push("the plugin is enabled and brings the rest".to_owned());
        return checked;
    }
    let wired = hosts::wired(host, home);
    for (path, table) in &wired.servers {
        let tools = match started::server(path, table) {
            Ok(server) => server.tools(home).await,
            Err(why) => Err(why),
        };
        match tools {
            Ok(tools) => checked.works.push(format!("MCP server with {tools} tools")),
            Err(why) => checked
                .wrong
                .push(format!("MCP server: {} {why}", home.shown(path))),
        }
    }
    let mut answered = Vec::new();
    for wiring in host.events() {
        match event(host, home, data, &wired, wiring.event).await {
            Ok(()) => answered.push(wiring.event),
            Err(why) => checked.wrong.push(format!("hook {}: {why}", wiring.event)),
        }
    }
    if !answered.is_empty() {
        checked.works.push(format!("hooks {}", answered.join(", ")));
    }
    for switch in &wired.switches {
        let file = started::read(&switch.path).unwrap_or_default();
        let value = switch.key.iter().fold(&file, |value, key| &value[key]);
        if value.as_bool() == Some(switch.off) {
            let key = switch.key.join(".");
            let path = home.shown(&switch.path);
            checked
                .wrong
                .push(format!("hooks are switched off by {key} in {path}"));
        }
    }
    checked
}

async fn event(
    host: Host,
    home: &Home,
    data: &Path,
    wired: &Wired,
    event: &str,
) -> Result<(), String> {
    let hooks = started::hooks(host, &wired.hooks, event)
        .map_err(|why| format!("{} {why}", home.shown(&wired.hooks)))?;
    let hook = match &hooks[..] {
        [hook] => hook,
        [] => return Err(format!("{} does not have it", home.shown(&wired.hooks))),
        _ => {
            return Err(format!(
                "{} has it more than once",
                home.shown(&wired.hooks)
            ));
        }
    };
    let printed = hook.answer(home, data, &sample(host, event, home)).await?;
    // A hook says nothing to its host of what went wrong.
    let log = data.join(crate::commands::hook::LOG_FILE);
    if let Ok(said) = std::fs::read_to_string(&log) {
        let _ = std::fs::remove_file(&log);
        return Err(said.trim_end().to_owned());
    }
    if printed.trim().is_empty() {
        return Ok(());
    }
    let answer: Value = serde_json::from_str(&printed).map_err(|_| "prints what is not JSON")?;
    let named = &answer["hookSpecificOutput"]["hookEventName"];
    if !answer.is_object() || !(named.is_null() || named == event) {
        return Err(format!("prints what {} does not accept", title(host)));
    }
    Ok(())
}

/// An event in a host's shape about which there is nothing to say.
fn sample(host: Host, event: &str, home: &Home) -> Value {
    const SESSION: &str = "commontrace-setup-check";
    const RAN: &str = "commontrace --version";
    let cwd = home.dir();
    match host {
        Host::Copilot => json!({
            "sessionId": SESSION, "timestamp": 0, "cwd": cwd, "source": "startup", "prompt": "",
            "toolName": "bash", "toolArgs": { "command": RAN },
            "toolResult": { "resultType": "success", "textResultForLlm": "" }, "error": "",
        }),
        Host::Cursor => json!({
            "hook_event_name": event, "conversation_id": SESSION, "workspace_roots": [cwd],
            "tool_name": "Shell", "tool_input": { "command": RAN }, "tool_output": "",
            "prompt": "", "error_message": "", "is_interrupt": false, "status": "completed",
        }),
        Host::Opencode => json!({
            "event": event, "directory": cwd,
            "input": { "sessionID": SESSION, "tool": "bash", "args": { "command": RAN } },
            "output": { "title": "", "output": "", "metadata": { "exit": 0 } },
        }),
        Host::Claude | Host::Codex | Host::Gemini | Host::Vscode => json!({
            "session_id": SESSION, "cwd": cwd, "hook_event_name": event, "source": "startup",
            "permission_mode": "default", "prompt": "", "tool_name": "Bash",
            "tool_input": { "command": RAN }, "tool_use_id": SESSION,
            "tool_response": { "stdout": "", "stderr": "", "interrupted": false },
            "error": "Exit code 1", "is_interrupt": false, "stop_hook_active": false,
            "reason": "other",
        }),
    }
}
