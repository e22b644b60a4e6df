//! PostgreSQL servers of a test's own: a primary that asks for a password, and a streaming standby.
//!
//! They run as an unprivileged user in a directory of their own, listen on sockets there, and are
//! ended by their process ids when the test drops them; the kernel ends them if the test is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// The password of both servers' superuser; it must not turn up in anything that is printed.
pub const PASSWORD: &str = "correct-horse-battery-staple";
/// How long a server may take to come up, on a machine under load: after a kill, a standby first
/// replays what the primary wrote since its last restart point, which can be gigabytes.
const START: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A primary and its standby.
#[derive(Debug)]
pub struct Cluster {
    /// The server that is written to.
    pub primary: Server,
    /// The server that follows it.
    pub standby: Server,
    // Removed last.
    _dir: TempDir,
}

impl Cluster {
    /// Starts both and waits until they answer.
    pub async fn start() -> Self {
        Self::start_in(&std::env::temp_dir()).await
    }

    /// Starts both with their data in a directory of their own in `folder`.
    pub async fn start_in(folder: &Path) -> Self {
        let bin = programs();
        let dir = TempDir::with_prefix_in("commontrace-cluster-", folder);
        let dir = dir.expect("a temporary directory");
        if geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").arg("nobody").arg(dir.path()));
        }
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file in it");
        run(Command::new("chmod").arg("a+r").arg(&password));
        let mut primary = Server::new(&bin, dir.path(), "primary");
        run(unprivileged(&bin.join("initdb"), dir.path())
            .arg(format!("--pgdata={}", primary.data().display()))
            .arg(format!("--pwfile={}", password.display()))
            .args(["--username=postgres", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]));
        primary.start().await;
        let mut standby = Server::new(&bin, dir.path(), "standby");
        run(unprivileged(&bin.join("pg_basebackup"), dir.path())
            .env("PGPASSWORD", PASSWORD)
            .arg(format!("--pgdata={}", standby.data().display()))
            .arg(format!("--host={}", primary.socket.display()))
            .args(["--username=postgres", "--write-recovery-conf"])
            // So that the primary keeps what the standby misses while it is away.
            .args(["--create-slot", "--slot=standby"])
            .args(["--checkpoint=fast", "--no-sync"]));
        standby.start().await;
        Self {
            primary,
            standby,
            _dir: dir,
        }
    }

    /// Waits until the standby has replayed all that the primary has written.
    pub async fn caught_up(&self) {
        let written = self
            .primary
            .ask("SELECT pg_current_wal_insert_lsn()::text")
            .await;
        let replayed = format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::text");
        let begun = Instant::now();
        while self.standby.ask(&replayed).await != "true" {
            assert!(begun.elapsed() < START, "the standby does not follow");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// One server.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    /// The directory of the data, the socket and the log of this server.
    socket: PathBuf,
    child: Option<Child>,
}

impl Server {
    fn new(bin: &Path, dir: &Path, name: &str) -> Self {
        let socket = dir.join(name);
        std::fs::create_dir(&socket).expect("a directory in it");
        if geteuid().is_root() {
            run(Command::new("chown").arg("nobody").arg(&socket));
        }
        Self {
            bin: bin.to_owned(),
            socket,
            child: None,
        }
    }

    fn data(&self) -> PathBuf {
        self.socket.join("data")
    }

    /// Its address, with the password.
    pub fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    /// Its address with this password.
    pub fn url_with(&self, password: &str) -> String {
        format!(
            "postgres://postgres:{password}@localhost/postgres?host={}",
            self.socket.display()
        )
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        let begun = Instant::now();
        loop {
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(self.socket.join("log"))
                .expect("a log");
            let child = unprivileged(&self.bin.join("postgres"), &self.socket)
                .arg("-D")
                .arg(self.data())
                .arg("-k")
                .arg(&self.socket)
                .args(["-c", "listen_addresses=", "-c", "fsync=off"])
                // With less memory a standby writes more than it replays, and falls behind for good.
                .args(["-c", "max_connections=300", "-c", "shared_buffers=256MB"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            let child = self.child.insert(child.expect("the server starts"));
            // One that was killed may leave its memory in use for a moment; then it ends again.
            while child.try_wait().expect("a child of ours").is_none() {
                if PgConnection::connect(&url_of(&self.socket)).await.is_ok() {
                    return;
                }
                assert!(begun.elapsed() < START, "{}", log_of(&self.socket));
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            assert!(begun.elapsed() < START, "{}", log_of(&self.socket));
        }
    }

    /// Starts it if it has ended by itself.
    pub async fn start_if_ended(&mut self) {
        let child = self.child.as_mut().expect("it was started");
        if child.try_wait().expect("a child of ours").is_some() {
            self.start().await;
        }
    }

    /// Ends it as its operator does, without waiting for clients.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Signals all of its processes, so that it stands still or goes on.
    pub fn signal_all(&self, signal: Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        let children = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace() {
            if let Some(child) = child.parse().ok().and_then(Pid::from_raw) {
                // One that has ended meanwhile needs no signal.
                let _ = kill_process(child, signal);
            }
        }
        self.signal(signal);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        // A process of ours that was not waited for still has its id.
        let _ = kill_process(Pid::from_child(child), signal);
    }

    fn end(&mut self, signal: Signal) {
        if self.child.is_some() {
            self.signal(signal);
        }
        if let Some(mut child) = self.child.take() {
            child.wait().expect("a child of ours");
        }
    }

    /// Asks it for one text.
    pub async fn ask(&self, sql: &str) -> String {
        let mut db = PgConnection::connect(&self.url())
            .await
            .expect("the server answers");
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut db)
            .await
            .expect("the statement runs")
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        let mut db = PgConnection::connect(&self.url())
            .await
            .expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut db)
            .await
            .expect("the statement runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that stands still hears nothing else.
        if self.child.is_some() {
            self.signal_all(Signal::CONT);
        }
        self.end(Signal::QUIT);
    }
}

fn url_of(socket: &Path) -> String {
    format!(
        "postgres://postgres:{PASSWORD}@localhost/postgres?host={}",
        socket.display()
    )
}

fn log_of(socket: &Path) -> String {
    std::fs::read_to_string(socket.join("log")).unwrap_or_default()
}

/// A program of PostgreSQL's, run in `dir` by a user who may do little, and ended with this test.
fn unprivileged(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if geteuid().is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.arg("--").arg(program).current_dir(dir);
    command
}

/// The directory of PostgreSQL's programs.
fn programs() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/fetch-postgres.sh");
    let printed = Command::new(script)
        .stderr(Stdio::inherit())
        .output()
        .expect("bash is there");
    assert!(printed.status.success(), "no PostgreSQL for the tests");
    let text = String::from_utf8(printed.stdout).expect("a path in UTF-8");
    PathBuf::from(text.trim())
}

fn run(command: &mut Command) {
    let ran = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
}
