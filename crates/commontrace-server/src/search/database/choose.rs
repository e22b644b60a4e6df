//! Which documents of a database to read for a query's words, when reading all that have one of them
//! would take too long.
//!
//! A rare word decides more than a common one, and few documents have it: those are all read. Common
//! words are looked for together: those documents first that have all of them, because they score
//! highest and the shortest list bounds the work, then those that lack one, and so on until there are
//! enough. How many there will be is estimated as if words came independently of each other; where
//! that is wrong the statement's own limit holds.

use commontrace_search::bm25::Weighed;
use commontrace_store::{COMBINATIONS, Words};

/// Documents to read, about.
const ROWS: f64 = 300.0;
/// Documents with common terms that are enough, about.
const ENOUGH: f64 = 150.0;
/// Common terms that are looked for together.
const TOGETHER: usize = 6;

/// Chooses for a query with these terms, the heaviest first, in a collection of `documents`.
pub fn choose(terms: &[Weighed<i32>], documents: u64) -> Words {
    let mut words = Words::default();
    let mut left = ROWS;
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
    let all = documents.max(1) as f64;
    let expected = |terms: &[usize]| {
        let share = |&at: &usize| (common[at].documents as f64 / all).min(1.0);
        all * terms.iter().map(share).product::<f64>()
    };
    let mut found = 0.0;
    for size in (2..=common.len()).rev() {
        for combination in combinations(common.len(), size) {
            let expected = expected(&combination);
            if words.all.len() == COMBINATIONS || found >= ENOUGH || expected > left {
                continue;
            }
            let ids: Vec<i32> = combination.iter().filter_map(|&at| common[at].id).collect();
            // Who has these and more is found by these.
            words
                .all
                .retain(|larger| !ids.iter().all(|id| larger.contains(id)));
            words.all.push(ids);
            left -= expected;
            found += expected;
        }
    }
    if words.all.is_empty() && words.any.is_empty() {
        // Everything is common: those that have all of it, as many as may be read.
        words.any.extend(
            common
                .first()
                .filter(|_| common.len() == 1)
                .and_then(|term| term.id),
        );
        if common.len() > 1 {
            words
                .all
                .push(common.iter().filter_map(|term| term.id).collect());
        }
    }
    words
}

/// Lists the ways to choose `size` of the first `count` numbers, those with the lowest first.
fn combinations(count: usize, size: usize) -> Vec<Vec<usize>> {
    let mut chosen: Vec<Vec<usize>> = (0_u32..1 << count)
        .filter(|set| set.count_ones() as usize == size)
        .map(|set| (0..count).filter(|at| set >> at & 1 == 1).collect())
        .collect();
    chosen.sort_by_key(|combination: &Vec<usize>| {
        (combination.iter().sum::<usize>(), combination.clone())
    });
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(id: i32, documents: u64) -> Weighed<i32> {
        Weighed {
            id: Some(id),
            documents,
            weight: 1.0,
            filler: false,
        }
    }

    #[test]
    fn rare_terms_are_read_whole_and_common_ones_together() {
        let terms = [
            term(1, 3),
            term(2, 40),
            term(3, 5_000),
            term(4, 9_000),
            term(5, 50_000),
        ];
        let words = choose(&terms, 100_000);
        assert_eq!(words.any, [1, 2]);
        // 5,000, 9,000 and 50,000 of 100,000 meet in 225, which is enough.
        assert_eq!(words.all, [vec![3, 4, 5]]);
    }

    #[test]
    fn where_few_have_all_common_terms_those_that_lack_one_are_read_too() {
        let terms = [term(1, 2_000), term(2, 3_000), term(3, 4_000)];
        let words = choose(&terms, 100_000);
        // All three meet in 2 or 3; two of them in 60, 80 and 120.
        assert_eq!(words.all, [vec![1, 2], vec![1, 3], vec![2, 3]]);
    }

    #[test]
    fn a_young_collection_is_read_whole() {
        let terms = [term(1, 30), term(2, 25), term(3, 0)];
        let words = choose(&terms, 30);
        assert_eq!(
            (words.any, words.all),
            (vec![1, 2, 3], Vec::<Vec<i32>>::new())
        );
    }

    #[test]
    fn a_query_of_common_terms_alone_still_reads_something() {
        assert_eq!(choose(&[term(1, 90_000)], 100_000).any, [1]);
        let words = choose(&[term(1, 90_000), term(2, 80_000)], 100_000);
        assert_eq!(words.all, [vec![1, 2]]);
        assert_eq!(choose(&[], 100_000), Words::default());
    }

    #[test]
    fn fillers_are_read_only_where_nothing_else_is_asked() {
        let filler = |id| Weighed {
            filler: true,
            ..term(id, 50_000)
        };
        assert_eq!(
            choose(&[term(1, 3), filler(2)], 100_000).all,
            Vec::<Vec<i32>>::new()
        );
        assert_eq!(choose(&[filler(2)], 100_000).any, [2]);
    }
}
