//! A server of its own for each test, and people who use it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use commontrace_server::api_key::ApiKeys;
use commontrace_server::app::{App, Parts, ServerSettings};
use commontrace_server::clock::Clock;
use commontrace_server::ids::Ids;
use commontrace_server::router;
use commontrace_server::search::{MAKE_DOCUMENT, Search};
use commontrace_server::sessions::examine::Examiner;
use commontrace_store::{Engine, Location, NewAccount, Store};
use commontrace_testkit::{Home, empty};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The moment at which every test begins.
pub fn noon() -> DateTime<Utc> {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// A server on a store of its own. Its clock stands until a test moves it.
pub struct TestApp {
    pub app: App,
    router: Router,
    pub location: Location,
    _home: Home,
}

impl TestApp {
    pub async fn on(engine: Engine) -> Self {
        Self::with(engine, ServerSettings::default()).await
    }

    pub async fn with(engine: Engine, settings: ServerSettings) -> Self {
        Self::examining(engine, settings, None).await
    }

    /// A server on which the sessions of an account may take up so many bytes.
    pub async fn limiting_sessions(engine: Engine, bytes: i64) -> Self {
        Self::build(engine, ServerSettings::default(), None, Some(bytes)).await
    }

    /// A server that examines sessions like this.
    pub async fn examining(
        engine: Engine,
        settings: ServerSettings,
        examiner: Option<Arc<dyn Examiner>>,
    ) -> Self {
        Self::build(engine, settings, examiner, None).await
    }

    async fn build(
        engine: Engine,
        settings: ServerSettings,
        examiner: Option<Arc<dyn Examiner>>,
        session_bytes_max: Option<i64>,
    ) -> Self {
        let (location, home) = empty(engine).await;
        let store = Store::open(&location).await.unwrap();
        let store = store
            .making_documents(MAKE_DOCUMENT)
            .limiting_sessions(session_bytes_max);
        let search = Search::new(&store, None, None, Ids::Random.uuid());
        let parts = Parts::new(
            store,
            Clock::manual(noon()),
            Ids::seeded(0),
            ApiKeys::new(b"pepper"),
            search,
            settings,
        );
        let app = App::new(Parts { examiner, ..parts });
        app.lifecycle.mark_ready();
        Self {
            router: router(&app),
            app,
            location,
            _home: home,
        }
    }

    /// Another node of this server, on the same store, that examines sessions as this one does.
    pub async fn another_node(&self) -> App {
        let store = Store::open(&self.location).await.unwrap();
        let store = store.making_documents(MAKE_DOCUMENT);
        let search = Search::new(&store, None, None, Ids::Random.uuid());
        let parts = Parts::new(
            store,
            Clock::manual(noon()),
            Ids::seeded(1),
            ApiKeys::new(b"pepper"),
            search,
            ServerSettings::default(),
        );
        let examiner = self.app.examiner.clone();
        let app = App::new(Parts { examiner, ..parts });
        app.lifecycle.mark_ready();
        app
    }

    /// A server of one person, and that person with a key.
    pub async fn of_one_user() -> (Self, Actor) {
        let only = UserId(uuid::Uuid::from_u128(7));
        let settings = ServerSettings {
            single_user: Some(only),
            ..ServerSettings::default()
        };
        let app = Self::with(Engine::Sqlite, settings).await;
        let key = app.app.api_keys.generate(&app.app.ids);
        let account = NewAccount {
            id: only,
            email: None,
            display_name: None,
            can_contribute: true,
            is_moderator: false,
            is_seed: false,
            key_hash: Some(app.app.api_keys.hash(key.as_bytes()).to_vec()),
        };
        app.app.store.create_account(account, noon()).await.unwrap();
        let actor = app.anyone().with_key(&key);
        (app, actor)
    }

    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Everything that the database file holds.
    pub async fn copy_of_the_database(&self) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy.db");
        Store::backup(&self.location, &copy).await.unwrap();
        std::fs::read(copy).unwrap()
    }

    /// Registers somebody who shows this name.
    pub async fn user(&self, name: &str) -> Actor {
        let answer = self
            .anyone()
            .post("/api/v1/keys", json!({ "display_name": name }))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Actor {
            router: self.router.clone(),
            key: Some(answer.json["api_key"].as_str().unwrap().to_owned()),
            id: answer.json["user_id"].as_str().unwrap().to_owned(),
        }
    }

    /// Registers a moderator.
    pub async fn moderator(&self) -> Actor {
        let actor = self.user("moderator").await;
        assert!(
            self.app
                .store
                .make_moderator(actor.id.parse().unwrap())
                .await
                .unwrap()
        );
        actor
    }

    /// Somebody without a key.
    pub fn anyone(&self) -> Actor {
        Actor {
            router: self.router.clone(),
            key: None,
            id: String::new(),
        }
    }
}

