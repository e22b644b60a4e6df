//! Each file against the shape that its host documents, written down here and not taken from what writes them.

use serde_json::Value;

use super::{HOSTS, files, home, setup, words};
use crate::place::Place;

/// Reads a file that the host reads as strict JSON.
fn json(place: &Place, name: &str) -> Value {
    let text = std::fs::read_to_string(place.path(name)).unwrap_or_else(|_| panic!("no {name}"));
    serde_json::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// Asserts that an object has these keys and no others; those that end in `?` may be missing.
#[track_caller]
fn keys(value: &Value, allowed: &[&str]) {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    for key in object.keys() {
        let known = |name: &str| name.trim_end_matches('?') == key;
        assert!(allowed.iter().any(|name| known(name)), "`{key}` in {value}");
    }
    for name in allowed.iter().filter(|name| !name.ends_with('?')) {
        assert!(object.contains_key(*name), "no `{name}` in {value}");
    }
}

/// Asserts that a text starts this program, by an absolute path, for this host.
#[track_caller]
fn starts(line: &Value, words: &str) {
    let line = line.as_str().unwrap_or_else(|| panic!("no text: {line}"));
    let program = line.strip_suffix(words).unwrap_or_else(|| panic!("{line}"));
    assert_eq!(program.trim(), env!("CARGO_BIN_EXE_commontrace"), "{line}");
}

/// Asserts that the events of a file are these, and hands each element of their lists on.
#[track_caller]
fn events(hooks: &Value, names: &[&str], mut element: impl FnMut(&str, &Value)) {
    keys(hooks, names);
    for (event, list) in hooks.as_object().unwrap() {
        let list = list
            .as_array()
            .unwrap_or_else(|| panic!("no list at {event}"));
        assert_eq!(list.len(), 1, "{event}");
        element(event, &list[0]);
    }
}

/// Asserts a server that is started by a command and its arguments.
#[track_caller]
fn stdio(server: &Value, keys_of_it: &[&str]) {
    keys(server, keys_of_it);
    assert_eq!(server["command"], env!("CARGO_BIN_EXE_commontrace"));
    assert_eq!(server["args"], serde_json::json!(["mcp"]));
}

fn has_skill(place: &Place, name: &str) {
    let text = std::fs::read_to_string(place.path(name)).unwrap_or_else(|_| panic!("no {name}"));
    let front = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("\n---\n"));
    let (front, body) = front.unwrap_or_else(|| panic!("no front matter: {name}"));
    let of = |key: &str| front.lines().find_map(|line| line.strip_prefix(key));
    assert_eq!(of("name: "), Some("commontrace"), "{name}");
    let description = of("description: ").unwrap_or_default();
    assert!((1..=1024).contains(&description.len()), "{name}");
    assert!(body.len() > 100, "{name}");
}

async fn fresh(host: &str) -> Place {
    let place = home();
    let ran = setup(&place, &[host]).await;
    assert_eq!(words(&ran), ["created"], "{ran:?}");
    place
}

