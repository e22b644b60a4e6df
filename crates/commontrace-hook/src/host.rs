//! The programs that agents run in, and which of their events are of use here.
//!
//! One table for both sides: what is written into a host's settings, and what is understood when it comes.

/// A program that agents run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// Cursor.
    Cursor,
    /// Gemini CLI.
    Gemini,
    /// VS Code with Copilot.
    Vscode,
    /// Copilot CLI.
    Copilot,
    /// opencode, whose plugin passes its events on.
    Opencode,
}

/// An event that a host is asked to tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wiring {
    /// The host's name for it.
    pub event: &'static str,
    /// Which tools it is about, in the host's notation; all if none is given.
    pub matcher: Option<&'static str>,
    /// Seconds after which the host may go on without an answer.
    pub timeout: u32,
}

const fn on(event: &'static str, timeout: u32) -> Wiring {
    Wiring {
        event,
        matcher: None,
        timeout,
    }
}

const fn on_tools(event: &'static str, matcher: &'static str, timeout: u32) -> Wiring {
    Wiring {
        event,
        matcher: Some(matcher),
        timeout,
    }
}

/// Shells, what changes files, and our own tools, which a plugin's host gives another name.
const CLAUDE_TOOLS: &str = "^(Bash|PowerShell|Edit|MultiEdit|Write|NotebookEdit)$|^mcp__(plugin_commontrace_)?commontrace__";

impl Host {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Claude,
        Self::Codex,
        Self::Cursor,
        Self::Gemini,
        Self::Vscode,
        Self::Copilot,
        Self::Opencode,
    ];

    /// The name on the command line, in settings and in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
            Self::Gemini => "gemini",
            Self::Vscode => "vscode",
            Self::Copilot => "copilot",
            Self::Opencode => "opencode",
        }
    }

    /// Finds a host by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.name() == name)
    }

    /// The events that are of use here. Those of opencode are what our plugin there passes on.
    #[must_use]
    pub fn events(self) -> &'static [Wiring] {
        const CLAUDE: [Wiring; 6] = [
            on("SessionStart", 5),
            on("UserPromptSubmit", 5),
            on_tools("PostToolUse", CLAUDE_TOOLS, 5),
            on_tools("PostToolUseFailure", "Bash|PowerShell", 5),
            on("Stop", 5),
            on("SessionEnd", 1),
        ];
        // It tells of failures in PostToolUse, and has no end of a session.
        const CODEX: [Wiring; 4] = [
            on("SessionStart", 5),
            on("UserPromptSubmit", 5),
            on("PostToolUse", 5),
            on("Stop", 5),
        ];
        const CURSOR: [Wiring; 6] = [
            on("sessionStart", 5),
            on("beforeSubmitPrompt", 5),
            on("postToolUse", 5),
            on("postToolUseFailure", 5),
            on("stop", 5),
            on("sessionEnd", 1),
        ];
        const GEMINI: [Wiring; 5] = [
            on("SessionStart", 5),
            on("BeforeAgent", 5),
            on("AfterTool", 5),
            on("AfterAgent", 5),
            on("SessionEnd", 1),
        ];
        const VSCODE: [Wiring; 4] = [
            on("SessionStart", 5),
            on("UserPromptSubmit", 5),
            on("PostToolUse", 5),
            on("Stop", 5),
        ];
        const COPILOT: [Wiring; 6] = [
            on("sessionStart", 5),
            on("userPromptSubmitted", 5),
            on("postToolUse", 5),
            on("postToolUseFailure", 5),
            on("agentStop", 5),
            on("sessionEnd", 1),
        ];
        const OPENCODE: [Wiring; 3] = [
            on("session.start", 5),
            on("tool.after", 5),
            on("session.idle", 5),
        ];
        match self {
            Self::Claude => &CLAUDE,
            Self::Codex => &CODEX,
            Self::Cursor => &CURSOR,
            Self::Gemini => &GEMINI,
            Self::Vscode => &VSCODE,
            Self::Copilot => &COPILOT,
            Self::Opencode => &OPENCODE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_its_name() {
        for host in Host::ALL {
            assert_eq!(Host::named(host.name()), Some(host));
        }
        assert_eq!(Host::named("emacs"), None);
    }
}
