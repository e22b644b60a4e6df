//! Retrieval measures of a ranked list against fixed relevance judgements.
//!
//! With gain(g) = 2^g - 1 for grade g and discount(i) = 1 / log2(i + 1) at rank i from 1:
//! nDCG@10 is the sum of gain * discount over the first ten ranks, divided by that of the best
//! possible order; Recall@10 is the share of the relevant documents that are among the first ten;
//! MRR@10 is 1 / rank of the first relevant one there, else 0.

use std::collections::{BTreeMap, HashMap, HashSet};

/// How deep a list is judged.
pub const DEPTH: usize = 10;

/// Relevant documents of one query with their grades, all above 0.
pub type Relevant = HashMap<String, u32>;

/// The three measures of one list, or their means over several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measures {
    /// nDCG@10.
    pub ndcg: f64,
    /// Recall@10.
    pub recall: f64,
    /// MRR@10.
    pub mrr: f64,
}

/// Judges one ranked list, best first. A document that comes again counts where it came first.
/// `relevant` must not be empty.
pub fn measure<'a>(ranked: impl IntoIterator<Item = &'a str>, relevant: &Relevant) -> Measures {
    let mut seen = HashSet::new();
    let top: Vec<&str> = ranked
        .into_iter()
        .filter(|&id| seen.insert(id))
        .take(DEPTH)
        .collect();
    let grades = top.iter().map(|&id| relevant.get(id).copied().unwrap_or(0));
    let hits = top.iter().filter(|&&id| relevant.contains_key(id)).count();
    let first = top.iter().position(|&id| relevant.contains_key(id));

    let mut best: Vec<u32> = relevant.values().copied().collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(DEPTH);

    Measures {
        ndcg: gain(grades) / gain(best),
        recall: hits as f64 / relevant.len() as f64,
        mrr: first.map_or(0.0, |index| 1.0 / (index + 1) as f64),
    }
}

fn gain(grades: impl IntoIterator<Item = u32>) -> f64 {
    let discounted = |(index, grade): (usize, u32)| {
        (2f64.powi(grade as i32) - 1.0) / ((index + 2) as f64).log2()
    };
    grades.into_iter().enumerate().map(discounted).sum()
}

/// Means of the measures and the share of refusals, over the queries of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Means {
    /// Queries judged.
    pub queries: usize,
    /// Means of the measures.
    pub measures: Measures,
    /// Share of the queries that were answered with "nothing relevant".
    pub abstained: f64,
}

/// Sums that become means, per kind of query and over all.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<String, (usize, Measures, usize)>);

/// The name under which all queries together are counted.
pub const ALL: &str = "all";

impl Tally {
    /// Counts one query of this kind.
    pub fn add(&mut self, kind: &str, measures: Measures, abstained: bool) {
        for kind in [ALL, kind] {
            let (queries, sums, refusals) = self.0.entry(kind.to_owned()).or_default();
            *queries += 1;
            *refusals += usize::from(abstained);
            sums.ndcg += measures.ndcg;
            sums.recall += measures.recall;
            sums.mrr += measures.mrr;
        }
    }

    /// Returns the means, all queries first, then the kinds by name.
    pub fn means(&self) -> Vec<(&str, Means)> {
        let mut means: Vec<_> = self
            .0
            .iter()
            .map(|(kind, sums)| (kind.as_str(), mean(*sums)))
            .collect();
        means.sort_by_key(|(kind, _)| *kind != ALL);
        means
    }
}

fn mean((queries, sums, refusals): (usize, Measures, usize)) -> Means {
    let count = queries.max(1) as f64;
    Means {
        queries,
        measures: Measures {
            ndcg: sums.ndcg / count,
            recall: sums.recall / count,
            mrr: sums.mrr / count,
        },
        abstained: refusals as f64 / count,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn relevant(grades: &[(&str, u32)]) -> Relevant {
        grades
            .iter()
            .map(|&(id, grade)| (id.to_owned(), grade))
            .collect()
    }

    #[rstest]
    #[case::first(&["a", "x"], &[("a", 1)], [1.0, 1.0, 1.0])]
    // 1 / log2(4)
    #[case::third(&["x", "y", "a"], &[("a", 1)], [0.5, 1.0, 1.0 / 3.0])]
    #[case::missing(&["x", "y"], &[("a", 1)], [0.0, 0.0, 0.0])]
    #[case::no_answer(&[], &[("a", 1)], [0.0, 0.0, 0.0])]
    // (1 + 3 / log2(3)) / (3 + 1 / log2(3)) = 2.892789 / 3.630930
    #[case::graded_swapped(&["b", "a"], &[("a", 2), ("b", 1)], [0.796_708, 1.0, 1.0])]
    // (3 / log2(3)) / (3 + 1 / log2(3)) = 1.892789 / 3.630930
    #[case::one_of_two(&["x", "a"], &[("a", 2), ("b", 1)], [0.521_296, 0.5, 0.5])]
    // A repeated document takes one rank: a is second, 1 / log2(3).
    #[case::repeated(&["x", "x", "x", "a"], &[("a", 1)], [0.630_930, 1.0, 0.5])]
    #[case::rank_ten(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "a"], &[("a", 1)], [0.289_065, 1.0, 0.1])]
    #[case::rank_eleven(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "a"], &[("a", 1)], [0.0, 0.0, 0.0])]
    fn lists_are_judged_as_by_hand(
        #[case] ranked: &[&str],
        #[case] grades: &[(&str, u32)],
        #[case] expected: [f64; 3],
    ) {
        let measures = measure(ranked.iter().copied(), &relevant(grades));
        let got = [measures.ndcg, measures.recall, measures.mrr];
        let close = got
            .iter()
            .zip(expected)
            .all(|(got, expected)| (got - expected).abs() < 1e-6);
        assert!(close, "{got:?}, expected {expected:?}");
    }

    #[test]
    fn more_relevant_documents_than_ranks_can_still_be_perfect() {
        let ids: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let relevant = ids.iter().map(|id| (id.clone(), 1)).collect();
        let measures = measure(ids.iter().map(String::as_str), &relevant);
        assert_eq!(
            measures,
            Measures {
                ndcg: 1.0,
                recall: 10.0 / 12.0,
                mrr: 1.0
            }
        );
    }

    #[test]
    fn means_are_per_kind_and_over_all() {
        let mut tally = Tally::default();
        let full = Measures {
            ndcg: 1.0,
            recall: 1.0,
            mrr: 1.0,
        };
        tally.add("b", full, false);
        tally.add("a", full, false);
        tally.add("a", Measures::default(), true);
        let kinds: Vec<_> = tally
            .means()
            .into_iter()
            .map(|(kind, m)| (kind, m.queries, m.abstained))
            .collect();
        assert_eq!(kinds, [("all", 3, 1.0 / 3.0), ("a", 2, 0.5), ("b", 1, 0.0)]);
        assert_eq!(tally.means()[0].1.measures.ndcg, 2.0 / 3.0);
    }

    proptest! {
        #[test]
        fn measures_stay_between_nothing_and_perfect(
            ranked in prop::collection::vec("[a-e]", 0..15),
            grades in prop::collection::hash_map("[a-e]", 1u32..4, 1..5),
        ) {
            let Measures { ndcg, recall, mrr } =
                measure(ranked.iter().map(String::as_str), &grades);
            for value in [ndcg, recall, mrr] {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
            }
            prop_assert_eq!(mrr > 0.0, ndcg > 0.0);
        }
    }
}
