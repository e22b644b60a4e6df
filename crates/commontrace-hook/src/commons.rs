//! The traces on this machine, looked for by words in the database file: nothing is loaded, so it takes
//! milliseconds.
//!
//! The words are scored by the formula that the index in memory uses; what is relevant enough to be shown unasked is
//! decided here and is stricter than what a search may show.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use commontrace_search::bm25::{Collection, Counted, Fields, Scale, Weighed, weigh};
use commontrace_search::query::analyze;
use commontrace_search::ranking::MAX_SIGNED;
use commontrace_search::stored::{Postings, signature_id, term_id};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use uuid::Uuid;

/// How long to wait for a database that is being recovered or written.
const PATIENCE: Duration = Duration::from_millis(500);
/// Documents that are collected by rare words at most, and of these are scored.
const COLLECTED: u64 = 3_000;
const SCORED: usize = 60;
/// Traces that are looked at to judge the best.
const JUDGED: usize = 5;
/// Words of the line that names the problem that a trace must have to be shown unasked.
const MATCHED: usize = 2;
/// How much phrases in common count where traces are ordered.
const PLACE: f64 = 0.3;
/// How much the words of a trace, its lead and phrases in common count, and what all together have to reach. Chosen on
/// recorded commands (`dev-*.json`), 40 with and 40 without a trace that helps, among 10,000 traces about other things: the
/// weights that keep the hardest of either kind furthest apart, and the limit between them.
const WORDS: f64 = 0.5;
const LEAD: f64 = 2.0;
const PHRASE: f64 = 0.4;
const ENOUGH: f64 = 0.66;
/// Terms that documents are collected by at most.
const COLLECTING: usize = 24;

/// A trace that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The trace.
    pub id: Uuid,
    /// How well its words match.
    pub evidence: Evidence,
}

/// What says that a trace is about the failure that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Lexical score as a share of the highest that any document could have.
    pub lexical: f64,
    /// The same of the words of the line that names the problem alone.
    pub headline: f64,
    /// How many of these words it has, fillers aside, and how many there are.
    pub matched: (usize, usize),
    /// Whether it reports the same error line, apart from paths and numbers.
    pub same_error: bool,
    /// Share of the pairs of neighbouring words of the line that names the problem that stand in it side by side too.
    pub phrase: f64,
    /// By how much the score exceeds that of the fifth trace; in a handful of traces others are taken as half as
    /// good as the best.
    pub lead: f64,
}

/// Why the commons cannot be asked.
pub type Error = rusqlite::Error;

/// The store's file, opened to read.
#[derive(Debug)]
pub struct Commons {
    db: Connection,
}

/// What is shown of a trace.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns are described in the schema")]
pub struct Shown {
    pub id: Uuid,
    pub title: String,
    pub solution_text: String,
    pub contributor: Option<String>,
    pub is_seed: bool,
    pub created_at: String,
    pub up_votes: i64,
    pub down_votes: i64,
    pub worked: i64,
    pub did_not_work: i64,
    /// What running tests proved: `verified`, `refuted`.
    pub proof: Option<String>,
}

