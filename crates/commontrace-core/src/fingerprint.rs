//! The environment that a trace was written in or that a search comes from.

use std::collections::BTreeMap;

use serde_json::Value;

/// The members of a context object that are understood, as clients name them.
pub const KEYS: [&str; 7] = [
    "language",
    "framework",
    "os",
    "package_manager",
    "runtime",
    "environment",
    "version",
];

/// Longest value kept of one member, in characters.
const VALUE_MAX: usize = 100;

/// An environment: understood members only, trimmed and lower-cased.
pub type Fingerprint = BTreeMap<String, String>;

/// Reads the understood members out of a free-form context object; everything else is ignored.
pub fn fingerprint(context: &serde_json::Map<String, Value>) -> Fingerprint {
    KEYS.iter()
        .filter_map(|&key| {
            let value = match context.get(key)? {
                Value::String(text) => text.trim().to_lowercase(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            let value: String = value
                .chars()
                .filter(|c| !c.is_control())
                .take(VALUE_MAX)
                .collect();
            (!value.is_empty()).then(|| (key.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_understood_scalar_members_are_kept() {
        let context = json!({
            "language": " Python ", "version": 3.12, "os": ["linux"], "mood": "good", "runtime": ""
        });
        let found = fingerprint(context.as_object().expect("an object literal"));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [
                ("language".into(), "python".into()),
                ("version".into(), "3.12".into())
            ]
        );
    }
}
