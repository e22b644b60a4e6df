//! `commontrace sandbox`: what users of the command meet. What the sandbox itself promises is tested
//! in its crate.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::place::Place;

/// The arguments before a command, on a tree of the test's own.
fn line<'a>(tree: &'a str, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["sandbox", "run", "--tree", tree];
    line.extend(options);
    line.push("--");
    line.extend(command);
    line
}

fn tree(place: &Place) -> String {
    let tree = place.path("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("file"), "text\n").unwrap();
    tree.display().to_string()
}

#[tokio::test]
async fn the_exit_code_and_the_output_are_the_commands() {
    let place = Place::new();
    let tree = tree(&place);
    let script = "cat file; echo gone > file; pwd; exit 7";
    let ran = place.run(&line(&tree, &[], &["sh", "-c", script])).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(7), "text\n/src\n"),
        "{ran:?}"
    );
    assert_eq!(ran.stderr, "");
    let kept = fs::read_to_string(place.path("tree/file")).unwrap();
    assert_eq!(kept, "text\n");
}

#[tokio::test]
async fn it_needs_no_good_settings() {
    let place = Place::new().with("COMMONTRACE_LISTEN", "nonsense");
    let tree = tree(&place);
    assert_eq!(
        place.run(&line(&tree, &[], &["cat", "file"])).await.ok(),
        "text\n"
    );
}

#[tokio::test]
async fn trouble_of_the_sandbox_is_no_exit_code_of_a_test() {
    let place = Place::new();
    let tree = tree(&place);
    let cases: [(&[&str], &[&str], i32, &str); 5] = [
        (&[], &["no-such-program"], 127, "no-such-program"),
        (&[], &["/src/file"], 126, "/src/file"),
        (&["--isolation", "none"], &["true"], 125, "copy"),
        (
            &["--bind", "/no/such/file"],
            &["true"],
            125,
            "/no/such/file",
        ),
        (&["--wall", "300ms"], &["sleep", "1000"], 124, "longer"),
    ];
    for (options, command, code, text) in cases {
        let ran = place.run(&line(&tree, options, command)).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(text),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn the_report_says_what_contained_the_command() {
    let place = Place::new();
    let tree = tree(&place);
    let ran = place
        .run(&line(&tree, &["--json"], &["cat", "file"]))
        .await
        .ok();
    let report: serde_json::Value = serde_json::from_str(&ran).unwrap();
    assert_eq!(report["end"], serde_json::json!({ "exited": 0 }));
    assert_eq!(report["output"]["text"], "text\n");
    assert_eq!(report["isolation"]["layers"][0], "userns");
    assert_eq!(report["isolation"]["network"], false);
}

#[tokio::test]
async fn binds_and_variables_are_what_was_asked_for() {
    let place = Place::new().with("SECRET_OF_THE_HOST", "do-not-tell");
    let tree = tree(&place);
    let out = place.path("out");
    fs::create_dir_all(&out).unwrap();
    let bind = format!("{}=/out:rw", out.display());
    let script = "echo $GIVEN > /out/new; env";
    let options = ["--bind", &bind, "--env", "GIVEN=given"];
    let said = place
        .run(&line(&tree, &options, &["sh", "-c", script]))
        .await
        .ok();
    assert_eq!(fs::read_to_string(out.join("new")).unwrap(), "given\n");
    assert!(
        said.contains("GIVEN=given") && !said.contains("do-not-tell"),
        "{said}"
    );
}

#[tokio::test]
async fn check_says_what_would_be_used() {
    let said = Place::new().run(&["sandbox", "check"]).await.ok();
    assert!(
        said.contains("embedded: works: userns+seccomp") && said.contains("run` uses: embedded"),
        "{said}"
    );
}

#[tokio::test]
async fn an_interrupt_from_the_keyboard_ends_everything() {
    let place = Place::new();
    let tree = tree(&place);
    let mut command = place.command(&line(&tree, &[], &["sh", "-c", "echo up; exec sleep 1000"]));
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some("up"));
    // The keyboard reaches all processes of the group at once.
    let group = i32::try_from(child.id().unwrap())
        .ok()
        .and_then(Pid::from_raw)
        .unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(
        String::from_utf8_lossy(&ended.stderr).contains("was cancelled"),
        "{ended:?}"
    );
}
