//! The ranking formula: one relevance out of words and meaning, small priors, and when to be silent.
//!
//! ```text
//! score     = (relevance + trust prior + context prior) * (1/2 if expired)
//! relevance = (1 - w) * lexical + w * similarity        w = dense weight of the query
//! ```
//!
//! `lexical` is BM25 as a share of the highest score that any document could have, so it is small
//! where the words hardly match and leaves the decision to `similarity`, the cosine. Output of tools
//! favours words and questions favour meaning, hence `w` depends on the query. Priors only reorder
//! near-ties. Pure functions: where the numbers come from is not known here.

use crate::fingerprint::Fingerprint;

/// What a query's text says about itself, before any index is asked.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QueryShape {
    /// How dense the punctuation of code is: five times its share of all characters, up to 1.
    pub symbols: f64,
    /// 0 without the words and codes of errors, towards 1 with many.
    pub errors: f64,
    /// 0 for a single line, towards 1 for many.
    pub lines: f64,
}

/// Weight of the cosine in prose.
const PROSE: f64 = 1.0;
/// What symbols, error words and further lines take from it, before the logistic function.
const SYMBOLS: f64 = -0.8;
const ERRORS: f64 = -0.6;
const LINES: f64 = -1.0;

impl QueryShape {
    /// Weight of the cosine in [`relevance`], between 0.2 for a pasted error and 0.73 for prose.
    ///
    /// The constants maximise the likelihood of the right answer over three sets of queries and lie
    /// on a plateau: halving or doubling one moves nDCG@10 by less than 0.01.
    #[must_use]
    pub fn dense_weight(&self) -> f64 {
        let shape = SYMBOLS * self.symbols + ERRORS * self.errors + LINES * self.lines;
        logistic(PROSE + shape)
    }
}

/// Cosine expected of a document without a vector (yet), from how well its words match: a straight
/// line through what matching documents have.
const EXPECTED_COSINE: (f64, f64) = (0.3, 0.6);

/// Convex combination of the normalised lexical score and the cosine, 0 to 1.
///
/// `similarity` is `None` for a document whose vector is missing; use a `dense_weight` of 0 when the
/// query has none.
#[must_use]
pub fn relevance(lexical: f64, similarity: Option<f64>, dense_weight: f64) -> f64 {
    let (base, slope) = EXPECTED_COSINE;
    // Without a word in common nothing speaks for a document that has no vector.
    let expected = if lexical > 0.0 {
        base + slope * lexical
    } else {
        0.0
    };
    let similarity = similarity.unwrap_or(expected);
    (1.0 - dense_weight) * lexical + dense_weight * similarity.clamp(0.0, 1.0)
}

/// Lexical score of a document that reports the very error line of the query: halfway to a perfect
/// match from where its words alone put it.
#[must_use]
pub fn same_error(lexical: f64) -> f64 {
    (1.0 + lexical) / 2.0
}

/// The most that priors can lift one document over another.
pub const PRIOR_BOUND: f64 = 0.02;

const TRUST_SPAN: f64 = 0.005;
const STALE_MALUS: f64 = 0.004;
const CONTEXT_SPAN: f64 = 0.003;

/// What trust and a due review add to relevance: -0.009 to 0.005, 0 for what nobody has judged.
#[must_use]
pub fn trust_prior(trust: f64, stale: bool) -> f64 {
    // A ratio saturates, so that no number of votes buys a place among better answers.
    let judged = if trust.is_finite() {
        trust / (1.0 + trust.abs())
    } else {
        0.0
    };
    TRUST_SPAN * judged - if stale { STALE_MALUS } else { 0.0 }
}

/// What an agreeing environment adds to relevance: -0.003 to 0.003.
#[must_use]
pub fn context_prior(asked: &Fingerprint, document: &Fingerprint) -> f64 {
    CONTEXT_SPAN * context_match(asked, document)
}

/// Weight of each member of an environment. A version decides whether a fix applies at all.
const MEMBERS: [(&str, f64); 7] = [
    ("language", 0.30),
    ("framework", 0.25),
    ("version", 0.30),
    ("os", 0.15),
    ("package_manager", 0.10),
    ("runtime", 0.10),
    ("environment", 0.10),
];

