//! Answering a search with what the database proposes.

use chrono::DateTime;
use commontrace_search::bm25::{Collection, Scale, Weighed, weigh};
use commontrace_search::document::{Answer, Query};
use commontrace_search::query::{Analysis, analyze};
use commontrace_search::ranking::{Candidate, Facts, Legs, MAX_SIGNED, by_filters, by_text};
use commontrace_search::stored::{Postings, prominent_id, signature_id, tag_id, term_id};
use commontrace_store::{Filter, Found, INDEXED_DIMENSIONS, Near, Result, Store, Wanted};

use super::DatabaseIndex;
use super::choose::choose;

/// Nearest vectors that are asked for.
const NEAREST: usize = 50;
/// Up to this many traces with a tag, comparing all their vectors costs no more than looking for
/// them among all.
const COMPARED: u64 = 4_000;

impl DatabaseIndex {
    /// Answers a search.
    pub async fn search(&self, store: &Store, query: &Query<'_>) -> Result<Answer> {
        let text = query.text.filter(|text| !text.trim().is_empty());
        match text {
            Some(text) => self.search_text(store, query, &analyze(text)).await,
            None => search_tags(store, query).await,
        }
    }

    async fn search_text(
        &self,
        store: &Store,
        query: &Query<'_>,
        analysis: &Analysis,
    ) -> Result<Answer> {
        let number = self.number(store).await?;
        let tags: Vec<i32> = query.tags.iter().map(|tag| tag_id(tag)).collect();
        let mut signed: Vec<i32> = analysis
            .signatures
            .iter()
            .map(|&s| signature_id(s))
            .collect();
        let terms = analysis.terms.iter().map(|term| term_id(&term.text));
        let mut asked: Vec<i32> = terms.flat_map(|id| [id, prominent_id(id)]).collect();
        asked.extend(tags.iter().chain(&signed));
        let statistics = store.search_statistics(&asked, number).await?;
        let documents_with = |id: i32| statistics.with.get(&id).copied().unwrap_or(0);
        let collection = Collection {
            documents: statistics.documents,
            length: statistics.length,
        };
        // A term of a document that was written this moment may not be counted yet.
        let terms = weigh(collection, &analysis.terms, |text| {
            let id = term_id(text);
            Some((id, documents_with(id)))
        });
        signed.retain(|&id| documents_with(id) <= MAX_SIGNED as u64);
        let rarest = tags.iter().map(|&tag| documents_with(tag)).min();
        let near = self.near(query, number, rarest);
        // What the filter lets through, if the tags' traces are the rarest's.
        let all = statistics.documents.max(1) as f64;
        let passing = rarest.map_or(1.0, |traces| (traces.max(1) as f64 / all).min(1.0));
        let found = match self.remembered.get(query, statistics.snapshot.as_ref()) {
            Some(found) => found,
            None => {
                let mut words = choose(collection, &terms, passing, documents_with);
                words.any.extend(&signed);
                words.scored = terms.iter().filter_map(|term| term.id).collect();
                words.scored.extend(&signed);
                words.scored.sort_unstable();
                let wanted = Wanted {
                    words,
                    near,
                    filter: filter(query, &tags),
                    contexts: query.context.is_some(),
                };
                let candidates = store.search_candidates(&wanted).await?;
                let found = candidates.found.into();
                // Or they were chosen by counts of another database.
                if candidates.snapshot == statistics.snapshot {
                    self.remembered.put(query, candidates.snapshot, &found);
                }
                found
            }
        };
        let semantic = near.is_some()
            && (statistics.vectors > 0 || found.iter().any(|found| found.similarity.is_some()));
        let scorer = Scorer::new(collection, terms, signed);
        let candidates: Vec<(Facts, Matching)> = found
            .iter()
            .map(|found| (facts(found), scorer.score(found)))
            .collect();
        let legs = Legs {
            shape: analysis.shape,
            lexical: candidates
                .iter()
                .any(|(_, matching)| matching.lexical > 0.0),
            semantic,
        };
        let ranked = (0_u32..)
            .zip(&candidates)
            .filter(|(_, (facts, _))| query.include_expired || !facts.expired(query.now))
            .map(|(key, (facts, matching))| Candidate {
                facts,
                key,
                lexical: matching.lexical,
                same_error: matching.same_error,
                similarity: matching.similarity,
            });
        Ok(by_text(query, legs, ranked, |key| {
            candidates[key as usize].1.matched
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
            exact: model.dimensions > INDEXED_DIMENSIONS
                || rarest.is_some_and(|traces| traces <= COMPARED),
        })
    }
}

/// What candidates must fulfil; `tags` are the numbers of the query's.
fn filter<'q>(query: &Query<'q>, tags: &'q [i32]) -> Filter<'q> {
    Filter {
        tags,
        only_tag: match query.tags {
            [tag] => Some(tag),
            _ => None,
        },
        valid_at: (!query.include_expired)
            .then(|| DateTime::from_timestamp_micros(query.now))
            .flatten(),
    }
}

/// Finds traces by tags alone.
async fn search_tags(store: &Store, query: &Query<'_>) -> Result<Answer> {
    let found = store
        .search_tagged(query.tags, query.context.is_some())
        .await?;
    let found: Vec<Facts> = found.iter().map(facts).collect();
    let valid = found
        .iter()
        .filter(|facts| query.include_expired || !facts.expired(query.now));
    Ok(by_filters(query, valid))
}

fn facts(found: &Found) -> Facts {
    Facts {
        id: found.id,
        trust: found.trust_score,
        valid_until: found.valid_until.map(|end| end.timestamp_micros()),
        created_at: found.created_at.timestamp_micros(),
        review_after: found.review_after.map(|due| due.timestamp_micros()),
        fingerprint: found.context.clone(),
    }
}

/// How well a candidate matches.
#[derive(Debug, Clone, Copy, Default)]
struct Matching {
    similarity: Option<f32>,
    lexical: f32,
    same_error: bool,
    matched: usize,
}

/// Scores candidates, by the words of their documents.
struct Scorer {
    scale: Scale,
    /// Terms with their shares of the highest score.
    terms: Vec<(Weighed<i32>, f32)>,
    signed: Vec<i32>,
}

impl Scorer {
    fn new(collection: Collection, terms: Vec<Weighed<i32>>, signed: Vec<i32>) -> Self {
        let scale = Scale::new(collection, &terms);
        let terms = terms
            .into_iter()
            .map(|term| (term, scale.share(term.weight)));
        Self {
            scale,
            terms: terms.collect(),
            signed,
        }
    }

    fn score(&self, found: &Found) -> Matching {
        let mut scored = Matching {
            similarity: found.similarity,
            ..Matching::default()
        };
        let (Some(length), Some(postings)) = (found.length, &found.postings) else {
            return scored;
        };
        let (length, postings) = (length.unsigned_abs(), Postings(postings));
        scored.same_error = self.signed.iter().any(|&id| postings.weight(id).is_some());
        for (term, share) in &self.terms {
            let Some(count) = term.id.and_then(|id| postings.weight(id)) else {
                continue;
            };
            scored.lexical += self.scale.part(*share, count, length);
            scored.matched += usize::from(!term.filler);
        }
        scored
    }
}
