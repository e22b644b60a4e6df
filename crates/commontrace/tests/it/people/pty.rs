//! A terminal of its own for a program, and what a person sees in it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;

use super::{Shared, form};
use crate::place::{Place, Ran, finish};

/// Runs the program in a terminal of 80 columns, types this, and returns the exit code and all that was shown.
async fn shown(place: &Place, words: &[&str], typed: &str) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap()
        .into();
    let end = || Stdio::from(slave.try_clone().unwrap());
    // Questions are asked on the terminal of the session.
    let mut command = in_session(place, words, &["--ctty"]);
    let mut child = command
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop((command, slave));
    let mut writer = File::from(master.try_clone().unwrap());
    writer.write_all(typed.as_bytes()).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        // The end of a terminal is an error.
        let _ = File::from(master).read_to_end(&mut all);
        String::from_utf8_lossy(&all).replace('\r', "")
    });
    let code = child.wait().await.unwrap().code();
    drop(writer);
    (code, reading.await.unwrap())
}

/// The program in a session of its own.
fn in_session(place: &Place, words: &[&str], options: &[&str]) -> Command {
    let inner = place.command_after("true", words);
    let inner = inner.as_std();
    let mut command = Command::new("setsid");
    command
        .args(options)
        .args(["--wait", "sh"])
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the program where there is no terminal to ask on, whatever the tests were started from.
pub async fn without_terminal(place: &Place, words: &[&str], input: &str) -> Ran {
    finish(in_session(place, words, &[]), input.as_bytes()).await
}

fn terminal(place: Place) -> Place {
    place.with("TERM", "xterm").with("COLUMNS", "80")
}

#[tokio::test]
async fn a_terminal_gets_colours_and_lines_of_its_width_unless_it_is_told_otherwise() {
    let place = terminal(Place::new());
    let words = ["search", "externally-managed-environment"];
    let (code, seen) = shown(&place, &words, "").await;
    assert_eq!(code, Some(0), "{seen}");
    assert!(
        seen.contains("\u{1b}[1;33mexternally\u{1b}[0m"),
        "the words are marked: {seen}"
    );
    assert!(
        seen.contains("`commontrace get ID` shows one whole"),
        "{seen}"
    );
    let plain = place.with("NO_COLOR", "1");
    let (_, seen) = shown(&plain, &words, "").await;
    assert!(!seen.contains('\u{1b}'), "{seen}");
    for line in seen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[tokio::test]
async fn a_person_who_has_seen_the_text_agrees_or_not() {
    let shared = Shared::new().await;
    let place = terminal(shared.place);
    let file = place.write("form.txt", form("gadget fails at noon"));
    let words = ["contribute", file.to_str().unwrap()];
    let (code, seen) = shown(&place, &words, "n\n").await;
    assert_eq!(code, Some(5), "{seen}");
    assert!(
        seen.contains("Publish this on http://127.0.0.1:") && seen.contains("did not agree"),
        "{seen}"
    );
    assert!(
        seen.find("rm .frob/lock") < seen.find("Publish this on"),
        "{seen}"
    );
    let (code, seen) = shown(&place, &words, "y\n").await;
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("published: "), "{seen}");
    shared.server.stop().await;
}

#[tokio::test]
async fn an_editor_fills_the_form_and_what_was_written_is_kept_until_it_is_published() {
    let shared = Shared::new().await;
    let place = terminal(shared.place);
    let filled = place.write("filled.txt", form("gadget fails at noon"));
    let editor = format!("cp {}", filled.display());
    let place = place.with("EDITOR", &editor);
    let (code, seen) = shown(&place, &["contribute"], "n\n").await;
    assert_eq!(code, Some(5), "{seen}");
    let drafts = super::files(&place.data_dir().join("drafts"));
    assert_eq!(drafts.len(), 1, "{seen}");
    assert!(seen.contains("your text is kept"), "{seen}");
    assert_eq!(super::mode(&drafts[0]), 0o600);
    let (code, seen) = shown(&place, &["contribute", drafts[0].to_str().unwrap()], "y\n").await;
    assert_eq!(code, Some(0), "{seen}");
    let place = place.with("VISUAL", "true");
    let (code, seen) = shown(&place, &["contribute"], "").await;
    assert_eq!(code, Some(5), "{seen}");
    assert!(seen.contains("nothing was written"), "{seen}");
    let place = place.with("VISUAL", "/no/such/editor");
    let (code, seen) = shown(&place, &["contribute"], "").await;
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("VISUAL or EDITOR"), "{seen}");
    let script = format!("cp {} \"$1\"; exit 1", filled.display());
    let script = place.write("crashes.sh", script);
    let place = place.with("VISUAL", &format!("sh {}", script.display()));
    let (code, seen) = shown(&place, &["contribute"], "").await;
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("what was written is kept in"), "{seen}");
    assert_eq!(super::files(&place.data_dir().join("drafts")).len(), 2);
    shared.server.stop().await;
}

#[tokio::test]
async fn an_amendment_that_was_written_and_not_agreed_to_is_kept() {
    let shared = Shared::new().await;
    let id = shared.other.contributes("gadget fails at noon").await;
    let better = shared.place.write("better.txt", "Remove the lock.");
    let editor = format!("cp {}", better.display());
    let place = terminal(shared.place).with("EDITOR", &editor);
    let words = ["amend", &id, "-e", "shorter"];
    let (code, seen) = shown(&place, &words, "n\n").await;
    assert_eq!(code, Some(5), "{seen}");
    let told = format!("your text is kept: `commontrace amend --explanation TEXT {id}");
    assert!(seen.contains(&told), "{seen}");
    let drafts = super::files(&place.data_dir().join("drafts"));
    assert_eq!(
        std::fs::read_to_string(&drafts[0]).unwrap(),
        "Remove the lock."
    );
    shared.server.stop().await;
}
