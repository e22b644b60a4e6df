//! The plugin of Claude Code as the program renders it, completions and man pages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{files, home, outcomes, setup};
use crate::place::Place;

async fn rendered(place: &Place) -> PathBuf {
    let said = place.run(&["claude-plugin-path"]).await.ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    let folder = PathBuf::from(lines[0]);
    assert!(folder.is_absolute() && folder.is_dir(), "{said}");
    folder
}

#[tokio::test]
async fn the_plugin_is_whole_and_the_same_each_time() {
    let place = home();
    let folder = rendered(&place).await;
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).unwrap_or_else(|_| panic!("{name}"))
    };
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
    let manifest = json(".claude-plugin/plugin.json");
    assert_eq!(manifest["name"], "commontrace");
    assert!(
        manifest.get("hooks").is_none(),
        "naming what is loaded anyway makes it fail"
    );
    let source = &json(".claude-plugin/marketplace.json")["plugins"][0]["source"];
    assert_eq!(source["source"], "command");
    assert_eq!(source["command"], "commontrace claude-plugin-path");
    let failure = &json("hooks/hooks.json")["hooks"]["PostToolUseFailure"][0]["hooks"][0];
    assert_eq!(failure["command"], env!("CARGO_BIN_EXE_commontrace"));
    assert_eq!(
        json(".mcp.json")["mcpServers"]["commontrace"]["args"][0],
        "mcp"
    );
    for name in [
        "skills/commontrace/SKILL.md",
        "commands/search.md",
        "commands/contribute.md",
    ] {
        assert!(read(name).starts_with("---\n"), "{name}");
    }
    // Agent Plugins 1.0: these keys and no others.
    let portable = json("plugin.json");
    let allowed = [
        "$schema",
        "name",
        "version",
        "description",
        "author",
        "homepage",
        "repository",
        "license",
        "keywords",
        "extensions",
    ];
    assert!(
        portable
            .as_object()
            .unwrap()
            .keys()
            .all(|key| allowed.contains(&key.as_str()))
    );
    assert_eq!(
        json("mcp.json")["mcpServers"]["commontrace"]["type"],
        "stdio"
    );
    let first = read("hooks/hooks.json");
    std::fs::write(folder.join("hooks/hooks.json"), "damaged").unwrap();
    assert_eq!(rendered(&place).await, folder);
    assert_eq!(read("hooks/hooks.json"), first);
}

#[tokio::test]
async fn nothing_is_wired_a_second_time_beside_the_plugin() {
    let place = home();
    let settings = "{\"enabledPlugins\": {\"commontrace@commontrace\": true}}";
    place.write(".claude/settings.json", settings);
    let before = files(&place);
    let ran = setup(&place, &["claude"]).await;
    assert_eq!(
        outcomes(&ran).into_keys().collect::<Vec<_>>(),
        ["unchanged"],
        "{ran:?}"
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(files(&place), before);
}

/// Claude Code's program, as far as it concerns us: adds a server to the file that it keeps.
const CLAUDE: &str = r#"#!/bin/sh
[ "$1 $2 $3 $4 $5 $6" = "mcp add commontrace -s user --" ] || exit 3
printf '{ "startups": 1, "mcpServers": { "commontrace": { "type": "stdio", "command": "%s", "args": ["%s"], "env": {} } } }' "$7" "$8" > "$HOME/.claude.json"
"#;

#[tokio::test]
async fn claude_code_is_asked_to_add_the_server_itself() {
    let place = home();
    let program = place.write("bin/claude", CLAUDE);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = place.path("bin").display().to_string();
    let place = place.with("PATH", &format!("{path}:/usr/bin:/bin"));
    let ran = setup(&place, &["claude"]).await;
    let state = || std::fs::read_to_string(place.path(".claude.json")).unwrap();
    assert!(state().starts_with("{ \"startups\": 1"), "{ran:?}");
    let again = setup(&place, &["claude"]).await;
    assert_eq!(
        outcomes(&again).into_keys().collect::<Vec<_>>(),
        ["unchanged"],
        "{again:?}"
    );
    setup(&place, &["--remove", "claude"]).await.ok();
    assert!(
        state().contains("\"startups\": 1") && !state().contains("commontrace"),
        "{}",
        state()
    );
    // One that fails is done without.
    place.write("bin/claude", "#!/bin/sh\nexit 1\n");
    setup(&place, &["claude"]).await;
    assert!(state().contains("commontrace"), "{}", state());
}

#[tokio::test]
async fn completions_and_man_pages_need_no_other_file() {
    let place = Place::new().with("COMMONTRACE_LISTEN", "nonsense");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = place.run(&["completions", shell]).await.ok();
        assert!(said.contains("claude-plugin-path"), "{shell}");
    }
    let folder = place.path("man1");
    place.run(&["man", folder.to_str().unwrap()]).await.ok();
    for page in [
        "commontrace.1",
        "commontrace-setup.1",
        "commontrace-admin-hide.1",
    ] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    let in_the_way = place.write("file", "");
    let ran = place
        .run(&["man", in_the_way.join("x").to_str().unwrap()])
        .await;
    ran.failed_with_hint(1, &["cannot write man pages"]);
}
