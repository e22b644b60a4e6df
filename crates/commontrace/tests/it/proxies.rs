//! Whose requests are counted together when a proxy is in front.

use reqwest::Method;
use serde_json::json;

use crate::place::Place;
use crate::server::Server;

async fn registers(server: &Server, header: &str, value: &str) -> u16 {
    let request = server.anyone().request(Method::POST, "/api/v1/keys");
    let sent = request.header(header, value).json(&json!({})).send().await;
    sent.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_nobody_else() {
    let place = Place::new().with("RATE_LIMIT_REGISTER_PER_HOUR", "1");
    let server = place.serve().await;
    assert_eq!(
        registers(&server, "x-forwarded-for", "192.0.2.1").await,
        201
    );
    assert_eq!(
        registers(&server, "x-forwarded-for", "192.0.2.2").await,
        429
    );
    assert_eq!(registers(&server, "forwarded", "for=192.0.2.3").await, 429);
    server.stop().await;

    let place = place
        .with("TRUSTED_PROXIES", "::1, 127.0.0.0/8")
        .with("COMMONTRACE_LOG_FORMAT", "json");
    let server = place.serve().await;
    for (value, status) in [
        ("192.0.2.1", 201),
        ("192.0.2.1", 429),
        // What the client has put there itself changes nothing.
        ("203.0.113.9, 192.0.2.1", 429),
        ("192.0.2.2", 201),
        ("192.0.2.1, 192.0.2.3, 127.0.0.2", 201),
        ("[2001:db8::1]:4711", 201),
        ("2001:db8::2", 429),
        ("nonsense", 201),
        ("other nonsense", 429),
    ] {
        let found = registers(&server, "x-forwarded-for", value).await;
        assert_eq!(found, status, "{value}");
    }
    assert_eq!(
        registers(&server, "forwarded", "for=192.0.2.4;proto=https").await,
        201
    );
    let log = server.stop().await;
    assert!(log.contains(r#""client.address":"192.0.2.4""#), "{log}");
    assert!(
        !log.contains("nonsense") && !log.contains("203.0.113.9"),
        "{log}"
    );
}
