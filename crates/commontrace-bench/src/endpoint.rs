//! A small endpoint that speaks OpenAI's `POST /v1/embeddings`: made-up vectors that follow from
//! the text, at once or after a delay.
//!
//! It can go away and fall silent, and remembers what it was asked for. Its clients cannot tell its
//! end from that of a process: the listener and all connections are gone at once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

use crate::capacity::{MODEL, Source};

/// A running endpoint; it ends with this value.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    service: Arc<Service>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Service {
    source: Source,
    delay: Duration,
    silent: watch::Sender<bool>,
    /// How often each text of several lines was asked for, by its hash. Queries have one line.
    asked: Mutex<HashMap<u64, usize>>,
}

#[derive(Deserialize)]
struct Request {
    model: String,
    input: Vec<String>,
}

impl Endpoint {
    /// Starts answering on a port of this machine, any free one if it is 0.
    pub async fn start(source: Source, delay: Duration, port: u16) -> Result<Self> {
        let service = Arc::new(Service {
            source,
            delay,
            silent: watch::Sender::new(false),
            asked: Mutex::default(),
        });
        let (address, serving) = serve((Ipv4Addr::LOCALHOST, port).into(), &service).await?;
        Ok(Self {
            address,
            service,
            serving,
        })
    }

    /// Returns the settings, by their variables, of a server that is to ask it.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("EMBEDDING_PROVIDER", "openai".to_owned()),
            ("EMBEDDING_MODEL", MODEL.to_owned()),
            (
                "EMBEDDING_DIMENSIONS",
                self.service.source.dimensions().to_string(),
            ),
            ("OPENAI_BASE_URL", format!("http://{}/v1", self.address)),
        ]
    }

    /// Waits until it ends, which it does by itself only if it cannot go on.
    pub async fn wait(mut self) -> Result<()> {
        (&mut self.serving).await.context("the endpoint broke down")
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&self) {
        self.serving.abort();
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) -> Result<()> {
        (_, self.serving) = serve(self.address, &self.service).await?;
        Ok(())
    }

    /// Keeps connections and requests and answers nothing, until it is told to speak again.
    pub fn be_silent(&self, silent: bool) {
        self.service.silent.send_replace(silent);
    }

    /// Returns how often a trace's text was asked for after the first time.
    pub fn repeats(&self) -> usize {
        let asked = self.service.asked.lock();
        let asked = asked.unwrap_or_else(PoisonError::into_inner);
        asked.values().map(|times| times - 1).sum()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    address: SocketAddr,
    service: &Arc<Service>,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    let cannot = || {
        format!(
            "cannot start an embedding endpoint on port {}",
            address.port()
        )
    };
    let listener = TcpListener::bind(address).await.with_context(cannot)?;
    let address = listener.local_addr().with_context(cannot)?;
    let router = Router::new()
        .route("/v1/embeddings", post(embed))
        .with_state(Arc::clone(service));
    let serving = tokio::spawn(async move {
        // Ends with this task.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
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

async fn embed(State(service): State<Arc<Service>>, Json(request): Json<Request>) -> Json<Value> {
    let mut silent = service.silent.subscribe();
    // Its sender lives as long as the endpoint.
    let _ = silent.wait_for(|silent| !silent).await;
    if !service.delay.is_zero() {
        tokio::time::sleep(service.delay).await;
    }
    let data: Vec<Value> = request
        .input
        .iter()
        .enumerate()
        .map(|(index, text)| {
            json!({
                "object": "embedding", "index": index, "embedding": service.source.text(text),
            })
        })
        .collect();
    service.count(&request.input);
    Json(json!({
        "object": "list", "model": request.model, "data": data,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }))
}

impl Service {
    fn count(&self, texts: &[String]) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts.iter().filter(|text| text.contains('\n')) {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            *asked.entry(hasher.finish()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Target};

    async fn start() -> (Endpoint, Client) {
        let endpoint = Endpoint::start(Source::new(1, 24), Duration::ZERO, 0).await;
        let endpoint = endpoint.unwrap();
        let client = Client::new(&Target::local(endpoint.address.port()));
        (endpoint, client)
    }

    async fn ask(client: &mut Client, texts: &[&str]) -> Result<Value> {
        let request = json!({"model": "m", "input": texts, "dimensions": 24});
        client.post("/v1/embeddings", &request).await?.json(200)
    }

    #[tokio::test]
    async fn a_text_is_answered_with_the_vector_that_the_generator_knows() {
        let (_endpoint, mut client) = start().await;
        let answer = ask(&mut client, &["a", "b"]).await.unwrap();
        let vector: Vec<f32> =
            serde_json::from_value(answer["data"][1]["embedding"].clone()).unwrap();
        assert_eq!(vector, Source::new(1, 24).text("b"));
    }

    #[tokio::test]
    async fn it_goes_away_with_its_connections_and_remembers_what_it_was_asked() {
        let (mut endpoint, mut client) = start().await;
        ask(&mut client, &["a query", "two\nlines"]).await.unwrap();
        assert_eq!(endpoint.repeats(), 0);
        endpoint.kill();
        ask(&mut client, &["two\nlines"]).await.unwrap_err();
        endpoint.start_again().await.unwrap();
        ask(&mut client, &["a query", "two\nlines"]).await.unwrap();
        assert_eq!(endpoint.repeats(), 1, "queries are not counted");
    }
}
