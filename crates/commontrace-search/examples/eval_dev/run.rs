//! What is measured on a set.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use commontrace_core::TraceId;
use commontrace_search::document::{Answer, Confidence, Document, Query};
use commontrace_search::index::SearchIndex;

use crate::set::Set;

/// One set, and the legs that it is searched with.
pub struct Run<'a> {
    pub index: &'a SearchIndex,
    pub set: &'a Set,
    pub name: &'a str,
}

fn query<'a>(text: &'a str, vector: Option<&'a [f32]>) -> Query<'a> {
    Query {
        text: Some(text),
        vector,
        tags: &[],
        context: None,
        include_expired: true,
        abstain: true,
        now: 0,
        limit: 10,
    }
}

impl Run<'_> {
    fn ask(&self, at: usize, vectors: Option<&[Vec<f32>]>, abstain: bool) -> Answer {
        let vector = vectors.map(|vectors| vectors[at].as_slice());
        self.index.search(&Query {
            abstain,
            ..query(&self.set.queries[at].text, vector)
        })
    }

    /// How good the order is, and how long it takes.
    pub fn ranking(&self, vectors: Option<&[Vec<f32>]>) {
        let mut kinds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut times = Vec::new();
        for (at, asked) in self.set.queries.iter().enumerate() {
            let started = Instant::now();
            let answer = self.ask(at, vectors, true);
            times.push(started.elapsed());
            let found: Vec<TraceId> = answer.hits.iter().map(|hit| hit.id).collect();
            let value = ndcg(&found, &self.set.relevant[at]);
            let kind = asked.kind.split([':', '/']).next().unwrap_or_default();
            kinds.entry(kind).or_default().push(value);
            kinds.entry("all").or_default().push(value);
        }
        let values: Vec<String> = kinds
            .iter()
            .map(|(kind, v)| format!("{kind} {:.4}", mean(v)))
            .collect();
        println!(
            "  {:<12} nDCG@10 {}; {}",
            self.name,
            values.join(", "),
            percentiles(times)
        );
    }

    /// What it costs the ranking if trust is spread at random.
    pub fn random_trust(&self, vectors: Option<&[Vec<f32>]>) {
        let spread = |id: TraceId| id.0.as_u128().wrapping_mul(0x9E37_79B9) >> 7;
        for document in &self.set.documents {
            let random = spread(document.id);
            self.index
                .update_trust(document.id, (random % 17) as f64 - 5.0);
        }
        let values: Vec<f64> = (0..self.set.queries.len())
            .map(|at| {
                let hits = self.ask(at, vectors, true).hits;
                let found: Vec<TraceId> = hits.iter().map(|hit| hit.id).collect();
                ndcg(&found, &self.set.relevant[at])
            })
            .collect();
        println!("  {:<12} with random trust {:.4}", "", mean(&values));
        for document in &self.set.documents {
            self.index.update_trust(document.id, document.trust);
        }
    }

    /// How often nothing or little is found: where the answer is there, was removed, or never was.
    pub fn silence(
        &self,
        vectors: Option<&[Vec<f32>]>,
        off_topic: &[String],
        off_vectors: Option<&[Vec<f32>]>,
        documents: Option<&[Vec<f32>]>,
        mut signals: Option<&mut fs::File>,
    ) -> Result<()> {
        let mut note = |case: &str, answer: &Answer, value: f64| -> Result<()> {
            if let (Some(file), Some(s)) = (signals.as_mut(), answer.signals) {
                let similarity = s.similarity.unwrap_or(-1.0);
                writeln!(
                    file,
                    "{}\t{}\t{case}\t{similarity}\t{}\t{}\t{}\t{value}",
                    self.set.name, self.name, s.lexical, s.matched, s.lead,
                )?;
            }
            Ok(())
        };
        let mut bands: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for at in 0..self.set.queries.len() {
            let answer = self.ask(at, vectors, false);
            let relevant = &self.set.relevant[at];
            let right = answer
                .hits
                .first()
                .is_some_and(|hit| relevant.contains_key(&hit.id));
            let case = if right { "right" } else { "other" };
            let found: Vec<TraceId> = answer.hits.iter().map(|hit| hit.id).collect();
            note(case, &answer, ndcg(&found, relevant))?;
            bands.entry(case).or_default()[answer.confidence as usize] += 1;
            for id in relevant.keys() {
                self.index.remove(*id);
            }
            let answer = self.ask(at, vectors, false);
            note("removed", &answer, 0.0)?;
            bands.entry("removed").or_default()[answer.confidence as usize] += 1;
            for id in relevant.keys() {
                let place = id.0.as_u128() as usize - 1;
                self.index.upsert(&self.set.documents[place]);
                if let Some(documents) = documents {
                    self.index.set_vector(*id, &documents[place])?;
                }
            }
        }
        for (at, text) in off_topic.iter().enumerate() {
            let vector = off_vectors.map(|vectors| vectors[at].as_slice());
            let answer = self.index.search(&query(text, vector));
            note("off-topic", &answer, 0.0)?;
            bands.entry("off-topic").or_default()[answer.confidence as usize] += 1;
        }
        let shown: Vec<String> = bands
            .iter()
            .map(|(case, counts)| {
                let all: usize = counts.iter().sum();
                let share = |band: Confidence| 100.0 * counts[band as usize] as f64 / all as f64;
                let (none, weak) = (share(Confidence::None), share(Confidence::Weak));
                format!("{case} {none:.1}/{weak:.1}")
            })
            .collect();
        println!("  {:<12} silent/weak % {}", "", shown.join(", "));
        Ok(())
    }

    /// Asks documents for themselves by the text of their problem.
    pub fn known_items<E>(&self, embed: &E) -> Result<()>
    where
        E: Fn(&[String]) -> Result<Option<Vec<Vec<f32>>>>,
    {
        let picked: Vec<&Document> = self
            .set
            .documents
            .iter()
            .filter(|d| d.context.len() >= 30)
            .step_by((self.set.documents.len() / 300).max(1))
            .take(300)
            .collect();
        if picked.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = picked
            .iter()
            .map(|d| d.context.chars().take(2_000).collect())
            .collect();
        let vectors = if self.name == "both legs" {
            embed(&texts)?
        } else {
            None
        };
        let mut first = 0;
        for (at, document) in picked.iter().enumerate() {
            let vector = vectors.as_ref().map(|vectors| vectors[at].as_slice());
            let answer = self.index.search(&query(&texts[at], vector));
            let same = |id: TraceId| {
                let found = &self.set.documents[id.0.as_u128() as usize - 1];
                found.context == document.context
            };
            first += usize::from(answer.hits.first().is_some_and(|hit| same(hit.id)));
        }
        let share = 100.0 * first as f64 / picked.len() as f64;
        println!(
            "  {:<12} known items first {share:.1} % of {}",
            "",
            picked.len()
        );
        Ok(())
    }
}

