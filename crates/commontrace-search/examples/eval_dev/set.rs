//! A set of documents and of queries with known answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use commontrace_core::TraceId;
use commontrace_search::document::Document;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Text {
    id: String,
    title: String,
    context: String,
    solution: String,
    tags: Vec<String>,
}

/// A query of a set.
#[derive(Deserialize)]
pub struct Asked {
    id: String,
    pub text: String,
    pub kind: String,
}

/// Documents are known by their position, as trace ids.
pub struct Set {
    pub name: String,
    pub documents: Vec<Document>,
    pub queries: Vec<Asked>,
    /// Grades of the relevant documents of each query.
    pub relevant: Vec<HashMap<TraceId, i32>>,
}

impl Set {
    /// Reads the files of a folder.
    pub fn read(path: &Path) -> Result<Self> {
        let lines = |file: &str| fs::read_to_string(path.join(file)).context(file.to_owned());
        let mut names = HashMap::new();
        let mut documents = Vec::new();
        for line in lines("corpus.jsonl")?.lines() {
            let text: Text = serde_json::from_str(line)?;
            let id = TraceId(Uuid::from_u128(documents.len() as u128 + 1));
            names.insert(text.id, id);
            documents.push(Document {
                id,
                title: text.title,
                context: text.context,
                solution: text.solution,
                tags: text.tags,
                fingerprint: BTreeMap::new(),
                trust: 0.0,
                valid_until: None,
                created_at: 0,
                review_after: None,
            });
        }
        let queries: Vec<Asked> = lines("queries.jsonl")?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let places: HashMap<&str, usize> = queries
            .iter()
            .enumerate()
            .map(|(at, q)| (q.id.as_str(), at))
            .collect();
        let mut relevant = vec![HashMap::new(); queries.len()];
        for line in lines("qrels.tsv")?.lines() {
            let mut fields = line.split('\t');
            let mut field = || fields.next().context("a short line of qrels.tsv");
            let (query, document, grade) = (field()?, field()?, field()?);
            relevant[places[query]].insert(names[document], grade.parse()?);
        }
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self {
            name,
            documents,
            queries,
            relevant,
        })
    }

    /// Keeps the relevant documents of every so many queries, as many others, and those queries.
    pub fn sample(
        &mut self,
        size: usize,
        documents: &mut Option<Vec<Vec<f32>>>,
        queries: &mut Option<Vec<Vec<f32>>>,
    ) {
        let half = (size / 2).max(1);
        let step = (self.queries.len() / half).max(1);
        let asked: Vec<usize> = (0..self.queries.len()).step_by(step).take(half).collect();
        let mut kept: BTreeSet<usize> = asked
            .iter()
            .flat_map(|&at| self.relevant[at].keys())
            .map(|id| id.0.as_u128() as usize - 1)
            .collect();
        let step = (self.documents.len() / half).max(1);
        kept.extend((0..self.documents.len()).step_by(step).take(half));
        let ids: HashMap<TraceId, TraceId> = kept
            .iter()
            .enumerate()
            .map(|(place, &at)| {
                let id = TraceId(Uuid::from_u128(place as u128 + 1));
                (self.documents[at].id, id)
            })
            .collect();
        self.documents = kept
            .iter()
            .map(|&at| Document {
                id: ids[&self.documents[at].id],
                ..self.documents[at].clone()
            })
            .collect();
        self.relevant = asked
            .iter()
            .map(|&at| {
                self.relevant[at]
                    .iter()
                    .filter_map(|(id, &g)| Some((*ids.get(id)?, g)))
                    .collect()
            })
            .collect();
        let mut place = 0;
        self.queries.retain(|_| {
            place += 1;
            asked.contains(&(place - 1))
        });
        if let Some(vectors) = documents {
            *vectors = kept.iter().map(|&at| vectors[at].clone()).collect();
        }
        if let Some(vectors) = queries {
            *vectors = asked.iter().map(|&at| vectors[at].clone()).collect();
        }
    }
}