/// Somebody who sends requests.
#[derive(Clone)]
pub struct Actor {
    router: Router,
    pub key: Option<String>,
    pub id: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, or null if it was empty.
    pub json: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json
    }

    /// The sentence of a refusal with this status.
    #[track_caller]
    pub fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json["status"], status);
        self.json["detail"].as_str().expect("`detail` is a string")
    }
}

impl Actor {
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The same account at another node.
    pub fn on(&self, node: &App) -> Self {
        Self {
            router: router(node),
            ..self.clone()
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    /// Reads what is not JSON.
    pub async fn text(&self, path: &str) -> String {
        self.download(path).await.1
    }

    /// Reads what is not JSON, with the headers of the answer.
    pub async fn download(&self, path: &str) -> (HeaderMap, String) {
        let request = Request::get(path)
            .header("x-api-key", self.key.as_deref().unwrap_or_default())
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (parts.headers, String::from_utf8(bytes.into()).unwrap())
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &[]).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    /// Posts a body that need not be JSON and says that it is.
    pub async fn send_text(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("x-api-key", self.key.as_deref().unwrap_or_default())
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.answer(request).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body), &[]).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.answer(request.body(body).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let json = match &bytes[..] {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).expect("every body is JSON"),
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            json,
        }
    }

    /// Contributes a trace with this title and returns its id.
    pub async fn contributes(&self, title: &str) -> String {
        let answer = self.post("/api/v1/traces", a_trace(title)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json["id"].as_str().unwrap().to_owned()
    }

    pub async fn reads(&self, trace: &str) -> Value {
        self.get(&format!("/api/v1/traces/{trace}")).await.ok()
    }

    pub async fn votes(&self, trace: &str, vote: &str) -> Answer {
        let body = match vote {
            "down" => json!({ "vote_type": "down", "feedback_tag": "wrong" }),
            _ => json!({ "vote_type": vote }),
        };
        self.post(&format!("/api/v1/traces/{trace}/votes"), body)
            .await
    }

    pub async fn flags(&self, trace: &str) -> Answer {
        let body = json!({ "reason": "advertises a product", "category": "spam" });
        self.post(&format!("/api/v1/traces/{trace}/flag"), body)
            .await
    }

    /// Searches and returns the titles found, best first.
    pub async fn finds(&self, q: &str) -> Vec<String> {
        let answer = self
            .post("/api/v1/traces/search", json!({ "q": q }))
            .await
            .ok();
        let results = answer["results"].as_array().unwrap();
        results
            .iter()
            .map(|hit| hit["title"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A trace about a healthcheck, with this title.
pub fn a_trace(title: &str) -> Value {
    json!({
        "title": title,
        "context_text": format!("{title}: dependency failed to start: container db is unhealthy"),
        "solution_text": "Give the service a healthcheck with pg_isready and wait for service_healthy.",
        "tags": ["docker", "PostgreSQL"],
    })
}
