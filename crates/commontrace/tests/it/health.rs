//! `commontrace health`, as the health check of a container runs it.

use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::place::Place;

#[tokio::test]
async fn a_running_server_is_well_wherever_it_listens() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let place = Place::new().with("COMMONTRACE_LISTEN", listen);
        let server = place.serve().await;
        // The settings of the server's container, where a proxy may be set for the way out.
        let beside = Place::new()
            .with("COMMONTRACE_LISTEN", &server.address.to_string())
            .with("HTTP_PROXY", "http://127.0.0.1:1")
            .with("http_proxy", "http://127.0.0.1:1");
        assert_eq!(beside.run(&["health"]).await.ok(), "healthy\n");
        assert_eq!(beside.run(&["health", "--ready"]).await.ok(), "healthy\n");
        let address = server.address.to_string().replace("0.0.0.0", "127.0.0.1");
        server.stop().await;
        for words in [&["health"][..], &["health", "--ready"]] {
            beside.run(words).await.failed_with_hint(1, &[&address]);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_runs_all_the_same() {
    let server = MockServer::start().await;
    let answer = |status, body| ResponseTemplate::new(status).set_body_string(body);
    for (at, answer) in [
        ("/health/live", answer(200, "{}")),
        (
            "/health/ready",
            answer(503, r#"{"checks":{"database":"error"}}"#),
        ),
    ] {
        Mock::given(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let place = Place::new().with("COMMONTRACE_LISTEN", &server.address().to_string());
    place.run(&["health"]).await.ok();
    let ran = place.run(&["health", "--ready"]).await;
    ran.failed_with_hint(1, &["503", "database", "error"]);
}
