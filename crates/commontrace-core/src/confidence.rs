//! When to say that nothing relevant was found, and how far to rely on what was.
//!
//! Silence is judged by evidence, not by one score: a raw lexical score depends on the length of the
//! query, and the closest of many vectors is never far away. The evidence is a logistic regression
//! of answered queries against queries about other things (cooking, sport, gibberish, ...) over
//! collections of 30 to 70,000 documents; the thresholds lie below the balance point on purpose,
//! because losing a right answer is worse than showing a weak one.

/// How far an answer can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Nothing relevant was found.
    None,
    /// The best hit may be about something else.
    Weak,
    /// The best hit is about what was asked.
    Strong,
}

/// What an answer's best hits say about how well the query is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signals {
    /// Highest cosine among the hits; `None` if the query or all hits have no vector.
    pub similarity: Option<f64>,
    /// Highest lexical score among the hits, as a share of the highest possible one; terms that no
    /// document has count in full, as the rarest.
    pub lexical: f64,
    /// Number of distinct query terms, fillers aside, that the best hit has.
    pub matched: usize,
    /// By how much the best hit's relevance exceeds the fifth one's.
    pub lead: f64,
}

/// Cosine that hardly a query about something else reaches in any collection measured: meaning this
/// close needs no word in common. Holds for all-MiniLM-L6-v2.
const CLOSE: f64 = 0.45;

/// Evidence below which an answer is withheld, with vectors and without.
const SILENT: (f64, f64) = (-1.5, -3.0);

/// Lead (with a little help from the cosine) from which the best hit is right nine times in ten.
const STRONG: (f64, f64) = (2.55, 1.5);

impl Signals {
    /// Judges an answer.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        let words = (1.0 + self.matched as f64).ln();
        let (shown, strong) = match self.similarity {
            Some(cosine) => {
                let evidence =
                    11.3 * cosine + 2.4 * self.lexical + 7.6 * self.lead + 5.2 * words - 10.7;
                let strength = 11.0 * self.lead + 1.3 * cosine;
                (
                    cosine >= CLOSE || evidence >= SILENT.0,
                    strength >= STRONG.0,
                )
            }
            None => {
                let evidence = 7.0 * self.lexical + 6.5 * self.lead + 6.6 * words - 9.7;
                (evidence >= SILENT.1, 10.0 * self.lead >= STRONG.1)
            }
        };
        match (shown, strong) {
            (false, _) => Confidence::None,
            (true, false) => Confidence::Weak,
            (true, true) => Confidence::Strong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Signals = Signals {
        similarity: Some(0.7),
        lexical: 0.5,
        matched: 4,
        lead: 0.25,
    };

    #[test]
    fn evidence_decides_between_silence_and_an_answer() {
        assert_eq!(GOOD.confidence(), Confidence::Strong);
        let crowded = Signals { lead: 0.03, ..GOOD };
        assert_eq!(crowded.confidence(), Confidence::Weak);
        let about_something_else = Signals {
            similarity: Some(0.25),
            lexical: 0.1,
            matched: 1,
            lead: 0.03,
        };
        assert_eq!(about_something_else.confidence(), Confidence::None);
    }

    #[test]
    fn a_close_meaning_needs_no_word_in_common() {
        let paraphrase = Signals {
            similarity: Some(0.55),
            lexical: 0.0,
            matched: 0,
            lead: 0.02,
        };
        assert_eq!(paraphrase.confidence(), Confidence::Weak);
    }

    #[test]
    fn without_vectors_one_common_word_of_many_is_not_enough() {
        let words = |lexical, matched| Signals {
            similarity: None,
            lexical,
            matched,
            lead: 0.03,
        };
        assert_eq!(words(0.1, 1).confidence(), Confidence::None);
        assert_ne!(words(0.4, 3).confidence(), Confidence::None);
    }
}
