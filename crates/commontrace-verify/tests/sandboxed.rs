//! Verification in the embedded sandbox, as it runs in the product. The program of these tests is its own
//! launcher, so it has no harness: a sandbox has to be entered before there is a second thread.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails where it stands, and says what it did"
)]

#[path = "it/support.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use commontrace_sandbox::{Bind, Launcher, Toolchains, Wanted};
use commontrace_verify::git::Protocol;
use commontrace_verify::runner::Limits;
use commontrace_verify::sandboxed::SandboxRunner;
use commontrace_verify::setup::Setup;
use commontrace_verify::verdict::{Flag, Status};
use commontrace_verify::verify::{Change, Context, Request, verify};
use commontrace_verify::{Reason, Verdict};
use support::TestRepository;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    if let Some(code) = commontrace_sandbox::launched() {
        return code;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [_, hang, folder] = &std::env::args().collect::<Vec<_>>()[..]
        && hang == HANG
    {
        runtime.block_on(hang_in(Path::new(folder)));
        return ExitCode::SUCCESS;
    }
    runtime.block_on(async {
        a_fix_is_verified_in_isolation().await;
        tests_reach_neither_the_network_nor_the_host().await;
        what_a_set_up_brings_in_can_be_read_and_not_changed().await;
        limits_are_infrastructure_or_a_timeout().await;
        a_fix_in_rust_is_verified_in_isolation().await;
        a_killed_verification_leaves_nothing_that_cannot_be_removed();
    });
    ExitCode::SUCCESS
}

async fn check(request: &Request, toolchains: Toolchains) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let runner = SandboxRunner::new(Launcher::this_program(), Wanted::Auto, toolchains);
    let context = Context {
        runner: &runner,
        folder: folder.path(),
        protocols: &[Protocol::File],
        fetch_limit: Duration::from_secs(60),
        clock: &|| Duration::ZERO,
        progress: &|_| {},
        logs: None,
        cancel: CancellationToken::new(),
    };
    verify(request, &context).await.verdict
}

const COMMAND: &str = "sh tests/run.sh > $COMMONTRACE_REPORTS/run.tap";

/// A repository whose test is a line of shell, and a change that makes it true.
fn request(repository: &TestRepository, test: &str) -> Request {
    let tests = format!(
        ". ./lib.sh\nif {test}; then echo 'ok 1 - t'; s=0; else echo 'not ok 1 - t'; s=1; fi\necho 1..1\nexit $s\n"
    );
    let base = repository.commit(&[("lib.sh", "fixed=0\n"), ("tests/run.sh", &tests)]);
    let fix = repository.commit(&[("lib.sh", "fixed=1\n")]);
    let mut request = Request::new(&repository.url(), &base, Change::Commit(fix), COMMAND);
    request.runs = 2;
    request
}

async fn a_fix_is_verified_in_isolation() {
    let repository = TestRepository::new();
    let request = request(&repository, "echo x > file && [ $fixed = 1 ]");
    let verdict = check(&request, Toolchains::default()).await;
    assert_eq!(verdict.status, Status::Verified, "{verdict:#?}");
    assert!(!verdict.flags.contains(&Flag::NotIsolated));
    assert!(
        verdict.isolation[0].contains("userns"),
        "{:?}",
        verdict.isolation
    );
    println!(
        "a fix is verified in isolation ... ok ({})",
        verdict.isolation[0]
    );
}

async fn tests_reach_neither_the_network_nor_the_host() {
    let repository = TestRepository::new();
    let outside = repository.path().join("lib.sh").display().to_string();
    let test = format!(
        "[ $fixed = 1 ] && [ ! -e {outside} ] && [ \"$(ls /sys/class/net 2>/dev/null | grep -v lo)\" = '' ]"
    );
    let verdict = check(&request(&repository, &test), Toolchains::default()).await;
    assert_eq!(verdict.status, Status::Verified, "{verdict:#?}");
    println!("tests reach neither the network nor the host ... ok");
}

async fn what_a_set_up_brings_in_can_be_read_and_not_changed() {
    let repository = TestRepository::new();
    let test = "[ $fixed = 1 ] && [ -f node_modules/x ] && [ -f $COMMONTRACE_DEPENDENCIES/y ] && ! touch $COMMONTRACE_DEPENDENCIES/z 2>/dev/null";
    let mut request = request(&repository, test);
    request.setup = Setup::Command(
        "mkdir node_modules && touch node_modules/x $COMMONTRACE_DEPENDENCIES/y".into(),
    );
    let verdict = check(&request, Toolchains::default()).await;
    assert_eq!(verdict.status, Status::Verified, "{verdict:#?}");
    println!("what a set-up brings in can be read and not changed ... ok");
}

