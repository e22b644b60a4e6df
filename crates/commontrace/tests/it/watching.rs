//! `commontrace sessions watch`: recordings that grow while somebody follows them.

use std::fs;
use std::process::Stdio;
use std::time::SystemTime;

use commontrace_store::Engine::{self, Postgres, Sqlite};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

use crate::client::until;
use crate::place::{DEADLINE, Place};
use crate::sessions::recording;

async fn events(place: &Place) -> i64 {
    place.number("SELECT COUNT(*) FROM session_events").await
}

/// Begins to watch, with the tables already there.
async fn watch(place: &Place, path: &str) -> Child {
    place.run(&["migrate"]).await.ok();
    let watch = ["sessions", "watch", path, "--interval", "1"];
    let mut command = place.command(&watch);
    command.stdout(Stdio::null());
    command.spawn().expect("the program starts")
}

/// Ends it with this signal, and returns what it said.
async fn end(watching: Child, signal: Signal) -> String {
    let id = watching.id().expect("it was not waited for") as i32;
    kill_process(Pid::from_raw(id).expect("a process"), signal).unwrap();
    let ended = timeout(DEADLINE, watching.wait_with_output()).await;
    let ended = ended.expect("it ends").unwrap();
    let said = String::from_utf8(ended.stderr).expect("text");
    assert_eq!(ended.status.code(), Some(0), "{said}");
    said
}

#[rstest]
#[tokio::test]
async fn what_grows_is_imported_as_it_grows(#[values(Sqlite, Postgres)] engine: Engine) {
    let place = Place::on(engine).await;
    let file = place.write("agents/project/a.jsonl", recording(false));
    let folder = place.path("agents").display().to_string();
    let watching = watch(&place, &folder).await;
    until("what was there is imported", async || {
        events(&place).await == 2
    })
    .await;
    // A line that is only half there is no damage, and is read when it is whole.
    let whole = recording(true);
    fs::write(&file, &whole[..whole.len() - 30]).unwrap();
    let later = place.write("agents/later/b.jsonl", other_session());
    until("the new file is imported", async || {
        events(&place).await == 3
    })
    .await;
    fs::write(&file, &whole).unwrap();
    until("the line is imported", async || events(&place).await == 4).await;
    let said = end(watching, Signal::TERM).await;
    assert!(said.contains(&format!("watching {folder}\n")), "{said}");
    let (file, later) = (file.display(), later.display());
    assert!(said.contains(&format!("{file}: 2 new events\n")), "{said}");
    assert!(said.contains(&format!("{later}: 1 new events\n")), "{said}");
    assert!(said.contains(&format!("{file}: 1 new events\n")), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
}

/// The first line of a recording, of a session of its own.
fn other_session() -> String {
    let recording = recording(false).replace("000000000001", "000000000002");
    let recording = recording.replace("\"u1\"", "\"v1\"");
    recording.lines().take(1).collect::<String>() + "\n"
}

#[tokio::test]
async fn an_answer_that_comes_later_is_part_of_its_call() {
    let place = Place::new();
    let line = |uuid: &str, kind: &str, content: &str| {
        format!(
            r#"{{"type":"{kind}","uuid":"{uuid}","sessionId":"s1","timestamp":"2026-01-02T12:00:00.000Z","message":{{"id":"m-{uuid}","role":"{kind}","content":{content}}}}}"#
        )
    };
    let ask = line("u1", "user", r#""does it build?""#);
    let call = line(
        "u2",
        "assistant",
        r#"[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"make"}}]"#,
    );
    let answer = line(
        "u3",
        "user",
        r#"[{"type":"tool_result","tool_use_id":"t1","content":"built"}]"#,
    );
    let file = place.write("agents/a.jsonl", format!("{ask}\n{call}\n"));
    let folder = place.path("agents").display().to_string();
    let watching = watch(&place, &folder).await;
    until("the question is imported", async || {
        events(&place).await == 1
    })
    .await;
    fs::write(&file, format!("{ask}\n{call}\n{answer}\n")).unwrap();
    until("the command is imported", async || {
        events(&place).await == 2
    })
    .await;
    end(watching, Signal::INT).await;
    let trace = place.run(&["sessions", "export", "s1"]).await.ok();
    assert!(trace.contains("terminal_command"), "{trace}");
    assert!(
        trace.contains("built") && !trace.contains("unanswered"),
        "{trace}"
    );
}

#[tokio::test]
async fn what_could_not_be_stored_is_read_anew() {
    let place = Place::new();
    place.write("agents/a.jsonl", recording(true));
    let folder = place.path("agents").display().to_string();
    place.run(&["migrate"]).await.ok();
    place
        .sql(
            "CREATE TRIGGER no_more BEFORE INSERT ON session_events BEGIN SELECT RAISE(ABORT, 'no more'); END",
        )
        .await;
    let once = ["sessions", "watch", &folder, "--once"];
    place.run(&once).await.failed(1, &["no more"]);
    let mut watching = watch(&place, &folder).await;
    let stderr = watching.stderr.take().expect("it is piped");
    let mut said = BufReader::new(stderr).lines();
    assert!(line(&mut said).await.starts_with("watching "));
    let trouble = line(&mut said).await;
    assert!(trouble.contains("is not stored, and will be"), "{trouble}");
    place.sql("DROP TRIGGER no_more").await;
    until("everything is imported", async || events(&place).await == 3).await;
    end(watching, Signal::TERM).await;
}

async fn line(said: &mut Lines<BufReader<ChildStderr>>) -> String {
    let line = timeout(DEADLINE, said.next_line()).await;
    line.expect("it says something").unwrap().expect("a line")
}

#[tokio::test]
async fn messages_that_are_written_anew_are_waited_for() {
    let place = Place::new();
    let recorded = concat!(
        r#"{"sessionId":"main","projectHash":"ab","startTime":"2026-02-01T10:00:00Z"}"#,
        "\n",
        r#"{"id":"m1","timestamp":"2026-02-01T10:00:01Z","type":"user","content":"Mend it"}"#,
        "\n",
    );
    let file = place.write("agents/session-1.jsonl", recorded);
    let folder = place.path("agents").display().to_string();
    let once = ["sessions", "watch", &folder, "--once"];
    place.run(&once).await.ok();
    assert_eq!(events(&place).await, 0);
    let long_ago = SystemTime::UNIX_EPOCH;
    let opened = fs::File::options().append(true).open(file).unwrap();
    opened.set_modified(long_ago).unwrap();
    place.run(&once).await.ok();
    assert_eq!(events(&place).await, 1);
}

#[tokio::test]
async fn without_paths_the_folders_of_the_agents_are_looked_at_once() {
    let place = Place::new();
    place.write(".claude/projects/engine/a.jsonl", recording(true));
    place.write(".gemini/tmp/engine/logs.json", "[]");
    let once = ["sessions", "watch", "--once"];
    let ran = place.run(&once).await;
    assert!(ran.stderr.contains("a.jsonl: 3 new events"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 4, "{ran:?}");
    ran.ok();
    assert_eq!(events(&place).await, 3);
    let elsewhere = place.path("elsewhere").display().to_string();
    let place = place.with("CLAUDE_CONFIG_DIR", &elsewhere);
    place.write("elsewhere/projects/b.jsonl", other_session());
    let ran = place.run(&once).await;
    assert!(ran.stderr.contains("b.jsonl: 1 new events"), "{ran:?}");
    assert!(!ran.stderr.contains("a.jsonl"), "{ran:?}");
    let missing = place.run(&["sessions", "watch", "/nowhere/at/all"]).await;
    missing.failed(1, &["/nowhere/at/all"]);
}
