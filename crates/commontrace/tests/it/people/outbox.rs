//! Contributions made while the server is away are sent once.

use serde_json::json;
use tokio::time::{sleep, timeout};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Shared, form, publish, taken, using};
use crate::place::{DEADLINE, LOOK_AGAIN, Place};

async fn contributes(place: &Place, title: &str) -> String {
    place
        .run_with_input(&["contribute", "--yes"], form(title).as_bytes())
        .await
        .ok()
}

#[tokio::test]
async fn what_waits_is_sent_once_however_many_processes_send_it() {
    let shared = Shared::new().await;
    shared.publishes_always();
    let titles: Vec<String> = (0..6)
        .map(|number| format!("gadget {number} fails at dawn"))
        .collect();
    let offline = ["contribute", "--yes", "--offline"];
    for title in &titles {
        let said = shared
            .place
            .run_with_input(&offline, form(title).as_bytes())
            .await
            .ok();
        assert!(said.contains("\nNot published yet: "), "{said}");
    }
    assert!(shared.titles("gadgets").await.is_empty());
    let both = tokio::join!(
        shared.place.run(&["search", "gadget"]),
        shared.place.run(&["status"]),
        shared.place.run(&["remote", "show"]),
        shared.place.run(&["search", "other"]),
    );
    let said = format!("{both:?}");
    assert_eq!(shared.titles("gadgets").await, titles, "{said}");
    assert_eq!(
        said.matches("which had waited: ").count(),
        titles.len(),
        "{said}"
    );
    assert!(
        shared
            .place
            .run(&["status"])
            .await
            .ok()
            .contains("waiting     nothing")
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn a_contribution_that_was_killed_in_the_middle_is_sent_again_under_its_name() {
    let server = MockServer::start().await;
    let contributing = || Mock::given(method("POST")).and(path("/api/v1/traces"));
    contributing()
        .respond_with(taken().set_delay(DEADLINE))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    contributing().respond_with(taken()).mount(&server).await;
    let verified = json!({ "valid": true, "user_id": "00000000-0000-4000-8000-000000000001" });
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(verified))
        .mount(&server)
        .await;
    let place = using(&server);
    publish(&place, "always");
    let file = place.write("form.txt", form("gadget fails"));
    let mut child = place
        .command(&["contribute", "--yes", file.to_str().unwrap()])
        .spawn()
        .unwrap();
    let names = async || {
        let requests = server.received_requests().await.unwrap();
        let names = requests
            .iter()
            .filter_map(|request| request.headers.get("idempotency-key").cloned());
        names.collect::<Vec<_>>()
    };
    timeout(DEADLINE, async {
        while names().await.is_empty() {
            sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("it was sent");
    child.kill().await.unwrap();
    let ran = place.run(&["status"]).await;
    assert!(
        ran.stderr
            .contains("published `gadget fails`, which had waited"),
        "{ran:?}"
    );
    place.run(&["status"]).await.ok();
    let names = names().await;
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], names[1]);
}

#[tokio::test]
async fn a_server_that_is_away_gets_it_later_and_the_author_is_told() {
    let shared = Shared::new().await;
    shared.publishes_always();
    let away = shared.url();
    let file = super::settings(&shared.place);
    let nowhere = super::nowhere();
    // The same server, at an address where it is not.
    let place = shared.place;
    place.settings(&file.replace(&format!("{away}/"), &format!("{nowhere}/")));
    let said = contributes(&place, "gadget fails at dusk").await;
    assert!(
        said.contains("\nNot published yet: No server answers at "),
        "{said}"
    );
    place.settings(&file);
    let status = place.run(&["status"]).await.ok();
    assert!(
        status.contains("1 contribution to be sent"),
        "what was agreed for one server is not sent to another: {status}"
    );
    shared.server.stop().await;
}

#[tokio::test]
async fn what_the_server_refuses_later_is_put_aside_with_the_reason() {
    let server = MockServer::start().await;
    let refusal = json!({ "detail": "this trace is a duplicate of another" });
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(409).set_body_json(refusal))
        .mount(&server)
        .await;
    let place = using(&server);
    publish(&place, "always");
    let offline = ["contribute", "--yes", "--offline"];
    place
        .run_with_input(&offline, form("gadget fails").as_bytes())
        .await
        .ok();
    place.run(&["search", "anything"]).await;
    let status = place.run(&["status"]).await;
    assert!(status.stdout.contains("waiting     nothing"), "{status:?}");
    assert!(
        status.stdout.contains("refused     `gadget fails`"),
        "{status:?}"
    );
    assert!(
        status
            .stdout
            .contains("this trace is a duplicate of another (HTTP 409)"),
        "{status:?}"
    );
    let posted = server.received_requests().await.unwrap();
    let posted = posted
        .iter()
        .filter(|request| request.url.path() == "/api/v1/traces")
        .count();
    assert_eq!(posted, 1);
}

#[tokio::test]
async fn a_busy_server_or_a_refused_key_keeps_contributions_waiting() {
    for status in [401, 429, 503] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .mount(&server)
            .await;
        let place = using(&server);
        publish(&place, "always");
        let offline = ["contribute", "--yes", "--offline"];
        place
            .run_with_input(&offline, form("gadget fails").as_bytes())
            .await
            .ok();
        place.run(&["search", "anything"]).await;
        let said = place.run(&["status"]).await.stdout;
        assert!(
            said.contains("1 contribution to be sent") && !said.contains("refused     "),
            "{status}: {said}"
        );
        // A server that said no has not got it, so it may be sent however much later.
        let waits = std::fs::read_dir(place.data_dir().join("outbox")).unwrap();
        let waits: Vec<_> = waits.map(|file| file.unwrap().file_name()).collect();
        let is_unsure = waits[0].to_str().unwrap().contains(".tried");
        assert_eq!(is_unsure, status == 503, "{status}: {waits:?}");
    }
}

