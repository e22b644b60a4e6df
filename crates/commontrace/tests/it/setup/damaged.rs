//! Files and homes that cannot be written: said, and left as they are.

use super::{files, home, setup};
use crate::place::{Place, finish};

#[tokio::test]
async fn a_malformed_file_is_left_and_its_host_with_it() {
    for (host, name, text, why) in [
        (
            "claude",
            ".claude/settings.json",
            "{ \"hooks\": ",
            "is not valid JSON",
        ),
        ("claude", ".claude.json", "[]", "is not a JSON object"),
        (
            "claude",
            ".claude/settings.json",
            "{\"hooks\": 1}",
            "\"hooks\" is not an object",
        ),
        (
            "codex",
            ".codex/config.toml",
            "model = \n",
            "is not valid TOML",
        ),
        (
            "codex",
            ".codex/hooks.json",
            "{\"hooks\": {\"Stop\": {}}}",
            "has no list at \"Stop\"",
        ),
        (
            "cursor",
            ".cursor/mcp.json",
            "{'a': 1}",
            "is not valid JSON",
        ),
        (
            "vscode",
            ".config/Code/User/mcp.json",
            "{\"servers\": []}",
            "is not an object",
        ),
        (
            "copilot",
            ".copilot/mcp-config.json",
            "\u{0}",
            "is not valid JSON",
        ),
        (
            "opencode",
            ".config/opencode/opencode.json",
            "{\"mcp\":1}",
            "is not an object",
        ),
        (
            "cursor",
            ".cursor/mcp.json",
            "{\"mcpServers\": {\"commontrace\": {\"url\": \"https://x.example\"}}}",
            "has another server named commontrace",
        ),
    ] {
        let place = home();
        place.write(name, text);
        let before = files(&place);
        let other = if host == "gemini" { "cursor" } else { "gemini" };
        let ran = setup(&place, &[host, other]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let line = ran
            .stderr
            .lines()
            .find(|line| line.starts_with("skipped"))
            .unwrap();
        assert!(line.contains(name) && line.contains(why), "{line}");
        let mut after = files(&place);
        after.retain(|name, _| !name.starts_with(".gemini"));
        assert_eq!(
            after, before,
            "{host}: neither this file nor another of the host"
        );
        assert!(
            files(&place).len() > after.len(),
            "the other host is set up"
        );
    }
}

/// Puts something in the way.
type Damage<'a> = &'a dyn Fn(&Place);

#[tokio::test]
async fn what_is_no_text_file_or_may_not_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = |place: &Place| std::fs::create_dir_all(place.path(".cursor/mcp.json")).unwrap();
    let dangling = |place: &Place| {
        std::fs::create_dir_all(place.path(".cursor")).unwrap();
        std::os::unix::fs::symlink("/no/such/file", place.path(".cursor/mcp.json")).unwrap();
    };
    let read_only = |place: &Place| {
        let path = place.write(".cursor/mcp.json", "{}");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
    };
    let bytes = |place: &Place| {
        place.write(".cursor/mcp.json", b"{\"a\": \"\xff\"}");
    };
    let huge = |place: &Place| {
        let path = place.write(".cursor/mcp.json", "");
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
    };
    let deep = |place: &Place| {
        place.write(".cursor/mcp.json", "{\"a\":".repeat(100_000));
    };
    let cases: [(Damage<'_>, &str); 6] = [
        (&folder, "is not a file"),
        (&dangling, "is a link to a file that does not exist"),
        (&read_only, "is read-only"),
        (&bytes, "is not UTF-8 text"),
        (&huge, "is too large"),
        (&deep, "is not valid JSON"),
    ];
    for (damage, why) in cases {
        let place = home();
        damage(&place);
        let ran = setup(&place, &["cursor"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("~/.cursor/mcp.json {why}")),
            "{ran:?}"
        );
        assert!(!place.path(".cursor/hooks.json").exists());
    }
}

#[tokio::test]
async fn without_a_home_there_is_nothing_to_set_up() {
    let place = Place::new();
    for wrong in ["", "relative/home"] {
        let mut command = place.command(&["setup", "claude"]);
        command.env("HOME", wrong);
        let ran = crate::place::finish(command, b"").await;
        ran.failed_with_hint(1, &["HOME is not set"]);
    }
    let mut command = place.command(&["setup", "claude"]);
    command.env("HOME", place.path("nowhere"));
    crate::place::finish(command, b"")
        .await
        .failed(1, &["nowhere"]);
}

#[tokio::test]
async fn a_program_of_another_name_would_not_be_known_again() {
    let place = home();
    let copy = place.path("ct");
    std::fs::hard_link(env!("CARGO_BIN_EXE_commontrace"), &copy)
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_commontrace"), &copy).map(drop))
        .unwrap();
    let line = format!("exec '{}' setup cursor", copy.display());
    let ran = finish(place.command_after(&line, &[]), b"").await;
    ran.failed_with_hint(1, &["named", "/ct"]);
    assert!(files(&place).keys().all(|name| !name.contains("cursor")));
}

#[tokio::test]
async fn unknown_hosts_and_contradictions_are_usage_errors() {
    let place = home();
    for words in [
        &["emacs"][..],
        &["--check", "--remove", "claude"],
        &["--check", "--dry-run"],
    ] {
        let ran = setup(&place, words).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    let ran = setup(&place, &["all"]).await;
    ran.failed_with_hint(1, &["none of the hosts"]);
    let ran = setup(&place, &["--check"]).await;
    ran.failed_with_hint(1, &["no host is set up"]);
    assert_eq!(files(&place).len(), 0);
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_stops_it_before_anything_is_changed() {
    let place = home();
    place.write("in-the-way", "");
    let place_of_data = place.path("in-the-way/data").display().to_string();
    let place = place.with("COMMONTRACE_DATA_DIR", &place_of_data);
    let ran = setup(&place, &["claude"]).await;
    ran.failed_with_hint(1, &["in-the-way", "COMMONTRACE_DATA_DIR"]);
    assert_eq!(
        files(&place).into_keys().collect::<Vec<_>>(),
        ["in-the-way"]
    );
}

#[tokio::test]
async fn a_check_says_what_a_host_would_not_start() {
    let place = home();
    setup(&place, &["codex"]).await;
    let path = place.path(".codex/config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let gone = text.replace(env!("CARGO_BIN_EXE_commontrace"), "/gone/commontrace");
    std::fs::write(&path, gone).unwrap();
    std::fs::write(place.path(".codex/hooks.json"), "{\"hooks\": {}}").unwrap();
    let ran = setup(&place, &["--check"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for said in [
        "WRONG     codex: MCP server: ~/.codex/config.toml cannot start `/gone/commontrace mcp`",
        "WRONG     codex: hook Stop: ~/.codex/hooks.json does not have it",
    ] {
        assert!(ran.stdout.contains(said), "{ran:?}");
    }
    std::fs::write(&path, format!("{text}[features]\nhooks = false\n")).unwrap();
    let ran = setup(&place, &["--check", "codex"]).await;
    let said = "hooks are switched off by features.hooks in ~/.codex/config.toml";
    assert!(ran.stdout.contains(said), "{ran:?}");
}
