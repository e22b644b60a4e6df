//! `/mcp` of a server: every revision by plain requests, whose pages may call, keys, limits, bad input.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::agent::{STATELESS, WITH_INITIALIZE, first_id, meta};
use super::caller::{Caller, Heard};
use super::protocol::{TOOLS, names};
use crate::client::a_trace;
use crate::place::Place;

fn hello(revision: &str) -> Value {
    json!({
        "protocolVersion": revision, "capabilities": {},
        "clientInfo": { "name": "a test", "version": "1" },
    })
}

#[rstest]
#[tokio::test]
async fn every_revision_that_begins_with_initialize_is_answered(
    #[values("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")] revision: &'static str,
) {
    let place = Place::new();
    let server = place.serve().await;
    let caller = Caller::new(&server.user().await, revision);
    let answer = caller.ask("initialize", hello(revision)).await;
    let found = &answer["result"];
    assert_eq!(found["protocolVersion"], revision);
    assert_eq!(found["serverInfo"]["name"], "CommonTrace");
    assert_eq!(found["capabilities"], json!({ "tools": {} }));
    assert!(found.get("resultType").is_none(), "{found}");
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    let version = [("mcp-protocol-version", revision)];
    let heard = caller.post(ready, &version).await;
    assert_eq!((heard.status, heard.text.as_str()), (202, ""));
    assert_eq!(names(&caller.ask("tools/list", json!({})).await), TOOLS);
    assert_eq!(caller.ask("ping", json!({})).await["result"], json!({}));
    assert!(caller.told("list_tags", json!({})).await.contains(" tags"));
    // Older hosts name their revision nowhere but at the beginning.
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }).to_string();
    assert_eq!(names(&caller.post(list, &[]).await.json()), TOOLS);
    // There is no stream to open and no session to end, which hosts take for what it is.
    for method in [Method::GET, Method::DELETE] {
        let request = server.anyone().request(method, "/mcp");
        let heard = Heard::of(request.header("accept", "text/event-stream")).await;
        assert_eq!(heard.status, 405);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_revision_without_a_beginning_is_answered() {
    let place = Place::new();
    let server = place.serve().await;
    let caller = Caller::new(&server.user().await, STATELESS);
    let answer = caller.ask("server/discover", json!({})).await;
    let found = &answer["result"];
    assert_eq!(found["supportedVersions"].as_array().unwrap().len(), 5);
    assert_eq!(found["resultType"], "complete");
    assert!(found["ttlMs"].as_u64() > Some(0));
    let list = caller.ask("tools/list", json!({})).await;
    assert_eq!(names(&list), TOOLS);
    assert_eq!(list["result"]["resultType"], "complete");
    assert!(caller.told("list_tags", json!({})).await.contains(" tags"));
    assert_eq!(caller.hears("ping", json!({})).await.code(404), -32601);
    let listen = json!({ "notifications": { "toolsListChanged": true } });
    let heard = caller.hears("subscriptions/listen", listen).await;
    assert_eq!(heard.code(404), -32601);
    let answer = caller.ask("initialize", hello(STATELESS)).await;
    assert_eq!(answer["result"]["protocolVersion"], WITH_INITIALIZE);
    server.stop().await;
}

#[tokio::test]
async fn headers_that_do_not_say_what_the_body_says_are_refused() {
    let place = Place::new();
    let server = place.serve().await;
    let caller = Caller::new(&server.user().await, STATELESS);
    let call = |version: &str| {
        let params = json!({ "name": "list_tags", "arguments": {}, "_meta": meta(version) });
        json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string()
    };
    let version = ("mcp-protocol-version", STATELESS);
    let method = ("mcp-method", "tools/call");
    let name = ("mcp-name", "list_tags");
    let good = caller.post(call(STATELESS), &[version, method, name]).await;
    assert_eq!(good.status, 200, "{good:?}");
    for headers in [
        vec![method, name],
        vec![("mcp-protocol-version", WITH_INITIALIZE), method, name],
        vec![version, name],
        vec![version, ("mcp-method", "tools/list"), name],
        vec![version, method],
        vec![version, method, ("mcp-name", "get_trace")],
    ] {
        let heard = caller.post(call(STATELESS), &headers).await;
        assert_eq!(heard.code(400), -32020, "{headers:?}: {heard:?}");
    }
    let unknown = [("mcp-protocol-version", "2199-01-01"), method, name];
    let heard = caller.post(call("2199-01-01"), &unknown).await;
    assert_eq!(heard.code(400), -32022, "{heard:?}");
    let bare = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {} });
    let list = [version, ("mcp-method", "tools/list")];
    let heard = caller.post(bare.to_string(), &list).await;
    assert_eq!(heard.code(400), -32602, "{heard:?}");
    server.stop().await;
}

