//! What a host would start: read back from its files as it reads them, and started as it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use commontrace_hook::host::Host;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::home::Home;
use super::wiring::NAME;
use super::{files, json};

/// How long a server may take to say what tools it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// A command in a host's file.
#[derive(Debug)]
pub struct Started {
    words: Vec<String>,
    /// A line for the shell instead of words.
    by_shell: bool,
    env: BTreeMap<String, String>,
    deadline: Duration,
}

/// Reads a file of a host, JSON or TOML, as values.
pub fn read(path: &Path) -> Result<Value, String> {
    let text = files::read(path)?.ok_or("does not exist")?;
    if path.extension().is_some_and(|ending| ending == "toml") {
        let table: toml::Table = text.parse().map_err(|_| "is not valid TOML")?;
        serde_json::to_value(table).map_err(|err| err.to_string())
    } else {
        json::parse(&text).map(Value::Object)
    }
}

/// The MCP server that a file registers.
pub fn server(path: &Path, table: &str) -> Result<Started, String> {
    let file = read(path)?;
    let server = &file[table][NAME];
    if server.is_null() {
        return Err(format!("has no server {NAME} in {table}"));
    }
    if server["enabled"] == false || server["disabled"] == true {
        return Err(format!("has the server {NAME} switched off"));
    }
    let mut words = match &server["command"] {
        Value::Array(words) => texts(words),
        Value::String(command) => vec![command.clone()],
        _ => return Err(format!("names no command for {NAME}")),
    };
    words.extend(
        server["args"]
            .as_array()
            .map(|args| texts(args))
            .unwrap_or_default(),
    );
    let env = server.get("env").or_else(|| server.get("environment"));
    let env = env.and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Started {
        words,
        by_shell: false,
        env: env
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        deadline: PATIENCE,
    })
}

/// The commands of ours that a file has for an event.
pub fn hooks(host: Host, path: &Path, event: &str) -> Result<Vec<Started>, String> {
    if host == Host::Opencode {
        return shim(path).map(|started| vec![started]);
    }
    let file = read(path)?;
    let list = file["hooks"][event].as_array().cloned().unwrap_or_default();
    let flat = list
        .into_iter()
        .flat_map(|element| match element.get("hooks") {
            Some(Value::Array(inner)) => inner.clone(),
            _ => vec![element],
        });
    Ok(flat.filter_map(|hook| hook_in(host, &hook)).collect())
}

/// The command of a hook, if it is one of ours for this host.
fn hook_in(host: Host, hook: &Value) -> Option<Started> {
    let command = hook["command"].as_str().or_else(|| hook["bash"].as_str())?;
    let args = hook["args"].as_array().map(|args| texts(args));
    let line = format!("{command} {}", args.clone().unwrap_or_default().join(" "));
    let is_ours = line.contains(NAME) && line.contains(&format!(" hook {}", host.name()));
    let deadline = match host {
        Host::Gemini => Duration::from_millis(hook["timeout"].as_u64()?),
        Host::Copilot => Duration::from_secs(hook["timeoutSec"].as_u64()?),
        _ => Duration::from_secs(hook["timeout"].as_u64()?),
    };
    is_ours.then(|| Started {
        by_shell: args.is_none(),
        words: std::iter::once(command.to_owned())
            .chain(args.unwrap_or_default())
            .collect(),
        env: BTreeMap::new(),
        deadline,
    })
}

/// The program that opencode's plugin starts.
fn shim(path: &Path) -> Result<Started, String> {
    let text = files::read(path)?.ok_or("does not exist")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("const PROGRAM = "));
    let program = line.and_then(|line| serde_json::from_str::<String>(line).ok());
    let program = program.ok_or("is not the plugin that this program writes")?;
    Ok(Started {
        words: vec![program, "hook".to_owned(), Host::Opencode.name().to_owned()],
        by_shell: false,
        env: BTreeMap::new(),
        deadline: Duration::from_secs(5),
    })
}

fn texts(values: &[Value]) -> Vec<String> {
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Started {
    /// Starts it with no more of the environment than a host has that was not started from a shell.
    fn command(&self, home: &Home) -> Command {
        let mut command = if self.by_shell {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(&self.words[0]);
            shell
        } else {
            let mut command = Command::new(&self.words[0]);
            command.args(&self.words[1..]);
            command
        };
        command
            .env_clear()
            .env("HOME", home.dir())
            .envs(&self.env)
            .current_dir(home.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Begins a conversation with an MCP server and returns how many tools it has.
    pub async fn tools(&self, home: &Home) -> Result<usize, String> {
        let spawned = self.command(home).spawn();
        let mut child = spawned.map_err(|err| self.not_started(&err))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("has no input and output".to_owned());
        };
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "commontrace setup", "version": env!("CARGO_PKG_VERSION") },
        }});
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} });
        let asked = format!("{hello}\n{ready}\n{list}\n");
        let answered = async {
            stdin.write_all(asked.as_bytes()).await.ok()?;
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await.ok()? {
                let answer: Value = serde_json::from_str(&line).ok()?;
                if answer["id"] == 2 {
                    return answer["result"]["tools"].as_array().map(Vec::len);
                }
            }
            None
        };
        match timeout(self.deadline, answered).await {
            Ok(Some(tools)) if tools > 0 => Ok(tools),
            Ok(_) => Err(format!(
                "`{}` does not speak the protocol",
                self.words.join(" ")
            )),
            Err(_) => Err(format!(
                "`{}` does not answer in time",
                self.words.join(" ")
            )),
        }
    }

    /// Runs a hook with this on its standard input, apart from what it keeps, and returns what it printed.
    pub async fn answer(&self, home: &Home, data: &Path, event: &Value) -> Result<String, String> {
        let mut command = self.command(home);
        command.env("COMMONTRACE_DATA_DIR", data);
        let mut child = command.spawn().map_err(|err| self.not_started(&err))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that has nothing to do may end without reading.
            let _ = stdin.write_all(event.to_string().as_bytes()).await;
        }
        let ended = timeout(self.deadline, child.wait_with_output()).await;
        let ended = ended
            .map_err(|_| format!("`{}` takes longer than it may", self.words.join(" ")))?
            .map_err(|err| self.not_started(&err))?;
        if !ended.status.success() {
            return Err(format!(
                "`{}` ends with {}",
                self.words.join(" "),
                ended.status
            ));
        }
        String::from_utf8(ended.stdout).map_err(|_| "prints what is not text".to_owned())
    }

    fn not_started(&self, err: &std::io::Error) -> String {
        format!("cannot start `{}`: {err}", self.words.join(" "))
    }
}
