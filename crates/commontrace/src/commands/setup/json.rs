//! JSON that other programs own: changed where it has to be, with every comment and every other byte kept.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value};
use similar::{Algorithm, DiffOp};

/// What hosts read: JSON, which in the files of some may have comments and commas at the end.
const ACCEPTED: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

const MARK: char = '\u{feff}';

/// Reads an object; a file of nothing but space is an empty one.
pub fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let value = jsonc_parser::parse_to_serde_value::<Option<Value>>(text, &ACCEPTED)
        .map_err(|err| format!("is not valid JSON: {err}"))?;
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err("is not a JSON object".to_owned()),
    }
}

/// Prints what goes into a file that did not exist.
pub fn print(object: &Map<String, Value>) -> String {
    let text = serde_json::to_string_pretty(object);
    format!("{}\n", text.expect("a value has only texts as keys"))
}

/// Makes a text that reads as `new` of one that reads as `old`, with as little change as possible.
///
/// An error if the outcome would not read as `new`: then the text is one to be left alone.
pub fn rewrite(
    text: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<String, String> {
    let (mark, body) = match text.strip_prefix(MARK) {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let root =
        CstRootNode::parse(body, &ACCEPTED).map_err(|err| format!("is not valid JSON: {err}"))?;
    let object = root
        .object_value_or_create()
        .ok_or("is not a JSON object")?;
    change_object(&object, old, new)?;
    let text = format!("{mark}{root}");
    if parse(&text).as_ref() == Ok(new) {
        Ok(text)
    } else {
        Err("is written in a way that cannot be changed safely".to_owned())
    }
}

fn change_object(
    object: &CstObject,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), String> {
    let properties = object.properties();
    if properties.len() != old.len() {
        return Err("has a key twice in one object".to_owned());
    }
    for property in properties {
        let Some(name) = property.decoded_name() else {
            return Err("has a key that cannot be read".to_owned());
        };
        match (old.get(&name), new.get(&name)) {
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => change_property(&property, before, after)?,
            _ => property.remove(),
        }
    }
    for (name, value) in new {
        if !old.contains_key(name) {
            object.append(name, input(value));
        }
    }
    Ok(())
}

fn change_property(property: &CstObjectProp, old: &Value, new: &Value) -> Result<(), String> {
    match (property.value(), old, new) {
        (Some(node), Value::Object(old), Value::Object(new)) if node.as_object().is_some() => {
            change_object(&node.as_object().expect("it is one"), old, new)
        }
        (Some(node), Value::Array(old), Value::Array(new)) if node.as_array().is_some() => {
            change_array(&node.as_array().expect("it is one"), old, new)
        }
        _ => {
            property.set_value(input(new));
            Ok(())
        }
    }
}

fn change_array(array: &CstArray, old: &[Value], new: &[Value]) -> Result<(), String> {
    let text = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
    let ops = similar::capture_diff_slices(Algorithm::Myers, &text(old), &text(new));
    let elements = array.elements();
    // From the end, so that the places of what is still to be changed stay what they are.
    for op in ops.into_iter().rev() {
        let (of_old, of_new) = (op.old_range(), op.new_range());
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace { .. } if of_old.len() == of_new.len() => {
                for (at_old, at_new) in of_old.zip(of_new).rev() {
                    change_element(array, &elements[at_old], at_old, &old[at_old], &new[at_new])?;
                }
            }
            _ => {
                for at in of_old.clone().rev() {
                    elements[at].clone().remove();
                }
                for (offset, value) in new[of_new].iter().enumerate() {
                    array.insert(of_old.start + offset, input(value));
                }
            }
        }
    }
    Ok(())
}

fn change_element(
    array: &CstArray,
    element: &CstNode,
    at: usize,
    old: &Value,
    new: &Value,
) -> Result<(), String> {
    match (element.as_object(), old, new) {
        (Some(object), Value::Object(old), Value::Object(new)) => change_object(&object, old, new),
        _ => {
            // In its place, so that the space around it stays.
            match element.as_string_lit() {
                Some(text) => {
                    text.replace_with(input(new));
                }
                None => {
                    element.clone().remove();
                    array.insert(at, input(new));
                }
            }
            Ok(())
        }
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(truth) => CstInputValue::Bool(*truth),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(object) => CstInputValue::Object(
            object
                .iter()
                .map(|(name, value)| (name.clone(), input(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn changed(text: &str, change: impl FnOnce(&mut Value)) -> String {
        let old = parse(text).expect("it is JSON");
        let mut new = Value::Object(old.clone());
        change(&mut new);
        let Value::Object(new) = new else {
            panic!("no object")
        };
        rewrite(text, &old, &new).expect("it can be changed")
    }

    #[test]
    fn comments_order_and_spacing_of_the_rest_stay() {
        let text = "{\n\t// mine\n\t\"z\": 1, /* odd */ \"a\": [1,2 , 3],\n\t\"list\": [\n\t\t{\"b\": 1}, // first\n\t\t{\"c\": 2}\n\t],\n}\n";
        let after = changed(text, |value| {
            value["list"]
                .as_array_mut()
                .unwrap()
                .push(json!({"d": [3]}));
        });
        assert!(after.starts_with("{\n\t// mine\n\t\"z\": 1, /* odd */ \"a\": [1,2 , 3],\n\t\"list\": [\n\t\t{\"b\": 1}, // first\n\t\t{\"c\": 2},"), "{after}");
        let back = changed(&after, |value| {
            value["list"].as_array_mut().unwrap().pop();
        });
        assert_eq!(parse(&back), parse(text));
        assert!(
            back.contains("// first") && back.contains("/* odd */"),
            "{back}"
        );
    }

    #[test]
    fn what_stands_between_own_entries_keeps_its_comment() {
        let text = "{ \"list\": [ \"own\", /* theirs */ \"x\", \"own\" ] }";
        let after = changed(text, |value| value["list"] = json!(["x"]));
        assert!(after.contains("/* theirs */ \"x\""), "{after}");
    }

    #[test]
    fn what_a_host_would_not_read_is_not_read() {
        for text in [
            "{",
            "[]",
            "{a: 1}",
            "{'a': 1}",
            "{\"a\": 1 \"b\": 2}",
            "{\"a\": 0x1}",
            "nonsense",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        for text in ["", " \n", "// nothing yet\n", "\u{feff}{}"] {
            assert_eq!(parse(text), Ok(Map::new()), "{text}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_left_alone() {
        let text = r#"{"a": 1, "a": 2}"#;
        let old = parse(text).unwrap();
        let mut new = old.clone();
        new.insert("b".to_owned(), json!(1));
        assert!(rewrite(text, &old, &new).is_err());
    }

    #[test]
    fn an_empty_file_becomes_an_object() {
        for text in ["", "{}", "// mine\n", "\u{feff}{}\r\n"] {
            let after = changed(text, |value| value["a"] = json!({"b": [true]}));
            assert_eq!(
                parse(&after).map(Value::Object),
                Ok(json!({"a": {"b": [true]}}))
            );
            assert_eq!(after.contains("// mine"), text.contains("// mine"));
            assert_eq!(after.starts_with(MARK), text.starts_with(MARK));
        }
    }
}
