//! Commands that want all there is.

use std::time::Duration;

use commontrace_sandbox::{By, End, TimeLimit};
use rstest::rstest;

use crate::harness::Caller::{self, Ordinary, Own};
use crate::harness::{BOMB, Bench};

const MIB: u64 = 1 << 20;

#[rstest]
fn a_fork_bomb_burns_out(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.marked(bench.sh(BOMB));
    spec.limits.processes = 40;
    spec.limits.wall = Duration::from_secs(2);
    let outcome = bench.run(&spec).unwrap();
    let contained = [End::TimedOut(TimeLimit::Wall), End::TooManyProcesses];
    assert!(contained.contains(&outcome.end), "{:?}", outcome.end);
}

#[rstest]
fn processes_are_counted_together(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.python(
        r#"
import os, time
made = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
except OSError:
    print(made)
"#,
    );
    spec.limits.processes = 40;
    let outcome = bench.run(&spec).unwrap();
    if outcome.isolation.enforcement.processes == By::Watching {
        assert_eq!(outcome.end, End::TooManyProcesses);
    } else {
        assert_eq!(outcome.output.text(), "39\n");
    }
}

#[rstest]
fn a_failure_for_want_of_processes_is_told_where_they_are_counted(
    #[values(Own, Ordinary)] caller: Caller,
) {
    let bench = Bench::new(caller);
    let mut spec = bench.python(
        "import subprocess\nheld = [subprocess.Popen(['sleep', '1000']) for _ in range(100)]",
    );
    spec.limits.processes = 40;
    let outcome = bench.run(&spec).unwrap();
    if outcome.isolation.enforcement.processes == By::Rlimit {
        assert_eq!(outcome.end, End::Exited(1));
    } else {
        assert_eq!(outcome.end, End::TooManyProcesses);
    }
}

#[rstest]
fn memory_is_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec =
        bench.python("import time\nheld = bytearray(b'x') * (200 << 20)\ntime.sleep(1000)");
    spec.limits.memory = 128 * MIB;
    spec.limits.wall = Duration::from_secs(60);
    assert_eq!(bench.run(&spec).unwrap().end, End::OutOfMemory);
}

#[rstest]
fn memory_is_counted_together(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.python(
        r#"
import os, sys, time
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        held = bytearray(b'x') * (60 << 20)
        time.sleep(1000)
    children.append(child)
for child in children:
    if os.waitpid(child, 0)[1]:
        sys.exit("a child was ended")
"#,
    );
    spec.limits.memory = 128 * MIB;
    spec.limits.wall = Duration::from_secs(60);
    assert_eq!(bench.run(&spec).unwrap().end, End::OutOfMemory);
}

#[rstest]
fn a_process_lost_for_want_of_memory_is_told_whatever_the_exit_code(
    #[values(Own, Ordinary)] caller: Caller,
) {
    let bench = Bench::new(caller);
    // Each fits alone, and both hold what they have until one of them is ended.
    let mut spec = bench.python(
        r#"
import os, sys, time
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        held = bytearray(b'x') * (100 << 20)
        time.sleep(1000)
    children.append(child)
ended, _ = os.wait()
children.remove(ended)
os.kill(children[0], 9)
sys.exit(0)
"#,
    );
    spec.limits.memory = 128 * MIB;
    spec.limits.wall = Duration::from_secs(60);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::OutOfMemory, "{}", outcome.output.text());
}

#[rstest]
fn a_process_within_its_memory_lives(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.python("held = bytearray(b'x') * (60 << 20); print(len(held))");
    spec.limits.memory = 128 * MIB;
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::Exited(0), "{}", outcome.output.text());
}

#[rstest]
fn file_systems_are_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    for place in ["/tmp", "/dev/shm", "/src"] {
        let mut spec = bench.sh(&format!("head -c 64M /dev/zero > {place}/big"));
        spec.limits.disk = 16 * MIB;
        spec.tree_mode = commontrace_sandbox::TreeMode::Overlay { size: 16 * MIB };
        let outcome = bench.run(&spec).unwrap();
        assert_eq!(
            outcome.end,
            End::DiskFull,
            "{place}: {}",
            outcome.output.text()
        );
    }
    assert!(!bench.path("tree/big").exists());
}

#[rstest]
fn empty_files_are_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.python("for i in range(100000): open(f'/tmp/{i}', 'w').close()");
    spec.limits.disk = 16 * MIB;
    assert_eq!(bench.run(&spec).unwrap().end, End::DiskFull);
}

#[rstest]
fn a_file_has_a_largest_size(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("exec head -c 2M /dev/zero > file");
    spec.limits.file_size = MIB;
    spec.tree_mode = commontrace_sandbox::TreeMode::ReadWrite;
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::FileTooLarge);
    assert_eq!(
        std::fs::metadata(bench.path("tree/file")).unwrap().len(),
        MIB
    );
}

#[rstest]
fn open_files_are_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("ulimit -n; ulimit -Hn; ulimit -c");
    spec.limits.open_files = 100;
    assert_eq!(bench.output_of(&spec), "100\n100\n0\n");
}

#[rstest]
fn endless_output_ends_the_command(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("yes");
    spec.limits.output = MIB;
    spec.limits.log = MIB / 2;
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::OutputLimit);
    assert_eq!(std::fs::metadata(bench.path("log")).unwrap().len(), MIB / 2);
}