impl Commons {
    /// Opens the store's file; nothing if there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        // For writing, because only then a file that was not closed cleanly can be read; nothing is written.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(PATIENCE)?;
        // What others have written is theirs to put away.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.pragma_update(None, "query_only", "ON")?;
        let there = "SELECT 1 FROM sqlite_schema WHERE name = 'search_documents'";
        let there = db.query_row(there, [], |_| Ok(())).optional()?;
        Ok(there.map(|()| Self { db }))
    }

    /// Returns the traces whose words match best, best first, at most five.
    pub fn search(&self, query: &str, now: &str) -> Result<Vec<Found>, Error> {
        let analysis = analyze(query);
        let headline = query.lines().next().unwrap_or_default();
        let headline = analyze(headline);
        let collection = self.collection()?;
        if collection.documents == 0 {
            return Ok(Vec::new());
        }
        let documents = self.frequencies(
            analysis.terms.iter().map(|term| term_id(&term.text)).chain(
                analysis
                    .signatures
                    .iter()
                    .map(|&signature| signature_id(signature)),
            ),
        )?;
        let with = |id: i32| {
            documents
                .iter()
                .find(|known| known.0 == id)
                .map_or(0, |known| known.1)
        };
        let find = |text: &str| {
            let id = term_id(text);
            Some((id, with(id)))
        };
        let terms = weigh(collection, &analysis.terms, find);
        let named = weigh(collection, &headline.terms, find);
        let signed: Vec<i32> = analysis
            .signatures
            .iter()
            .map(|&signature| signature_id(signature))
            .filter(|&id| (1..=MAX_SIGNED as u64).contains(&with(id)))
            .collect();
        let candidates = self.candidates(&terms, &signed)?;
        let (scale, named_scale) = (
            Scale::new(collection, &terms),
            Scale::new(collection, &named),
        );
        let mut found = Vec::new();
        let mut documents = self.db.prepare(
            "SELECT d.trace_id, d.length, d.postings FROM search_documents d JOIN traces t ON t.id = d.trace_id
             WHERE d.doc = ?1 AND t.hidden_at IS NULL AND (t.valid_until IS NULL OR t.valid_until > ?2)",
        )?;
        for doc in candidates {
            let row = documents.query_row(params![doc, now], |row| {
                Ok((
                    row.get::<_, Uuid>(0)?,
                    row.get::<_, u32>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            });
            let Some((id, length, postings)) = row.optional()? else {
                continue;
            };
            let postings = Postings(&postings);
            let score = |terms: &[Weighed<i32>], scale: Scale| {
                let parts = terms.iter().filter_map(|term| {
                    let count = postings.weight(term.id?)?;
                    Some(f64::from(scale.part(
                        scale.share(term.weight),
                        count,
                        length,
                    )))
                });
                parts.sum::<f64>()
            };
            let has =
                |term: &&Weighed<i32>| term.id.is_some_and(|id| postings.weight(id).is_some());
            let told = named.iter().filter(|term| !term.filler);
            found.push(Found {
                id,
                evidence: Evidence {
                    lexical: score(&terms, scale),
                    headline: score(&named, named_scale),
                    matched: (told.clone().filter(has).count(), told.count()),
                    same_error: signed.iter().any(|&id| postings.weight(id).is_some()),
                    phrase: 0.0,
                    lead: 0.0,
                },
            });
        }
        found.sort_by(|a, b| {
            b.evidence
                .score()
                .total_cmp(&a.evidence.score())
                .then_with(|| a.id.cmp(&b.id))
        });
        found.truncate(JUDGED);
        let scores: Vec<f64> = found.iter().map(|found| found.evidence.score()).collect();
        if let (Some(best), Some(last)) = (scores.first(), scores.last()) {
            let usual = if scores.len() == JUDGED {
                *last
            } else {
                last.min(best / 2.0)
            };
            for (found, score) in found.iter_mut().zip(&scores) {
                found.evidence.lead = score - usual;
            }
        }
        let named = query.lines().next().unwrap_or_default();
        for found in &mut found {
            found.evidence.phrase = self.phrase(found.id, named)?;
        }
        let place = |found: &Found| found.evidence.score() + PLACE * found.evidence.phrase;
        found.sort_by(|a, b| place(b).total_cmp(&place(a)).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    fn phrase(&self, id: Uuid, line: &str) -> Result<f64, Error> {
        let texts = "SELECT title, context_text, solution_text FROM traces WHERE id = ?1";
        self.db.query_row(texts, [id], |row| {
            let texts: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok(share_of_pairs(line, texts.iter().map(String::as_str)))
        })
    }

    fn collection(&self) -> Result<Collection, Error> {
        let totals = "SELECT documents, length FROM search_totals";
        self.db.query_row(totals, [], |row| {
            let count = |at| {
                row.get::<_, i64>(at)
                    .map(|count| count.max(0).unsigned_abs())
            };
            Ok(Collection {
                documents: count(0)?,
                length: count(1)?,
            })
        })
    }

    /// In how many documents each of these is.
    fn frequencies(&self, ids: impl Iterator<Item = i32>) -> Result<Vec<(i32, u64)>, Error> {
        let mut query = self
            .db
            .prepare("SELECT doc FROM search_frequencies WHERE term = ?1")?;
        ids.map(|id| {
            let count: Option<i64> = query.query_row([word(id)], |row| row.get(0)).optional()?;
            Ok((id, count.unwrap_or(0).unsigned_abs()))
        })
        .collect()
    }

    /// The documents with the rarest of the words, those first that have the most of their weight.
    fn candidates(&self, terms: &[Weighed<i32>], signed: &[i32]) -> Result<Vec<i64>, Error> {
        let mut weights: HashMap<i64, f32> = HashMap::new();
        let mut query = self
            .db
            .prepare("SELECT rowid FROM search_terms WHERE search_terms MATCH ?1")?;
        let mut collect = |id: i32, weight: f32| -> Result<(), Error> {
            let mut rows = query.query([format!("\"{}\"", word(id))])?;
            while let Some(row) = rows.next()? {
                *weights.entry(row.get(0)?).or_default() += weight;
            }
            Ok(())
        };
        let heaviest = terms.iter().map(|term| term.weight).fold(1.0, f32::max);
        for &id in signed {
            collect(id, 2.0 * heaviest)?;
        }
        let mut rare: Vec<&Weighed<i32>> = terms
            .iter()
            .filter(|term| term.documents > 0 && !term.filler)
            .collect();
        rare.sort_by_key(|term| term.documents);
        let mut collected = 0;
        for term in rare.into_iter().take(COLLECTING) {
            collected += term.documents;
            if collected > COLLECTED && collected > term.documents {
                break;
            }
            if let Some(id) = term.id {
                collect(id, term.weight)?;
            }
        }
        let mut documents: Vec<(i64, f32)> = weights.into_iter().collect();
        documents.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        documents.truncate(SCORED);
        Ok(documents.into_iter().map(|(doc, _)| doc).collect())
    }

    /// Reads what is shown of a trace.
    pub fn shown(&self, id: Uuid) -> Result<Option<Shown>, Error> {
        let row = self.db.query_row(
            "SELECT t.title, t.solution_text, u.display_name, t.is_seed, t.created_at, t.up_votes, t.down_votes,
                 t.worked + t.worked_with_changes, t.did_not_work, e.proof
             FROM traces t LEFT JOIN users u ON u.id = t.contributor_id
             LEFT JOIN trace_evidence e ON e.trace_id = t.id AND e.is_backed
             WHERE t.id = ?1",
            [id],
            |row| {
                Ok(Shown {
                    id,
                    title: row.get(0)?,
                    solution_text: row.get(1)?,
                    contributor: row.get(2)?,
                    is_seed: row.get(3)?,
                    created_at: row.get(4)?,
                    up_votes: row.get(5)?,
                    down_votes: row.get(6)?,
                    worked: row.get(7)?,
                    did_not_work: row.get(8)?,
                    proof: row.get(9)?,
                })
            },
        );
        row.optional()
    }
}

/// A term's number as the table of terms has it.
fn word(id: i32) -> String {
    format!("{id:08x}")
}

/// Returns how much of the line that names the problem, the first of a query, stands in a trace: the share of its words,
/// fillers aside, or none if there are fewer than [`MATCHED`].
#[must_use]
pub fn share_of_headline(query: &str, fields: Fields<'_>) -> f64 {
    let headline = analyze(query.lines().next().unwrap_or_default());
    let terms: Vec<&str> = headline
        .terms
        .iter()
        .filter(|term| !term.filler)
        .map(|term| term.text.as_str())
        .collect();
    let counted = Counted::of(fields);
    let has = terms
        .iter()
        .filter(|term| counted.terms.contains_key(**term))
        .count();
    if has < MATCHED {
        return 0.0;
    }
    has as f64 / terms.len() as f64
}

/// Returns the share of the pairs of neighbouring words of a line that stand side by side in one of the texts too.
/// Messages share words with many texts, and phrases with those about the same.
#[must_use]
pub fn share_of_pairs<'t>(line: &str, texts: impl Iterator<Item = &'t str>) -> f64 {
    let line = line.to_lowercase();
    let texts: Vec<String> = texts.map(str::to_lowercase).collect();
    let pairs = || plain_words(&line).zip(plain_words(&line).skip(1));
    let mut found: HashMap<(&str, &str), bool> = pairs().map(|pair| (pair, false)).collect();
    if found.is_empty() {
        return 0.0;
    }
    for text in &texts {
        for pair in plain_words(text).zip(plain_words(text).skip(1)) {
            if let Some(found) = found.get_mut(&pair) {
                *found = true;
            }
        }
    }
    pairs().filter(|pair| found[pair]).count() as f64 / pairs().count() as f64
}

/// Words as they stand, stop words included: they make phrases.
fn plain_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

impl Evidence {
    /// What traces are ordered by.
    #[must_use]
    pub fn score(&self) -> f64 {
        let lexical = 0.5 * self.lexical + 0.5 * self.headline;
        if self.same_error {
            (1.0 + lexical) / 2.0
        } else {
            lexical
        }
    }

    /// Whether it is worth an agent's attention without having been asked for: the words have to match, and better
    /// than those of other traces do.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        let words = (self.headline + self.lexical) / 2.0;
        let evidence = WORDS * words + LEAD * self.lead + PHRASE * self.phrase;
        self.matched.0 >= MATCHED && evidence >= ENOUGH
    }
}
