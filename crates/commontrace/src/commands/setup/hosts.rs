//! The hosts: how to tell that one is there, and which files of it are written with what.

use std::path::{Path, PathBuf};

use commontrace_hook::host::Host;
use serde_json::{Value, json};

use super::home::Home;
use super::plugin;
use super::wiring::{self, NAME};
use super::{json, toml};

/// A file of a host.
#[derive(Debug)]
pub struct Piece {
    pub path: PathBuf,
    pub form: Form,
}

/// What we have in a file.
#[derive(Debug, Clone)]
pub enum Form {
    /// An MCP server in the table of this name.
    Server { table: &'static str, server: Value },
    /// Hooks beside those of others.
    Hooks(Host),
    /// Codex's table of MCP servers.
    CodexServer,
    /// All of it.
    Whole(String),
}

impl Form {
    /// Whether others may have something in the file as well.
    pub fn is_shared(&self) -> bool {
        !matches!(self, Self::Whole(_))
    }

    /// What is in it, for people.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Server { .. } | Self::CodexServer => "MCP server",
            Self::Hooks(_) => "hooks",
            Self::Whole(_) => "ours",
        }
    }

    /// The text with ours in it.
    pub fn put(&self, text: Option<&str>, program: &str) -> Result<String, String> {
        if let Self::Whole(ours) = self {
            return Ok(ours.clone());
        }
        if let Self::CodexServer = self {
            return toml::put(text.unwrap_or(""), program);
        }
        let old = json::parse(text.unwrap_or(""))?;
        let new = match self {
            Self::Server { table, server } => wiring::put_server(old.clone(), table, server)?,
            Self::Hooks(host) => wiring::put_hooks(old.clone(), *host, program)?,
            Self::CodexServer | Self::Whole(_) => unreachable!("returned above"),
        };
        match text {
            None => Ok(json::print(&new)),
            Some(text) if new == old => Ok(text.to_owned()),
            Some(text) => json::rewrite(text, &old, &new),
        }
    }

    /// The text without ours, or nothing if nothing of others is left in a file of ours.
    pub fn take(&self, text: &str) -> Result<Option<String>, String> {
        let old = match self {
            Self::Whole(_) => return Ok(None),
            Self::CodexServer => return toml::take(text).map(Some),
            Self::Server { .. } | Self::Hooks(_) => json::parse(text)?,
        };
        let new = match self {
            Self::Server { table, .. } => wiring::take_server(old.clone(), table),
            Self::Hooks(host) => wiring::take_hooks(old.clone(), *host),
            Self::CodexServer | Self::Whole(_) => unreachable!("returned above"),
        };
        if new == old {
            Ok(Some(text.to_owned()))
        } else {
            json::rewrite(text, &old, &new).map(Some)
        }
    }
}

/// The host's own name.
pub fn title(host: Host) -> &'static str {
    match host {
        Host::Claude => "Claude Code",
        Host::Codex => "Codex CLI",
        Host::Cursor => "Cursor",
        Host::Gemini => "Gemini CLI",
        Host::Vscode => "VS Code",
        Host::Copilot => "Copilot CLI",
        Host::Opencode => "opencode",
    }
}

/// What tells that a host is there, if it is: a program or a folder.
pub fn found(host: Host, home: &Home) -> Option<PathBuf> {
    let (programs, folders): (&[&str], Vec<PathBuf>) = match host {
        Host::Claude => (&["claude"], vec![claude_folder(home), claude_state(home)]),
        Host::Codex => (&["codex"], vec![codex_folder(home)]),
        Host::Cursor => (&["cursor", "cursor-agent"], vec![home.path(".cursor")]),
        Host::Gemini => (&["gemini"], vec![home.path(".gemini")]),
        Host::Vscode => (&["code", "code-insiders"], vscode_folders(home)),
        Host::Copilot => (&["copilot"], vec![copilot_folder(home)]),
        Host::Opencode => (&["opencode"], vec![opencode_folder(home)]),
    };
    let mut programs = programs.iter().filter_map(|name| home.program(name));
    programs
        .next()
        .or_else(|| folders.into_iter().find(|folder| folder.exists()))
}

