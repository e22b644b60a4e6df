//! A running server: started, watched through its log, stopped.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::client::Client;
use crate::place::DEADLINE;

/// A server process, or a worker, which answers little. It is killed when a test drops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Log,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it serves.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let log = Log::of(child.stderr.take().expect("it is piped"));
        let line = log.line(" on http://").await;
        let (_, rest) = line.split_once(" on http://").expect("it was waited for");
        let address = rest
            .split([' ', '"'])
            .next()
            .expect("a text has a first part");
        let address = address
            .parse()
            .unwrap_or_else(|_| panic!("no address in {line}"));
        Self {
            child,
            log,
            address,
        }
    }

    /// Somebody who sends requests without a key.
    pub fn anyone(&self) -> Client {
        Client::new(self.address)
    }

    /// Registers an account.
    pub async fn user(&self) -> Client {
        self.anyone().register().await
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line with this text.
    pub async fn logs(&self, text: &str) -> String {
        self.log.line(text).await
    }

    /// Closes the pipe that the log goes into.
    pub async fn stop_reading_the_log(&mut self) {
        self.log.reader.abort();
        self.log.closed().await;
    }

    /// The process, which has not ended.
    pub fn pid(&self) -> Pid {
        let id = self.child.id().expect("it was not waited for") as i32;
        Pid::from_raw(id).expect("a process has an id")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the end and returns how it ended, and all that was logged.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let ended = timeout(DEADLINE, self.child.wait()).await;
        let status = ended.expect("the server ends").unwrap();
        self.log.closed().await;
        (status, self.log.text())
    }

    /// Stops it as an operator does and expects a clean end.
    pub async fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Ends it as a power cut would.
    pub async fn kill(self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }
}

/// Collects what a process writes to standard error.
#[derive(Debug)]
struct Log {
    text: Arc<Mutex<String>>,
    /// How many lines there are; the sender is gone when the process has closed the pipe.
    lines: watch::Receiver<usize>,
    reader: AbortHandle,
}

impl Log {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let (count, lines) = watch::channel(0);
        let reader = tokio::spawn({
            let text = Arc::clone(&text);
            async move {
                let mut pipe = BufReader::new(pipe).lines();
                while let Ok(Some(line)) = pipe.next_line().await {
                    let mut text = text.lock().unwrap();
                    text.push_str(&line);
                    text.push('\n');
                    drop(text);
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        Self {
            text,
            lines,
            reader: reader.abort_handle(),
        }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    async fn line(&self, wanted: &str) -> String {
        let mut lines = self.lines.clone();
        let find = || {
            self.text()
                .lines()
                .find(|line| line.contains(wanted))
                .map(str::to_owned)
        };
        let found = timeout(DEADLINE, async {
            loop {
                // Marked as seen before looking, so that no line is missed in between.
                lines.borrow_and_update();
                match find() {
                    Some(line) => return Some(line),
                    None if lines.changed().await.is_err() => return find(),
                    None => {}
                }
            }
        });
        match found.await {
            Ok(Some(line)) => line,
            _ => panic!("`{wanted}` was not logged:\n{}", self.text()),
        }
    }

    async fn closed(&self) {
        let mut lines = self.lines.clone();
        timeout(DEADLINE, async { while lines.changed().await.is_ok() {} })
            .await
            .expect("the pipe is closed");
    }
}
