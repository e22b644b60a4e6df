//! What requests and answers of each kind of service look like.

use serde_json::{Value, json};

use super::{Answer, Failure, Kind, Prompt, Settings};
use crate::deterministic::Reason;
use crate::judged::Tokens;

/// Parameters that a service may not take and that a request can do without.
const OPTIONAL: [&str; 4] = [
    "max_completion_tokens",
    "response_format",
    "output_config",
    "format",
];
/// The most tokens of an answer.
const MAX_TOKENS: u32 = 8_192;
/// The tokens of a prompt and its answer that Ollama makes room for; its own default cuts prompts silently.
const CONTEXT: u32 = 49_152;
/// The name of the schema.
const SCHEMA: &str = "judgement";
/// No tokenizer makes less of a text of this kind than one token of so many bytes.
const BYTES_PER_TOKEN: usize = 10;

/// The body of a request, without what the service has refused before.
pub fn request(settings: &Settings, prompt: &Prompt, refused: &[&str]) -> Value {
    let taken = |name: &str| !refused.contains(&name);
    let user = json!({"role": "user", "content": prompt.user});
    let system = json!({"role": "system", "content": prompt.system});
    match settings.kind {
        Kind::OpenAi => {
            // Local servers know the older name only.
            let limit = if taken("max_completion_tokens") {
                "max_completion_tokens"
            } else {
                "max_tokens"
            };
            let mut body =
                json!({"model": settings.model, "messages": [system, user], limit: MAX_TOKENS});
            if taken("response_format") {
                body["response_format"] = json!({
                    "type": "json_schema",
                    "json_schema": {"name": SCHEMA, "strict": true, "schema": prompt.schema},
                });
            }
            body
        }
        Kind::Anthropic => {
            let mut body = json!({
                "model": settings.model, "max_tokens": MAX_TOKENS,
                "system": prompt.system, "messages": [user],
            });
            if taken("output_config") {
                body["output_config"] =
                    json!({"format": {"type": "json_schema", "schema": prompt.schema}});
            }
            body
        }
        Kind::Ollama => {
            let options = json!({"num_ctx": CONTEXT, "num_predict": MAX_TOKENS});
            let mut body = json!({
                "model": settings.model, "messages": [system, user], "stream": false, "options": options,
            });
            if taken("format") {
                body["format"] = prompt.schema.clone();
            }
            body
        }
    }
}

/// The parameter of a request that an explanation names and that can be left out.
pub fn named(body: &Value, explanation: &str) -> Option<&'static str> {
    let sent = |name: &str| {
        body.get(name)
            .or_else(|| body.get("options")?.get(name))
            .is_some()
    };
    let words = |name: &str| {
        let mut words = explanation.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == name)
            || (name == "response_format" && explanation.contains("json_schema"))
    };
    OPTIONAL.into_iter().find(|name| sent(name) && words(name))
}

/// Refuses a prompt that Ollama would cut.
pub fn check_room(kind: Kind, prompt: &Prompt) -> Result<(), Failure> {
    if kind != Kind::Ollama {
        return Ok(());
    }
    let least = (prompt.system.len() + prompt.user.len()) / BYTES_PER_TOKEN;
    if least + MAX_TOKENS as usize > CONTEXT as usize {
        return Err(too_long());
    }
    Ok(())
}

fn too_long() -> Failure {
    let message = format!(
        "the prompt does not fit into the context of the model, for which Ollama was asked for {CONTEXT} tokens; \
         judge by a model with a context as long, or by another service (JUDGE_MODEL, JUDGE_PROVIDER)"
    );
    Failure::new(Reason::BudgetExceeded, message)
}

/// Reads an answer.
pub fn answer(
    kind: Kind,
    prompt: &Prompt,
    body: &Value,
    answer: &Value,
) -> Result<Answer, Failure> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let usage = &answer["usage"];
    let (text, tokens, end) = match kind {
        Kind::OpenAi => {
            let choice = &answer["choices"][0];
            let tokens = Tokens {
                input: number(&usage["prompt_tokens"]),
                output: number(&usage["completion_tokens"]),
            };
            if let Some(refusal) = choice["message"]["refusal"]
                .as_str()
                .filter(|text| !text.is_empty())
            {
                return Err(declined(refusal, tokens));
            }
            (
                choice["message"]["content"].as_str(),
                tokens,
                choice["finish_reason"].as_str(),
            )
        }
        Kind::Anthropic => {
            let cached = number(&usage["cache_creation_input_tokens"])
                + number(&usage["cache_read_input_tokens"]);
            let tokens = Tokens {
                input: number(&usage["input_tokens"]) + cached,
                output: number(&usage["output_tokens"]),
            };
            let blocks = answer["content"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let text = blocks
                .iter()
                .find(|block| block["type"] == "text")
                .and_then(|block| block["text"].as_str());
            (text, tokens, answer["stop_reason"].as_str())
        }
        Kind::Ollama => {
            let tokens = Tokens {
                input: number(&answer["prompt_eval_count"]),
                output: number(&answer["eval_count"]),
            };
            let least = (prompt.system.len() + prompt.user.len()) / BYTES_PER_TOKEN;
            // It says nothing when it cuts a prompt, but it counts what it has read.
            let cut = tokens.input > 0 && (tokens.input as usize) < least;
            if cut || tokens.input >= u64::from(CONTEXT) {
                return Err(Failure {
                    tokens,
                    ..too_long()
                });
            }
            (
                answer["message"]["content"].as_str(),
                tokens,
                answer["done_reason"].as_str(),
            )
        }
    };
    match end {
        Some("length" | "max_tokens") => {
            let message = format!(
                "the answer was cut at {MAX_TOKENS} tokens; judge by a model that takes fewer words (JUDGE_MODEL)"
            );
            return Err(Failure {
                tokens,
                ..Failure::new(Reason::SchemaInvalid, message)
            });
        }
        Some("refusal" | "content_filter") => return Err(declined("", tokens)),
        _ => {}
    }
    let Some(text) = text else {
        let message = "the answer has no text where this kind of service has one; check the kind";
        return Err(Failure {
            tokens,
            ..Failure::new(Reason::SchemaInvalid, message)
        });
    };
    Ok(Answer {
        text: text.to_owned(),
        model: answer["model"]
            .as_str()
            .map(|model| crate::text::start(model, 200)),
        tokens,
        sent: parameters(body),
    })
}

fn declined(why: &str, tokens: Tokens) -> Failure {
    let why = crate::text::start(&commontrace_core::text::clean_line(why), 200);
    let colon = if why.is_empty() { "" } else { ": " };
    let message = format!("the model declines to answer{colon}{why}");
    Failure {
        tokens,
        ..Failure::new(Reason::Refused, message)
    }
}

/// What was sent besides the prompt; of the schema only that there was one.
fn parameters(body: &Value) -> Value {
    let mut kept = body.clone();
    if let Value::Object(members) = &mut kept {
        members.remove("messages");
        members.remove("system");
        for name in ["response_format", "output_config", "format"] {
            if let Some(schema) = members.get_mut(name) {
                *schema = json!("json_schema");
            }
        }
    }
    kept
}
