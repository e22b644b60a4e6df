//! Tags: normalising, validating, folding duplicates.

use std::collections::BTreeSet;

/// Longest tag, in characters.
pub const TAG_MAX: usize = 50;

/// Tags after normalising: what is kept, in the order given, and what was dropped as given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// Valid tags, each once.
    pub kept: Vec<String>,
    /// Inputs that no tag could be made of.
    pub dropped: Vec<String>,
}

/// Normalises tags, folds duplicates that arise by it, and sets aside what cannot be one.
pub fn normalize_all<S: AsRef<str>>(tags: impl IntoIterator<Item = S>) -> Tags {
    let mut result = Tags::default();
    let mut seen = BTreeSet::new();
    for raw in tags {
        match normalize(raw.as_ref()) {
            Some(tag) if seen.insert(tag.clone()) => result.kept.push(tag),
            Some(_) => {}
            None => result
                .dropped
                .push(raw.as_ref().chars().take(TAG_MAX).collect()),
        }
    }
    result
}

/// Returns the tag that `raw` stands for: trimmed, lower-cased, cut to 50 characters of
/// `[a-z0-9._-]`, with names that this alphabet cannot spell replaced by their usual spelling
/// (`c++` becomes `cpp`, `c#` becomes `csharp`, `@scope/pkg` becomes `scope-pkg`); `None` when
/// nothing valid comes of it.
pub fn normalize(raw: &str) -> Option<String> {
    let lower = raw.trim().to_lowercase();
    let spelled = match lower.as_str() {
        "c++" => "cpp".to_owned(),
        "c#" => "csharp".to_owned(),
        "f#" => "fsharp".to_owned(),
        "g++" => "gcc-cpp".to_owned(),
        "objective-c++" => "objective-cpp".to_owned(),
        scoped if scoped.starts_with('@') && scoped.contains('/') => scoped[1..].replace('/', "-"),
        // Characters are counted after the spelling is settled, so a cut never changes an alias.
        _ => lower,
    };
    let tag: String = spelled.chars().take(TAG_MAX).collect();
    is_valid(&tag).then_some(tag)
}

fn is_valid(tag: &str) -> bool {
    !tag.is_empty()
        && tag
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Option<&str>) {
        assert_eq!(normalize(raw).as_deref(), expected, "normalize({raw:?})");
    }

    #[test]
    fn tags_are_trimmed_lower_cased_and_aliased() {
        check(" Python ", Some("python"));
        check("C++", Some("cpp"));
        check("c#", Some("csharp"));
        check("@types/Node", Some("types-node"));
        check("v1.0_b-2", Some("v1.0_b-2"));
        check("two words", None);
        check("", None);
        check("naïve", None);
    }

    #[test]
    fn duplicates_fold_after_normalising_and_invalid_ones_are_reported() {
        let tags = normalize_all(["Python", "python ", "a b", "c++", "cpp"]);
        assert_eq!(tags.kept, ["python", "cpp"]);
        assert_eq!(tags.dropped, ["a b"]);
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent_and_yields_valid_tags(raw in ".{0,80}") {
            if let Some(tag) = normalize(&raw) {
                prop_assert!(tag.chars().count() <= TAG_MAX);
                prop_assert_eq!(normalize(&tag), Some(tag.clone()));
            }
        }
    }
}