/// The files of a host, with what goes into them.
pub fn pieces(host: Host, home: &Home, program: &str) -> Vec<Piece> {
    let stdio = || json!({ "type": "stdio", "command": program, "args": ["mcp"] });
    let server = |path: PathBuf, table, server| Piece {
        path,
        form: Form::Server { table, server },
    };
    let hooks = |path: PathBuf| Piece {
        path,
        form: Form::Hooks(host),
    };
    let whole = |path: PathBuf, text: String| Piece {
        path,
        form: Form::Whole(text),
    };
    let skill = |folder: PathBuf| whole(skill_in(&folder), plugin::SKILL.to_owned());
    match host {
        Host::Claude => vec![
            server(claude_state(home), "mcpServers", stdio()),
            hooks(claude_folder(home).join("settings.json")),
            skill(claude_folder(home)),
        ],
        Host::Codex => vec![
            Piece {
                path: codex_folder(home).join("config.toml"),
                form: Form::CodexServer,
            },
            hooks(codex_folder(home).join("hooks.json")),
            skill(codex_folder(home)),
        ],
        Host::Cursor => vec![
            server(home.path(".cursor/mcp.json"), "mcpServers", stdio()),
            hooks(home.path(".cursor/hooks.json")),
            skill(home.path(".cursor")),
        ],
        // An extension, because hooks in its settings were seen not to run.
        Host::Gemini => {
            let folder = gemini_extension(home);
            let files = plugin::gemini_extension(program).into_iter();
            files
                .map(|(name, text)| whole(folder.join(name), text))
                .collect()
        }
        Host::Vscode => {
            let mut folders = vscode_folders(home);
            let first = folders.remove(0);
            let others = folders.into_iter().filter(|folder| folder.exists());
            let servers = std::iter::once(first)
                .chain(others)
                .map(|folder| server(folder.join("mcp.json"), "servers", stdio()));
            let alone = wiring::hooks_alone(host, program);
            servers
                .chain([
                    whole(vscode_hooks(home), json::print(&alone)),
                    skill(copilot_folder(home)),
                ])
                .collect()
        }
        Host::Copilot => {
            let entry = json!({
                "type": "local", "command": program, "args": ["mcp"], "tools": ["*"],
            });
            let alone = wiring::hooks_alone(host, program);
            vec![
                server(
                    copilot_folder(home).join("mcp-config.json"),
                    "mcpServers",
                    entry,
                ),
                whole(copilot_hooks(home), json::print(&alone)),
                skill(copilot_folder(home)),
            ]
        }
        Host::Opencode => {
            let entry = json!({ "type": "local", "command": [program, "mcp"], "enabled": true });
            let folder = opencode_folder(home);
            vec![
                server(opencode_settings(home), "mcp", entry),
                whole(opencode_plugin(home), plugin::opencode(program)),
                skill(folder),
            ]
        }
    }
}

/// Where a host finds what it starts.
#[derive(Debug)]
pub struct Wired {
    /// The files with MCP servers, and the name of the table in each.
    pub servers: Vec<(PathBuf, &'static str)>,
    /// The file with hooks, or with what passes events on.
    pub hooks: PathBuf,
    /// Files and the path of a truth in each that switches hooks off.
    pub switches: Vec<Switch>,
}

/// A key by which a user may have switched hooks off.
#[derive(Debug)]
pub struct Switch {
    pub path: PathBuf,
    pub key: &'static [&'static str],
    /// The value that means off.
    pub off: bool,
}

