//! Commands that try to get out.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use commontrace_sandbox::End;
use rstest::rstest;

use crate::harness::Bench;
use crate::harness::Caller::{self, Ordinary, Own};

#[rstest]
fn the_network_is_out_of_reach(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let name = format!("sandbox-test-{port}");
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&abstract_name).unwrap();
    let said = bench.output_of(&bench.python(&format!(
        r#"
import socket
def attempt(name, family, address):
    try:
        socket.socket(family, socket.SOCK_STREAM).connect(address)
        print(name, "connected")
    except OSError as err:
        print(name, "refused")
attempt("host", socket.AF_INET, ("127.0.0.1", {port}))
attempt("internet", socket.AF_INET, ("192.0.2.1", 80))
attempt("abstract", socket.AF_UNIX, "\0{name}")
for family in (socket.AF_VSOCK, socket.AF_PACKET, socket.AF_ALG):
    try:
        socket.socket(family, socket.SOCK_RAW)
        print(family, "made")
    except OSError:
        print("no", family.name)
print("devices", [name for _, name in socket.if_nameindex()])
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
print("loopback works")
"#
    )));
    let expected = "host refused\ninternet refused\nabstract refused\nno AF_VSOCK\nno AF_PACKET\n\
                    no AF_ALG\ndevices ['lo']\nloopback works\n";
    assert_eq!(said, expected);
}

#[rstest]
fn files_of_the_host_are_not_there(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let secret = bench.file("secret", "do-not-tell");
    let home = std::env::home_dir().unwrap_or_else(|| "/root".into());
    let said = bench.output_of(&bench.sh(&format!(
        "for path in {} {} /root /etc/shadow /etc/ssh /etc/ssl/private /home/* /var/lib /var/log /sys \
             /boot /mnt /.host /.lower /.upper /proc/1/root/etc /proc/1/cwd/. /proc/1/fd/0; do
           [ -e $path ] && echo \"$path is there\"
         done
         cat /proc/1/environ /proc/1/maps /proc/1/mem 2>/dev/null
         cd .. && cd .. && ls -d */ | tr -d '\\n'; grep -c . /etc/passwd",
        secret.display(),
        home.display(),
    )));
    assert_eq!(
        said.replace("lib32/", "").replace("libx32/", ""),
        "bin/dev/etc/home/lib/lib64/proc/run/sbin/src/tmp/usr/var/3\n"
    );
}

#[rstest]
fn the_environment_of_the_host_stays_outside(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut spec = bench.sh("env | cut -d= -f1 | sort | tr '\\n' ' '; echo $GIVEN; id -un");
    spec.env.push(("GIVEN".into(), "given".into()));
    let said = bench.output_of(&spec);
    let names = "GIVEN HOME LANG LC_ALL PATH PWD PYTHONHASHSEED TMPDIR TZ USER given\nsandbox\n";
    assert_eq!(said, names);
}

#[rstest]
fn open_files_are_not_inherited(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let secret = bench.file("secret", "do-not-tell");
    let script = format!("exec 7<{} 9</; exec \"$0\"", secret.display());
    let wrapper = ["sh", "-c", &script].map(std::ffi::OsStr::new);
    // `ls` opens the folder itself.
    let child = bench.start_by(
        &bench.sh("ls -1 /proc/self/fd | tr '\\n' ' '; cat <&7"),
        &wrapper,
    );
    let outcome = crate::harness::finish(child).unwrap();
    assert!(
        outcome.output.text().starts_with("0 1 2 3 "),
        "{}",
        outcome.output.text()
    );
    assert!(!outcome.output.text().contains("do-not-tell"));
}