/// How far two environments agree, from -1 (all that was asked for differs) to 1 (all agrees);
/// what the document does not say counts as neither.
#[must_use]
pub fn context_match(asked: &Fingerprint, document: &Fingerprint) -> f64 {
    let (mut all, mut agreed) = (0.0, 0.0);
    for (member, weight) in MEMBERS {
        let Some(wanted) = asked.get(member) else {
            continue;
        };
        all += weight;
        agreed += weight
            * match document.get(member) {
                None => 0.0,
                Some(found) if member == "version" => version_agreement(wanted, found),
                Some(found) if found == wanted => 1.0,
                Some(_) => -1.0,
            };
    }
    if all > 0.0 { agreed / all } else { 0.0 }
}

/// 1 for the same major and minor version, 0.5 for the same major one, -1 for another.
fn version_agreement(a: &str, b: &str) -> f64 {
    let parts = |v: &str| {
        let mut numbers = v
            .trim_start_matches(['v', '=', '^', '~'])
            .split('.')
            .map(str::to_owned);
        (numbers.next(), numbers.next())
    };
    let ((major_a, minor_a), (major_b, minor_b)) = (parts(a), parts(b));
    if major_a != major_b {
        -1.0
    } else if minor_a == minor_b {
        1.0
    } else {
        0.5
    }
}

/// What hits are ordered by.
#[must_use]
pub fn score(relevance: f64, priors: f64, expired: bool) -> f64 {
    (relevance + priors) * if expired { 0.5 } else { 1.0 }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(members: &[(&str, &str)]) -> Fingerprint {
        members
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn a_pasted_error_trusts_words_and_a_question_trusts_meaning() {
        let question = QueryShape::default();
        let paste = QueryShape {
            symbols: 0.8,
            errors: 0.9,
            lines: 0.9,
        };
        assert!(question.dense_weight() > 0.7);
        assert!(paste.dense_weight() < 0.3);
    }

    #[test]
    fn a_document_without_a_vector_ranks_by_its_words() {
        let w = QueryShape::default().dense_weight();
        assert!(relevance(0.9, None, w) > relevance(0.3, Some(0.5), w));
        assert!(relevance(0.2, None, w) < relevance(0.3, Some(0.5), w));
        assert!(relevance(0.0, None, w).abs() < f64::EPSILON);
    }

    #[test]
    fn what_differs_counts_against_and_what_is_unsaid_does_not() {
        let asked = environment(&[("language", "rust"), ("version", "1.80")]);
        let check = |members: &[(&str, &str)]| context_match(&asked, &environment(members));
        assert!((check(&[("language", "rust"), ("version", "1.80.1")]) - 1.0).abs() < 1e-9);
        assert!((check(&[("language", "rust"), ("version", "1.60")]) - 0.75).abs() < 1e-9);
        assert!(check(&[("language", "go")]) < 0.0);
        assert!(check(&[("os", "linux")]).abs() < f64::EPSILON);
        assert!(context_match(&environment(&[]), &asked).abs() < f64::EPSILON);
    }

    #[test]
    fn expired_documents_count_half() {
        assert!((score(0.6, 0.0, true) - 0.3).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn priors_cannot_lift_a_document_over_one_more_relevant_by_the_bound(
            relevances in (0.0_f64..1.0, 0.0_f64..1.0),
            trusts in (any::<f64>(), any::<f64>()),
            stale in (any::<bool>(), any::<bool>()),
            languages in ("[ab]", "[ab]"),
        ) {
            let asked = environment(&[("language", "a")]);
            let total = |relevance, trust, stale, language: &str| {
                let context = context_prior(&asked, &environment(&[("language", language)]));
                score(relevance, trust_prior(trust, stale) + context, false)
            };
            let better = total(relevances.0, trusts.0, stale.0, &languages.0);
            let worse = total(relevances.1, trusts.1, stale.1, &languages.1);
            if relevances.0 > relevances.1 + PRIOR_BOUND {
                prop_assert!(better > worse);
            }
        }

        #[test]
        fn relevance_grows_with_either_leg_and_stays_in_range(
            lexical in 0.0_f64..=1.0, similarity in -1.0_f64..=1.0, more in 0.0_f64..0.5,
            symbols in 0.0_f64..=1.0, errors in 0.0_f64..=1.0, lines in 0.0_f64..=1.0,
        ) {
            let w = QueryShape { symbols, errors, lines }.dense_weight();
            let base = relevance(lexical, Some(similarity), w);
            prop_assert!((0.0..=1.0).contains(&base));
            prop_assert!(relevance((lexical + more).min(1.0), Some(similarity), w) >= base);
            prop_assert!(relevance(lexical, Some((similarity + more).min(1.0)), w) >= base);
            prop_assert!(same_error(lexical) >= lexical);
        }
    }
}