/// Where a host finds its MCP servers and its hooks.
pub fn wired(host: Host, home: &Home) -> Wired {
    let switch = |path: PathBuf, key, off| Switch { path, key, off };
    let (servers, hooks, switches) = match host {
        Host::Claude => {
            let settings = claude_folder(home).join("settings.json");
            (
                vec![(claude_state(home), "mcpServers")],
                settings.clone(),
                vec![switch(settings, &["disableAllHooks"], true)],
            )
        }
        Host::Codex => {
            let config = codex_folder(home).join("config.toml");
            (
                vec![(config.clone(), "mcp_servers")],
                codex_folder(home).join("hooks.json"),
                vec![
                    switch(config.clone(), &["features", "hooks"], false),
                    switch(config, &["features", "codex_hooks"], false),
                ],
            )
        }
        Host::Cursor => (
            vec![(home.path(".cursor/mcp.json"), "mcpServers")],
            home.path(".cursor/hooks.json"),
            Vec::new(),
        ),
        Host::Gemini => {
            let folder = gemini_extension(home);
            let settings = home.path(".gemini/settings.json");
            (
                vec![(folder.join("gemini-extension.json"), "mcpServers")],
                folder.join("hooks/hooks.json"),
                vec![switch(settings, &["hooksConfig", "enabled"], false)],
            )
        }
        Host::Vscode => {
            let folders = vscode_folders(home).into_iter().enumerate();
            let read = folders.filter(|(at, folder)| *at == 0 || folder.exists());
            (
                read.map(|(_, folder)| (folder.join("mcp.json"), "servers"))
                    .collect(),
                vscode_hooks(home),
                Vec::new(),
            )
        }
        Host::Copilot => {
            let folder = copilot_folder(home);
            (
                vec![(folder.join("mcp-config.json"), "mcpServers")],
                copilot_hooks(home),
                vec![switch(
                    folder.join("config.json"),
                    &["disableAllHooks"],
                    true,
                )],
            )
        }
        Host::Opencode => (
            vec![(opencode_settings(home), "mcp")],
            opencode_plugin(home),
            Vec::new(),
        ),
    };
    Wired {
        servers,
        hooks,
        switches,
    }
}

/// What a user has to know or do beside, one sentence each.
pub fn notes(host: Host) -> &'static [&'static str] {
    match host {
        Host::Codex => &[
            "Codex runs hooks only after you trust them: start it, enter /hooks and trust those of commontrace",
        ],
        Host::Gemini => &["Gemini CLI uses extensions and hooks only in folders that you trust"],
        Host::Vscode => &[
            "VS Code asks whether you trust the server when it first starts it",
            "VS Code reads the hooks of Claude Code too; an event that arrives twice is answered once",
        ],
        _ => &[],
    }
}

pub fn claude_folder(home: &Home) -> PathBuf {
    home.named_by("CLAUDE_CONFIG_DIR", ".claude")
}

/// Where Claude Code keeps the user's MCP servers, among much else.
pub fn claude_state(home: &Home) -> PathBuf {
    match home.variable("CLAUDE_CONFIG_DIR") {
        Some(folder) => folder.join(".claude.json"),
        None => home.path(".claude.json"),
    }
}

pub fn codex_folder(home: &Home) -> PathBuf {
    home.named_by("CODEX_HOME", ".codex")
}

fn gemini_extension(home: &Home) -> PathBuf {
    home.path(".gemini/extensions").join(NAME)
}

/// The folders of the user's settings, of which the first always gets ours.
fn vscode_folders(home: &Home) -> Vec<PathBuf> {
    let base = if cfg!(target_os = "macos") {
        home.path("Library/Application Support")
    } else {
        home.named_by("XDG_CONFIG_HOME", ".config")
    };
    ["Code/User", "Code - Insiders/User"]
        .map(|name| base.join(name))
        .into()
}

fn vscode_hooks(home: &Home) -> PathBuf {
    copilot_folder(home).join("hooks/commontrace-vscode.json")
}

pub fn copilot_folder(home: &Home) -> PathBuf {
    home.named_by("COPILOT_HOME", ".copilot")
}

fn copilot_hooks(home: &Home) -> PathBuf {
    copilot_folder(home).join("hooks/commontrace.json")
}

fn opencode_folder(home: &Home) -> PathBuf {
    home.named_by("OPENCODE_CONFIG_DIR", ".config/opencode")
}

/// Both names are read; the one that exists is written, and with comments before without.
fn opencode_settings(home: &Home) -> PathBuf {
    let with_comments = opencode_folder(home).join("opencode.jsonc");
    if with_comments.exists() {
        with_comments
    } else {
        opencode_folder(home).join("opencode.json")
    }
}

fn opencode_plugin(home: &Home) -> PathBuf {
    opencode_folder(home).join("plugins/commontrace.js")
}

fn skill_in(folder: &Path) -> PathBuf {
    folder.join("skills").join(NAME).join("SKILL.md")
}