#[tokio::test]
async fn claude_code_spawns_hooks_without_a_shell() {
    let place = fresh("claude").await;
    let settings = json(&place, ".claude/settings.json");
    keys(&settings, &["hooks"]);
    let names = [
        "SessionStart",
        "UserPromptSubmit",
        "PostToolUse",
        "PostToolUseFailure",
        "Stop",
        "SessionEnd",
    ];
    events(&settings["hooks"], &names, |event, group| {
        keys(group, &["hooks", "matcher?"]);
        let hook = &group["hooks"][0];
        keys(hook, &["type", "command", "args", "timeout"]);
        assert_eq!(hook["type"], "command");
        assert_eq!(hook["command"], env!("CARGO_BIN_EXE_commontrace"));
        assert_eq!(hook["args"], serde_json::json!(["hook", "claude"]));
        // Seconds; all hooks at the end of a session share one and a half.
        let timeout = hook["timeout"].as_u64().unwrap();
        assert!(
            timeout <= if event == "SessionEnd" { 1 } else { 10 },
            "{event}"
        );
    });
    // Whoever gets every tool's events slows every tool down.
    let matcher = &settings["hooks"]["PostToolUseFailure"][0]["matcher"];
    assert_eq!(matcher, "Bash|PowerShell");
    let state = json(&place, ".claude.json");
    keys(&state, &["mcpServers"]);
    stdio(
        &state["mcpServers"]["commontrace"],
        &["type", "command", "args", "env?"],
    );
    assert_eq!(state["mcpServers"]["commontrace"]["type"], "stdio");
    has_skill(&place, ".claude/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn codex_gets_a_table_and_a_file_of_hooks() {
    let place = fresh("codex").await;
    let hooks = json(&place, ".codex/hooks.json");
    // Any other key at the root makes Codex refuse the file.
    keys(&hooks, &["hooks", "description?"]);
    let names = ["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"];
    events(&hooks["hooks"], &names, |_, group| {
        keys(group, &["hooks", "matcher?"]);
        let hook = &group["hooks"][0];
        keys(hook, &["type", "command", "timeout"]);
        assert_eq!(hook["type"], "command");
        starts(&hook["command"], "hook codex");
    });
    let config = std::fs::read_to_string(place.path(".codex/config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    assert_eq!(config.keys().collect::<Vec<_>>(), ["mcp_servers"]);
    let server = &config["mcp_servers"]["commontrace"];
    assert_eq!(
        server["command"].as_str(),
        Some(env!("CARGO_BIN_EXE_commontrace"))
    );
    assert_eq!(server["args"].as_array().map(Vec::len), Some(1));
    has_skill(&place, ".codex/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn cursor_gets_flat_hooks_and_the_version_that_makes_them_count() {
    let place = fresh("cursor").await;
    let file = json(&place, ".cursor/hooks.json");
    keys(&file, &["version", "hooks"]);
    assert_eq!(file["version"], 1);
    let names = [
        "sessionStart",
        "beforeSubmitPrompt",
        "postToolUse",
        "postToolUseFailure",
        "stop",
        "sessionEnd",
    ];
    events(&file["hooks"], &names, |_, hook| {
        keys(hook, &["command", "timeout"]);
        starts(&hook["command"], "hook cursor");
    });
    let servers = json(&place, ".cursor/mcp.json");
    keys(&servers, &["mcpServers"]);
    stdio(
        &servers["mcpServers"]["commontrace"],
        &["type?", "command", "args"],
    );
    has_skill(&place, ".cursor/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn gemini_gets_an_extension_with_milliseconds() {
    let place = fresh("gemini").await;
    let folder = ".gemini/extensions/commontrace";
    let manifest = json(&place, &format!("{folder}/gemini-extension.json"));
    keys(
        &manifest,
        &["name", "version", "description?", "mcpServers"],
    );
    assert_eq!(manifest["name"], "commontrace");
    stdio(&manifest["mcpServers"]["commontrace"], &["command", "args"]);
    let hooks = json(&place, &format!("{folder}/hooks/hooks.json"));
    keys(&hooks, &["hooks"]);
    let names = [
        "SessionStart",
        "BeforeAgent",
        "AfterTool",
        "AfterAgent",
        "SessionEnd",
    ];
    events(&hooks["hooks"], &names, |_, group| {
        keys(group, &["hooks", "matcher?"]);
        let hook = &group["hooks"][0];
        keys(hook, &["type", "command", "timeout", "name?"]);
        starts(&hook["command"], "hook gemini");
        assert!(hook["timeout"].as_u64().unwrap() >= 1000);
    });
    has_skill(&place, &format!("{folder}/skills/commontrace/SKILL.md"));
}

#[tokio::test]
async fn vs_code_gets_servers_under_its_own_key_and_flat_hooks() {
    let place = fresh("vscode").await;
    let servers = json(&place, ".config/Code/User/mcp.json");
    keys(&servers, &["servers"]);
    stdio(
        &servers["servers"]["commontrace"],
        &["type", "command", "args"],
    );
    assert_eq!(servers["servers"]["commontrace"]["type"], "stdio");
    let hooks = json(&place, ".copilot/hooks/commontrace-vscode.json");
    keys(&hooks, &["hooks"]);
    let names = ["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"];
    events(&hooks["hooks"], &names, |_, hook| {
        keys(hook, &["type", "command", "timeout"]);
        assert_eq!(hook["type"], "command");
        starts(&hook["command"], "hook vscode");
    });
    has_skill(&place, ".copilot/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn copilot_is_told_the_event_because_it_does_not_say_it() {
    let place = fresh("copilot").await;
    let servers = json(&place, ".copilot/mcp-config.json");
    keys(&servers, &["mcpServers"]);
    let server = &servers["mcpServers"]["commontrace"];
    stdio(server, &["type", "command", "args", "tools"]);
    assert_eq!(
        (&server["type"], &server["tools"][0]),
        (&"local".into(), &"*".into())
    );
    let hooks = json(&place, ".copilot/hooks/commontrace.json");
    keys(&hooks, &["version", "hooks"]);
    assert_eq!(hooks["version"], 1);
    let names = [
        "sessionStart",
        "userPromptSubmitted",
        "postToolUse",
        "postToolUseFailure",
        "agentStop",
        "sessionEnd",
    ];
    events(&hooks["hooks"], &names, |event, hook| {
        keys(hook, &["type", "bash", "powershell", "timeoutSec"]);
        starts(&hook["bash"], &format!("hook copilot {event}"));
        assert!(hook["powershell"].as_str().unwrap().starts_with("& "));
    });
    has_skill(&place, ".copilot/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn opencode_gets_a_server_and_a_plugin_for_both_of_its_generations() {
    let place = fresh("opencode").await;
    let config = json(&place, ".config/opencode/opencode.json");
    keys(&config, &["mcp", "$schema?"]);
    let server = &config["mcp"]["commontrace"];
    keys(server, &["type", "command", "enabled"]);
    assert_eq!(server["type"], "local");
    let command = serde_json::json!([env!("CARGO_BIN_EXE_commontrace"), "mcp"]);
    assert_eq!(server["command"], command);
    let plugin = place.path(".config/opencode/plugins/commontrace.js");
    let plugin = std::fs::read_to_string(plugin).unwrap();
    let program = format!("const PROGRAM = \"{}\"", env!("CARGO_BIN_EXE_commontrace"));
    for part in [&program, "export default {", "\n  server: ", "\n  setup: "] {
        assert!(plugin.contains(part), "{part}");
    }
    has_skill(&place, ".config/opencode/skills/commontrace/SKILL.md");
}

#[tokio::test]
async fn hosts_are_found_where_their_variables_say() {
    let place = home();
    let elsewhere = place.path("elsewhere").display().to_string();
    let place = place
        .with("CODEX_HOME", &elsewhere)
        .with("OPENCODE_CONFIG_DIR", &elsewhere)
        .with("COPILOT_HOME", &elsewhere)
        .with("CLAUDE_CONFIG_DIR", &elsewhere);
    setup(&place, &["codex", "opencode", "copilot", "claude"]).await;
    let written = files(&place);
    assert!(
        written.keys().all(|name| name.starts_with("elsewhere/")),
        "{:?}",
        written.keys()
    );
    assert_eq!(written.len(), 9, "one skill serves them all");
    // Taken out again although the variables are gone.
    let place = [
        "CODEX_HOME",
        "OPENCODE_CONFIG_DIR",
        "COPILOT_HOME",
        "CLAUDE_CONFIG_DIR",
    ]
    .into_iter()
    .fold(place, Place::without);
    setup(
        &place,
        &["--remove", "codex", "opencode", "copilot", "claude"],
    )
    .await
    .ok();
    assert_eq!(files(&place).into_keys().collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn without_hosts_it_says_what_is_found_and_changes_nothing() {
    let place = home();
    place.write(".codex/config.toml", "model = \"o\"\n");
    let before = files(&place);
    let said = setup(&place, &[]).await.ok();
    assert_eq!(files(&place), before);
    let line = |host: &str| {
        said.lines()
            .find(|line| line.starts_with(host))
            .unwrap()
            .to_owned()
    };
    for host in HOSTS {
        let is_found = line(host).contains("found (");
        assert_eq!(is_found, host == "codex", "{said}");
    }
    assert!(
        line("codex").contains("would create 2 and update 1 files"),
        "{said}"
    );
    assert!(said.contains("`commontrace setup codex`"), "{said}");
    setup(&place, &["all"]).await;
    let said = setup(&place, &[]).await.ok();
    assert!(said.contains("found (~/.codex); is set up"), "{said}");
    assert!(!files(&place).contains_key(".claude/settings.json"));
}

#[tokio::test]
async fn every_host_would_start_what_it_was_given() {
    let place = home();
    let ran = setup(&place, &HOSTS).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for host in HOSTS {
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("works     {host}:")));
        let line = line.unwrap_or_else(|| panic!("{host}: {ran:?}"));
        assert!(
            line.contains("MCP server with ") && line.contains("; hooks "),
            "{line}"
        );
    }
    // Looking leaves nothing behind.
    assert!(!place.path(".local/share/commontrace/history.db").exists());
    assert!(!place.path(".local/share/commontrace/hook.log").exists());
    let said = setup(&place, &["--check"]).await.ok();
    assert_eq!(said.matches("works     ").count(), HOSTS.len(), "{said}");
    let said = place.run(&["doctor"]).await.ok();
    assert!(
        said.contains("ok     agents: Claude Code, Codex CLI"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_is_named_only_when_asked_and_gets_an_account_once() {
    let place = home();
    setup(&place, &["cursor"]).await.ok();
    assert!(!place.path(".config/commontrace").exists());
    let server = Place::new();
    let server = server.serve().await;
    let url = format!("http://{}", server.address);
    setup(&place, &["--server", &url, "cursor"]).await.ok();
    let settings =
        || std::fs::read_to_string(place.path(".config/commontrace/config.toml")).unwrap();
    let first = settings();
    assert!(first.contains(&url) && first.contains("api_key"), "{first}");
    setup(&place, &["--server", &url, "cursor"]).await.ok();
    assert_eq!(settings(), first);
    // The key is in no file of a host.
    let key: toml::Table = first.parse().unwrap();
    let key = key["remote"]["api_key"].as_str().unwrap().to_owned();
    for (name, text) in files(&place) {
        let is_ours = name == ".config/commontrace/config.toml";
        assert_eq!(
            String::from_utf8_lossy(&text).contains(&key),
            is_ours,
            "{name}"
        );
    }
}
