#![expect(missing_docs, reason = "stub")]
use std::collections::BTreeMap;
use uuid::Uuid;
#[derive(Debug, Default)]
pub struct SearchIndex;
#[derive(Debug)]
pub struct Document {
    pub id: Uuid,
    pub title: String,
    pub context: String,
    pub solution: String,
    pub tags: Vec<String>,
    pub fingerprint: BTreeMap<String, String>,
    pub trust: f64,
    pub valid_until: Option<i64>,
    pub created_at: i64,
}
#[derive(Debug)]
pub struct Query<'a> {
    pub text: Option<&'a str>,
    pub vector: Option<&'a [f32]>,
    pub tags: &'a [String],
    pub context: &'a BTreeMap<String, String>,
    pub include_expired: bool,
    pub now: i64,
    pub limit: usize,
}
#[derive(Debug, Clone, Copy)]
pub enum Band {
    Strong,
    Weak,
    None,
}
#[derive(Debug)]
pub struct Hit {
    pub id: Uuid,
    pub score: f64,
    pub similarity: f64,
    pub lexical: f64,
    pub dense: f64,
    pub trust: f64,
    pub context: f64,
}
#[derive(Debug)]
pub struct Answer {
    pub hits: Vec<Hit>,
    pub abstained: bool,
    pub band: Band,
}
impl SearchIndex {
    pub fn upsert(&self, _: Document) {}
    pub fn set_vector(&self, _: Uuid, _: &[f32]) {}
    pub fn remove(&self, _: Uuid) {}
    pub fn len(&self) -> usize {
        0
    }
    pub fn vectorless(&self) -> usize {
        0
    }
    pub fn search(&self, _: &Query<'_>) -> Answer {
        Answer {
            hits: vec![],
            abstained: true,
            band: Band::None,
        }
    }
}
pub fn embedding_text(t: &str, c: &str, s: &str) -> String {
    format!("{t}\n{c}\n{s}")
}
