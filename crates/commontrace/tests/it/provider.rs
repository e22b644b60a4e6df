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
/// Length of its vectors, unless it is asked for another.
const DIMENSIONS: usize = 64;

/// An endpoint as OpenAI's. Texts that share words have like vectors.
#[derive(Debug)]
pub struct Provider {
    server: MockServer,
    answers: Answers,
}

/// What it answers at the moment.
#[derive(Debug, Clone)]
struct Answers {
    up: Arc<AtomicBool>,
    /// Whether it answers several texts at once, as only the background asks it to.
    takes_batches: Arc<AtomicBool>,
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().expect("a JSON body");
        let texts = body["input"].as_array().expect("a list of texts");
        let takes = texts.len() == 1 || self.takes_batches.load(Ordering::SeqCst);
        if !self.up.load(Ordering::SeqCst) || !takes {
            let echo = json!({ "error": { "message": format!("overloaded, key {KEY}") } });
            return ResponseTemplate::new(503).set_body_json(echo);
        }
        let dimensions = body["dimensions"]
            .as_u64()
            .map_or(DIMENSIONS, |length| length as usize);
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({ "index": index, "embedding": vector(text.as_str().expect("a text"), dimensions) }))
            .collect();
        ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
    }
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    for word in text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 3)
    {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        vector[hasher.finish() as usize % dimensions] += 1.0;
    }
    // No text is without direction.
    vector[0] += 0.01;
    vector
}

impl Provider {
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        let answers = Answers {
            up: Arc::new(AtomicBool::new(true)),
            takes_batches: Arc::new(AtomicBool::new(true)),
        };
        Mock::given(method("POST"))
            .and(path("/v1/embeddings"))
            .and(header("authorization", format!("Bearer {KEY}").as_str()))
            .respond_with(answers.clone())
            .mount(&server)
            .await;
        Self { server, answers }
    }

    pub fn set_up(&self, up: bool) {
        self.answers.up.store(up, Ordering::SeqCst);
    }

    /// Holds up whoever embeds many texts, but nobody who searches.
    pub fn take_batches(&self, take: bool) {
        self.answers.takes_batches.store(take, Ordering::SeqCst);
    }

    pub async fn requests(&self) -> usize {
        self.server
            .received_requests()
            .await
            .expect("they are recorded")
            .len()
    }

    /// The section of a settings file that asks this provider for a model.
    pub fn section(&self, model: &str, dimensions: usize) -> String {
        format!(
            "[embedding]\nembedding_provider = 'openai'\nopenai_base_url = '{}/v1'\n\
             openai_api_key = '{KEY}'\nembedding_model = '{model}'\n\
             embedding_dimensions = {dimensions}\n",
            self.server.uri()
        )
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
