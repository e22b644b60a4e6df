//! From an answer to what the agent reads: the body, or what went wrong and what to do.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::backend::{Answer, Away, Backend, Call};
use crate::text::clean;

/// Why a tool has no result, as the agent reads it. Sessions recognise the mark in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub String);

impl Refused {
    /// Says what is wrong with the arguments.
    pub fn arguments(why: impl std::fmt::Display) -> Self {
        Self(format!("[CommonTrace error] {why}"))
    }
}

/// Sends a request and reads the answer's body.
pub(crate) async fn ask<T: DeserializeOwned>(
    backend: &impl Backend,
    call: &Call,
) -> Result<T, Refused> {
    let answer = backend.send(call).await.map_err(away)?;
    if !(200..300).contains(&answer.status) {
        return Err(refused(&answer, || backend.key_advice()));
    }
    serde_json::from_slice(&answer.body).map_err(|err| {
        Refused(format!(
            "[CommonTrace error] the answer is not one of this API ({err}) (HTTP {}). See whether COMMONTRACE_API_BASE_URL \
             names a CommonTrace server.",
            answer.status
        ))
    })
}

fn away(away: Away) -> Refused {
    Refused(match away {
        Away::Unavailable(why) => format!("[CommonTrace unavailable] {why}"),
        Away::NoAnswer(why) => {
            format!("[CommonTrace timeout] {why} Go on without it for now.")
        }
        Away::Unconfigured(why) => format!("[CommonTrace error] {why}"),
    })
}

fn refused(answer: &Answer, key_advice: impl Fn() -> String) -> Refused {
    let status = answer.status;
    let detail = detail(&answer.body);
    let wait = |otherwise: &str| match answer.retry_after {
        Some(1) => "in 1 second".to_owned(),
        Some(seconds) => format!("in {seconds} seconds"),
        None => otherwise.to_owned(),
    };
    let told = |advice: &str| {
        let detail = detail.as_deref().unwrap_or("refused");
        format!("[CommonTrace error] {detail} (HTTP {status}){advice}")
    };
    Refused(match status {
        500.. => {
            let detail = detail
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            let wait = wait("later");
            format!(
                "[CommonTrace timeout] the server cannot answer now (HTTP {status}){detail}. Go on without it; try again {wait}."
            )
        }
        429 => told(&format!(
            ". Call again {}, not before.",
            wait("in a minute")
        )),
        401 => told(&format!(". {}", key_advice())),
        403 => told(". Nothing was changed. Do not try again."),
        300..=399 => told(
            ". The server sends elsewhere, where the key does not go; COMMONTRACE_API_BASE_URL should name the final address.",
        ),
        _ => told(""),
    })
}

/// One thing that is wrong in a request.
#[derive(Deserialize)]
struct Wrong {
    #[serde(default)]
    loc: Vec<Value>,
    #[serde(default)]
    msg: String,
}

/// Reads what an answer that refuses says: a sentence, or a line for each field that is wrong.
pub fn detail(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Detail {
        Sentence(String),
        List(Vec<Wrong>),
    }
    #[derive(Deserialize)]
    struct Problem {
        detail: Detail,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let text = match problem.detail {
        Detail::Sentence(sentence) => sentence,
        Detail::List(list) => {
            let lines: Vec<String> = list.into_iter().map(line).collect();
            lines.join("\n")
        }
    };
    let text = clean(&text);
    let text = text.trim().trim_end_matches('.');
    (!text.is_empty()).then(|| text.to_owned())
}

fn line(wrong: Wrong) -> String {
    let part = |part: &Value| match part {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    };
    let place: Vec<String> = wrong.loc.iter().skip(1).map(part).collect();
    if place.is_empty() {
        wrong.msg
    } else {
        format!("{}: {}", place.join("."), wrong.msg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, retry_after: Option<u64>, body: &str) -> String {
        let body = body.as_bytes().to_vec();
        let answer = Answer {
            status,
            retry_after,
            body,
        };
        refused(&answer, || "Ask the user for a key.".to_owned()).0
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_do() {
        let busy = r#"{"detail":"too many requests; try again in 7 s"}"#;
        assert_eq!(
            told(429, Some(7), busy),
            "[CommonTrace error] too many requests; try again in 7 s (HTTP 429). Call again in 7 seconds, not before."
        );
        assert!(
            told(401, None, r#"{"detail":"Invalid API key"}"#)
                .contains("Invalid API key (HTTP 401). Ask the user for a key.")
        );
        assert!(
            told(503, None, "<html>")
                .starts_with("[CommonTrace timeout] the server cannot answer now (HTTP 503).")
        );
        assert!(told(307, None, "").contains("(HTTP 307). The server sends elsewhere"));
        assert_eq!(
            told(404, None, "[]"),
            "[CommonTrace error] refused (HTTP 404)"
        );
    }

    #[test]
    fn each_field_that_is_wrong_has_a_line() {
        let body = r#"{"detail":[
            {"type":"too_long","loc":["body","tags"],"msg":"at most 10","input":[]},
            {"type":"missing","loc":["body","title"],"msg":"Field required"}]}"#;
        assert_eq!(
            told(422, None, body),
            "[CommonTrace error] tags: at most 10\ntitle: Field required (HTTP 422)"
        );
    }
}