#[tokio::test]
async fn an_agents_contribution_waits_too_and_is_sent_by_its_next_call_that_reaches_the_server() {
    let server = MockServer::start().await;
    let contributing = || Mock::given(method("POST")).and(path("/api/v1/traces"));
    // Both attempts of the first call.
    contributing()
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    contributing().respond_with(taken()).mount(&server).await;
    Mock::given(path("/api/v1/tags"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "tags": [] })))
        .mount(&server)
        .await;
    let place = using(&server);
    let mut agent = crate::mcp::agent::Agent::connect(&place).await;
    let told = agent
        .told(
            "contribute_trace",
            crate::client::a_trace("gadget of mira@holt.dev fails"),
        )
        .await;
    assert!(
        told.starts_with("Not published yet: ") && told.contains("replaced by"),
        "{told}"
    );
    // Hooks take the first id for the trace's, so there must be none.
    let is_id = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    assert!(!told.split_whitespace().any(is_id), "{told}");
    agent.told("list_tags", json!({})).await;
    crate::client::until("it was sent", async || {
        let requests = server.received_requests().await.unwrap();
        let names: Vec<_> = requests
            .iter()
            .filter_map(|request| request.headers.get("idempotency-key"))
            .collect();
        names.len() == 3 && names.iter().all(|name| *name == names[0])
    })
    .await;
    crate::client::until("nothing waits", async || {
        let status = place.run(&["status", "--offline"]).await.stdout;
        status.contains("waiting     nothing")
    })
    .await;
    assert_eq!(agent.leave().await.0, Some(0));
}

#[tokio::test]
async fn what_waits_is_not_published_where_the_settings_have_come_to_forbid_it() {
    let server = super::answering(taken()).await;
    let place = using(&server);
    let agreed = super::settings(&place);
    publish(&place, "always");
    let offline = ["contribute", "--yes", "--offline"];
    place
        .run_with_input(&offline, form("gadget fails").as_bytes())
        .await
        .ok();
    place.settings(&agreed);
    publish(&place, "never");
    place.run(&["search", "anything"]).await;
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "the search alone: {requests:?}");
    let status = place.run(&["status"]).await.stdout;
    assert!(status.contains("1 contribution to be sent"), "{status}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_holds_up_no_contribution() {
    let server = super::answering(taken()).await;
    let place = using(&server);
    publish(&place, "always");
    let offline = ["contribute", "--yes", "--offline"];
    place
        .run_with_input(&offline, form("gadget fails").as_bytes())
        .await
        .ok();
    let outbox = place.data_dir().join("outbox");
    std::fs::create_dir(outbox.join("0-a-folder.json")).unwrap();
    std::fs::write(outbox.join("0-half.json"), "{\"idempotency_key\": \"").unwrap();
    let ran = place.run(&["search", "anything"]).await;
    assert!(
        ran.stderr
            .contains("published `gadget fails`, which had waited"),
        "{ran:?}"
    );
}
