//! Measures ranking, silence and speed on sets of queries with known answers.
//!
//! `eval_dev FOLDER [--model DIR] [--cache DIR] [--only SET] [--sample DOCUMENTS] [--signals FILE]`
//!
//! FOLDER holds one folder per set: `corpus.jsonl` {id, title, context, solution, tags},
//! `queries.jsonl` {id, text, kind} and `qrels.tsv` (query, document, grade). Without a model only
//! the lexical leg is measured. Vectors are kept in the cache between runs.

#![expect(
    clippy::print_stdout,
    reason = "a measuring tool prints its measurements"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use commontrace_core::TraceId;
use commontrace_search::document::{Answer, Confidence, Document, Query};
use commontrace_search::embed::MiniLm;
use commontrace_search::index::SearchIndex;
use commontrace_search::text::embedding_text;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const OFF_TOPIC: &str = include_str!("data/off_topic.txt");

fn main() -> Result<()> {
    let options = Options::read()?;
    let model = options.model.as_deref().map(MiniLm::load).transpose()?;
    let embed = |texts: &[String]| match &model {
        Some(model) => vectors(model, &options.cache, texts).map(Some),
        None => Ok(None),
    };
    let mut signals = options.signals.as_ref().map(fs::File::create).transpose()?;
    let mut sets: Vec<PathBuf> = fs::read_dir(&options.folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    sets.sort();
    sets.retain(|path| path.join("corpus.jsonl").is_file());
    for path in sets {
        let mut set = Set::read(&path)?;
        if options.only.as_ref().is_some_and(|only| *only != set.name) {
            continue;
        }
        let texts: Vec<String> = set
            .documents
            .iter()
            .map(|d| embedding_text(d.fields()))
            .collect();
        let mut of_documents = embed(&texts)?;
        let asked: Vec<String> = set.queries.iter().map(|q| q.text.clone()).collect();
        let mut of_queries = embed(&asked)?;
        if let Some(size) = options.sample {
            set.sample(size, &mut of_documents, &mut of_queries);
        }
        let started = Instant::now();
        let index = SearchIndex::new();
        set.documents
            .iter()
            .for_each(|document| index.upsert(document));
        let built = started.elapsed();
        if let Some(vectors) = &of_documents {
            for (document, vector) in set.documents.iter().zip(vectors) {
                index.set_vector(document.id, vector)?;
            }
        }
        let off_topic: Vec<String> = OFF_TOPIC.lines().map(str::to_owned).collect();
        let of_off_topic = embed(&off_topic)?;
        let (words, vectors) = index.memory();
        println!(
            "\n{}: {} documents indexed in {built:.1?}, {:.1} MB words, {:.1} MB vectors",
            set.name,
            index.len(),
            words as f64 / 1e6,
            vectors as f64 / 1e6,
        );
        let legs = [("words only", None), ("both legs", of_queries.as_deref())];
        for (name, vectors) in legs
            .into_iter()
            .filter(|l| l.1.is_some() || l.0 == "words only")
        {
            let run = Run {
                index: &index,
                set: &set,
                name,
            };
            let off_vectors = vectors.and(of_off_topic.as_deref());
            run.ranking(vectors);
            run.random_trust(vectors);
            run.silence(
                vectors,
                &off_topic,
                off_vectors,
                of_documents.as_deref(),
                signals.as_mut(),
            )?;
            run.known_items(&embed)?;
        }
        if let (Some(documents), Some(queries)) = (&of_documents, &of_queries) {
            meaning_only(&set, documents, queries);
        }
    }
    Ok(())
}

struct Options {
    folder: PathBuf,
    model: Option<PathBuf>,
    cache: PathBuf,
    only: Option<String>,
    signals: Option<PathBuf>,
    sample: Option<usize>,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self {
            folder: PathBuf::new(),
            model: None,
            cache: std::env::temp_dir().join("commontrace-eval"),
            only: None,
            signals: None,
            sample: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .with_context(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--model" => options.model = Some(value()?.into()),
                "--cache" => options.cache = value()?.into(),
                "--only" => options.only = Some(value()?),
                "--sample" => options.sample = Some(value()?.parse()?),
                "--signals" => options.signals = Some(value()?.into()),
                _ => options.folder = argument.into(),
            }
        }
        Ok(options)
    }
}

#[derive(Deserialize)]
struct Text {
    id: String,
    title: String,
    context: String,
    solution: String,
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Asked {
    id: String,
    text: String,
    kind: String,
}

/// Documents are known by their position, as trace ids.
struct Set {
    name: String,
    documents: Vec<Document>,
    queries: Vec<Asked>,
    /// Grades of the relevant documents of each query.
    relevant: Vec<HashMap<TraceId, i32>>,
}

impl Set {
    fn read(path: &Path) -> Result<Self> {
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
}

impl Set {
    /// Keeps the relevant documents of every so many queries, as many others, and those queries.
    fn sample(
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

/// Embeds texts on two threads, or reads what an earlier run kept.
fn vectors(model: &MiniLm, cache: &Path, texts: &[String]) -> Result<Vec<Vec<f32>>> {
    fs::create_dir_all(cache)?;
    let mut digest = Sha256::new();
    texts
        .iter()
        .for_each(|text| digest.update([text.as_bytes(), &[0]].concat()));
    let name: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let file = cache.join(format!("{name}.f32"));
    if let Ok(bytes) = fs::read(&file) {
        let floats: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        return Ok(floats
            .chunks(model.model().dimensions)
            .map(<[f32]>::to_vec)
            .collect());
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![Vec::new(); texts.len()]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(text) = texts.get(at) else { return };
                    let vector = model.encode(text).expect("the local model embeds any text");
                    done.lock().expect("no thread panics")[at] = vector;
                }
            });
        }
    });
    let done = done.into_inner()?;
    let bytes: Vec<u8> = done
        .iter()
        .flatten()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    fs::write(file, bytes)?;
    Ok(done)
}

struct Run<'a> {
    index: &'a SearchIndex,
    set: &'a Set,
    name: &'a str,
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

    fn ranking(&self, vectors: Option<&[Vec<f32>]>) {
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
    fn random_trust(&self, vectors: Option<&[Vec<f32>]>) {
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

    fn silence(
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
    fn known_items<E>(&self, embed: &E) -> Result<()>
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
fn meaning_only(set: &Set, documents: &[Vec<f32>], queries: &[Vec<f32>]) {
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
