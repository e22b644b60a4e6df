//! What others have in the files stays, whatever happens.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::{HOSTS, files, home, outcomes, setup, words};
use crate::place::{DEADLINE, Place};

/// Files with what others wrote, comments included, one or more for each host.
const FOREIGN: [(&str, &str); 9] = [
    (
        ".claude/settings.json",
        "{\n    \"model\": \"opus\", // the big one\n    \"hooks\": {\n        \"Stop\": [\n            { \"hooks\": [{ \"type\": \"command\", \"command\": \"say done\" }] } // mine\n        ]\n    },\n    \"permissions\": {\"allow\": [\"Bash(ls:*)\" , \"Read\"]}\n}\n",
    ),
    (
        ".claude.json",
        "{\"numStartups\":12,\"mcpServers\":{\"other\":{\"type\":\"http\",\"url\":\"https://x.example\"}},\"projects\":{\"/w\":{\"allowedTools\":[]}}}",
    ),
    (
        ".codex/config.toml",
        "# Codex\nmodel = \"o\"   # spaced\n\n[mcp_servers.other]\ncommand = \"npx\"\nargs = [\n  \"-y\", # yes\n  \"other\",\n]\n\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n",
    ),
    (
        ".codex/hooks.json",
        "{\"description\":\"mine\",\"hooks\":{\"PostToolUse\":[{\"matcher\":\"Bash\",\"hooks\":[{\"type\":\"command\",\"command\":\"audit\"}]}]}}",
    ),
    (
        ".cursor/mcp.json",
        "{\r\n\t\"mcpServers\": {\r\n\t\t\"other\": { \"url\": \"https://x.example\" }\r\n\t}\r\n}\r\n",
    ),
    (
        ".cursor/hooks.json",
        "{ \"version\": 1, \"hooks\": { \"stop\": [ { \"command\": \"./done.sh\" } ] } }",
    ),
    (
        ".config/Code/User/mcp.json",
        "// servers\n{\n  \"inputs\": [],\n  \"servers\": {\n    /* mine */\n    \"other\": { \"type\": \"stdio\", \"command\": \"x\" },\n  },\n}",
    ),
    (".copilot/mcp-config.json", "{\n  \"mcpServers\": {}\n}\n"),
    (
        ".config/opencode/opencode.jsonc",
        "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  // which model\n  \"model\": \"x/y\",\n  \"mcp\": {\n    \"other\": { \"type\": \"remote\", \"url\": \"https://x.example\", \"enabled\": true }, // theirs\n  }\n}\n",
    ),
];

fn with_foreign_files() -> Place {
    let place = home();
    for (name, text) in FOREIGN {
        place.write(name, text);
    }
    place
}

#[tokio::test]
async fn what_others_wrote_stays_and_comes_back_byte_for_byte() {
    let place = with_foreign_files();
    let before = files(&place);
    let ran = setup(&place, &HOSTS).await;
    assert_eq!(outcomes(&ran)["updated"], FOREIGN.len(), "{ran:?}");
    let written = files(&place);
    for (name, text) in FOREIGN {
        let now = String::from_utf8(written[name].clone()).unwrap();
        assert!(now.contains("commontrace"), "{name}: {now}");
        // Every line is still there, but for commas and braces, which had to give way.
        let plain = |text: &str| text.replace([',', '}', ']'], "").trim_end().to_owned();
        for line in text.lines().filter(|_| text.lines().count() > 1) {
            assert!(plain(&now).contains(&plain(line)), "{line} in {now}");
        }
    }
    let again = setup(&place, &HOSTS).await;
    assert_eq!(words(&again), ["unchanged"], "{again:?}");
    assert_eq!(files(&place), written);
    setup(&place, &[&["--remove"][..], &HOSTS].concat())
        .await
        .ok();
    assert_eq!(files(&place), before);
}

