//! A client as users have them: one account, one connection that is kept open, one request at a
//! time. It never repeats a request by itself, so that an answer is known to be the only one.

use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that was idle for longer may be about to be closed by the server.
const IDLE: Duration = Duration::from_secs(10);

/// Where a server answers: `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    authority: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let expected = || format!("`{url}` is not accepted, expected http://HOST:PORT");
        let authority = url
            .strip_prefix("http://")
            .ok_or_else(expected)?
            .trim_end_matches('/');
        let port = authority
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty());
        match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
            Some(_) if !authority.contains('/') => Ok(Self {
                authority: authority.to_owned(),
            }),
            _ => Err(expected()),
        }
    }
}

impl Target {
    /// The server on a port of this machine.
    pub fn local(port: u16) -> Self {
        Self {
            authority: format!("127.0.0.1:{port}"),
        }
    }

    /// Returns its host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// One account's keep-alive connection.
#[derive(Debug)]
pub struct Client {
    target: Target,
    key: Option<String>,
    /// Where the last write was, for reads through another node; see docs/operations.md, "A replica".
    position: Option<HeaderValue>,
    connection: Option<Connection>,
}

const POSITION: &str = "commontrace-wal-position";

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    used: Instant,
}

/// An answer that was received in full.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// From before the request was written until the body was read.
    pub took: Duration,
    request: String,
    body: Bytes,
}

impl Client {
    /// Creates a client without an account. It connects when it has something to ask.
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            key: None,
            position: None,
            connection: None,
        }
    }

    /// Sends this key with every request from now on.
    pub fn use_key(&mut self, key: String) {
        self.key = Some(key);
    }

    /// Goes on with the same account on another server.
    pub fn move_to(&mut self, target: &Target) {
        self.target = target.clone();
        self.connection = None;
    }

    /// Asks for `path`.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None, None).await
    }

    /// Posts `body` to `path`.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body.to_string().into()), None)
            .await
    }

    /// Posts `body` to `path` as a request that may come twice and must act once.
    pub async fn post_once(&mut self, path: &str, body: Bytes, key: &str) -> Result<Answer> {
        self.send(Method::POST, path, Some(body), Some(key)).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer> {
        let name = format!("{method} {path}");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.target.authority);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(position) = &self.position {
            request = request.header(POSITION, position);
        }
        if body.is_some() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                // Agents' hosts take both, and `/mcp` wants to hear it.
                .header(header::ACCEPT, "application/json, text/event-stream");
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .with_context(|| format!("{name} is no valid request"))?;
        let answer = tokio::time::timeout(PATIENCE, self.exchange(name, request)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            // Whatever is left on this connection belongs to no later request.
            Ok(Err(err)) => {
                self.connection = None;
                Err(err)
            }
            Err(_) => {
                self.connection = None;
                bail!(
                    "no answer within {PATIENCE:?} from http://{}",
                    self.target.authority
                )
            }
        }
    }

    async fn exchange(&mut self, name: String, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(kept) if kept.used.elapsed() < IDLE && !kept.sender.is_closed() => kept,
            _ => self.connect().await?,
        };
        let lost = || {
            format!(
                "{name} lost its connection to http://{}",
                self.target.authority
            )
        };
        connection.sender.ready().await.with_context(lost)?;
        let begun = Instant::now();
        let response = connection
            .sender
            .send_request(request)
            .await
            .with_context(lost)?;
        let status = response.status().as_u16();
        if let Some(position) = response.headers().get(POSITION) {
            self.position = Some(position.clone());
        }
        let body = response
            .into_body()
            .collect()
            .await
            .with_context(lost)?
            .to_bytes();
        let took = begun.elapsed();
        connection.used = Instant::now();
        self.connection = Some(connection);
        Ok(Answer {
            status,
            took,
            request: name,
            body,
        })
    }

    async fn connect(&self) -> Result<Connection> {
        let authority = &self.target.authority;
        let unreachable = || format!("no server answers at http://{authority}");
        let stream = TcpStream::connect(authority)
            .await
            .with_context(unreachable)?;
        stream.set_nodelay(true).with_context(unreachable)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .with_context(unreachable)?;
        // Its errors come back to whoever waits for the answer.
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            used: Instant::now(),
        })
    }
}

impl Answer {
    /// Returns the body if the status is `status`, else says what was answered instead.
    pub fn expect(&self, status: u16) -> Result<&Bytes> {
        if self.status == status {
            return Ok(&self.body);
        }
        let hint = match self.status {
            429 => "; start the server with higher RATE_LIMIT_* settings",
            _ => "",
        };
        bail!(
            "{} was answered {}: {}{hint}",
            self.request,
            self.status,
            self.detail()
        )
    }

    /// Returns the body as `T` if the status is `status`.
    pub fn json<T: DeserializeOwned>(&self, status: u16) -> Result<T> {
        serde_json::from_slice(self.expect(status)?)
            .with_context(|| format!("{} was answered with an unknown shape", self.request))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns what the server says went wrong.
    pub fn detail(&self) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let detail = body.as_ref().and_then(|body| body["detail"].as_str());
        detail.map_or_else(|| self.text(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_http_origin() {
        let target: Target = "http://127.0.0.1:8000/".parse().unwrap();
        assert_eq!(target, Target::local(8000));
        for bad in [
            "https://h:1",
            "h:1",
            "http://h",
            "http://:1",
            "http://h:x",
            "http://h:1/api",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
