//! Which documents of a database to read for a query's words, when reading all that have one of them
//! would take too long.
//!
//! A rare word decides more than a common one, and few documents have it: those are all read. Common
//! words are looked for together, plainly or where they are prominent: a combination says which, and
//! whoever fulfils it scores at least what it promises. Those that promise most come first, until
//! there are enough documents. How many fulfil one is estimated as if words came independently of
//! each other; where that is wrong the statement's own limit holds.

use commontrace_search::bm25::{Collection, Scale, Weighed};
use commontrace_search::stored::{PROMINENT, prominent_id};
use commontrace_store::{COMBINATIONS, Words};

/// Documents to read, about.
const ROWS: f64 = 200.0;
/// Documents with common terms that are enough, about.
const ENOUGH: f64 = 50.0;
/// Common terms that are looked for together.
const TOGETHER: usize = 6;
/// Work that may be spent on combinations, in entries of the index's lists: about 0.4 ms.
const EFFORT: f64 = 80_000.0;
/// How much longer it takes to look up an entry of the shortest list in the others than to pass over
/// one of theirs, as measured on PostgreSQL 16.
const LOOKED_UP: f64 = 20.0;
/// What a single occurrence weighs, in halves.
const PLAIN: u16 = 2;

/// A list of documents in the database's index.
#[derive(Debug, Clone, Copy)]
struct List {
    id: i32,
    documents: f64,
    /// What a document of average length gets at least for being in it.
    score: f32,
}

/// A common term: who has it, and with whom it is prominent, if there are any.
type Common = [Option<List>; 2];

/// Lists that a document must be in, all of them.
#[derive(Debug, Clone)]
struct Combination {
    /// For each common term 0 if it does not matter, else 1 + the place in [`Common`].
    levels: [u8; TOGETHER],
    ids: Vec<i32>,
    /// Documents that fulfil it, about.
    documents: f64,
    /// See [`EFFORT`].
    effort: f64,
    score: f32,
}

/// Chooses for a query with these terms, the heaviest first, of whose documents the filter lets the
/// part `passing` through, more than 0 and at most 1. `with` gives the number of documents that can
/// be found by an id.
pub fn choose(
    collection: Collection,
    terms: &[Weighed<i32>],
    passing: f64,
    with: impl Fn(i32) -> u64,
) -> Words {
    let mut words = Words::default();
    let mut left = ROWS / passing;
    let mut common: Vec<&Weighed<i32>> = Vec::new();
    for term in terms {
        let Some(id) = term.id else { continue };
        if term.documents as f64 <= left {
            words.any.push(id);
            left -= term.documents as f64;
        } else {
            common.push(term);
        }
    }
    // Fillers say nothing of what is asked, unless nothing else is.
    if common.iter().any(|term| !term.filler) {
        common.retain(|term| !term.filler);
    } else if !words.any.is_empty() {
        return words;
    }
    common.truncate(TOGETHER);
    let scale = Scale::new(collection, terms);
    let average = collection.length / collection.documents.max(1);
    let lists: Vec<Common> = common
        .iter()
        .map(|term| {
            let list = |id, documents: u64, count| List {
                id,
                documents: documents as f64,
                score: scale.part(scale.share(term.weight), count, average as u32),
            };
            let plain = term.id.map(|id| list(id, term.documents, PLAIN));
            let prominent = term.id.map(prominent_id);
            let prominent = prominent.map(|id| list(id, with(id), PROMINENT));
            [plain, prominent.filter(|list| list.documents > 0.0)]
        })
        .collect();
    let documents = collection.documents.max(1) as f64;
    words.all = choose_together(&lists, documents, left, ENOUGH / passing);
    words
}

/// Chooses the combinations that promise most, until there are `enough` documents, of which `left`
/// may be read.
fn choose_together(lists: &[Common], documents: f64, left: f64, enough: f64) -> Vec<Vec<i32>> {
    let mut ordered = combinations(lists, documents);
    ordered.sort_by(|a, b| {
        (b.score.total_cmp(&a.score)).then_with(|| a.documents.total_cmp(&b.documents))
    });
    let mut chosen: Vec<Combination> = Vec::new();
    for next in &ordered {
        if chosen.iter().any(|wider| wider.includes(next)) {
            continue;
        }
        // Who fulfils a narrower one is found by the wider one.
        let kept: Vec<Combination> = chosen
            .iter()
            .filter(|narrower| !next.includes(narrower))
            .cloned()
            .collect();
        let sum = |of: fn(&Combination) -> f64| kept.iter().map(of).sum::<f64>() + of(next);
        if kept.len() < COMBINATIONS
            && sum(|combination| combination.documents) <= left
            && sum(|combination| combination.effort) <= EFFORT
        {
            chosen = kept;
            chosen.push(next.clone());
        }
        if chosen.iter().map(|c| c.documents).sum::<f64>() >= enough {
            break;
        }
    }
    if chosen.is_empty() {
        // Everything is common: the best of what enough have, as many as may be read.
        let plenty = ordered.iter().find(|next| next.documents >= enough);
        chosen.extend(plenty.or(ordered.first()).cloned());
    }
    chosen
        .into_iter()
        .map(|combination| combination.ids)
        .collect()
}

