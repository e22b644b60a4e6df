//! Containers of Docker. `scripts/with-docker.sh` runs these tests with an engine of their own; without
//! an engine they say that they are skipped.

use std::path::PathBuf;
use std::time::Duration;

use commontrace_sandbox::{Bind, By, End, Spec, TimeLimit, TreeMode, Wanted};

use crate::harness::{Bench, Caller, finish};

/// Sends a spec to the engine of these tests, if there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' engine is named by the environment"
)]
fn in_container(mut spec: Spec) -> Option<Spec> {
    let value = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let socket = value("COMMONTRACE_TEST_DOCKER_SOCKET").map(PathBuf::from);
    let (Some(socket), Some(image)) = (socket, value("COMMONTRACE_TEST_DOCKER_IMAGE")) else {
        eprintln!("skipped: no Docker engine; see scripts/with-docker.sh");
        return None;
    };
    spec.isolation = Wanted::Docker { image };
    spec.engine_socket = Some(socket);
    Some(spec)
}

macro_rules! or_skip {
    ($spec:expr) => {
        match in_container($spec) {
            Some(spec) => spec,
            None => return,
        }
    };
}

#[test]
fn a_container_of_the_engine_contains() {
    let bench = Bench::new(Caller::Own);
    bench.file("tree/file", "old\n");
    let secret = bench.file("secret", "do-not-tell");
    let mut spec = or_skip!(bench.sh(&format!(
        "id -u; echo new > file; cat file; [ -e {} ] && echo leaked; env | cat
         for path in /new /etc/new /bin/new /proc/sys/kernel/hostname; do
           (echo x > $path) 2>/dev/null && echo wrote $path
         done
         while read name value; do case $name in Cap*|NoNewPrivs:|Seccomp:) echo $name $value;; esac
         done < /proc/self/status
         ls /sys/class/net; echo err >&2; exit 3",
        secret.display()
    )));
    spec.env.push(("GIVEN".into(), "given".into()));
    let outcome = bench.run(&spec).unwrap();
    let said = outcome.output.text();
    assert_eq!(outcome.end, End::Exited(3), "{said}");
    assert!(
        said.starts_with("65534\nnew\n") && said.contains("\nGIVEN=given\n"),
        "{said}"
    );
    for leak in ["leaked", "wrote", "do-not-tell", "SECRET_OF_THE_HOST"] {
        assert!(!said.contains(leak), "{leak}: {said}");
    }
    let none = "0000000000000000";
    for capability in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(said.contains(&format!("{capability}: {none}\n")), "{said}");
    }
    assert!(said.contains("NoNewPrivs: 1\nSeccomp: 2\n"), "{said}");
    assert!(said.contains("\nlo\n") && !said.contains("eth"), "{said}");
    assert_eq!(
        std::fs::read_to_string(bench.path("tree/file")).unwrap(),
        "old\n"
    );
    assert_eq!(outcome.isolation.to_string(), "docker: container");
    assert_eq!(outcome.isolation.enforcement.memory, By::Engine);
}

#[test]
fn an_engine_keeps_the_limits() {
    let bench = Bench::new(Caller::Own);
    let mut spec = or_skip!(bench.sh("echo begin; sleep 1000"));
    spec.limits.wall = Duration::from_millis(1500);
    let outcome = bench.run(&spec).unwrap();
    assert_eq!(outcome.end, End::TimedOut(TimeLimit::Wall));
    assert_eq!(outcome.output.text(), "begin\n");

    let mut spec = or_skip!(bench.sh("exec perl -e '$x = \"x\" x (200 << 20); sleep 1000'"));
    spec.limits.memory = 64 << 20;
    assert_eq!(bench.run(&spec).unwrap().end, End::OutOfMemory);

    let mut spec = or_skip!(bench.sh(
        "head -c 64M /dev/zero > /tmp/big; head -c 64M /dev/zero > big; ls -s /tmp big; exit 1"
    ));
    spec.limits.disk = 4 << 20;
    spec.tree_mode = TreeMode::Overlay { size: 4 << 20 };
    let outcome = bench.run(&spec).unwrap();
    let said = outcome.output.text();
    assert!(said.contains("No space left"), "{said}");
    assert_eq!(outcome.isolation.enforcement.disk, By::Filesystem);

    let mut spec = or_skip!(bench.sh("while :; do echo more; done"));
    spec.limits.output = 1 << 20;
    assert_eq!(bench.run(&spec).unwrap().end, End::OutputLimit);
}

#[test]
fn what_is_missing_for_a_container_is_no_failed_test() {
    let bench = Bench::new(Caller::Own);
    let mut spec = or_skip!(bench.sh("true"));
    spec.isolation = Wanted::Docker {
        image: "no-such-image:at-all".into(),
    };
    assert_eq!(bench.run(&spec).unwrap_err().0, "image_missing");

    let mut spec = or_skip!(bench.sh("true"));
    spec.tree_mode = TreeMode::ReadOnly;
    spec.command = vec!["no-such-program".into()];
    let (code, text) = bench.run(&spec).unwrap_err();
    assert!(
        code == "launch_failed" && text.contains("no-such-program"),
        "{text}"
    );
}

#[test]
fn without_an_engine_docker_is_unavailable() {
    let bench = Bench::new(Caller::Own);
    let mut spec = bench.sh("true");
    spec.isolation = Wanted::Docker {
        image: "any".into(),
    };
    spec.engine_socket = Some(bench.path("no-such-socket"));
    let (code, text) = bench.run(&spec).unwrap_err();
    assert!(
        code == "sandbox_unavailable" && text.contains("no-such-socket"),
        "{text}"
    );
}

#[test]
fn containers_of_a_supervisor_that_was_killed_are_removed_by_the_next() {
    let bench = Bench::new(Caller::Own);
    let mut spec = or_skip!(bench.sh("echo up > /out/up; sleep 1000"));
    std::fs::set_permissions(
        bench.path("out"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    spec.binds = vec![Bind {
        host: bench.path("out"),
        inside: "/out".into(),
        writable: true,
    }];
    let mut child = bench.start(&spec);
    while !bench.path("out/up").exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mounts = || {
        let own = bench.path("out").display().to_string();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|entry| {
            std::fs::read_to_string(entry.path().join("mountinfo"))
                .is_ok_and(|text| text.contains(&own))
        })
        .count()
    };
    assert!(mounts() > 0, "the container goes on");
    let mut next = spec.clone();
    next.command = vec!["cat".into(), "/out/up".into()];
    assert_eq!(finish(bench.start(&next)).unwrap().output.text(), "up\n");
    assert_eq!(mounts(), 0);
}
