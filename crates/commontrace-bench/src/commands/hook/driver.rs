//! Starts the hook as a host does: a process, the event on standard input, the answer on standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How the hook is started.
#[derive(Debug)]
pub struct Driver {
    binary: PathBuf,
    data_dir: PathBuf,
    home: PathBuf,
}

/// What a run of the hook did.
#[derive(Debug)]
pub struct Answer {
    /// From before the process was started until it had ended.
    pub took: Duration,
    /// What the agent is told, if anything.
    pub told: Option<String>,
}

impl Driver {
    /// A hook with this data directory, and a home that holds nothing.
    pub fn new(binary: PathBuf, data_dir: PathBuf, folder: &Path) -> Result<Self> {
        let home = folder.join("home");
        std::fs::create_dir_all(&home)?;
        Ok(Self {
            binary,
            data_dir,
            home,
        })
    }

    /// The hooks' history, which is there once something has failed.
    pub fn history(&self) -> PathBuf {
        self.data_dir.join("history.db")
    }

    /// Forgets what happened in projects.
    pub fn forget(&self) -> Result<()> {
        for ending in ["", "-wal", "-shm"] {
            let file = self.data_dir.join(format!("history.db{ending}"));
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    /// Lines that hooks have left in their log.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.data_dir.join("hook.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The program with its arguments and surroundings.
    pub fn command(&self, host: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["hook", host])
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin")
            .env("COMMONTRACE_DATA_DIR", &self.data_dir)
            .current_dir(&self.home);
        command
    }

    /// Runs the hook on an event. Whatever is no answer of a well-behaved hook is an error.
    pub fn run(&self, host: &str, event: &Value) -> Result<Answer> {
        let event = serde_json::to_vec(event)?;
        let mut command = self.command(host);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let mut stdin = child.stdin.take().context("a pipe was asked for")?;
        stdin.write_all(&event)?;
        drop(stdin);
        let ended = child.wait_with_output()?;
        let took = begun.elapsed();
        if !ended.status.success() {
            bail!("the hook ended with {}", ended.status);
        }
        let told = told(&ended.stdout, &ended.stderr)?;
        Ok(Answer { took, told })
    }
}

/// Reads what a hook printed.
pub fn told(stdout: &[u8], stderr: &[u8]) -> Result<Option<String>> {
    if !stderr.is_empty() {
        bail!(
            "the hook printed to standard error: {}",
            String::from_utf8_lossy(stderr).trim()
        );
    }
    if stdout.is_empty() {
        return Ok(None);
    }
    let answer: Value =
        serde_json::from_slice(stdout).context("the hook's answer is no JSON object")?;
    let context = answer
        .pointer("/hookSpecificOutput/additionalContext")
        .or_else(|| answer.get("additionalContext"));
    let context = context
        .and_then(Value::as_str)
        .context("the hook's answer tells nothing")?;
    Ok(Some(context.to_owned()))
}
