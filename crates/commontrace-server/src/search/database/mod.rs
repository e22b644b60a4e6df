//! Searching inside PostgreSQL. The process holds no index and so starts at once.
//!
//! What a trace is found by is written in the transactions that change it. Here the candidates that
//! the database gives are scored and ranked with the formulas of the index in memory.

mod choose;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_core::TraceId;
use commontrace_search::bm25::{Collection, Fields, Scale, Weighed, weigh};
use commontrace_search::document::{Answer, Query};
use commontrace_search::query::{Analysis, analyze};
use commontrace_search::ranking::{
    CANDIDATES, Candidate, Facts, Legs, MAX_SIGNED, by_filters, by_text,
};
use commontrace_search::select::Best;
use commontrace_search::stored::{self, Postings, signature_id, stored, tag_id, term_id};
use commontrace_store::{
    EmbeddingModel, Fill, Filter, Found, INDEXED_DIMENSIONS, MakeDocument, Near, Result, Scored,
    SearchDocument, Store, Texts,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How the words of traces become what the database finds and scores them by.
pub const MAKE_DOCUMENT: MakeDocument = MakeDocument {
    version: stored::VERSION,
    make,
};

/// Nearest vectors that are asked for.
const NEAREST: usize = 100;
/// Vectors kept in view on the way through the index.
const EF_SEARCH: usize = 100;
/// Up to this many traces with a tag, comparing all their vectors costs no more than looking for
/// them among all.
const COMPARED: u64 = 4_000;
/// Up to this many documents one more changes the statistics noticeably, so that what is written is
/// counted at once.
const YOUNG: u64 = 5_000;
/// How far behind what was seen last the next look begins, because transactions may commit in
/// another order than they took their times.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

/// How often the store is told that a model's vectors are in use, in seconds.
const SAY_IN_USE: i64 = 30;

fn make(texts: Texts<'_>) -> SearchDocument {
    let document = stored(Fields {
        title: texts.title,
        context: texts.context_text,
        solution: texts.solution_text,
        tags: texts.tags,
    });
    SearchDocument {
        terms: document.terms,
        postings: document.postings,
        length: document.length,
    }
}

/// The tables of the database as one model's searches use them.
#[derive(Debug)]
pub struct DatabaseIndex {
    /// Whose vectors are compared; none to go by words alone.
    model: Option<EmbeddingModel>,
    node: Uuid,
    /// The model's number in the tables.
    number: OnceCell<i32>,
    /// What was counted last.
    documents: AtomicU64,
    vectors: AtomicU64,
    /// When the store was told last that the vectors are in use, in seconds since 1970.
    said_in_use: AtomicI64,
    /// The last change that was seen, and when it was seen first.
    newest: Mutex<(DateTime<Utc>, DateTime<Utc>)>,
}

impl DatabaseIndex {
    /// Prepares to search with the vectors of `model`. To the store, this process is `node`.
    pub fn new(model: Option<EmbeddingModel>, node: Uuid) -> Self {
        Self {
            model,
            node,
            number: OnceCell::new(),
            documents: AtomicU64::new(0),
            vectors: AtomicU64::new(0),
            said_in_use: AtomicI64::new(0),
            newest: Mutex::new((DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH)),
        }
    }

    /// Returns how many traces could be found when they were counted last.
    pub fn len(&self) -> usize {
        self.documents.load(Ordering::Relaxed) as usize
    }

    /// Returns how many traces had no vector of the model then; zero without a model.
    pub fn vectorless(&self) -> usize {
        let vectors = self.vectors.load(Ordering::Relaxed) as usize;
        match self.model {
            Some(_) => self.len().saturating_sub(vectors),
            None => 0,
        }
    }

    /// Counts what there is, and returns the moment from which to follow changes.
    pub async fn load(&self, store: &Store) -> Result<DateTime<Utc>> {
        let newest = store.last_change().await?;
        self.count(store, true).await?;
        Ok(newest.unwrap_or(DateTime::UNIX_EPOCH))
    }

    /// Counts what was written, waiting for others that count or leaving it to them.
    async fn count(&self, store: &Store, wait: bool) -> Result<()> {
        store.fold_search_changes(wait).await?;
        let number = self.number(store).await?;
        let counted = store.search_statistics(&[], number).await?;
        self.documents.store(counted.documents, Ordering::Relaxed);
        self.vectors.store(counted.vectors, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps others from removing the vectors that are searched with here.
    async fn say_in_use(&self, store: &Store, now: DateTime<Utc>) -> Result<()> {
        let Some(model) = &self.model else {
            return Ok(());
        };
        let said = self.said_in_use.load(Ordering::Relaxed);
        if (now.timestamp() - said).abs() >= SAY_IN_USE {
            store.note_search_model(model, self.node, now).await?;
            self.said_in_use.store(now.timestamp(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets others remove the vectors, because they are searched with here no longer.
    pub async fn leave(&self, store: &Store) -> Result<()> {
        match &self.model {
            Some(model) => store.forget_search_use(model, self.node).await,
            None => Ok(()),
        }
    }

    /// Counts a trace that this process has just changed or deleted, where one counts.
    pub async fn refresh(&self, store: &Store) -> Result<()> {
        if self.documents.load(Ordering::Relaxed) <= YOUNG {
            self.count(store, true).await?;
        }
        Ok(())
    }

    /// Makes up for what processes left undone that know nothing of these tables, and counts what
    /// was written. Returns the moment from which to look next, and whether a trace has neither a
    /// vector nor a job for one.
    pub async fn catch_up(
        &self,
        store: &Store,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(DateTime<Utc>, bool)> {
        self.say_in_use(store, now).await?;
        let newest = store.last_change().await?.unwrap_or(since).max(since);
        if self.has_settled(newest, now) {
            self.count(store, false).await?;
            return Ok((newest, false));
        }
        let from = since - OVERLAP;
        fill(store, self.model.as_ref(), Some(from)).await?;
        self.count(store, false).await?;
        let vectorless = match &self.model {
            Some(model) => store.lacks_embeddings(model, from).await?,
            None => false,
        };
        Ok((newest, vectorless))
    }

    /// Returns whether nothing has changed for so long that what was overtaken has been seen too.
    fn has_settled(&self, newest: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let mut seen = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != newest {
            *seen = (newest, now);
        }
        now - seen.1 > OVERLAP
    }

    /// Answers a search.
    pub async fn search(&self, store: &Store, query: &Query<'_>) -> Result<Answer> {
        let text = query.text.filter(|text| !text.trim().is_empty());
        match text {
            Some(text) => self.search_text(store, query, &analyze(text)).await,
            None => search_tags(store, query).await,
        }
    }

    /// Returns the model's number, once it is known without asking.
    async fn number(&self, store: &Store) -> Result<Option<i32>> {
        let Some(model) = &self.model else {
            return Ok(None);
        };
        let number = self.number.get_or_try_init(|| store.search_model(model));
        number.await.copied().map(Some)
    }

    async fn search_text(
        &self,
        store: &Store,
        query: &Query<'_>,
        analysis: &Analysis,
    ) -> Result<Answer> {
        let number = self.number(store).await?;
        let tags: Vec<i32> = query.tags.iter().map(|tag| tag_id(tag)).collect();
        let signed: Vec<i32> = analysis
            .signatures
            .iter()
            .map(|&s| signature_id(s))
            .collect();
        let mut asked: Vec<i32> = analysis
            .terms
            .iter()
            .map(|term| term_id(&term.text))
            .collect();
        asked.extend(tags.iter().chain(&signed));
        let statistics = store.search_statistics(&asked, number).await?;
        let documents_with = |id: &i32| statistics.with.get(id).copied().unwrap_or(0);
        let collection = Collection {
            documents: statistics.documents,
            length: statistics.length,
        };
        // A term of a document that was written this moment may not be counted yet.
        let terms = weigh(collection, &analysis.terms, |text| {
            let id = term_id(text);
            Some((id, documents_with(&id)))
        });
        let signed: Vec<i32> = signed
            .into_iter()
            .filter(|id| documents_with(id) <= MAX_SIGNED as u64)
            .collect();
        let mut words = choose::choose(&terms, collection.documents);
        words.any.extend(&signed);
        let filter = Filter {
            tags: &tags,
            only_tag: match query.tags {
                [tag] => Some(tag),
                _ => None,
            },
            valid_at: (!query.include_expired)
                .then(|| DateTime::from_timestamp_micros(query.now))
                .flatten(),
        };
        let rarest = tags.iter().map(documents_with).min();
        let near = self.near(query, number, rarest);
        let (by_words, nearest) = store.search_candidates(&words, near, filter).await?;
        let semantic = near.is_some() && (statistics.vectors > 0 || !nearest.is_empty());
        let scorer = Scorer::new(collection, &terms, &signed);
        let candidates = scorer.candidates(&by_words, &nearest);
        let ids: Vec<TraceId> = candidates.keys().copied().collect();
        let scored = store
            .search_facts(&ids, near, query.context.is_some())
            .await?;
        let (facts, similarities): (Vec<Facts>, Vec<Option<f32>>) =
            scored.into_iter().map(facts).unzip();
        let legs = Legs {
            shape: analysis.shape,
            lexical: candidates.values().any(|found| found.lexical > 0.0),
            semantic,
        };
        let ranked = facts
            .iter()
            .zip(similarities)
            .enumerate()
            .filter(|(_, (facts, _))| query.include_expired || !facts.expired(query.now))
            .map(|(key, (facts, similarity))| Candidate {
                facts,
                key: key as u32,
                lexical: candidates[&facts.id].lexical,
                same_error: candidates[&facts.id].same_error,
                similarity,
            });
        Ok(by_text(query, legs, ranked, |key| {
            candidates[&facts[key as usize].id].matched
        }))
    }

    /// Which vectors to compare for a query; `rarest` is how many traces the rarest of its tags has.
    fn near<'q>(
        &self,
        query: &Query<'q>,
        number: Option<i32>,
        rarest: Option<u64>,
    ) -> Option<Near<'q>> {
        let (model, vector) = (self.model.as_ref()?, query.vector?);
        let usable = vector.len() == model.dimensions
            && vector.iter().all(|x| x.is_finite())
            && vector.iter().any(|x| x.abs() >= f32::MIN_POSITIVE);
        usable.then_some(Near {
            model: number?,
            vector,
            limit: NEAREST,
            ef_search: EF_SEARCH,
            exact: model.dimensions > INDEXED_DIMENSIONS
                || rarest.is_some_and(|traces| traces <= COMPARED),
        })
    }
}

/// Finds traces by tags alone.
async fn search_tags(store: &Store, query: &Query<'_>) -> Result<Answer> {
    let found = store
        .search_tagged(query.tags, query.context.is_some())
        .await?;
    let found: Vec<Facts> = found.into_iter().map(|scored| facts(scored).0).collect();
    let valid = found
        .iter()
        .filter(|facts| query.include_expired || !facts.expired(query.now));
    Ok(by_filters(query, valid))
}

fn facts(scored: Scored) -> (Facts, Option<f32>) {
    let facts = Facts {
        id: scored.id,
        trust: scored.trust_score,
        valid_until: scored.valid_until.map(|end| end.timestamp_micros()),
        created_at: scored.created_at.timestamp_micros(),
        review_after: scored.review_after.map(|due| due.timestamp_micros()),
        fingerprint: scored.context,
    };
    (facts, scored.similarity)
}

/// Makes what is missing to search by, of all traces or of those that changed at `since` or later.
/// Returns how many documents and vectors it made.
pub async fn fill(
    store: &Store,
    model: Option<&EmbeddingModel>,
    since: Option<DateTime<Utc>>,
) -> Result<usize> {
    let mut made = 0;
    let mut step = Fill { after: None, since };
    loop {
        let filled = store.fill_search_documents(MAKE_DOCUMENT, step).await?;
        made += filled.made;
        if filled.last.is_none() {
            break;
        }
        step.after = filled.last;
    }
    let Some(model) = model else { return Ok(made) };
    step.after = None;
    loop {
        let filled = store.fill_search_vectors(model, step).await?;
        made += filled.made;
        if filled.last.is_none() {
            return Ok(made);
        }
        step.after = filled.last;
    }
}

/// How a candidate's words match.
#[derive(Debug, Clone, Copy, Default)]
struct Lexical {
    lexical: f32,
    same_error: bool,
    matched: usize,
}

/// Scores documents by their words.
struct Scorer<'a> {
    scale: Scale,
    /// Terms with their shares of the highest score.
    terms: Vec<(&'a Weighed<i32>, f32)>,
    signed: &'a [i32],
}

impl<'a> Scorer<'a> {
    fn new(collection: Collection, terms: &'a [Weighed<i32>], signed: &'a [i32]) -> Self {
        let scale = Scale::new(collection, terms);
        let terms = terms.iter().map(|term| (term, scale.share(term.weight)));
        Self {
            scale,
            terms: terms.collect(),
            signed,
        }
    }

    fn score(&self, found: &Found) -> Lexical {
        let (Some(length), Some(postings)) = (found.length, &found.postings) else {
            return Lexical::default();
        };
        let (length, postings) = (length.unsigned_abs(), Postings(postings));
        let mut scored = Lexical {
            same_error: self.signed.iter().any(|&id| postings.weight(id).is_some()),
            ..Lexical::default()
        };
        for (term, share) in &self.terms {
            let Some(count) = term.id.and_then(|id| postings.weight(id)) else {
                continue;
            };
            scored.lexical += self.scale.part(*share, count, length);
            scored.matched += usize::from(!term.filler);
        }
        scored
    }

    /// Chooses the best of those found by words, and joins them with the nearest.
    fn candidates(&self, by_words: &[Found], nearest: &[Found]) -> HashMap<TraceId, Lexical> {
        let mut best = Best::new(CANDIDATES);
        let mut chosen: HashMap<TraceId, Lexical> = nearest
            .iter()
            .map(|found| (found.trace_id, self.score(found)))
            .collect();
        let scored: Vec<(TraceId, Lexical)> = by_words
            .iter()
            .map(|found| (found.trace_id, self.score(found)))
            .collect();
        for (at, (id, scored)) in scored.iter().enumerate() {
            if scored.same_error {
                chosen.insert(*id, *scored);
            } else if scored.lexical > 0.0 {
                best.push(scored.lexical, at as u32);
            }
        }
        for (_, at) in best.into_sorted() {
            let (id, scored) = scored[at as usize];
            chosen.insert(id, scored);
        }
        chosen
    }
}
