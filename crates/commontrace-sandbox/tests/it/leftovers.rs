//! Nothing stays behind, however a run ends.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Child;

use commontrace_sandbox::{CancellationToken, End, Launcher, Spec, run};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::Caller::{self, Ordinary, Own};
use crate::harness::{Bench, finish};

/// What starts daemons and says over a pipe in `/out` that it runs.
fn announcing(bench: &Bench) -> Spec {
    let script = "setsid sh -c 'setsid sleep 1000 & sleep 1000' & (sleep 1000 &) & echo up > /out/pipe; wait";
    let mut spec = bench.marked(bench.sh(script));
    let host = bench.path("out");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        host.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    fs::set_permissions(
        host.join("pipe"),
        std::os::unix::fs::PermissionsExt::from_mode(0o666),
    )
    .unwrap();
    spec.binds = vec![commontrace_sandbox::Bind {
        host: host.clone(),
        inside: "/out".into(),
        writable: true,
    }];
    spec
}

/// Waits until it runs.
fn wait_for(bench: &Bench) {
    let mut said = String::new();
    let mut pipe = fs::File::open(bench.path("out/pipe")).unwrap();
    pipe.read_to_string(&mut said).unwrap();
    assert_eq!(said, "up\n");
}

/// Starts it, and waits until it runs.
fn started(bench: &Bench) -> (Child, Spec) {
    let spec = announcing(bench);
    let child = bench.start(&spec);
    wait_for(bench);
    (child, spec)
}

/// Waits until something holds; a test that waits in vain is ended by its runner.
fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

#[rstest]
fn daemons_end_with_the_command(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let script = "setsid sh -c 'setsid sleep 1000 & exec sleep 1000' >/dev/null 2>&1 & \
                  (setsid nohup sleep 1000 >/dev/null 2>&1 &) ; exit 0";
    let outcome = bench.run(&bench.marked(bench.sh(script))).unwrap();
    assert_eq!(outcome.end, End::Exited(0));
}

#[rstest]
fn a_daemon_that_holds_the_output_holds_nobody_up(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.marked(bench.sh("setsid sleep 1000 & echo end")));
    assert_eq!(said, "end\n");
}

#[rstest]
fn everything_ends_with_a_supervisor_that_is_killed(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let (mut child, _) = started(&bench);
    assert!(bench.processes().len() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| bench.processes().is_empty());
    bench.assert_nothing_left();
}

#[rstest]
fn everything_ends_with_a_launcher_that_is_killed(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let (child, _) = started(&bench);
    let own = i32::try_from(child.id()).unwrap();
    for launcher in children_of(own) {
        kill_process(Pid::from_raw(launcher).unwrap(), Signal::KILL).unwrap();
    }
    let (code, _) = finish(child).unwrap_err();
    assert_eq!(
        code, "launch_failed",
        "nobody knows how the command would have ended"
    );
    wait_until(|| bench.processes().is_empty());
}

#[rstest]
fn control_groups_of_the_killed_are_removed_by_the_next(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let (mut child, mut spec) = started(&bench);
    let own = format!("-{}-", child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| bench.processes().is_empty());
    spec.command = vec!["true".into()];
    // The first that starts when the kernel is done with the processes removes their groups.
    while !groups(&own).is_empty() {
        bench.run(&spec).unwrap();
    }
}

#[rstest]
fn control_groups_end_with_their_run(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let (mut child, _) = started(&bench);
    let own = format!("-{}-", child.id());
    drop(child.stdin.take());
    assert_eq!(finish(child).unwrap().end, End::Cancelled);
    assert_eq!(groups(&own), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_ends_with_a_run_that_is_abandoned() {
    let bench = Bench::new(Own);
    let spec = announcing(&bench);
    let launcher = Launcher {
        program: bench.launcher().to_owned(),
    };
    let log = bench.path("log");
    let cancel = CancellationToken::new();
    let (given, by, token) = (spec.clone(), launcher.clone(), cancel.clone());
    let file = log.clone();
    let task = tokio::spawn(async move { run(&given, &by, &file, &token).await.map(|_| ()) });
    wait_for(&bench);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    wait_until(|| bench.processes().is_empty());
    let mut next = spec;
    next.command = vec!["true".into()];
    // The first that starts when the kernel is done with the processes removes their groups.
    let own = format!("-{}-", std::process::id());
    while !groups(&own).is_empty() {
        run(&next, &launcher, &log, &cancel).await.unwrap();
    }
}

fn children_of(parent: i32) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        after.split(' ').nth(1) == Some(&parent.to_string())
    })
    .collect()
}

/// The control groups of sandboxes whose name holds this.
fn groups(part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(Path::new("/sys/fs/cgroup").to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("commontrace-sandbox-") && name.contains(part) {
                found.push(entry.path());
            } else if depth < 4 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    found
}
