//! Searching inside PostgreSQL. The process holds no index and so starts at once.
//!
//! What a trace is found by is written in the transactions that change it. Here the candidates that
//! the database gives are scored and ranked with the formulas of the index in memory.

mod answer;
mod choose;
mod remembered;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use commontrace_search::bm25::Fields;
use commontrace_search::stored::{self, stored};
use commontrace_store::{EmbeddingModel, Fill, MakeDocument, Result, SearchDocument, Store, Texts};
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::remembered::Remembered;

/// How the words of traces become what the database finds and scores them by.
pub const MAKE_DOCUMENT: MakeDocument = MakeDocument {
    version: stored::VERSION,
    make,
};

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
    remembered: Remembered,
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
            remembered: Remembered::default(),
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

    /// Returns the model's number, once it is known without asking.
    async fn number(&self, store: &Store) -> Result<Option<i32>> {
        let Some(model) = &self.model else {
            return Ok(None);
        };
        let number = self.number.get_or_try_init(|| store.search_model(model));
        number.await.copied().map(Some)
    }
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
