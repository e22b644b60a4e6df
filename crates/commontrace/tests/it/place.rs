//! A home directory of its own for each test, and the program run in it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use commontrace_store::{Engine, Location};
use commontrace_testkit::Home;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::server::Server;

/// How long anything may take before a test gives up; far more than it takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How long to let others work between two looks.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A user's home with a store; nothing of the machine's own settings reaches into it.
#[derive(Debug)]
pub struct Place {
    home: TempDir,
    variables: Vec<(String, String)>,
    _database: Option<Home>,
}

impl Place {
    /// A home with an empty data directory, and no embedding model.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let place = Self {
            home,
            variables: Vec::new(),
            _database: None,
        };
        let data = place.data_dir().display().to_string();
        place
            .with("COMMONTRACE_DATA_DIR", &data)
            .with("COMMONTRACE_LISTEN", "127.0.0.1:0")
            .with("EMBEDDING_PROVIDER", "none")
            .with("RATE_LIMIT_READ_PER_MINUTE", "1000000")
            .with("RATE_LIMIT_WRITE_PER_MINUTE", "1000000")
            .with("RATE_LIMIT_REGISTER_PER_HOUR", "1000000")
    }

    /// The same with its data on this engine.
    pub async fn on(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self::new(),
            Engine::Postgres => {
                let (location, database) = commontrace_testkit::empty(engine).await;
                let Location::Server(url) = location else {
                    unreachable!("PostgreSQL is a server")
                };
                let place = Self::new().with("DATABASE_URL", &url);
                Self {
                    _database: Some(database),
                    ..place
                }
            }
        }
    }

    /// Sets a variable for every program run here.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a variable out again.
    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Writes the user's settings file.
    pub fn settings(&self, toml: &str) {
        self.write(".config/commontrace/config.toml", toml);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file below the home directory and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is below the home")).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Where the data is.
    pub fn location(&self) -> Location {
        let url = self
            .variables
            .iter()
            .find(|(name, _)| name == "DATABASE_URL");
        let url = url.map_or("", |(_, url)| url);
        Location::parse(url, &self.data_dir()).expect("an address")
    }

    /// Runs a statement on the bare database.
    pub async fn sql(&self, sql: &str) {
        match self.location() {
            Location::File(path) => crate::commands::sqlite(&path, sql).await,
            Location::Server(url) => {
                let mut db = PgConnection::connect(&url).await.unwrap();
                let sql = AssertSqlSafe(sql.to_owned());
                sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
            }
        }
    }

    /// Asks the bare database for a number.
    pub async fn number(&self, sql: &'static str) -> i64 {
        match self.location() {
            Location::File(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut db = options.connect().await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
            }
            Location::Server(_) => {
                let mut db = self.connection().await;
                sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
            }
        }
    }

    /// Runs a statement in a transaction of a PostgreSQL database that stays open until it is
    /// released.
    pub async fn holding(&self, sql: &'static str) -> Held {
        let mut db = self.connection().await;
        sqlx::raw_sql("BEGIN").execute(&mut db).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        Held(db)
    }

    async fn connection(&self) -> PgConnection {
        let Location::Server(url) = self.location() else {
            panic!("this is about PostgreSQL")
        };
        PgConnection::connect(&url).await.unwrap()
    }

    /// The program with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commontrace"));
        command.args(arguments);
        self.set_up(command)
    }

    /// The same, begun by this line of shell.
    pub fn command_after(&self, line: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{line}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_commontrace"))
            .args(arguments);
        self.set_up(command)
    }

    fn set_up(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments), b"").await
    }

    /// Runs the program to its end with this on its standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        finish(self.command(arguments), input).await
    }

    /// Starts a server and waits until it serves.
    pub async fn serve(&self) -> Server {
        Server::start(self.command(&["serve"])).await
    }

    /// Starts a server that leaves embedding to workers.
    pub async fn serve_without_worker(&self) -> Server {
        Server::start(self.command(&["serve", "--no-worker"])).await
    }

    /// Starts a worker and waits until it works.
    pub async fn work(&self) -> Server {
        Server::start(self.command(&["worker"])).await
    }
}

/// A transaction that is open, with the locks it has taken.
#[derive(Debug)]
pub struct Held(PgConnection);

impl Held {
    pub async fn release(self) {
        self.0.close().await.unwrap();
    }
}

pub async fn finish(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that does not read its input may have ended before it is written.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let ended = timeout(DEADLINE, child.wait_with_output()).await;
    Ran::from(ended.expect("the command ends").unwrap())
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("the program prints text"),
            stderr: String::from_utf8(output.stderr).expect("the program prints text"),
        }
    }
}

impl Ran {
    /// What was printed by a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Asserts that it failed with this code, naming all of `names`, with a hint what to do.
    #[track_caller]
    pub fn failed_with_hint(&self, code: i32, names: &[&str]) {
        self.failed(code, names);
        assert!(self.stderr.contains("\nhint: "), "no hint: {self:?}");
    }

    /// Asserts that it failed with this code, naming all of `names`.
    #[track_caller]
    pub fn failed(&self, code: i32, names: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains("error: "), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for name in names {
            assert!(
                self.stderr.contains(name),
                "`{name}` is not named: {self:?}"
            );
        }
    }

    /// The value in the line `name: value` of what was printed.
    #[track_caller]
    pub fn value(&self, name: &str) -> String {
        let value = self
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .to_owned()
    }
}

/// The starter traces of this repository.
pub fn repository_seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../seeds")
}
