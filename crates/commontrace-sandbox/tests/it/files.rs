//! What happens to the tree, and to everything else that looks like a file.

use std::fs;

use commontrace_sandbox::{Bind, TreeMode, read_beneath};
use rstest::rstest;

use crate::harness::Bench;
use crate::harness::Caller::{self, Ordinary, Own};

#[rstest]
fn an_overlay_keeps_the_tree_as_it_was(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    bench.file("tree/file", "old\n");
    bench.file("tree/gone", "old\n");
    bench.folder("tree/folder");
    bench.file("tree/folder/in", "old\n");
    let said = bench.output_of(&bench.sh(
        "echo new > file; rm gone; rm -r folder; mkdir folder; echo x > folder/other; mv file moved
         ln moved linked; chmod 700 folder; cat moved linked; ls -R",
    ));
    assert_eq!(
        said,
        "new\nnew\n.:\nfolder\nlinked\nmoved\n\n./folder:\nother\n"
    );
    assert_eq!(
        fs::read_to_string(bench.path("tree/file")).unwrap(),
        "old\n"
    );
    assert_eq!(
        fs::read_to_string(bench.path("tree/gone")).unwrap(),
        "old\n"
    );
    let names: Vec<_> = fs::read_dir(bench.path("tree/folder")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert!(!bench.path("tree/moved").exists());
}

#[rstest]
fn a_tree_that_is_read_only_cannot_be_written(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    bench.file("tree/file", "old");
    let mut spec = bench.sh("echo new > file; echo new > other; rm file; chmod 777 file; cat file");
    spec.tree_mode = TreeMode::ReadOnly;
    assert!(bench.output_of(&spec).ends_with("old"));
    assert_eq!(fs::read_to_string(bench.path("tree/file")).unwrap(), "old");
}

#[rstest]
fn a_tree_that_may_be_written_is_the_hosts(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    bench.file("tree/file", "old");
    let mut spec = bench.sh("echo new > file; mkdir folder");
    spec.tree_mode = TreeMode::ReadWrite;
    bench.output_of(&spec);
    assert_eq!(
        fs::read_to_string(bench.path("tree/file")).unwrap(),
        "new\n"
    );
    assert!(bench.path("tree/folder").is_dir());
}

#[rstest]
fn nothing_but_the_tree_and_temporary_folders_can_be_written(
    #[values(Own, Ordinary)] caller: Caller,
) {
    let bench = Bench::new(caller);
    let said = bench.output_of(&bench.sh(
        "find / -xdev -type d 2>/dev/null; find /usr /etc /dev /run /home /var -maxdepth 2 -type d 2>/dev/null",
    ));
    let script = said.lines().fold(String::new(), |script, folder| {
        script
            + &format!(
                "[ -d '{folder}' ] && ( : > '{folder}/new' ) 2>/dev/null && echo '{folder}'\n"
            )
    });
    let said = bench.output_of(&bench.sh(&(script + "echo end")));
    let allowed = ["/dev/shm", "/tmp", "/var/tmp", "/src", "end"];
    let others: Vec<_> = said
        .lines()
        .filter(|line| !allowed.contains(line))
        .collect();
    assert_eq!(others, Vec::<&str>::new());
}

#[rstest]
fn what_a_command_leaves_for_its_caller_is_no_trap(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let secret = bench.file("secret", "do-not-tell");
    let mut spec = bench.sh(&format!(
        "cd /out; ln -s {} report; ln -s /etc/shadow shadow; ln -s .. up; mkfifo pipe; mkdir folder
         echo fine > folder/report; ln folder/report hard",
        secret.display()
    ));
    spec.binds = vec![Bind {
        host: bench.path("out"),
        inside: "/out".into(),
        writable: true,
    }];
    bench.output_of(&spec);
    let read = |path: &str| read_beneath(&bench.path("out"), path.as_ref(), 100);
    for path in [
        "report",
        "shadow",
        "up/secret",
        "pipe",
        "../secret",
        "folder",
    ] {
        assert!(read(path).is_err(), "{path}");
    }
    assert_eq!(read("folder/report").unwrap(), b"fine\n");
}

#[rstest]
fn a_tree_with_a_strange_name_works(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let tree = bench.folder("a b,c:d\\e\"f");
    fs::write(tree.join("file"), "text").unwrap();
    let mut spec = bench.sh("cat file");
    spec.tree = tree;
    assert_eq!(bench.output_of(&spec), "text");
}

#[rstest]
fn links_in_the_tree_lead_nowhere_outside(#[values(Own, Ordinary)] caller: Caller) {
    let bench = Bench::new(caller);
    let secret = bench.file("secret", "do-not-tell");
    std::os::unix::fs::symlink(&secret, bench.path("tree/link")).unwrap();
    std::os::unix::fs::symlink("../secret", bench.path("tree/up")).unwrap();
    let said = bench.output_of(&bench.sh("cat link up ../secret 2>/dev/null; echo end"));
    assert_eq!(said, "end\n");
}

#[rstest]
fn a_tree_of_others_can_be_worked_on(#[values(Own, Ordinary)] caller: Caller) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root has files of others");
        return;
    }
    let bench = Bench::new(caller);
    bench.folder("tree/folder");
    for (name, owner) in [
        ("tree/theirs", 12345),
        ("tree/folder", 12345),
        ("tree", 54321),
    ] {
        if name == "tree/theirs" {
            fs::write(bench.path(name), "old\n").unwrap();
        }
        std::os::unix::fs::chown(bench.path(name), Some(owner), Some(owner)).unwrap();
    }
    let said =
        bench.output_of(&bench.sh("echo new >> theirs; echo x > folder/new; cat theirs; id -u"));
    assert_eq!(said, "old\nnew\n1000\n");
    assert_eq!(
        fs::read_to_string(bench.path("tree/theirs")).unwrap(),
        "old\n"
    );
}
