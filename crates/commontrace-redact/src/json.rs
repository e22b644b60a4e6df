//! Redaction of JSON: every string and every object key.

use serde_json::{Map, Value};

use crate::detect::assignment;
use crate::{Summary, redact};

/// Replaces what is secret in the strings and object keys of `value`, in place, and counts it.
///
/// The member of a secret's name is taken whole: in `{"password": "kX7vq92"}` the value alone would look
/// harmless. Keys that become equal are numbered, so no member is lost.
pub fn redact_json(value: &mut Value) -> Summary {
    let mut summary = Summary::default();
    walk(value, &mut summary);
    summary
}

fn walk(value: &mut Value, summary: &mut Summary) {
    match value {
        Value::String(text) => redact_string(text, summary),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, summary)),
        Value::Object(members) => walk_members(members, summary),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn walk_members(members: &mut Map<String, Value>, summary: &mut Summary) {
    for (mut name, mut value) in std::mem::take(members) {
        let secret = value
            .as_str()
            .and_then(|text| assignment::member(&name, text));
        match secret {
            Some(rule) => {
                value = Value::String(format!("{}{rule}]", crate::scan::MARK_OPEN));
                summary.count(rule);
            }
            None => walk(&mut value, summary),
        }
        redact_string(&mut name, summary);
        members.insert(unused(name, members), value);
    }
}

/// `name`, numbered if `members` has it already.
fn unused(name: String, members: &Map<String, Value>) -> String {
    if !members.contains_key(&name) {
        return name;
    }
    (2..)
        .map(|number| format!("{name} ({number})"))
        .find(|numbered| !members.contains_key(numbered))
        .expect("there are more numbers than members")
}

fn redact_string(text: &mut String, summary: &mut Summary) {
    let answer = redact(text);
    if !answer.findings.is_empty() {
        summary.add(&answer.findings.iter().collect());
        *text = answer.text.into_owned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::redact_json;

    #[test]
    fn strings_keys_and_secret_members_are_redacted() {
        let mut value = json!({
            "cwd": "/home/mira/src",
            "authors": ["mira@holt.dev", {"mira@holt.dev": 1, "eve@holt.dev": 2}],
            "db_password": "kX7vq92",
            "commit": "0d3c4465a7fd013edaff839c8faa36d326bcccc9",
            "count": 3,
        });
        let summary = redact_json(&mut value);
        assert_eq!(
            value,
            json!({
                "cwd": "/home/[user]/src",
                "authors": ["[redacted:email]", {"[redacted:email]": 2, "[redacted:email] (2)": 1}],
                "db_password": "[redacted:password]",
                "commit": "0d3c4465a7fd013edaff839c8faa36d326bcccc9",
                "count": 3,
            })
        );
        assert_eq!(summary.total(), 5);
        let again = value.clone();
        assert!(redact_json(&mut value).is_empty());
        assert_eq!(value, again);
    }
}