async fn limits_are_infrastructure_or_a_timeout() {
    let repository = TestRepository::new();
    let mut request = request(&repository, "[ $fixed = 0 ] || sleep 600");
    request.runs = 1;
    request.limits = Limits {
        wall: Duration::from_secs(5),
        ..Limits::default()
    };
    let verdict = check(&request, Toolchains::default()).await;
    assert_eq!(verdict.reason, Reason::TimedOutAfter, "{verdict:#?}");
    request.command = "python3 -c 'x = bytearray(1 << 30); print(len(x))'".into();
    request.limits = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    let verdict = check(&request, Toolchains::default()).await;
    assert_ne!(verdict.tests_passed, Some(true), "{verdict:#?}");
    // Where nothing but the kernel's limits hold, the program ends by its own error.
    assert!(
        matches!(verdict.status, Status::Infrastructure | Status::InvalidRun),
        "{verdict:#?}"
    );
    request.command = "head -c 300M /dev/zero".into();
    request.limits = Limits::default();
    let loud = check(&request, Toolchains::default()).await;
    assert_eq!(loud.reason, Reason::OutputLimit, "{loud:#?}");
    assert_eq!(
        (loud.status, loud.tests_passed),
        (Status::Infrastructure, None)
    );
    println!(
        "limits are infrastructure or a timeout ... ok ({})",
        verdict.message
    );
}

async fn a_fix_in_rust_is_verified_in_isolation() {
    let repository = TestRepository::new();
    let source = |op: &str| format!("pub fn add(a: i32, b: i32) -> i32 {{ a {op} b }}\n");
    let base = repository.commit(&[
        (
            "Cargo.toml",
            "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
        ),
        (
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"calc\"\nversion = \"0.1.0\"\n",
        ),
        ("src/lib.rs", &source("-")),
        (
            "tests/it.rs",
            "#[test]\nfn sum() { assert_eq!(calc::add(1, 2), 3); }\n",
        ),
    ]);
    let fix = repository.commit(&[("src/lib.rs", &source("+"))]);
    // The toolchain that builds this, without the proxies of rustup.
    let toolchain = Path::new(env!("CARGO")).ancestors().nth(2).unwrap();
    let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", toolchain.display());
    let toolchains = Toolchains {
        binds: vec![Bind::read_only(toolchain)],
        env: vec![("PATH".into(), path.into())],
    };
    let mut request = Request::new(&repository.url(), &base, Change::Commit(fix), "cargo test");
    request.runs = 2;
    let verdict = check(&request, toolchains).await;
    assert_eq!(verdict.status, Status::Verified, "{verdict:#?}");
    assert_eq!(verdict.lists.fail_to_pass[0].id, "it(tests/it.rs)::sum");
    println!("a fix in Rust is verified in isolation ... ok");
}

/// The argument that makes this program verify something that does not end.
const HANG: &str = "hang";

async fn hang_in(folder: &Path) {
    let repository = TestRepository::new();
    let request = request(&repository, "sleep 600");
    let runner = SandboxRunner::new(
        Launcher::this_program(),
        Wanted::Auto,
        Toolchains::default(),
    );
    let context = Context {
        runner: &runner,
        folder,
        protocols: &[Protocol::File],
        fetch_limit: Duration::from_secs(60),
        clock: &|| Duration::ZERO,
        progress: &|step| println!("{step:?}"),
        logs: None,
        cancel: CancellationToken::new(),
    };
    verify(&request, &context).await;
}

fn a_killed_verification_leaves_nothing_that_cannot_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([HANG, folder.path().to_str().unwrap()])
        // What it cannot remove itself goes with this test.
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("Running")));
    let left = || -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("work-")).collect()
    };
    // As long as it lives nobody else takes its folder away.
    assert_eq!(commontrace_verify::reap(folder.path()).unwrap(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left().len(), 2, "the folder and its lock");
    assert_eq!(commontrace_verify::reap(folder.path()).unwrap(), 1);
    assert!(left().is_empty());
    println!("a killed verification leaves nothing that cannot be removed ... ok");
}