#[rstest]
fn other_processes_are_out_of_reach(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let mut host = Command::new("sh")
        .args(["-c", "read line"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = host.id();
    let said = bench.output_of(&bench.python(&format!(
        r#"
import os, signal
seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print("seen", len(seen), max(seen) < 20)
for target in ({pid}, {own}, 1):
    for number in (signal.SIGKILL, signal.SIGSTOP):
        try:
            os.kill(target, number)
            print("sent to", target)
        except PermissionError:
            print("may not")
        except ProcessLookupError:
            print("not there")
print("parent", os.getppid())
"#,
        own = std::process::id(),
    )));
    // Where Landlock lets a signal to the first process through, the kernel drops it.
    let said = said.replace("sent to 1\n", "may not\n");
    let expected =
        "seen 2 True\nnot there\nnot there\nnot there\nnot there\nmay not\nmay not\nparent 1\n";
    assert_eq!(said, expected);
    assert_eq!(host.try_wait().unwrap(), None, "the host's process lives");
    drop(host.stdin.take());
    host.wait().unwrap();
}

#[rstest]
fn signals_to_everybody_reach_only_the_sandbox(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let outcome = bench
        .run(&bench.sh("trap '' TERM; exec 2>&-; kill -TERM -1; kill -KILL -1; echo alive"))
        .unwrap();
    // `kill -1` spares the one who sends.
    assert_eq!(
        (outcome.end, outcome.output.text().as_str()),
        (End::Exited(0), "alive\n")
    );
}

#[rstest]
fn the_kernels_switches_cannot_be_moved(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let said = bench.output_of(&bench.sh(
        "for file in sys/kernel/core_pattern sys/kernel/hostname sys/vm/drop_caches sys/vm/overcommit_memory \
             sys/net/ipv4/ip_forward 1/oom_score_adj self/oom_score_adj self/uid_map irq/default_smp_affinity \
             sysrq-trigger; do
           sh -c \"echo 1 > /proc/$file\" 2>/dev/null && echo wrote $file
         done
         for secret in kcore kmsg keys timer_list; do timeout 1 head -c 1 /proc/$secret 2>/dev/null; done
         ls /sys 2>/dev/null; hostname other 2>/dev/null; uname -n",
    ));
    assert_eq!(said, "sandbox\n");
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
        pattern
    );
}

#[rstest]
fn devices_cannot_be_made(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.sh(
        "for place in /tmp /src /dev /dev/shm; do
           for kind in 'c 1 1' 'b 254 0' 'b 8 0'; do
             mknod $place/device $kind 2>/dev/null && echo made $place $kind
           done
         done
         for device in mem kmem sda vda fuse kvm net/tun; do [ -e /dev/$device ] && echo $device; done
         mkfifo /tmp/pipe && echo > /dev/null && head -c 4 /dev/urandom | wc -c",
    ));
    assert_eq!(said, "4\n");
}

#[rstest]
fn no_more_rights_can_be_had(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    // A program that becomes its owner, whoever that is on the host.
    let program = bench.path("tree/become");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let said = bench.output_of(&bench.sh(
        "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'
         ./become -u; id -u; su -c id 2>/dev/null; mount -t tmpfs none /tmp 2>/dev/null; chroot / true \
         2>/dev/null; cp /usr/bin/id /tmp/id && chmod u+s /tmp/id && /tmp/id -u",
    ));
    let none = "0000000000000000";
    let expected = format!(
        "CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{none}\nCapAmb:{none}\n\
         NoNewPrivs:1\nSeccomp:2\n1000\n1000\n1000\n"
    );
    assert_eq!(said, expected);
}

#[rstest]
fn namespaces_cannot_be_nested(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.sh("for kind in -U -m -n -p -i -u -C -Ur -T; do
           unshare $kind true 2>/dev/null && echo $kind
         done
         nsenter -t 1 -m true 2>/dev/null && echo entered; echo done"));
    assert_eq!(said, "done\n");
}

#[rstest]
fn nothing_can_be_typed_into_a_terminal(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.python(
        r#"
import fcntl, os, pty, termios
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError as err:
    print(err.strerror)
_, terminal = pty.openpty()
for request in (termios.TIOCSTI, 0x541C):
    try:
        fcntl.ioctl(terminal, request, b"x")
        print("typed")
    except OSError as err:
        print(err.strerror)
"#,
    ));
    let expected = "No such device or address\nOperation not permitted\nOperation not permitted\n";
    assert_eq!(said, expected);
}
