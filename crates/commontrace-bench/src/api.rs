//! The calls of the HTTP API that the measurements need, with what they read of the answers.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::document::{NewTrace, cut};
use crate::metrics;

/// Longest query the API accepts, in characters.
pub const QUERY_MAX: usize = 2000;

/// Where traces are contributed and listed.
const TRACES: &str = "/api/v1/traces";

/// Answer to a contribution.
#[derive(Debug, Deserialize)]
pub struct Contributed {
    /// The new trace.
    pub id: String,
    /// Kinds of text that were redacted.
    #[serde(default)]
    pub redactions: Vec<serde::de::IgnoredAny>,
}

/// A trace, as far as it is read here.
#[derive(Debug, Deserialize)]
pub struct Trace {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its problem.
    pub context_text: String,
    /// Up-votes counted.
    pub up_votes: usize,
    /// Down-votes counted.
    pub down_votes: usize,
}

#[derive(Debug, Deserialize)]
struct Page {
    traces: Vec<Trace>,
    next_cursor: Option<String>,
}

/// An amendment, as far as it is read here.
#[derive(Debug, Deserialize)]
pub struct Amendment {
    /// Its id.
    pub id: String,
    /// `proposed`, `accepted` or `rejected`.
    pub status: String,
}

#[derive(Debug, Deserialize)]
struct Amendments {
    amendments: Vec<Amendment>,
}

/// One result of a search.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Hit {
    /// The trace.
    pub id: String,
    /// What results are ordered by.
    pub combined_score: f64,
}

/// The answer to a search.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Found {
    /// Best first.
    pub results: Vec<Hit>,
    /// Whether the server says that nothing is relevant.
    pub abstained: bool,
    /// Whether it searched by words alone although it should have a model.
    pub degraded: bool,
}

impl Found {
    /// Returns the ids that count: none when the server abstained.
    pub fn ranked(&self) -> impl Iterator<Item = &str> {
        let counts = !self.abstained;
        self.results
            .iter()
            .filter(move |_| counts)
            .map(|hit| hit.id.as_str())
    }
}

impl Client {
    /// Registers an account and uses its key from now on.
    pub async fn register(&mut self) -> Result<()> {
        let key = self.registered().await?;
        self.use_key(key);
        Ok(())
    }

    /// Registers an account and returns its key, for another program.
    pub async fn registered(&mut self) -> Result<String> {
        #[derive(Deserialize)]
        struct Registered {
            api_key: String,
        }
        let answer = self
            .post(
                "/api/v1/keys",
                &json!({"display_name": "commontrace-bench"}),
            )
            .await?;
        Ok(answer.json::<Registered>(201)?.api_key)
    }

    /// Contributes a trace; the same `key` never makes a second one.
    pub async fn contribute(&mut self, trace: &NewTrace, key: &str) -> Result<Answer> {
        let body = serde_json::to_vec(trace).context("a trace is JSON")?;
        self.post_once(TRACES, body.into(), key).await
    }

    /// Searches by text, which is cut to what the API accepts.
    pub async fn search(&mut self, text: &str, limit: usize) -> Result<Answer> {
        let body = json!({"q": cut(text, QUERY_MAX), "limit": limit});
        self.post("/api/v1/traces/search", &body).await
    }

    /// Reads a trace.
    pub async fn trace(&mut self, id: &str) -> Result<Answer> {
        self.get(&format!("{TRACES}/{id}")).await
    }

    /// Reads all starter traces.
    pub async fn starter_traces(&mut self) -> Result<Vec<Trace>> {
        let (mut traces, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{TRACES}?seed=true&limit=100{cursor}");
            let page: Page = self.get(&path).await?.json(200)?;
            traces.extend(page.traces);
            match page.next_cursor {
                // Cursors are URL-safe as they are.
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(traces),
            }
        }
    }

    /// Votes on a trace.
    pub async fn vote(&mut self, id: &str, up: bool) -> Result<Answer> {
        let body = if up {
            json!({"vote_type": "up"})
        } else {
            json!({"vote_type": "down", "feedback_tag": "outdated"})
        };
        self.post(&format!("{TRACES}/{id}/votes"), &body).await
    }

    /// Proposes another solution.
    pub async fn amend(&mut self, id: &str, solution: &str) -> Result<Answer> {
        let body = json!({"improved_solution": solution, "explanation": "the old one is longer"});
        self.post(&format!("{TRACES}/{id}/amendments"), &body).await
    }

    /// Accepts another account's amendment to a trace of one's own.
    pub async fn accept(&mut self, id: &str, amendment: &str) -> Result<Answer> {
        self.post(
            &format!("{TRACES}/{id}/amendments/{amendment}/accept"),
            &json!({}),
        )
        .await
    }

    /// Lists a trace's amendments.
    pub async fn amendments(&mut self, id: &str) -> Result<Vec<Amendment>> {
        let answer = self.get(&format!("{TRACES}/{id}/amendments")).await?;
        Ok(answer.json::<Amendments>(200)?.amendments)
    }

    /// Reads all metrics as text.
    pub async fn metrics(&mut self) -> Result<String> {
        let answer = self.get("/metrics").await?;
        Ok(String::from_utf8_lossy(answer.expect(200)?).into_owned())
    }

    /// Returns how many traces wait for a vector.
    pub async fn backlog(&mut self) -> Result<usize> {
        let text = self.metrics().await?;
        let waiting = metrics::value(&text, metrics::BACKLOG);
        waiting
            .map(|waiting| waiting as usize)
            .with_context(|| format!("no metric {}", metrics::BACKLOG))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_abstains_ranks_nothing() {
        let hit = Hit {
            id: "a".into(),
            combined_score: 1.0,
        };
        let found = |abstained| Found {
            results: vec![hit.clone()],
            abstained,
            degraded: false,
        };
        assert_eq!(found(false).ranked().collect::<Vec<_>>(), ["a"]);
        assert_eq!(found(true).ranked().count(), 0);
    }
}
