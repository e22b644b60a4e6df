//! The server that the settings name is asked where this machine knows nothing, within the time that there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::net::TcpListener;

use super::{Session, UNHASHABLE, log, with_trace};
use crate::place::Place;

fn sent(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.data_dir().join("sent.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_named_server_is_asked_with_the_error_alone_and_what_was_sent_is_logged() {
    let behind = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
    let server = behind.serve().await;
    let id = with_trace(&server).await;
    let key = server.user().await.key;
    let place = Place::new()
        .with(
            "COMMONTRACE_API_BASE_URL",
            &format!("http://{}", server.address),
        )
        .with("COMMONTRACE_API_KEY", &key);
    let session = Session::new(&place, "one");
    let folder = place.path("shop").display().to_string();
    let output = UNHASHABLE.replace("graph.py", &format!("{folder}/graph.py"));
    let told = session
        .failed(&format!("cd {folder} && python graph.py"), &output)
        .await;
    let told = told.unwrap_or_else(|| panic!("{:?} {}", sent(&place), log(&place)));
    assert!(
        told.contains(&id) && told.contains(&server.address.to_string()),
        "{told}"
    );
    let [sent] = &sent(&place)[..] else {
        panic!("one request")
    };
    let body = sent["body"].to_string();
    assert!(body.contains("unhashable type"), "{body}");
    assert!(
        !body.contains(&folder) && !sent.to_string().contains(&key),
        "{sent}"
    );

    // What went nowhere before goes nowhere with these.
    for (name, value) in [
        ("COMMONTRACE_OFFLINE", "true"),
        ("COMMONTRACE_SEARCH", "local"),
        ("COMMONTRACE_SEARCH", "off"),
    ] {
        let place = Place::new()
            .with(
                "COMMONTRACE_API_BASE_URL",
                &format!("http://{}", server.address),
            )
            .with("COMMONTRACE_API_KEY", &key)
            .with(name, value);
        let session = Session::new(&place, "one");
        assert_eq!(
            session.failed("python graph.py", UNHASHABLE).await,
            None,
            "{name}={value}"
        );
        assert!(
            !place.data_dir().join("sent.jsonl").exists(),
            "{name}={value}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_late_twice_is_left_alone() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            open.push(stream);
        }
    });
    let place = Place::new()
        .with("COMMONTRACE_API_BASE_URL", &format!("http://{address}"))
        .with("COMMONTRACE_API_KEY", "k");
    let session = Session::new(&place, "one");
    for number in ["alpha", "beta", "gamma", "delta"] {
        let output = format!("RuntimeError: the part {number} is not there for anybody");
        assert_eq!(session.failed("python x.py", &output).await, None);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 2);
    assert_eq!(log(&place).lines().count(), 2, "{}", log(&place));
}

#[tokio::test]
async fn a_server_that_is_away_or_refuses_the_key_is_a_line_in_the_log() {
    let behind = Place::new();
    let server = behind.serve().await;
    let place = Place::new()
        .with(
            "COMMONTRACE_API_BASE_URL",
            &format!("http://{}", server.address),
        )
        .with("COMMONTRACE_API_KEY", "ct_revoked");
    let session = Session::new(&place, "one");
    assert_eq!(session.failed("python graph.py", UNHASHABLE).await, None);
    assert!(
        log(&place).contains("does not take the key"),
        "{}",
        log(&place)
    );
    assert!(!log(&place).contains("ct_revoked"));

    let place = Place::new()
        .with("COMMONTRACE_API_BASE_URL", "http://127.0.0.1:9")
        .with("COMMONTRACE_API_KEY", "k");
    let session = Session::new(&place, "one");
    assert_eq!(session.failed("python graph.py", UNHASHABLE).await, None);
    assert_eq!(log(&place).lines().count(), 1, "{}", log(&place));
}
