//! How commands end, and what is said about it.

use std::fs;
use std::time::Duration;

use commontrace_sandbox::{Backend, Bind, By, End, Layer, TimeLimit, Wanted};
use rstest::rstest;

use crate::harness::Caller::{self, Ordinary, Own};
use crate::harness::{Bench, finish};

#[rstest]
fn the_exit_code_is_the_commands(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    for code in [0, 1, 125, 255] {
        let outcome = bench.run(&bench.sh(&format!("exit {code}"))).unwrap();
        assert_eq!(outcome.end, End::Exited(code));
    }
    let outcome = bench.run(&bench.sh("kill -SEGV $$")).unwrap();
    assert_eq!(outcome.end, End::Signalled(libc::SIGSEGV));
}

#[rstest]
fn the_isolation_that_was_used_is_said(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let isolation = bench.run(&bench.sh("true")).unwrap().isolation;
    assert_eq!(isolation.backend, Backend::Embedded);
    assert!(
        isolation
            .layers
            .starts_with(&[Layer::Userns, Layer::Seccomp]),
        "{isolation}"
    );
    assert!(
        isolation
            .to_string()
            .starts_with("embedded: userns+seccomp"),
        "{isolation}"
    );
    assert!(!isolation.network);
    let by = isolation.enforcement;
    assert_eq!(by.disk, By::Filesystem);
    assert!(
        [by.memory, by.processes, by.cpu]
            .iter()
            .all(|by| *by != By::Nothing),
        "{by:?}"
    );
}

#[rstest]
fn a_program_that_cannot_be_run_is_no_failed_test(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    fs::write(bench.path("tree/text"), "text").unwrap();
    for program in ["no-such-program", "/src/no-such-program", "/src/text"] {
        let mut spec = bench.sh("");
        spec.command = vec![program.into()];
        let (code, text) = bench.run(&spec).unwrap_err();
        assert_eq!(code, "launch_failed");
        assert!(text.contains(program), "{text}");
    }
    let mut spec = bench.sh("true");
    spec.working_dir = "no-such-folder".into();
    let (code, text) = bench.run(&spec).unwrap_err();
    assert_eq!(code, "launch_failed");
    assert!(text.contains("/src/no-such-folder"), "{text}");
}

#[rstest]
fn output_is_one_stream_in_order(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done"));
    assert_eq!(said, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
    assert_eq!(fs::read_to_string(bench.path("log")).unwrap(), said);
}

#[rstest]
fn long_output_keeps_head_and_tail(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("seq 1 100000");
    spec.limits.kept_output = 1000;
    spec.limits.log = 2000;
    let output = bench.run(&spec).unwrap().output;
    assert!(output.text().starts_with("1\n2\n") && output.text().ends_with("\n99999\n100000\n"));
    assert_eq!(
        (output.total(), output.head.len(), output.tail.len()),
        (588_895, 500, 500)
    );
    assert_eq!((output.omitted, output.not_logged), (587_895, 586_895));
    assert_eq!(fs::metadata(bench.path("log")).unwrap().len(), 2000);
}

#[rstest]
fn a_shell_hears_of_its_children_in_the_background(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("sleep 0.2 & sleep 0.2 & wait; echo both");
    spec.limits.wall = Duration::from_secs(20);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::Exited(0), "{}", outcome.output.text());
    assert_eq!(outcome.output.text(), "both\n");
}

#[rstest]
fn standard_input_is_empty(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    assert_eq!(bench.output_of(&bench.sh("cat; echo end")), "end\n");
}

#[rstest]
fn time_is_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("echo begin; sleep 1000");
    spec.limits.wall = Duration::from_millis(500);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::TimedOut(TimeLimit::Wall));
    assert_eq!(
        outcome.output.text(),
        "begin\n",
        "what was written until then is kept"
    );

    let mut spec = bench.sh("for i in 1 2 3; do echo $i; sleep 0.3; done; sleep 1000");
    spec.limits.idle = Duration::from_millis(1000);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::TimedOut(TimeLimit::Idle));
    assert_eq!(outcome.output.text(), "1\n2\n3\n");
}

#[rstest]
fn processor_time_is_limited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    // Each of them uses less than what they may use together.
    let mut spec = bench.sh("for i in 1 2 3 4; do (while :; do :; done) & done; wait");
    spec.limits.cpu = Duration::from_secs(1);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::TimedOut(TimeLimit::Cpu));
    assert!(
        outcome.usage.cpu.unwrap() >= Duration::from_secs(1),
        "{:?}",
        outcome.usage
    );
}

#[rstest]
fn a_run_can_be_cancelled(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut child = bench.start(&bench.sh("sleep 1000 & setsid sleep 1000 & wait"));
    drop(child.stdin.take());
    assert_eq!(finish(child).unwrap().end, End::Cancelled);
    bench.assert_nothing_left();
}

#[rstest]
fn binds_appear_where_they_are_put(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let given = bench.folder("given");
    bench.file("given/file", "text");
    let mut spec = bench
        .sh("cat /given/file; echo x 2>/dev/null >/given/new || echo refused; echo y > /out/new");
    spec.binds = vec![
        Bind {
            host: given.clone(),
            inside: "/given".into(),
            writable: false,
        },
        Bind {
            host: bench.path("out"),
            inside: "/out".into(),
            writable: true,
        },
    ];
    assert_eq!(bench.output_of(&spec), "textrefused\n");
    assert!(!given.join("new").exists());
    assert_eq!(fs::read_to_string(bench.path("out/new")).unwrap(), "y\n");

    spec.binds[0].inside = "/src/given".into();
    let (code, text) = bench.run(&spec).unwrap_err();
    assert!(
        code == "launch_failed" && text.contains("/src/given"),
        "{text}"
    );
}

#[rstest]
fn the_network_is_the_hosts_where_it_is_allowed(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap();
    let mut spec = bench.python(&format!(
        "import socket; socket.create_connection(('127.0.0.1', {})); print('connected')",
        address.port()
    ));
    spec.network = true;
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.output.text(), "connected\n");
    assert!(outcome.isolation.network);
}

#[rstest]
fn no_isolation_is_only_had_by_asking_for_it(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec =
        bench.sh("pwd; sleep 1000 & setsid sh -c 'setsid sleep 1000 & sleep 1000' & exit 3");
    spec.isolation = Wanted::None;
    let (_, text) = bench.run(&spec).unwrap_err();
    assert!(
        text.contains("copy"),
        "the tree cannot be protected: {text}"
    );
    spec.tree_mode = commontrace_sandbox::TreeMode::ReadWrite;
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::Exited(3));
    assert_eq!(
        outcome.output.text().trim(),
        bench.path("tree").to_str().unwrap()
    );
    assert_eq!(outcome.isolation.to_string(), "none");
    assert!(outcome.isolation.network);
}
