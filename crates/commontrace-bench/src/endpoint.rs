//! A small endpoint that speaks OpenAI's `POST /v1/embeddings`: made-up vectors that follow from
//! the text, at once or after a delay.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::capacity::Source;

/// A running endpoint; it ends with this value.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Service {
    source: Source,
    delay: Duration,
}

#[derive(Deserialize)]
struct Request {
    model: String,
    input: Vec<String>,
}

impl Endpoint {
    /// Starts answering on a port of this machine, any free one if it is 0.
    pub async fn start(source: Source, delay: Duration, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("cannot listen on port {port}"))?;
        let address = listener
            .local_addr()
            .context("the endpoint has no address")?;
        let router = Router::new()
            .route("/v1/embeddings", post(embed))
            .with_state(Arc::new(Service { source, delay }));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, task })
    }

    /// Returns the value for a server's `OPENAI_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Waits until it ends, which it does by itself only if it cannot go on.
    pub async fn wait(mut self) -> Result<()> {
        (&mut self.task)
            .await
            .context("the endpoint broke down")?
            .context("the endpoint cannot go on")
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn embed(State(service): State<Arc<Service>>, Json(request): Json<Request>) -> Json<Value> {
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
    Json(json!({
        "object": "list", "model": request.model, "data": data,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Target};

    #[tokio::test]
    async fn a_text_is_answered_with_the_vector_that_the_generator_knows() {
        let endpoint = Endpoint::start(Source::new(1, 24), Duration::ZERO, 0)
            .await
            .unwrap();
        let mut client = Client::new(&Target::local(endpoint.address.port()));
        let request = json!({"model": "m", "input": ["a", "b"], "dimensions": 24});
        let answer = client.post("/v1/embeddings", &request).await.unwrap();
        let answer: Value = answer.json(200).unwrap();
        let vector: Vec<f32> =
            serde_json::from_value(answer["data"][1]["embedding"].clone()).unwrap();
        assert_eq!(vector, Source::new(1, 24).text("b"));
    }
}