/// Lists all combinations of terms that some document may fulfil.
fn combinations(lists: &[Common], documents: f64) -> Vec<Combination> {
    let mut all = vec![Combination {
        levels: [0; TOGETHER],
        ids: Vec::new(),
        documents,
        effort: 0.0,
        score: 0.0,
    }];
    for (at, term) in lists.iter().enumerate() {
        let narrower: Vec<Combination> = all
            .iter()
            .flat_map(|wider| {
                let levels = (1..).zip(term);
                levels.filter_map(|(level, list)| {
                    let list = (*list)?;
                    let mut combination = wider.clone();
                    combination.levels[at] = level;
                    combination.ids.push(list.id);
                    combination.documents *= (list.documents / documents).min(1.0);
                    combination.score += list.score;
                    Some(combination)
                })
            })
            .collect();
        all.extend(narrower);
    }
    all.swap_remove(0);
    for combination in &mut all {
        combination.effort = effort(&combination.levels, lists);
    }
    all
}

/// What looking for a combination costs.
fn effort(levels: &[u8; TOGETHER], lists: &[Common]) -> f64 {
    let lengths = lists.iter().zip(levels).filter_map(|(term, &level)| {
        let list = term.get(usize::from(level).checked_sub(1)?)?;
        list.map(|list| list.documents)
    });
    let (mut sum, mut shortest) = (0.0, f64::INFINITY);
    for length in lengths {
        sum += length;
        shortest = length.min(shortest);
    }
    sum + shortest * (LOOKED_UP - 1.0)
}

impl Combination {
    /// Returns whether who fulfils `other` fulfils this one too.
    fn includes(&self, other: &Self) -> bool {
        self.levels.iter().zip(&other.levels).all(|(a, b)| a <= b)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn term(id: i32, documents: u64) -> Weighed<i32> {
        Weighed {
            id: Some(id),
            documents,
            weight: 1.0,
            filler: false,
        }
    }

    /// Chooses of 100,000 documents, in which these terms are prominent so many times.
    fn chosen(terms: &[Weighed<i32>], prominent: &[(i32, u64)]) -> Words {
        let counts: HashMap<i32, u64> = prominent
            .iter()
            .map(|&(id, documents)| (prominent_id(id), documents))
            .collect();
        let collection = Collection {
            documents: 100_000,
            length: 20_000_000,
        };
        choose(collection, terms, 1.0, |id| {
            counts.get(&id).copied().unwrap_or(0)
        })
    }

    #[test]
    fn where_all_lists_are_long_something_is_read_that_many_have() {
        let terms = [1, 2, 3, 4, 5, 6].map(|id| term(id, 50_000));
        let prominent = [1, 2, 3, 4, 5, 6].map(|id| (id, 5_000));
        let words = chosen(&terms, &prominent);
        let [ids] = &words.all[..] else {
            panic!("one combination, {words:?}");
        };
        let share = |id: &i32| if (1..=6).contains(id) { 0.5 } else { 0.05 };
        let expected = 100_000.0 * ids.iter().map(share).product::<f64>();
        assert!(expected >= ENOUGH, "{words:?}");
    }

    #[test]
    fn where_a_filter_lets_few_through_more_is_read() {
        let collection = Collection {
            documents: 100_000,
            length: 20_000_000,
        };
        let terms = [term(1, 5_000), term(2, 9_000)];
        let words = choose(collection, &terms, 0.01, |_| 0);
        assert_eq!(words.any, [1, 2]);
    }

    #[test]
    fn rare_terms_are_read_whole_and_common_ones_together() {
        let terms = [
            term(1, 3),
            term(2, 40),
            term(3, 3_000),
            term(4, 7_000),
            term(5, 50_000),
        ];
        let words = chosen(&terms, &[]);
        assert_eq!(words.any, [1, 2]);
        // 3,000, 7,000 and 50,000 of 100,000 meet in 105, which is enough.
        assert_eq!(words.all, [vec![3, 4, 5]]);
    }

    #[test]
    fn where_few_have_all_common_terms_those_that_lack_one_are_read_too() {
        let terms = [term(1, 500), term(2, 2_000), term(3, 2_500)];
        // All three meet in hardly any; two of them in 10, 12 and 50.
        let words = chosen(&terms, &[]);
        assert_eq!(words.all, [vec![1, 2], vec![1, 3], vec![2, 3]]);
    }

    #[test]
    fn of_terms_that_most_have_those_with_whom_they_are_prominent_are_read() {
        let terms = [term(1, 40_000), term(2, 50_000), term(3, 60_000)];
        let prominent = [(1, 3_000), (2, 4_000), (3, 5_000)];
        let words = chosen(&terms, &prominent);
        assert_eq!(words.any, [0; 0]);
        assert!(!words.all.is_empty());
        for combination in &words.all {
            let prominent = prominent.iter().map(|&(id, _)| prominent_id(id));
            let shared = prominent.filter(|id| combination.contains(id)).count();
            assert!(shared >= 2, "{words:?}");
        }
    }

    #[test]
    fn a_young_collection_is_read_whole() {
        let terms = [term(1, 30), term(2, 25), term(3, 0)];
        let words = chosen(&terms, &[]);
        assert_eq!(
            (words.any, words.all),
            (vec![1, 2, 3], Vec::<Vec<i32>>::new())
        );
    }

    #[test]
    fn a_query_of_common_terms_alone_still_reads_something() {
        assert_eq!(chosen(&[term(1, 90_000)], &[]).all, [[1]]);
        let words = chosen(&[term(1, 90_000), term(2, 80_000)], &[]);
        assert_eq!(words.all, [vec![1, 2]]);
        assert_eq!(chosen(&[], &[]), Words::default());
    }

    #[test]
    fn fillers_are_read_only_where_nothing_else_is_asked() {
        let filler = |id| Weighed {
            filler: true,
            ..term(id, 50_000)
        };
        assert_eq!(
            chosen(&[term(1, 3), filler(2)], &[]).all,
            Vec::<Vec<i32>>::new()
        );
        assert_eq!(chosen(&[filler(2)], &[]).all, [[2]]);
    }
}
