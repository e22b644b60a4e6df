//! The plugins: the texts in `plugin/`, which are part of this program, and what in them names its path.

use std::path::{Path, PathBuf};

use commontrace_hook::host::Host;
use serde_json::{Value, json};

use super::wiring::{self, NAME};
use super::{files, json};

macro_rules! plugin_file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin/", $name))
    };
}

/// When an agent is to think of us, and how; the same text for every host.
pub const SKILL: &str = plugin_file!("skills/commontrace/SKILL.md");

/// Name and text of each file below a folder.
pub type Files = Vec<(&'static str, String)>;

/// The plugin of Claude Code, which is an Agent Plugin too.
pub fn claude(program: &str) -> Files {
    let stdio = json!({ "type": "stdio", "command": program, "args": ["mcp"] });
    let portable = json!({
        "$schema": "https://agent-plugins.org/schemas/1.0.0/mcp.schema.json",
        "mcpServers": { NAME: stdio },
    });
    let hooks = wiring::hooks_alone(Host::Claude, program);
    vec![
        (
            ".claude-plugin/plugin.json",
            plugin_file!(".claude-plugin/plugin.json").to_owned(),
        ),
        (
            ".claude-plugin/marketplace.json",
            plugin_file!(".claude-plugin/marketplace.json").to_owned(),
        ),
        (".mcp.json", print(json!({ "mcpServers": { NAME: stdio } }))),
        ("README.md", plugin_file!("README.md").to_owned()),
        ("plugin.json", plugin_file!("plugin.json").to_owned()),
        ("mcp.json", print(portable)),
        ("hooks/hooks.json", json::print(&hooks)),
        ("skills/commontrace/SKILL.md", SKILL.to_owned()),
        (
            "commands/search.md",
            plugin_file!("commands/search.md").to_owned(),
        ),
        (
            "commands/contribute.md",
            plugin_file!("commands/contribute.md").to_owned(),
        ),
    ]
}

/// The extension of Gemini CLI.
pub fn gemini_extension(program: &str) -> Files {
    let manifest = json!({
        "name": NAME,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "A shared memory of solved problems",
        "mcpServers": { NAME: { "command": program, "args": ["mcp"] } },
    });
    let hooks = wiring::hooks_alone(Host::Gemini, program);
    vec![
        ("gemini-extension.json", print(manifest)),
        ("hooks/hooks.json", json::print(&hooks)),
        ("skills/commontrace/SKILL.md", SKILL.to_owned()),
    ]
}

/// The plugin of opencode.
pub fn opencode(program: &str) -> String {
    let program = Value::from(program).to_string();
    include_str!("opencode.js").replace("\"@PROGRAM@\"", &program)
}

/// Writes the plugin of Claude Code into the data directory and returns where: the same bytes whenever the
/// program is the same, because the host takes any other for an update.
pub fn render(data_dir: &Path, program: &str) -> Result<PathBuf, String> {
    let folder = data_dir.join("claude-plugin");
    for (name, text) in claude(program) {
        let path = folder.join(name);
        let written = files::read(&path).and_then(|before| match before {
            Some(before) if before == text => Ok(()),
            _ => files::overwrite(&path, &text),
        });
        written.map_err(|why| format!("{} {why}", path.display()))?;
    }
    Ok(folder)
}

fn print(value: Value) -> String {
    match value {
        Value::Object(object) => json::print(&object),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_repository_is_what_is_rendered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin");
        for (name, text) in claude(NAME) {
            let path = folder.join(name);
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(kept, text, "{}", path.display());
        }
    }

    #[test]
    fn manifests_carry_the_version_of_the_program() {
        for name in [".claude-plugin/plugin.json", "plugin.json"] {
            let files = claude(NAME);
            let text = files.iter().find(|(file, _)| *file == name).unwrap();
            let manifest: Value = serde_json::from_str(&text.1).unwrap();
            assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"), "{name}");
        }
    }
}
