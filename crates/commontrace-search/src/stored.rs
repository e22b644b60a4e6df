//! A document's words in the form in which a database keeps and finds them.
//!
//! Terms, tags and error signatures are numbers there, which keeps the database's index small and
//! its comparisons cheap. Two names that share a number count as the same one; in a million terms
//! that befalls one in four thousand.

use crate::bm25::{Counted, Fields};
use crate::signature::signatures;

/// Which rules made a document; one made by others is made anew. To be raised whenever the same
/// text would give other numbers.
pub const VERSION: i32 = 2;

/// From which weight of its occurrences on a term is prominent in a document, in halves: more than
/// two occurrences, or one in the title and one elsewhere. Documents can be found by their
/// prominent terms alone, because of a common term the list of all that have it is long.
pub const PROMINENT: u16 = 5;

/// Bytes of an entry in [`StoredDocument::postings`], which the database knows too.
const ENTRY: usize = 6;

/// What a database keeps of a document's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// What it can be found by, ascending: the ids of its terms, once more of the prominent ones, of
    /// its tags and its error signatures.
    pub terms: Vec<i32>,
    /// What it is scored by: for each of [`Self::terms`], in the same order, the id and the weight of
    /// its occurrences in halves, zero for what is only found by; see [`Postings`].
    pub postings: Vec<u8>,
    /// The sum of all terms' weights.
    pub length: u32,
}

/// Prepares a document.
#[must_use]
pub fn stored(fields: Fields<'_>) -> StoredDocument {
    let counted = Counted::of(fields);
    let errors = [fields.title, fields.context].join("\n");
    let words = counted
        .terms
        .iter()
        .map(|(text, &weight)| (term_id(text), u16::try_from(weight).unwrap_or(u16::MAX)));
    let signed = signatures(&errors)
        .into_iter()
        .map(|signature| (signature_id(signature), 0));
    let tags = fields.tags.iter().map(|tag| (tag_id(tag), 0));
    let mut entries: Vec<(i32, u16)> = words.collect();
    let prominent: Vec<(i32, u16)> = entries
        .iter()
        .filter(|&&(_, weight)| weight >= PROMINENT)
        .map(|&(id, _)| (prominent_id(id), 0))
        .collect();
    entries.extend(prominent.into_iter().chain(signed).chain(tags));
    entries.sort_unstable();
    entries.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(later.1);
        }
        same
    });
    let terms = entries.iter().map(|&(id, _)| id).collect();
    let mut postings = Vec::with_capacity(entries.len() * ENTRY);
    for (id, weight) in entries {
        postings.extend(id.to_le_bytes());
        postings.extend(weight.to_le_bytes());
    }
    StoredDocument {
        terms,
        postings,
        length: counted.length,
    }
}

/// What a stored document is scored by, or some of it: entries of four bytes for the id and two for
/// the weight, both little-endian, ascending by id.
#[derive(Debug, Clone, Copy)]
pub struct Postings<'a>(pub &'a [u8]);

impl Postings<'_> {
    /// Returns the weight of a term's occurrences; zero if it is only found by that.
    #[must_use]
    pub fn weight(&self, id: i32) -> Option<u16> {
        let (entries, _) = self.0.as_chunks::<ENTRY>();
        let key =
            |entry: &[u8; ENTRY]| i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let at = entries.binary_search_by_key(&id, key).ok()?;
        Some(u16::from_le_bytes([entries[at][4], entries[at][5]]))
    }
}

/// Returns the number of a term.
#[must_use]
pub fn term_id(text: &str) -> i32 {
    fold(text.bytes(), 0)
}

/// Returns the number by which the documents are found in which a term is prominent, from the term's.
#[must_use]
pub fn prominent_id(term: i32) -> i32 {
    fold(term.to_le_bytes().into_iter(), 3)
}

/// Returns the number of a tag that documents are filtered by.
#[must_use]
pub fn tag_id(tag: &str) -> i32 {
    fold(tag.bytes(), 1)
}

/// Returns the number of an error signature.
#[must_use]
pub fn signature_id(signature: u64) -> i32 {
    fold(signature.to_le_bytes().into_iter(), 2)
}

/// FNV-1a folded to half its width: stable over releases, unlike the standard library's hasher.
/// `kind` keeps words, tags, signatures and prominent words apart.
fn fold(bytes: impl Iterator<Item = u8>, kind: u8) -> i32 {
    let hash = std::iter::once(kind)
        .chain(bytes)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    (hash ^ (hash >> 32)) as u32 as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_holds_its_terms_tags_and_error_lines() {
        let tags = ["docker".to_owned()];
        let stored = stored(Fields {
            title: "error: cannot open the socket file",
            context: "socket",
            solution: "restart it",
            tags: &tags,
        });
        let postings = Postings(&stored.postings);
        // Three halves in the title and two in the context.
        assert_eq!(postings.weight(term_id("socket")), Some(5));
        assert_eq!(postings.weight(term_id("docker")), Some(3));
        assert_eq!(postings.weight(term_id("absent")), None);
        assert!(stored.terms.contains(&tag_id("docker")));
        assert!(stored.terms.contains(&prominent_id(term_id("socket"))));
        assert!(!stored.terms.contains(&prominent_id(term_id("restart"))));
        let [signature] = signatures("error: cannot open the socket file")[..] else {
            panic!("one line, one signature");
        };
        assert_eq!(postings.weight(signature_id(signature)), Some(0));
    }

    #[test]
    fn numbers_never_change() {
        // What a database holds was made by an earlier release.
        assert_eq!(term_id("socket"), 1_154_789_700);
        assert_ne!(term_id("docker"), tag_id("docker"));
    }

    proptest! {
        #[test]
        fn weights_are_those_that_were_counted(title in "[a-z ]{0,60}", body in "[a-z ]{0,200}") {
            let fields = Fields { title: &title, context: &body, ..Fields::default() };
            let (stored, counted) = (stored(fields), Counted::of(fields));
            prop_assert_eq!(stored.length, counted.length);
            prop_assert!(stored.terms.is_sorted());
            for (term, &weight) in &counted.terms {
                let found = Postings(&stored.postings).weight(term_id(term));
                prop_assert_eq!(found, Some(weight as u16));
            }
        }
    }
}
