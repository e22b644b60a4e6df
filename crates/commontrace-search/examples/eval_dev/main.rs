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

mod run;
mod set;
mod vectors;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use commontrace_search::embed::MiniLm;
use commontrace_search::index::SearchIndex;
use commontrace_search::text::embedding_text;

use run::{Run, meaning_only};
use set::Set;
use vectors::vectors;

const OFF_TOPIC: &str = include_str!("../data/off_topic.txt");

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
