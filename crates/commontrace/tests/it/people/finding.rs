//! Searching and reading at the command line.

use serde_json::Value;

use super::{PASTED, Shared, answering, form, nowhere, using};
use crate::place::{DEADLINE, Place};

/// Origin and title of each result.
async fn found(place: &Place, text: &str) -> Vec<(String, String)> {
    let answer = place.run(&["search", "--json", text]).await.ok();
    let answer: Value = serde_json::from_str(&answer).expect("it is JSON");
    let hits = answer["results"].as_array().unwrap().iter();
    hits.map(|hit| {
        let text = |name: &str| hit[name].as_str().unwrap().to_owned();
        (text("origin"), text("title"))
    })
    .collect()
}

#[tokio::test]
async fn a_search_asks_both_stores_and_says_where_each_result_is_from() {
    let shared = Shared::new().await;
    shared
        .other
        .contributes("gizmo frobnicates in the cloud")
        .await;
    let private = form("gizmo frobnicates on this machine");
    shared
        .place
        .run_with_input(&["contribute", "--private"], private.as_bytes())
        .await
        .ok();
    let hits = found(&shared.place, "gizmo frobnicates").await;
    let first: Vec<(&str, &str)> = hits
        .iter()
        .take(2)
        .map(|(from, title)| (from.as_str(), title.as_str()))
        .collect();
    let url = shared.url();
    assert!(
        first.contains(&("this machine", "gizmo frobnicates on this machine")),
        "{hits:?}"
    );
    assert!(
        first.contains(&(url.as_str(), "gizmo frobnicates in the cloud")),
        "{hits:?}"
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn a_trace_that_both_stores_have_is_found_once() {
    let shared = Shared::new().await;
    let place = shared.place.with("COMMONTRACE_IMPORT_SEEDS", "true");
    let hits = found(&place, "error: externally-managed-environment").await;
    let title = &hits[0].1;
    assert!(title.contains("externally-managed-environment"), "{hits:?}");
    assert_eq!(
        hits.iter().filter(|(_, other)| other == title).count(),
        1,
        "{hits:?}"
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn without_a_server_in_reach_what_is_here_is_found_and_one_line_says_so() {
    let url = nowhere();
    let place = Place::new().with("COMMONTRACE_API_BASE_URL", &url);
    let ran = place
        .run(&["search", "externally-managed-environment", "-n", "1"])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("· this machine ·"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(
        ran.stderr
            .starts_with(&format!("note: {url} was not searched: No server answers")),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_key_that_was_revoked_is_said_with_what_to_do() {
    let shared = Shared::new().await;
    shared
        .own
        .post("/api/v1/keys/rotate", serde_json::json!({}))
        .await
        .ok();
    let ran = shared.place.run(&["status"]).await;
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stdout.contains("the key is refused")
            && ran.stdout.contains("--register` gets a new one"),
        "{ran:?}"
    );
    let trace = "00000000-0000-4000-8000-000000000009";
    shared
        .place
        .run(&["get", trace])
        .await
        .failed_with_hint(4, &["HTTP 401", "remote add URL --register"]);
    let ran = shared.place.run(&["search", "gizmo"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr
            .contains("was not searched: Invalid API key (HTTP 401)"),
        "{ran:?}"
    );
    let doctor = shared.place.run(&["doctor"]).await;
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains("WRONG  remote: "), "{doctor:?}");
    shared
        .place
        .run(&["remote", "add", &shared.url(), "--register"])
        .await
        .ok();
    shared.place.run(&["status"]).await.ok();
    shared.server.stop().await;
}

#[tokio::test]
async fn exit_codes_tell_found_nothing_wrong_usage_and_nobody_there() {
    let place = Place::new();
    place
        .run(&["search", "externally-managed-environment"])
        .await
        .ok();
    let nothing = place.run(&["search", "zxqv wbrtl qqpfz"]).await;
    assert_eq!(
        (nothing.code, nothing.stdout.as_str()),
        (Some(1), ""),
        "{nothing:?}"
    );
    assert_eq!(nothing.stderr, "nothing relevant is known\n");
    let unknown = "00000000-0000-4000-8000-000000000009";
    place.run(&["get", unknown]).await.failed(1, &["HTTP 404"]);
    place
        .run(&["get", "no-id"])
        .await
        .failed(2, &["must be an id such as"]);
    place
        .run(&["search", ""])
        .await
        .failed(2, &["nothing to search for"]);
    place
        .run(&["search", "externally-managed-environment", "--open", "50"])
        .await
        .failed(1, &["result"]);
    let away = Place::new().with("COMMONTRACE_API_BASE_URL", &nowhere());
    away.run(&["get", unknown])
        .await
        .failed_with_hint(3, &["No server answers"]);
}

#[tokio::test]
async fn the_output_of_a_command_is_piped_in_and_its_error_is_searched_for() {
    let place = Place::new();
    let mut output: String = (0..3000)
        .map(|n| format!("Collecting package-{n}\n  Downloading it ({n} kB)\n"))
        .collect();
    output.push_str("\u{1b}[31merror: externally-managed-environment\u{1b}[0m\n\n× This environment is externally managed\n");
    output.push_str(&"hint: See PEP 668 for the detailed specification.\n".repeat(3));
    let ran = place
        .run_with_input(&["search", "-n", "1"], output.as_bytes())
        .await
        .ok();
    assert!(ran.contains("externally-managed-environment"), "{ran}");
    assert!(!ran.contains('\u{1b}'), "no colour in a pipe: {ran}");
    let opened = place
        .run(&["search", "externally-managed-environment", "--open", "1"])
        .await
        .ok();
    assert!(
        opened.contains("\nProblem\n") && opened.contains("python3 -m venv"),
        "{opened}"
    );
    let id = ran.lines().last().expect("an id").trim().to_owned();
    let got = place.run(&["get", &id]).await.ok();
    assert_eq!(got, opened);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = place.command(&["search", "docker"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), said.as_ref()), (Some(0), ""));
}

#[tokio::test]
async fn no_secret_leaves_the_machine_wherever_the_text_is_cut() {
    let empty = serde_json::json!({ "results": [], "total": 0 });
    let server = answering(wiremock::ResponseTemplate::new(200).set_body_json(empty)).await;
    let place = using(&server);
    for before in [
        0, 800, 890, 940, 980, 1000, 20_000, 70_000, 300_000, 1_100_000,
    ] {
        let noise = "Compiling it\n".repeat(before / 13);
        let text = format!(
            "{noise}{}error: token {PASTED} of mira@holt.dev was refused\n{noise}",
            "x".repeat(before % 13)
        );
        place.run_with_input(&["search"], text.as_bytes()).await;
    }
    place
        .run(&[
            "search",
            "--context",
            &format!("environment={PASTED}"),
            &format!("failed with {PASTED}"),
        ])
        .await;
    let requests = server.received_requests().await.unwrap();
    assert!(requests.len() >= 11);
    for request in requests {
        let body = String::from_utf8(request.body).unwrap();
        assert!(!body.contains("ghp_") && !body.contains("mira@"), "{body}");
    }
    for file in super::files(&place.data_dir()) {
        let content = std::fs::read(&file).unwrap();
        let has = |secret: &str| {
            content
                .windows(secret.len())
                .any(|part| part == secret.as_bytes())
        };
        assert!(
            !has(&PASTED[..12]) && !has("mira@holt"),
            "{}",
            file.display()
        );
    }
}
