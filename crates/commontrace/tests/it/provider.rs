//! An embedding endpoint that a test can take down.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

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
    /// Milliseconds that it takes for several texts at once.
    batch_delay: Arc<AtomicU64>,
    /// Whether it refuses texts with [`POISON`] in them.
    refuses_poison: Arc<AtomicBool>,
}

/// A word that the endpoint may refuse.
pub const POISON: &str = "abracadabra";

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().expect("a JSON body");
        let texts = body["input"].as_array().expect("a list of texts");
        let takes = texts.len() == 1 || self.takes_batches.load(Ordering::SeqCst);
        if !self.up.load(Ordering::SeqCst) || !takes {
            let echo = json!({ "error": { "message": format!("overloaded, key {KEY}") } });
            return ResponseTemplate::new(503).set_body_json(echo);
        }
        let refuses = self.refuses_poison.load(Ordering::SeqCst);
        if refuses
            && texts
                .iter()
                .any(|text| text.as_str().is_some_and(is_poison))
        {
            let why = json!({ "error": { "message": format!("unsafe text, key {KEY}") } });
            return ResponseTemplate::new(400).set_body_json(why);
        }
        let delay = match texts.len() {
            1 => Duration::ZERO,
            _ => Duration::from_millis(self.batch_delay.load(Ordering::SeqCst)),
        };
        let dimensions = body["dimensions"]
            .as_u64()
            .map_or(DIMENSIONS, |length| length as usize);
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({ "index": index, "embedding": vector(text.as_str().expect("a text"), dimensions) }))
            .collect();
        ResponseTemplate::new(200)
            .set_body_json(json!({ "data": data }))
            .set_delay(delay)
    }
}

fn is_poison(text: &str) -> bool {
    text.contains(POISON)
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
            batch_delay: Arc::default(),
            refuses_poison: Arc::default(),
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

    /// Takes this long for several texts at once.
    pub fn delay_batches(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).expect("less than an age");
        self.answers.batch_delay.store(delay, Ordering::SeqCst);
    }

    /// Refuses texts with [`POISON`] in them, or takes them like all others.
    pub fn refuse_poison(&self, refuse: bool) {
        self.answers.refuses_poison.store(refuse, Ordering::SeqCst);
    }

    pub async fn requests(&self) -> usize {
        self.received().await.len()
    }

    /// Every text that was sent, as often as it was sent.
    pub async fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for request in self.received().await {
            let body: Value = request.body_json().expect("a JSON body");
            let input = body["input"].as_array().expect("a list of texts").clone();
            texts.extend(input.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        texts
    }

    async fn received(&self) -> Vec<Request> {
        let received = self.server.received_requests().await;
        received.expect("they are recorded")
    }

    /// The trace contexts that it was sent, oldest first.
    pub async fn traceparents(&self) -> Vec<String> {
        let requests = self.server.received_requests().await;
        let requests = requests.expect("they are recorded");
        requests
            .iter()
            .filter_map(|request| request.headers.get("traceparent"))
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
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
