//! The other ways to contain a command; what is not installed here is not tested, and says so.

use std::ffi::OsStr;
use std::time::Duration;

use commontrace_sandbox::{Backend, By, End, TimeLimit, TreeMode, Wanted};
use rstest::rstest;

use crate::harness::Caller::{self, Ordinary, Own};
use crate::harness::{BOMB, Bench, finish};

fn bubblewrap_is_missing() -> bool {
    let missing = !std::path::Path::new("/usr/bin/bwrap").exists();
    if missing {
        eprintln!("skipped: bubblewrap is not installed");
    }
    missing
}

#[rstest]
fn bubblewrap_contains_as_well(#[values(Own, Ordinary)] caller: Caller) {
    if bubblewrap_is_missing() {
        return;
    }
    let bench = Bench::new(caller);
    let mut spec = bench.sh(
        "id -un; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'
         ls -d /root /home/* /proc/1/root/etc /sys/kernel 2>/dev/null
         for file in sys/kernel/core_pattern 1/oom_score_adj; do
           sh -c \"echo 1 > /proc/$file\" 2>/dev/null && echo wrote $file
         done
         for path in /new /dev/new /etc/new; do sh -c \": > $path\" 2>/dev/null && echo made $path; done
         unshare -U true 2>/dev/null && echo nested
         echo x > /src/written; setsid sleep 1000 & exit 3",
    );
    spec.isolation = Wanted::Bubblewrap;
    spec.tree_mode = TreeMode::ReadWrite;
    let outcome = bench.run(&bench.marked(spec)).unwrap();
    let none = "0000000000000000";
    let expected = format!("sandbox\nCapEff:{none}\nCapBnd:{none}\nNoNewPrivs:1\nSeccomp:2\n");
    assert_eq!(outcome.output.text(), expected);
    assert_eq!(
        (outcome.end, outcome.isolation.backend),
        (End::Exited(3), Backend::Bubblewrap)
    );
    assert!(
        outcome
            .isolation
            .to_string()
            .starts_with("bubblewrap: userns+seccomp")
    );
    assert!(bench.path("tree/written").exists());
}

#[rstest]
fn bubblewrap_keeps_the_limits(#[values(Own, Ordinary)] caller: Caller) {
    if bubblewrap_is_missing() {
        return;
    }
    let bench = Bench::new(caller);
    let mut spec = bench.marked(bench.sh("sleep 1000 & setsid sleep 1000"));
    spec.isolation = Wanted::Bubblewrap;
    spec.tree_mode = TreeMode::ReadOnly;
    spec.limits.wall = Duration::from_millis(700);
    assert_eq!(
        bench.run(&spec).unwrap().end,
        End::TimedOut(TimeLimit::Wall)
    );

    let mut spec = bench.sh("head -c 64M /dev/zero > /tmp/big");
    spec.isolation = Wanted::Bubblewrap;
    spec.tree_mode = TreeMode::ReadOnly;
    spec.limits.disk = 16 << 20;
    assert_eq!(bench.run(&spec).unwrap().end, End::DiskFull);
}

#[rstest]
fn bubblewrap_works_on_a_copy_in_place_of_an_overlay(#[values(Own, Ordinary)] caller: Caller) {
    if bubblewrap_is_missing() {
        return;
    }
    let bench = Bench::new(caller);
    bench.file("tree/file", "old\n");
    let mut spec = bench.sh("cat file; echo new > file; rm -r folder; cat file; ls");
    bench.folder("tree/folder");
    bench.file("tree/folder/in", "old");
    spec.isolation = Wanted::Bubblewrap;
    assert_eq!(bench.output_of(&spec), "old\nnew\nfile\n");
    assert_eq!(
        std::fs::read_to_string(bench.path("tree/file")).unwrap(),
        "old\n"
    );

    bench.file("tree/big", &"x".repeat(2 << 20));
    spec.tree_mode = TreeMode::Overlay { size: 1 << 20 };
    let (code, text) = bench.run(&spec).unwrap_err();
    assert!(
        code == "launch_failed" && text.contains("No space left"),
        "{text}"
    );
}

/// Runs as a user who has no control group to put limits on, root or not.
#[rstest]
fn limits_hold_without_control_groups(#[values(Own, Ordinary)] caller: Caller) {
    if caller == Own && !rustix::process::geteuid().is_root() {
        eprintln!("skipped: an ordinary user has no control groups anyway");
        return;
    }
    let bench = Bench::new(caller);
    // In a mount namespace of its own the control groups can be taken away from root.
    let script = "umount -l -R /sys/fs/cgroup; exec \"$0\"";
    let without = ["unshare", "-m", "sh", "-c", script].map(OsStr::new);
    let without = if caller == Own { &without[..] } else { &[] };

    let mut spec = bench.marked(bench.sh(BOMB));
    spec.limits.processes = 40;
    // The kernel only stops it from growing, and the first process ends it.
    spec.limits.wall = Duration::from_secs(if caller == Own { 60 } else { 2 });
    let outcome = match finish(bench.start_by(&spec, without)) {
        Ok(outcome) => outcome,
        // Before Linux 6.14 nothing holds the number of root's processes, and so there is no run.
        Err((code, text)) => {
            assert!(
                code == "sandbox_unavailable" && text.contains("`pids`"),
                "{text}"
            );
            return;
        }
    };
    let by = outcome.isolation.enforcement;
    assert_eq!((by.memory, by.cpu), (By::Watching, By::Watching));
    let expected = match by.processes {
        By::Rlimit => End::TimedOut(TimeLimit::Wall),
        _ => End::TooManyProcesses,
    };
    assert_eq!(outcome.end, expected);

    let mut spec =
        bench.python("import time\nheld = bytearray(b'x') * (200 << 20)\ntime.sleep(1000)");
    spec.limits.memory = 128 << 20;
    assert_eq!(
        finish(bench.start_by(&spec, without)).unwrap().end,
        End::OutOfMemory
    );
    bench.assert_nothing_left();
}

/// Where user namespaces are not allowed, nothing runs uncontained.
#[rstest]
fn without_namespaces_there_is_no_run(#[values(Own, Ordinary)] caller: Caller) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can take namespaces away");
        return;
    }
    let bench = Bench::new(caller);
    // Inside of a user namespace that may have no further ones.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$0\"";
    let without = ["unshare", "-U", "-r", "sh", "-c", script].map(OsStr::new);
    let spec = bench.sh("echo ran");
    let (code, text) = finish(bench.start_by(&spec, &without)).unwrap_err();
    assert_eq!(code, "sandbox_unavailable", "{text}");
    assert!(
        text.contains("max_user_namespaces"),
        "says what to do: {text}"
    );
    assert!(!text.contains("ran\n"));
}
