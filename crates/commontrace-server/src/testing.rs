//! What the tests of this crate share: an app on a store of its own, and short ways to call it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_store::{Location, NewAccount, Store};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::api_key::ApiKeys;
use crate::app::{App, Parts, ServerSettings};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::search::Search;

pub fn noon() -> DateTime<Utc> {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// An app on a fresh store, whose clock stands at noon. The directory goes with the store.
pub async fn app(settings: ServerSettings) -> (App, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::File(dir.path().join("test.db"));
    let store = Store::open(&location).await.unwrap();
    let search = Search::new(&store, None, None, Ids::Random.uuid());
    let app = App::new(Parts::new(
        store,
        Clock::manual(noon()),
        Ids::seeded(0),
        ApiKeys::new(b"pepper"),
        search,
        settings,
    ));
    (app, dir)
}

/// Creates an account and returns its key.
pub async fn account(app: &App, change: impl FnOnce(&mut NewAccount)) -> String {
    let key = app.api_keys.generate(&app.ids);
    let mut new = NewAccount {
        id: app.ids.id::<UserId>(),
        email: None,
        display_name: None,
        can_contribute: false,
        is_moderator: false,
        is_seed: false,
        key_hash: Some(app.api_keys.hash(key.as_bytes()).to_vec()),
    };
    change(&mut new);
    app.store.create_account(new, noon()).await.unwrap();
    key
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// The `detail` of a problem.
    pub fn detail(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        self.json()["detail"]
            .as_str()
            .expect("`detail` is a string")
            .to_owned()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

pub async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

/// Posts a body that says it is JSON.
pub async fn post(router: &Router, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header("content-type", "application/json");
    send(router, request.body(body.into()).unwrap()).await
}
