//! An embedding endpoint as OpenAI's that can go away and fall silent, and that remembers what it
//! was asked for. Its clients cannot tell its end from that of a process: the listener and all
//! connections are gone at once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Length of its vectors.
pub const DIMENSIONS: usize = 64;

/// How often each text of several lines was asked for, by its hash. Queries have one line here.
type Asked = Arc<Mutex<HashMap<u64, usize>>>;

/// A server of its own that lives as long as this.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    asked: Asked,
    silent: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Answers {
    asked: Asked,
    silent: watch::Receiver<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Request {
    input: Input,
}

impl Endpoint {
    /// Starts it on a free port.
    pub async fn start() -> Result<Self> {
        let asked = Asked::default();
        let silent = watch::Sender::new(false);
        let (address, serving) = serve((Ipv4Addr::LOCALHOST, 0).into(), &asked, &silent).await?;
        Ok(Self {
            address,
            asked,
            silent,
            serving,
        })
    }

    /// Returns the base of its addresses.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&self) {
        self.serving.abort();
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) -> Result<()> {
        (_, self.serving) = serve(self.address, &self.asked, &self.silent).await?;
        Ok(())
    }

    /// Keeps connections and requests and answers nothing, until it is told to speak again.
    pub fn be_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Returns how often a trace's text was asked for after the first time.
    pub fn repeats(&self) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.values().map(|times| times - 1).sum()
    }
}

async fn serve(
    address: SocketAddr,
    asked: &Asked,
    silent: &watch::Sender<bool>,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    let cannot = "cannot start an embedding endpoint";
    let listener = TcpListener::bind(address).await.context(cannot)?;
    let address = listener.local_addr().context(cannot)?;
    let answers = Answers {
        asked: Arc::clone(asked),
        silent: silent.subscribe(),
    };
    let service = Router::new()
        .route("/v1/embeddings", post(embeddings))
        .with_state(answers);
    let serving = tokio::spawn(async move {
        // Ends with this task.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            connections.spawn(async move {
                // A client that goes away is no failure.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, serving))
}

async fn embeddings(
    State(mut answers): State<Answers>,
    Json(request): Json<Request>,
) -> Json<Value> {
    // Its sender lives as long as the endpoint.
    let _ = answers.silent.wait_for(|silent| !silent).await;
    let texts = match request.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    let data: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"index": index, "embedding": vector(text)}))
        .collect();
    let mut asked = answers.asked.lock().unwrap_or_else(PoisonError::into_inner);
    for text in texts.iter().filter(|text| text.contains('\n')) {
        *asked.entry(hash(text)).or_default() += 1;
    }
    drop(asked);
    Json(json!({"data": data}))
}

/// Texts that share words have like vectors.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSIONS];
    for word in text.split_whitespace() {
        vector[hash(word) as usize % DIMENSIONS] += 1.0;
    }
    vector
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