#[tokio::test]
async fn what_was_changed_since_loses_only_what_is_ours() {
    let place = with_foreign_files();
    setup(&place, &HOSTS).await;
    for (name, _) in FOREIGN {
        let path = place.path(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = if name.ends_with("toml") {
            format!("{text}\n[tui]\ntheme = \"late\"\n")
        } else {
            text.replacen('{', "{ \"late\": true,", 1)
        };
        std::fs::write(&path, changed).unwrap();
    }
    // Written once more in between, which does not make the user's change ours.
    setup(&place, &HOSTS).await;
    setup(&place, &[&["--remove"][..], &HOSTS].concat())
        .await
        .ok();
    let after = files(&place);
    assert_eq!(after.len(), FOREIGN.len(), "{:?}", after.keys());
    for (name, _) in FOREIGN {
        let now = String::from_utf8(after[name].clone()).unwrap();
        assert!(
            now.contains("late") && !now.contains("commontrace"),
            "{name}: {now}"
        );
    }
    let theirs = String::from_utf8(after[".claude/settings.json"].clone()).unwrap();
    assert!(
        theirs.contains("say done") && theirs.contains("// mine"),
        "{theirs}"
    );
}

#[tokio::test]
async fn files_of_ours_that_somebody_changed_are_left() {
    let place = home();
    setup(&place, &["claude", "gemini"]).await;
    let skill = place.path(".claude/skills/commontrace/SKILL.md");
    std::fs::write(&skill, "mine now").unwrap();
    let ran = setup(&place, &["--remove", "claude", "gemini"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr
            .contains("skipped   claude: ~/.claude/skills/commontrace/SKILL.md"),
        "{ran:?}"
    );
    assert_eq!(
        files(&place).into_keys().collect::<Vec<_>>(),
        [".claude/skills/commontrace/SKILL.md"]
    );
}

#[tokio::test]
async fn what_two_hosts_share_stays_until_both_are_taken_out() {
    let place = home();
    setup(&place, &["vscode", "copilot"]).await;
    let skill = ".copilot/skills/commontrace/SKILL.md";
    setup(&place, &["--remove", "vscode"]).await.ok();
    assert!(files(&place).contains_key(skill));
    assert!(!files(&place).contains_key(".config/Code/User/mcp.json"));
    setup(&place, &["--remove", "copilot"]).await.ok();
    assert_eq!(files(&place).len(), 0);
    assert!(
        !place.path(".copilot").exists(),
        "folders that were made go too"
    );
}

#[tokio::test]
async fn a_dry_run_shows_each_change_and_writes_nothing() {
    let place = with_foreign_files();
    let before = files(&place);
    let said = setup(&place, &[&["--dry-run"][..], &HOSTS].concat())
        .await
        .ok();
    assert_eq!(files(&place), before);
    assert!(!place.path(".local").exists(), "nothing is kept either");
    for (name, _) in FOREIGN {
        let path = place.path(name).display().to_string();
        assert!(
            said.contains(&format!("--- {path}\n+++ {path}\n@@ ")),
            "{name}: {said}"
        );
    }
    assert!(said.contains("+[mcp_servers.commontrace]"), "{said}");
    assert!(said.contains("--- /dev/null"), "{said}");
}

#[tokio::test]
async fn modes_and_links_stay_what_they_are() {
    let place = home();
    let kept = place.write("dotfiles/claude.json", "{}\n");
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::create_dir(place.path(".claude")).unwrap();
    let link = place.path(".claude/settings.json");
    std::os::unix::fs::symlink("../dotfiles/claude.json", &link).unwrap();
    setup(&place, &["claude"]).await;
    assert!(link.is_symlink());
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.contains("hook"), "{text}");
    let mode = |name: &str| place.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("dotfiles/claude.json"), 0o640);
    assert_eq!(mode(".claude.json"), 0o600);
    assert_eq!(mode(".local/share/commontrace/setup/backups"), 0o700);
    setup(&place, &["--remove", "claude"]).await.ok();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "{}\n");
    assert_eq!(mode("dotfiles/claude.json"), 0o640);
}

#[tokio::test]
async fn several_at_once_leave_what_one_leaves() {
    let alone = with_foreign_files();
    setup(&alone, &HOSTS).await;
    let place = with_foreign_files();
    let runs = (0..4).map(|_| setup(&place, &HOSTS));
    let runs = futures_util::future::join_all(runs).await;
    let updated = |ran: &crate::place::Ran| outcomes(ran).contains_key("updated");
    assert_eq!(
        runs.iter().filter(|ran| updated(ran)).count(),
        1,
        "{runs:?}"
    );
    assert!(
        runs.iter().all(|ran| !ran.stderr.contains("skipped")),
        "{runs:?}"
    );
    assert_eq!(files(&place), files(&alone));
}

#[tokio::test]
async fn a_run_that_is_killed_leaves_whole_files_and_the_next_one_finishes() {
    let whole = with_foreign_files();
    setup(&whole, &HOSTS).await;
    let whole = files(&whole);
    let place = with_foreign_files();
    let before = files(&place);
    let words: Vec<&str> = ["setup"].into_iter().chain(HOSTS).collect();
    let mut child = place.command(&words).stdout(Stdio::null()).spawn().unwrap();
    let is_begun = async {
        while files(&place) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, is_begun)
        .await
        .expect("it begins");
    child.kill().await.unwrap();
    for (name, text) in files(&place) {
        let is_new = whole.get(&name) == Some(&text);
        let is_rest = name.ends_with(".commontrace-new");
        assert!(
            is_new || is_rest || before.get(&name) == Some(&text),
            "{name}"
        );
    }
    setup(&place, &HOSTS).await;
    assert_eq!(files(&place), whole);
    setup(&place, &[&["--remove"][..], &HOSTS].concat())
        .await
        .ok();
    assert_eq!(files(&place), before);
}

#[tokio::test]
async fn a_program_that_moved_is_wired_anew_and_not_twice() {
    let place = with_foreign_files();
    setup(&place, &HOSTS).await;
    let written = files(&place);
    let moved = env!("CARGO_BIN_EXE_commontrace");
    for name in written.keys() {
        let text = std::fs::read_to_string(place.path(name)).unwrap();
        std::fs::write(
            place.path(name),
            text.replace(moved, "/old/place/commontrace"),
        )
        .unwrap();
    }
    let ran = setup(&place, &HOSTS).await;
    assert!(outcomes(&ran)["updated"] >= FOREIGN.len(), "{ran:?}");
    assert_eq!(files(&place), written);
}
