//! Lists in JSON reports whose length is a stranger's choice.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::MAX_RESULTS;

/// A list of which at most [`MAX_RESULTS`] elements are kept; the rest is read and dropped.
#[derive(Debug)]
pub(super) struct Capped<T> {
    pub(super) items: Vec<T>,
    pub(super) cut: bool,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            cut: false,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Capped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Capped<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Capped::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut capped = Capped::default();
                while capped.items.len() < MAX_RESULTS {
                    match seq.next_element()? {
                        Some(item) => capped.items.push(item),
                        None => return Ok(capped),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    capped.cut = true;
                }
                Ok(capped)
            }
        }

        deserializer.deserialize_any(Elements(PhantomData))
    }
}

/// The JSON document in an output that may have other text before and after it, as reporters that write
/// to standard output leave it: the longest stretch from a `{` at a line's start to the last `}`.
pub(super) fn document(bytes: &[u8]) -> &[u8] {
    let start = if bytes.trim_ascii_start().starts_with(b"{") {
        0
    } else {
        bytes
            .windows(2)
            .position(|pair| pair == b"\n{")
            .map_or(0, |at| at + 1)
    };
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'}')
        .map_or(bytes.len(), |at| at + 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_found_within_other_text() {
        assert_eq!(document(b"> npm test\n\n{\"a\":1}\ndone"), b"{\"a\":1}");
        assert_eq!(document(b"{\"a\":1}"), b"{\"a\":1}");
        assert_eq!(document(b"}\n{"), b"");
    }

    #[test]
    fn the_rest_of_a_list_without_end_is_dropped() {
        let list = format!("[{}0]", "0,".repeat(MAX_RESULTS + 5));
        let capped: Capped<u8> = serde_json::from_str(&list).unwrap();
        assert_eq!((capped.items.len(), capped.cut), (MAX_RESULTS, true));
    }
}
