//! Asking the server that the settings name, within the time that a hook has.

use std::time::Duration;

use commontrace_hook::commons::{Shown, share_of_headline, share_of_pairs};
use commontrace_hook::respond::{Server, Silence};
use commontrace_mcp::{Answer, Away};
use commontrace_search::bm25::Fields;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::commons::remote::search_within;
use crate::config::{Config, SearchScope};

/// Longest wait for an answer, with connecting.
const DEADLINE: Duration = Duration::from_millis(700);
/// Shares of the words, and of the pairs of neighbouring words, of the line that names the problem that a trace must have
/// to be shown unasked. How rare they are only the server knows.
const WORDS: f64 = 0.5;
const PAIRS: f64 = 0.4;

/// The server.
#[derive(Debug)]
pub struct Elsewhere<'c> {
    config: &'c Config,
    origin: String,
}

impl<'c> Elsewhere<'c> {
    /// Returns the server, if one is named and may be asked by itself.
    pub fn of(config: &'c Config) -> Option<Self> {
        let remote = &config.remote;
        let may = !remote.offline && remote.search == SearchScope::Network;
        let base = remote.api_base_url.as_ref().filter(|_| may)?;
        Some(Self {
            config,
            origin: base.origin(),
        })
    }
}

/// What is read of the answer to a search.
#[derive(Deserialize)]
struct Found {
    results: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    id: Uuid,
    title: String,
    context_text: String,
    solution_text: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    contributor_name: Option<String>,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    outcomes: Counts,
    #[serde(default)]
    evidence: Option<Evidence>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    worked: i64,
    worked_with_changes: i64,
    did_not_work: i64,
}

#[derive(Deserialize)]
struct Evidence {
    #[serde(default)]
    status: String,
    #[serde(default)]
    counts: bool,
}

impl Server for Elsewhere<'_> {
    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn search(&mut self, query: &str) -> Result<Option<Shown>, Silence> {
        let body = json!({ "q": query, "limit": 3 });
        let answer =
            search_within(self.config, "hook", body, DEADLINE).map_err(|away| match away {
                Away::NoAnswer(why) => Silence::Late(why),
                Away::Unavailable(why) | Away::Unconfigured(why) => Silence::Failed(why),
            })?;
        let found = read(&answer)?;
        let headline = query.lines().next().unwrap_or_default();
        let best = found.results.into_iter().next().filter(|hit| {
            let texts = [&*hit.title, &*hit.context_text, &*hit.solution_text];
            let fields = Fields {
                title: &hit.title,
                context: &hit.context_text,
                solution: &hit.solution_text,
                tags: &hit.tags,
            };
            share_of_headline(query, fields) >= WORDS
                && share_of_pairs(headline, texts.into_iter()) >= PAIRS
        });
        Ok(best.map(shown))
    }
}

fn read(answer: &Answer) -> Result<Found, Silence> {
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|err| {
            Silence::Failed(format!("the server's answer is not one of this API: {err}"))
        }),
        401 => Err(Silence::Failed(
            "the server does not take the key; `commontrace status` says more".to_owned(),
        )),
        status @ 500.. => Err(Silence::Late(format!(
            "the server answered with status {status}"
        ))),
        status => Err(Silence::Failed(format!(
            "the server answered with status {status}"
        ))),
    }
}

fn shown(hit: Hit) -> Shown {
    Shown {
        id: hit.id,
        title: hit.title,
        solution_text: hit.solution_text,
        contributor: hit.contributor_name.filter(|name| !name.is_empty()),
        is_seed: false,
        created_at: hit.created_at,
        up_votes: 0,
        down_votes: 0,
        worked: hit.outcomes.worked + hit.outcomes.worked_with_changes,
        did_not_work: hit.outcomes.did_not_work,
        proof: hit
            .evidence
            .filter(|evidence| evidence.counts)
            .map(|evidence| evidence.status),
    }
}
