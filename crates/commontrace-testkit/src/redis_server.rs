//! A Redis of a test's own, which the test may kill, start again and stop for a while.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

/// Longest wait for a server to answer; a machine under load needs a few seconds.
const START: Duration = Duration::from_secs(60);
/// How long to let it work between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A `redis-server` on a port of its own, without anything on the disk. It ends with its owner.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    password: String,
    dir: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// Starts one with a password, if it is not empty, and with these arguments.
    pub async fn start_with(password: &str, arguments: &[&str]) -> Self {
        let mut arguments: Vec<String> = arguments.iter().map(|&text| text.into()).collect();
        if !password.is_empty() {
            arguments.extend(["--requirepass".into(), password.into()]);
        }
        let begun = Instant::now();
        loop {
            let (port, dir) = (free_port(), tempfile::tempdir());
            let dir = dir.expect("a temporary directory");
            let mut server = Self {
                child: spawn(port, &arguments, &dir),
                port,
                arguments: arguments.clone(),
                password: password.into(),
                dir,
            };
            if server.answers().await {
                return server;
            }
            // Another process has taken the port in between.
            assert!(begun.elapsed() < START, "redis-server does not start");
        }
    }

    /// Returns its address, password included.
    pub fn url(&self) -> String {
        let Self { port, password, .. } = self;
        match password.as_str() {
            "" => format!("redis://127.0.0.1:{port}"),
            _ => format!("redis://:{password}@127.0.0.1:{port}"),
        }
    }

    /// Ends it as a power cut would. What it kept is lost.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was, and waits until it answers.
    pub async fn start_again(&mut self) {
        self.kill();
        let begun = Instant::now();
        loop {
            self.child = spawn(self.port, &self.arguments, &self.dir);
            if self.answers().await {
                return;
            }
            assert!(begun.elapsed() < START, "redis-server does not start again");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Stops it without ending it: connections stay open and nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process has an id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Sends it a command and returns the answer.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut line = self.line().await.expect("the test's Redis answers");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer = command.query_async(&mut line).await;
        answer.unwrap_or_else(|err| panic!("{words:?}: {err}"))
    }

    async fn line(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        client.get_multiplexed_async_connection().await
    }

    /// Waits until it answers or ends.
    async fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < START {
            if let Ok(mut line) = self.line().await
                && redis::cmd("PING").exec_async(&mut line).await.is_ok()
            {
                return true;
            }
            sleep(LOOK_AGAIN).await;
        }
        self.kill();
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, arguments: &[String], dir: &TempDir) -> Child {
    // It ends when the thread that started it does, so that a test that is killed leaves nothing.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", &redis_server()])
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(dir.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be started; `make test` installs it")
}

/// Finds a port that nobody listens on. Below those that the system gives to outgoing connections,
/// one of which could have it when the server is started again.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let spread = std::process::id().wrapping_mul(97) + u32::from(step);
        let port = 10_000 + (spread % 20_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner hands the program over this way"
)]
fn redis_server() -> String {
    std::env::var("COMMONTRACE_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}
