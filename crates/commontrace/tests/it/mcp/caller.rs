//! An agent's host that speaks the protocol with a server over HTTP, by plain requests.

use reqwest::Method;
use serde_json::{Value, json};

use super::agent::{STATELESS, Told, meta};
use crate::client::Client;

/// A host, in one revision of the protocol.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    revision: &'static str,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub struct Heard {
    pub status: u16,
    pub kind: String,
    pub text: String,
}

impl Caller {
    pub fn new(client: &Client, revision: &'static str) -> Self {
        Self {
            client: client.clone(),
            revision,
            headers: Vec::new(),
        }
    }

    /// The same with a header more.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    /// Posts a body with these headers, beside those of any revision.
    pub async fn post(&self, body: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Heard {
        let mut request = self.client.request(Method::POST, "/mcp");
        request = request
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        let own = self.headers.iter();
        let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        Heard::of(request.body(body.into())).await
    }

    /// Sends a request as this revision does and returns what came back.
    pub async fn hears(&self, method: &str, params: Value) -> Heard {
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        let mut params = params;
        if method != "initialize" {
            headers.push(("mcp-protocol-version", self.revision));
        }
        if self.revision == STATELESS {
            params["_meta"] = meta(STATELESS);
            headers.push(("mcp-method", method));
            if method == "tools/call" {
                headers.push(("mcp-name", &name));
            }
        }
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.post(body.to_string(), &headers).await
    }

    /// Sends a request that is answered, and returns the answer.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let heard = self.hears(method, params).await;
        assert_eq!(heard.status, 200, "{heard:?}");
        let answer = heard.json();
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Told {
        let params = json!({ "name": tool, "arguments": arguments });
        Told::of(&self.ask("tools/call", params).await)
    }

    /// Calls a tool that succeeds.
    pub async fn told(&self, tool: &str, arguments: Value) -> String {
        let told = self.call(tool, arguments).await;
        assert!(!told.is_error, "{told:?}");
        told.text
    }

    /// Calls a tool that fails.
    pub async fn refused(&self, tool: &str, arguments: Value) -> String {
        let told = self.call(tool, arguments).await;
        assert!(told.is_error, "{told:?}");
        told.text
    }
}

impl Heard {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        assert!(
            !response.headers().contains_key("mcp-session-id"),
            "nothing is kept between requests"
        );
        let kind = response.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        Self {
            status: response.status().as_u16(),
            kind,
            text: response.text().await.expect("a whole answer"),
        }
    }

    /// The one message, which is no stream.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.kind, "application/json", "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The code of an error that came with this status.
    #[track_caller]
    pub fn code(&self, status: u16) -> i64 {
        assert_eq!(self.status, status, "{self:?}");
        let code = &self.json()["error"]["code"];
        code.as_i64().unwrap_or_else(|| panic!("{self:?}"))
    }
}
