//! Runs commands in the sandbox, as this user and as an ordinary one, and looks afterwards whether
//! anything is left of them.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use commontrace_sandbox::{Outcome, Spec};
use tempfile::TempDir;

/// Who runs the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Whoever runs the tests, which is often root.
    Own,
    /// A user without any rights.
    Ordinary,
}

/// The number of nobody's user and group.
const NOBODY: u32 = 65534;

/// A tree and a folder for what belongs to a test.
pub struct Bench {
    folder: TempDir,
    caller: Caller,
    launcher: PathBuf,
}

/// A fork bomb that burns out by itself if nothing else stops it: 2,000 processes harm no machine.
pub const BOMB: &str = "bomb() { [ $1 = 0 ] || { bomb $(($1 - 1)) & bomb $(($1 - 1)) & }; sleep 1000; }; bomb 10 & exec sleep 1000";

/// What came back: an outcome, or an error's code and text.
pub type Answer = Result<Outcome, (String, String)>;

impl Bench {
    /// A bench with an empty tree that belongs to the caller.
    pub fn new(caller: Caller) -> Self {
        let folder = TempDir::with_prefix("sandbox-test-").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_sandbox-launcher"));
        // A name of its own, by which its processes are found.
        let launcher = folder.path().join("launcher");
        if reachable_for_all(binary) {
            symlink(binary, &launcher).unwrap();
        } else {
            fs::copy(binary, &launcher).unwrap();
            fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let bench = Self {
            folder,
            caller,
            launcher,
        };
        bench.folder("tree");
        bench.folder("out");
        bench
    }

    /// A path of the test's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a folder that belongs to the caller.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        self.give(&path);
        path
    }

    /// Makes a file that belongs to the caller.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    /// The program that launches sandboxes, by a name of its own.
    pub fn launcher(&self) -> &Path {
        &self.launcher
    }

    fn give(&self, path: &Path) {
        if self.drops() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Whether the caller has to be made another user than the test's.
    fn drops(&self) -> bool {
        self.caller == Caller::Ordinary && rustix::process::geteuid().is_root()
    }

    /// What runs a script of the shell on the tree.
    pub fn sh(&self, script: &str) -> Spec {
        Spec::new(["sh", "-c", script], self.path("tree"))
    }

    /// What runs a program in Python on the tree.
    pub fn python(&self, script: &str) -> Spec {
        Spec::new(["/usr/bin/python3", "-c", script], self.path("tree"))
    }

    /// Runs it, and makes sure that nothing is left.
    #[track_caller]
    pub fn run(&self, spec: &Spec) -> Answer {
        let answer = finish(self.start(spec));
        self.assert_nothing_left();
        answer
    }

    /// Runs a script of the shell that has to end by itself, and returns what it wrote.
    #[track_caller]
    pub fn output_of(&self, spec: &Spec) -> String {
        let outcome = self.run(spec).unwrap();
        let text = outcome.output.text();
        assert!(outcome.end.is_success(), "{:?}: {text}", outcome.end);
        text
    }

    /// Starts it, with a standard input that cancels it when it closes.
    pub fn start(&self, spec: &Spec) -> Child {
        self.start_by(spec, &[])
    }

    /// Starts it by another program, which gets the command line as its last arguments.
    pub fn start_by(&self, spec: &Spec, wrapper: &[&OsStr]) -> Child {
        let mut line: Vec<&OsStr> = Vec::new();
        if self.drops() {
            let user = [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
            ];
            line.extend(user.map(OsStr::new));
        }
        line.extend(wrapper);
        line.push(self.launcher.as_os_str());
        let log = self.file("log", "");
        let mut child = Command::new(line[0])
            .args(&line[1..])
            .env("SECRET_OF_THE_HOST", "do-not-tell")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut request = serde_json::to_vec(&(spec, log)).unwrap();
        request.push(b'\n');
        child.stdin.as_mut().unwrap().write_all(&request).unwrap();
        child
    }

    /// Fails if a process, a mount or a control group of this bench is still there.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.processes(), Vec::<String>::new(), "processes are left");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let own = self.folder.path().to_str().unwrap();
        assert!(!mounts.contains(own), "mounts are left: {mounts}");
    }

    /// The launchers of this bench, and everything that they have started.
    pub fn processes(&self) -> Vec<String> {
        let own = self.folder.path().as_os_str().as_encoded_bytes();
        let is_own = |pid: &i32| {
            let holds = |file: &str| {
                let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                bytes.windows(own.len()).any(|window| window == own)
            };
            holds("cmdline") || holds("environ")
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        all.filter(is_own)
            .map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default())
            .filter(|stat| !stat.is_empty() && !stat.contains(") Z "))
            .collect()
    }

    /// Marks what the command starts, so that it is found if it is left.
    pub fn marked(&self, mut spec: Spec) -> Spec {
        spec.env.push(("MARK".into(), self.folder.path().into()));
        spec
    }
}

/// Waits for what was started.
#[track_caller]
pub fn finish(mut child: Child) -> Answer {
    let stdin = child.stdin.take();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    drop(stdin);
    child.wait().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|err| panic!("no answer: {err}: {text}"))
}

fn reachable_for_all(path: &Path) -> bool {
    path.ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 1 == 1))
}
