//! Somebody who uses a running server over HTTP.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::place::{DEADLINE, LOOK_AGAIN};

/// A client of a server, with or without a key.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    pub key: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        // Only the first call installs it; later ones find it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The machine's proxy cannot reach this machine.
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("a plain client"),
            address,
            key: String::new(),
        }
    }

    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// The same account on a server elsewhere.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            key: self.key.clone(),
            ..Self::new(address)
        }
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(method, format!("http://{}{path}", self.address));
        match self.key.as_str() {
            "" => request,
            key => request.header("x-api-key", key),
        }
    }

    /// Sends a request; an error if no whole answer came.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, text })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, None)
            .await
            .expect("the server answers")
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_send(Method::POST, path, Some(&body))
            .await
            .expect("the server answers")
    }

    /// Registers an account and returns its client.
    pub async fn register(&self) -> Self {
        let answer = self.post("/api/v1/keys", json!({})).await.ok();
        self.with_key(answer["api_key"].as_str().expect("a key"))
    }

    /// Contributes a trace with this title and returns its id.
    pub async fn contributes(&self, title: &str) -> String {
        let answer = self.post("/api/v1/traces", a_trace(title)).await.ok();
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Searches and returns the whole answer.
    pub async fn search(&self, q: &str) -> Value {
        self.post("/api/v1/traces/search", json!({ "q": q }))
            .await
            .ok()
    }

    /// Searches and returns the ids found, best first.
    pub async fn finds(&self, q: &str) -> Vec<String> {
        let results = self.search(q).await["results"].take();
        let results = results.as_array().expect("a list");
        results
            .iter()
            .map(|hit| hit["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// The value of a metric without labels, if the server has told one.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").await.text;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until every trace has its vector.
    pub async fn until_embedded(&self) {
        until("no trace waits for a vector", async || {
            self.metric("commontrace_embedding_backlog").await == Some(0.0)
        })
        .await;
    }
}

/// Waits until something is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waited = timeout(DEADLINE, async {
        while !so().await {
            sleep(LOOK_AGAIN).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// The body of an answer to a request that succeeded.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        serde_json::from_str(&self.text).expect("every body is JSON")
    }
}

/// A trace with this title.
pub fn a_trace(title: &str) -> Value {
    json!({
        "title": title,
        "context_text": format!("{title}: dependency failed to start: container db is unhealthy"),
        "solution_text": "Give the service a healthcheck with pg_isready and wait for service_healthy.",
        "tags": ["docker", "postgresql"],
    })
}
