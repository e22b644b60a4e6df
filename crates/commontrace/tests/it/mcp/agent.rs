//! An agent's host: starts `commontrace mcp` and speaks the protocol with it over its pipes.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::place::{DEADLINE, Place};

/// The last revision that begins with `initialize`.
pub const WITH_INITIALIZE: &str = "2025-11-25";
/// The first revision in which each request stands alone.
pub const STATELESS: &str = "2026-07-28";

/// A running `commontrace mcp`.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

/// What a tool told.
#[derive(Debug)]
pub struct Told {
    pub text: String,
    pub is_error: bool,
}

impl Agent {
    /// Starts it; nothing is said yet.
    pub fn start(place: &Place) -> Self {
        let mut command = place.command(&["mcp"]);
        command.stdin(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self {
            stdin: child.stdin.take(),
            stdout: stdout.lines(),
            child,
            asked: 0,
        }
    }

    /// Starts it and opens a conversation as today's hosts do.
    pub async fn connect(place: &Place) -> Self {
        let mut agent = Self::start(place);
        agent.initialize(WITH_INITIALIZE).await;
        agent
    }

    /// Opens a conversation in a revision and returns the answer.
    pub async fn initialize(&mut self, revision: &str) -> Value {
        let hello = json!({
            "protocolVersion": revision, "capabilities": {},
            "clientInfo": { "name": "a test", "version": "1" },
        });
        let answer = self.ask("initialize", hello).await;
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.send(&ready).await;
        answer["result"].clone()
    }

    pub async fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    /// Sends a request and returns the whole answer.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        let answer = self.message().await.expect("an answer");
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The next message; whatever else is on standard output fails the test.
    pub async fn message(&mut self) -> Option<Value> {
        let line = timeout(DEADLINE, self.stdout.next_line())
            .await
            .expect("an answer in time");
        let line = line.unwrap()?;
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        Some(message)
    }

    /// Calls a tool.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Told {
        let params = json!({ "name": tool, "arguments": arguments });
        Told::of(&self.ask("tools/call", params).await)
    }

    /// Calls a tool that succeeds.
    pub async fn told(&mut self, tool: &str, arguments: Value) -> String {
        let told = self.call(tool, arguments).await;
        assert!(!told.is_error, "{told:?}");
        told.text
    }

    /// Calls a tool that fails.
    pub async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let told = self.call(tool, arguments).await;
        assert!(told.is_error, "{told:?}");
        told.text
    }

    /// Tells it to end, as hosts do that do not close its input.
    pub fn terminate(&self) {
        let id = self.child.id().expect("it runs") as i32;
        let pid = Pid::from_raw(id).expect("a process has an id");
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Goes away and returns the exit code, what else came, and the log.
    pub async fn leave(mut self) -> (Option<i32>, Vec<Value>, String) {
        drop(self.stdin.take());
        let mut rest = Vec::new();
        while let Some(message) = self.message().await {
            rest.push(message);
        }
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).await.unwrap();
        let ended = timeout(DEADLINE, self.child.wait()).await.expect("it ends");
        (ended.unwrap().code(), rest, log)
    }
}

impl Told {
    /// Reads the one text that every host hands over.
    pub fn of(answer: &Value) -> Self {
        let result = &answer["result"];
        let content = result["content"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(content.len(), 1, "{answer}");
        assert!(result.get("structuredContent").is_none(), "{answer}");
        Self {
            text: content[0]["text"].as_str().expect("a text").to_owned(),
            is_error: result["isError"] == true,
        }
    }
}

/// What each request of the revision without a beginning carries.
pub fn meta(revision: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// The first UUID in a text, as hooks look for it.
pub fn first_id(text: &str) -> String {
    let is_id = |word: &&str| {
        let lengths: Vec<usize> = word.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12]
    };
    let mut words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words
        .find(is_id)
        .unwrap_or_else(|| panic!("no id in {text}"))
        .to_owned()
}
