//! An embedding endpoint that a test can take down.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::place::Place;

/// The key that the endpoint asks for.
pub const KEY: &str = "sk-proj-Zx81QvTn5RkYw3Lp0dGh";
/// Length of its vectors.
const DIMENSIONS: usize = 64;

/// An endpoint as OpenAI's. Texts that share words have like vectors.
#[derive(Debug)]
pub struct Provider {
    server: MockServer,
    up: Arc<AtomicBool>,
}

struct Answers(Arc<AtomicBool>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if !self.0.load(Ordering::SeqCst) {
            let echo = json!({ "error": { "message": format!("overloaded, key {KEY}") } });
            return ResponseTemplate::new(503).set_body_json(echo);
        }
        let body: Value = request.body_json().expect("a JSON body");
        let texts = body["input"].as_array().expect("a list of texts");
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({ "index": index, "embedding": vector(text.as_str().expect("a text")) }))
            .collect();
        ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for word in text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 3)
    {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        vector[hasher.finish() as usize % DIMENSIONS] += 1.0;
    }
    // No text is without direction.
    vector[0] += 0.01;
    vector
}

impl Provider {
    pub async fn start() -> Self {
        let (server, up) = (MockServer::start().await, Arc::new(AtomicBool::new(true)));
        Mock::given(method("POST"))
            .and(path("/v1/embeddings"))
            .and(header("authorization", format!("Bearer {KEY}").as_str()))
            .respond_with(Answers(Arc::clone(&up)))
            .mount(&server)
            .await;
        Self { server, up }
    }

    pub fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::SeqCst);
    }

    pub async fn requests(&self) -> usize {
        self.server
            .received_requests()
            .await
            .expect("they are recorded")
            .len()
    }

    /// Makes this the provider of a place.
    pub fn of(&self, place: Place) -> Place {
        place
            .with("EMBEDDING_PROVIDER", "openai")
            .with("OPENAI_BASE_URL", &format!("{}/v1", self.server.uri()))
            .with("OPENAI_API_KEY", KEY)
            .with("EMBEDDING_DIMENSIONS", &DIMENSIONS.to_string())
    }
}
