//! One way to write a JSON value, so that equal values have equal hashes.
//!
//! It is RFC 8785 (JSON Canonicalization Scheme): no white space, members sorted by the UTF-16 code units
//! of their names, strings with the fewest escapes, numbers as ECMAScript writes them, so that `1.0` is
//! `1`, `-0.0` is `0` and every float has one shortest text. One thing differs: integers beyond 2^53 are
//! written in full instead of rounded to a float.

use serde_json::{Map, Number, Value};

/// The canonical text of a value.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, to: &mut String) {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(true) => to.push_str("true"),
        Value::Bool(false) => to.push_str("false"),
        Value::Number(number) => write_number(number, to),
        Value::String(text) => write_string(text, to),
        Value::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    to.push(',');
                }
                write(item, to);
            }
            to.push(']');
        }
        Value::Object(members) => write_members(members, to),
    }
}

fn write_members(members: &Map<String, Value>, to: &mut String) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    to.push('{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            to.push(',');
        }
        write_string(name, to);
        to.push(':');
        write(value, to);
    }
    to.push('}');
}

fn write_string(text: &str, to: &mut String) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\t' => to.push_str("\\t"),
            '\n' => to.push_str("\\n"),
            '\u{c}' => to.push_str("\\f"),
            '\r' => to.push_str("\\r"),
            '\0'..='\u{1f}' => to.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => to.push(c),
        }
    }
    to.push('"');
}

fn write_number(number: &Number, to: &mut String) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => to.push_str(&ecmascript(float)),
        None => to.push_str(&number.to_string()),
    }
}

/// A finite float as ECMAScript's `Number::toString` writes it.
fn ecmascript(float: f64) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    // The shortest digits that read back as the same float, as in `1.25e-7`.
    let shortest = format!("{:e}", float.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    let count = digits.len() as i32;
    // Where the decimal point stands, counted from before the first digit.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    let text = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, part) = digits.split_at(point as usize);
        format!("{whole}.{part}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, part) = digits.split_at(1);
        let dot = if part.is_empty() { "" } else { "." };
        format!("{first}{dot}{part}e{:+}", point - 1)
    };
    if float < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_rfc_8785_come_out_as_printed_there() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)), expected);
        }
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            canonical(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(
            canonical(&json!([1.0, u64::MAX, "\u{f}\n\"€"])),
            "[1,18446744073709551615,\"\\u000f\\n\\\"€\"]"
        );
    }

    proptest! {
        #[test]
        fn writing_and_reading_changes_no_canonical_text(float in any::<f64>(), text in ".*") {
            prop_assume!(float.is_finite());
            let value = json!({"float": float, "text": text, text.clone(): [null, true]});
            let once = canonical(&value);
            let stored: Value = serde_json::from_str(&value.to_string()).expect("JSON");
            prop_assert_eq!(canonical(&stored), once.clone());
            let again: Value = serde_json::from_str(&once).expect("JSON");
            prop_assert_eq!(canonical(&again), once);
        }
    }
}