/// The dense leg alone, by exact products.
pub fn meaning_only(set: &Set, documents: &[Vec<f32>], queries: &[Vec<f32>]) {
    let mut values = Vec::new();
    for (query, relevant) in queries.iter().zip(&set.relevant) {
        let dot = |v: &[f32]| v.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        let mut scored: Vec<(f32, TraceId)> = documents
            .iter()
            .zip(&set.documents)
            .map(|(v, d)| (dot(v), d.id))
            .collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let found: Vec<TraceId> = scored.iter().take(10).map(|s| s.1).collect();
        values.push(ndcg(&found, relevant));
    }
    println!("  {:<12} nDCG@10 all {:.4}", "meaning only", mean(&values));
}

fn ndcg(found: &[TraceId], relevant: &HashMap<TraceId, i32>) -> f64 {
    let gain = |grade: i32| 2_f64.powi(grade) - 1.0;
    let discount = |at: usize| 1.0 / (at as f64 + 2.0).log2();
    let gains = found.iter().take(10).enumerate();
    let reached: f64 = gains
        .filter_map(|(at, id)| Some(gain(*relevant.get(id)?) * discount(at)))
        .sum();
    let mut grades: Vec<i32> = relevant.values().copied().collect();
    grades.sort_unstable_by(|a, b| b.cmp(a));
    let ideal: f64 = grades
        .iter()
        .take(10)
        .enumerate()
        .map(|(at, &g)| gain(g) * discount(at))
        .sum();
    reached / ideal
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:.2?}, p99 {:.2?}", at(0.5), at(0.99))
}
