//! The protocol: every revision, what the server says of itself, what is on standard output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::agent::{Agent, STATELESS, Told, WITH_INITIALIZE, meta};
use crate::place::{DEADLINE, Place};

/// The tools, in the order in which they are listed.
pub const TOOLS: [&str; 7] = [
    "search_traces",
    "get_trace",
    "contribute_trace",
    "report_outcome",
    "vote_trace",
    "amend_trace",
    "list_tags",
];

/// The names in a list of tools.
pub fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

#[rstest]
#[tokio::test]
async fn every_revision_that_begins_with_initialize_is_spoken(
    #[values("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")] revision: &str,
) {
    let place = Place::new();
    let mut agent = Agent::start(&place);
    let hello = agent.initialize(revision).await;
    assert_eq!(hello["protocolVersion"], revision);
    assert_eq!(hello["serverInfo"]["name"], "CommonTrace");
    assert_eq!(hello["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(hello["capabilities"], json!({ "tools": {} }));
    assert!(
        hello["instructions"]
            .as_str()
            .unwrap()
            .starts_with("Search CommonTrace when")
    );
    assert_eq!(names(&agent.ask("tools/list", json!({})).await), TOOLS);
    assert_eq!(agent.ask("ping", json!({})).await["result"], json!({}));
    assert!(agent.told("list_tags", json!({})).await.contains(" tags"));
    assert_eq!(agent.leave().await.0, Some(0));
}

#[tokio::test]
async fn the_revision_without_a_beginning_is_spoken() {
    let place = Place::new();
    let mut agent = Agent::start(&place);
    let found = agent
        .ask("server/discover", json!({ "_meta": meta(STATELESS) }))
        .await;
    let found = &found["result"];
    let versions = found["supportedVersions"].as_array().unwrap();
    assert_eq!(versions.len(), 5, "{versions:?}");
    assert!(versions.contains(&json!(STATELESS)) && versions.contains(&json!("2024-11-05")));
    assert_eq!(
        found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "CommonTrace"
    );
    let list = agent
        .ask("tools/list", json!({ "_meta": meta(STATELESS) }))
        .await;
    assert_eq!(names(&list), TOOLS);
    assert_eq!(list["result"]["resultType"], "complete");
    assert!(list["result"]["ttlMs"].as_u64() > Some(0));
    let call = json!({ "name": "list_tags", "arguments": {}, "_meta": meta(STATELESS) });
    let told = Told::of(&agent.ask("tools/call", call).await);
    assert!(told.text.contains(" tags"), "{told:?}");
    let unknown = agent
        .ask("tools/list", json!({ "_meta": meta("2199-01-01") }))
        .await;
    assert_eq!(unknown["error"]["code"], -32022, "{unknown}");
}

#[tokio::test]
async fn a_conversation_that_asks_for_the_newest_revision_gets_the_last_with_a_beginning() {
    let place = Place::new();
    let mut agent = Agent::start(&place);
    let hello = agent.initialize(STATELESS).await;
    assert_eq!(hello["protocolVersion"], WITH_INITIALIZE);
}

#[tokio::test]
async fn nothing_is_opened_before_a_tool_is_called() {
    let place = Place::new();
    let mut agent = Agent::connect(&place).await;
    agent.ask("tools/list", json!({})).await;
    assert!(!place.data_dir().exists());
    agent.told("list_tags", json!({})).await;
    assert!(place.data_dir().exists());
}

#[tokio::test]
async fn standard_output_carries_the_protocol_and_the_log_goes_to_standard_error() {
    let place = Place::new().with("COMMONTRACE_LOG", "debug,rmcp=trace");
    // Each line that it reads is checked to be a message.
    let mut agent = Agent::connect(&place).await;
    agent
        .told("search_traces", json!({ "query": "docker pull whatisit" }))
        .await;
    let (code, rest, log) = agent.leave().await;
    assert_eq!((code, rest), (Some(0), Vec::new()));
    assert!(
        log.contains("POST /api/v1/traces/search answered 200"),
        "{log}"
    );
    assert!(
        !log.contains("whatisit"),
        "what is searched for is logged: {log}"
    );
}

#[tokio::test]
async fn a_host_that_goes_away_ends_it_and_what_was_asked_is_answered() {
    let place = Place::new();
    assert_eq!(Agent::start(&place).leave().await.0, Some(0));
    let mut agent = Agent::connect(&place).await;
    let call = json!({ "name": "list_tags", "arguments": {} });
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call });
    agent.send(&request).await;
    let (code, rest, _) = agent.leave().await;
    assert_eq!(code, Some(0));
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["id"], 7);
    let mut agent = Agent::connect(&place).await;
    agent.told("list_tags", json!({})).await;
    agent.terminate();
    assert!(agent.message().await.is_none());
    assert_eq!(agent.leave().await.0, Some(0));
}

#[tokio::test]
async fn what_is_no_tool_or_no_argument_of_one_is_told() {
    let place = Place::new();
    let mut agent = Agent::connect(&place).await;
    let unknown = agent
        .ask(
            "tools/call",
            json!({ "name": "drop_tables", "arguments": {} }),
        )
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    for (tool, arguments, named) in [
        ("search_traces", json!({ "q": "x" }), "unknown field `q`"),
        ("search_traces", json!({ "limit": "many" }), "bad arguments"),
        ("get_trace", json!({}), "missing field `trace_id`"),
        (
            "get_trace",
            json!({ "trace_id": "../keys" }),
            "`../keys` is no trace id",
        ),
        (
            "vote_trace",
            json!({ "trace_id": "7", "vote_type": "up" }),
            "`7` is no trace id",
        ),
    ] {
        let told = agent.refused(tool, arguments).await;
        assert!(
            told.starts_with("[CommonTrace error] ") && told.contains(named),
            "{told}"
        );
    }
    let told = agent
        .told("search_traces", json!({ "query": " ", "tags": null }))
        .await;
    assert!(told.starts_with("Nothing to search for"), "{told}");
}

#[tokio::test]
async fn a_signal_ends_it_though_its_input_is_a_socket_that_stays_open() {
    // What Node.js gives its children for pipes. Reading from it cannot be interrupted.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let place = Place::new();
    let mut command = place.command(&["mcp"]);
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap()));
    command.stdout(OwnedFd::from(theirs));
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    let hello = json!({
        "protocolVersion": WITH_INITIALIZE, "capabilities": {}, "clientInfo": { "name": "node", "version": "1" },
    });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello });
    writeln!(ours, "{hello}").unwrap();
    let ours = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(&ours).read_line(&mut line).unwrap();
        assert!(line.contains("CommonTrace"), "{line}");
        ours
    });
    let _stays_open = ours.await.unwrap();
    let id = Pid::from_raw(child.id().expect("it runs") as i32).expect("a process has an id");
    kill_process(id, Signal::TERM).unwrap();
    let ended = timeout(DEADLINE, child.wait()).await.expect("it ends");
    assert_eq!(ended.unwrap().code(), Some(0));
}