#[tokio::test]
async fn pages_that_nobody_let_in_may_not_call() {
    let place = Place::new();
    let server = place.serve().await;
    let nobody = Caller::new(&server.anyone(), WITH_INITIALIZE);
    let user = Caller::new(&server.user().await, WITH_INITIALIZE);
    for (origin, status) in [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("", 403),
    ] {
        let heard = user
            .with("origin", origin)
            .hears("tools/list", json!({}))
            .await;
        assert_eq!(heard.status, status, "{origin}: {heard:?}");
        assert!(status == 200 || heard.text.contains("COMMONTRACE_CORS_ORIGINS"));
    }
    // A name that somebody lets point to this machine.
    let heard = nobody
        .with("host", "evil.example:8000")
        .hears("tools/list", json!({}))
        .await;
    assert_eq!(heard.status, 403, "{heard:?}");
    for known in [
        user.with("host", "commons.example"),
        nobody.with("host", "localhost:8000"),
        nobody
            .with("host", "commons.example")
            .with("x-forwarded-for", "192.0.2.1"),
    ] {
        known.ask("tools/list", json!({})).await;
    }
    server.stop().await;

    let place = place.with("COMMONTRACE_CORS_ORIGINS", "https://app.example");
    let server = place.serve().await;
    let user = Caller::new(&server.user().await, WITH_INITIALIZE);
    let listed = user.with("origin", "https://app.example");
    listed.ask("tools/list", json!({})).await;
    let other = user.with("origin", "https://app.example.evil.example");
    assert_eq!(other.hears("tools/list", json!({})).await.status, 403);
    let preflight = server.anyone().request(Method::OPTIONS, "/mcp");
    let preflight = preflight
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    let allowed = preflight.send().await.unwrap();
    let allowed = allowed.headers()["access-control-allow-headers"].to_str();
    let allowed = allowed.unwrap().to_owned();
    for header in [
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "authorization",
    ] {
        assert!(allowed.contains(header), "{allowed}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_key_comes_with_each_request_and_an_error_names_both_ways() {
    let place = Place::new();
    let server = place.serve().await;
    let user = server.user().await;
    let nobody = Caller::new(&server.anyone(), WITH_INITIALIZE);
    let told = nobody.refused("list_tags", json!({})).await;
    assert!(
        told.starts_with("[CommonTrace error] Not authenticated")
            && told.contains("`X-API-Key: KEY`")
            && told.contains("`Authorization: Bearer KEY`"),
        "{told}"
    );
    let bearer = nobody.with("authorization", &format!("Bearer {}", user.key));
    bearer.told("list_tags", json!({})).await;
    let own = Caller::new(&user, WITH_INITIALIZE);
    let told = own
        .told("contribute_trace", a_trace("gizmo breaks at noon"))
        .await;
    let mine = user.get("/api/v1/traces?mine=true").await.ok();
    assert_eq!(mine["traces"][0]["id"], first_id(&told));

    user.try_send(Method::DELETE, "/api/v1/keys/current", None)
        .await
        .unwrap();
    for caller in [own, bearer] {
        let told = caller.refused("list_tags", json!({})).await;
        assert!(
            told.starts_with("[CommonTrace error] Invalid API key (HTTP 401)")
                && told.contains("Only the user can mend that"),
            "{told}"
        );
    }
    let log = server.stop().await;
    assert!(!log.contains(&user.key), "{log}");
}

#[tokio::test]
async fn on_ones_own_machine_no_key_is_needed() {
    let place = Place::new().with("COMMONTRACE_SINGLE_USER", "true");
    let server = place.serve().await;
    let caller = Caller::new(&server.anyone(), STATELESS);
    let told = caller
        .told("contribute_trace", a_trace("gizmo breaks at noon"))
        .await;
    assert!(told.starts_with("Trace contributed (ID: "), "{told}");
    let through_a_proxy = caller.with("x-forwarded-for", "192.0.2.1");
    let told = through_a_proxy.refused("list_tags", json!({})).await;
    assert!(told.contains("Not authenticated"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn tools_have_the_limits_of_the_api_and_tell_the_wait() {
    let place = Place::new().with("RATE_LIMIT_READ_PER_MINUTE", "2");
    let server = place.serve().await;
    let user = server.user().await;
    let caller = Caller::new(&user, WITH_INITIALIZE);
    caller.told("list_tags", json!({})).await;
    user.get("/api/v1/tags").await.ok();
    let told = caller.refused("list_tags", json!({})).await;
    assert!(
        told.contains("(HTTP 429). Call again in ") && told.ends_with(" seconds, not before."),
        "{told}"
    );
    // What costs nothing is not counted.
    caller.ask("tools/list", json!({})).await;
    server.stop().await;
}

#[tokio::test]
async fn a_tools_request_is_logged_as_its_callers_and_says_nothing_of_what_was_asked() {
    let place = Place::new()
        .with("TRUSTED_PROXIES", "127.0.0.1")
        .with("COMMONTRACE_LOG_FORMAT", "json");
    let server = place.serve().await;
    let user = Caller::new(&server.user().await, WITH_INITIALIZE);
    let caller = user
        .with("x-forwarded-for", "192.0.2.4")
        .with("x-request-id", "of-this-test");
    caller
        .told("search_traces", json!({ "query": "docker pull whatisit" }))
        .await;
    let log = server.stop().await;
    for path in ["/mcp", "/api/v1/traces/search"] {
        let line = log.lines().find(|line| {
            line.contains(&format!("POST {path} answered 200")) && line.contains("of-this-test")
        });
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains(r#""client.address":"192.0.2.4""#), "{line}");
    }
    assert!(!log.contains("whatisit") && !log.contains("rmcp"), "{log}");
}

#[tokio::test]
async fn no_input_makes_the_server_fail() {
    let place = Place::new();
    let server = place.serve().await;
    let caller = Caller::new(&server.user().await, WITH_INITIALIZE);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}1{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    for (body, code) in [
        ("", -32700),
        ("nonsense", -32700),
        (r#"{"jsonrpc":"2.0","id":1"#, -32700),
        (deep.as_str(), -32600),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("{}", -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
    ] {
        let heard = caller.post(body, &[]).await;
        assert_eq!(heard.code(400), code, "{body:.80}: {heard:?}");
    }
    let heard = caller.post(b"\xff\xfe\x00".to_vec(), &[]).await;
    assert_eq!(heard.code(400), -32700);
    let large = vec![b' '; 2 * 1024 * 1024];
    assert_eq!(caller.post(large, &[]).await.status, 413);
    for params in [
        json!({}),
        json!({ "name": 7 }),
        json!({ "name": "list_tags", "arguments": [] }),
        json!({ "name": "", "arguments": {} }),
        json!({ "name": "x".repeat(100_000), "arguments": {} }),
        json!({ "name": "get_trace", "arguments": { "trace_id": "\u{0}".repeat(1_000) } }),
        json!([]),
        json!("text"),
    ] {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let heard = caller.post(call.to_string(), &[]).await;
        assert!(heard.status < 500, "{params:.80}: {heard:?}");
        assert!(heard.text.len() < 2_000, "{}", heard.text.len());
    }
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for headers in [
        [("mcp-protocol-version", "nonsense")],
        [("mcp-protocol-version", "é")],
        [("mcp-method", "é")],
        [("mcp-session-id", "made-up")],
        [("last-event-id", "made-up")],
    ] {
        let heard = caller.post(ping, &headers).await;
        assert!(heard.status < 500, "{headers:?}: {heard:?}");
    }
    let path = |kind: &str, accept: &str| {
        let request = server.anyone().request(Method::POST, "/mcp").body(ping);
        Heard::of(
            request
                .header("content-type", kind)
                .header("accept", accept),
        )
    };
    let both = "application/json, text/event-stream";
    assert_eq!(path("text/plain", both).await.status, 415);
    assert_eq!(path("application/json", "text/html").await.status, 406);
    let log = server.stop().await;
    assert!(!log.contains("failed with 5"), "{log}");
}
