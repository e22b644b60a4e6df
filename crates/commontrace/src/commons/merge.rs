//! One answer out of two: the store's on this machine and the server's.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The member of a result that says where it is from.
pub const ORIGIN: &str = "origin";
/// What [`ORIGIN`] says of results of this machine's store.
pub const HERE: &str = "this machine";
/// The member of an answer that says what its reader should know, a sentence each.
pub const NOTICES: &str = "notices";

/// Puts the results of two searches in one order: by the score that both order their own by, whose
/// formula is the same. A trace that both have is taken from the server, where others see and vote on it.
pub fn searches(here: Value, there: Value, host: &str, limit: usize) -> Value {
    let confidence = strongest(&here["confidence"], &there["confidence"]);
    let abstained = is(&here, "abstained") && is(&there, "abstained");
    let degraded = is(&here, "degraded") || is(&there, "degraded");
    let query = here["query"].clone();
    let there = marked(there, host);
    let known: HashSet<String> = there.iter().filter_map(id).map(str::to_owned).collect();
    let mut here = marked(here, HERE);
    here.retain(|hit| id(hit).is_none_or(|id| !known.contains(id)));
    let mut results = in_order(here, there);
    results.truncate(limit);
    json!({
        "total": results.len(),
        "results": results,
        "query": query,
        "abstained": abstained,
        "confidence": confidence,
        "degraded": degraded,
    })
}

/// Whether this can be read as an answer to a search. One that cannot must not spoil the other's.
pub fn is_search(answer: &Value) -> bool {
    let is_hit = |hit: &Value| {
        id(hit).is_some_and(|id| Uuid::try_parse(id).is_ok())
            && hit.get("combined_score").is_none_or(Value::is_number)
            && hit.get("status").is_none_or(Value::is_string)
    };
    let hits = answer["results"].as_array();
    hits.is_some_and(|hits| hits.iter().all(is_hit)) && commontrace_mcp::is_search_answer(answer)
}

/// Marks where the results of one search are from.
pub fn mark(answer: &mut Value, origin: &str) {
    let Some(results) = answer["results"].as_array_mut() else {
        return;
    };
    for hit in results.iter_mut().filter_map(Value::as_object_mut) {
        hit.insert(ORIGIN.to_owned(), json!(origin));
    }
}

/// Adds a sentence for the reader of an answer.
pub fn notice(answer: &mut Value, sentence: &str) {
    if let Some(answer) = answer.as_object_mut() {
        let notices = answer.entry(NOTICES).or_insert_with(|| json!([]));
        if let Some(notices) = notices.as_array_mut() {
            notices.push(json!(sentence));
        }
    }
}

fn marked(mut answer: Value, origin: &str) -> Vec<Value> {
    mark(&mut answer, origin);
    match answer["results"].take() {
        Value::Array(results) => results,
        _ => Vec::new(),
    }
}

/// Keeps the order that each store has given its own, so that what either did besides sorting is kept.
fn in_order(here: Vec<Value>, there: Vec<Value>) -> Vec<Value> {
    let mut all = Vec::with_capacity(here.len() + there.len());
    let (mut here, mut there) = (here.into_iter().peekable(), there.into_iter().peekable());
    loop {
        // Of equal ones the one that others see goes first.
        let take_here = match (here.peek(), there.peek()) {
            (Some(a), Some(b)) => score(a) > score(b),
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if take_here { here.next() } else { there.next() } {
            Some(hit) => all.push(hit),
            None => return all,
        }
    }
}

fn score(hit: &Value) -> f64 {
    hit["combined_score"].as_f64().unwrap_or(0.0)
}

fn id(hit: &Value) -> Option<&str> {
    hit["id"].as_str()
}

fn is(answer: &Value, member: &str) -> bool {
    answer[member].as_bool().unwrap_or(false)
}

fn strongest(a: &Value, b: &Value) -> Value {
    let words = ["strong", "weak", "none"];
    let found = words
        .iter()
        .find(|word| [a, b].iter().any(|said| *said == **word));
    found.map_or(Value::Null, |word| json!(word))
}

/// Adds up the tags of both.
pub fn tags(here: &Value, there: &Value) -> Value {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for answer in [here, there] {
        let listed = answer["tags"].as_array().into_iter().flatten();
        for name in listed.filter_map(Value::as_str) {
            counts.entry(name.to_owned()).or_default();
        }
        let counted = answer["counts"].as_array().into_iter().flatten();
        for count in counted {
            if let Some(name) = count["name"].as_str() {
                *counts.entry(name.to_owned()).or_default() +=
                    count["trace_count"].as_i64().unwrap_or(0);
            }
        }
    }
    let names: Vec<&String> = counts.keys().collect();
    let with_counts: Vec<Value> = counts
        .iter()
        .map(|(name, count)| json!({ "name": name, "trace_count": count }))
        .collect();
    let mut answer = Map::new();
    answer.insert("tags".to_owned(), json!(names));
    answer.insert("counts".to_owned(), json!(with_counts));
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hits: &[(&str, f64)], confidence: &str) -> Value {
        let results: Vec<Value> = hits
            .iter()
            .map(|(id, score)| json!({ "id": id, "combined_score": score }))
            .collect();
        json!({ "results": results, "confidence": confidence, "abstained": hits.is_empty(), "degraded": false, "query": "q" })
    }

    #[test]
    fn results_of_both_stand_in_one_order_each_once() {
        let here = answer(&[("a", 0.9), ("both", 0.5), ("b", 0.2)], "weak");
        let there = answer(&[("c", 0.8), ("both", 0.6), ("d", 0.2)], "strong");
        let merged = searches(here, there, "https://commons.example", 5);
        let hits: Vec<(&str, &str)> = merged["results"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|hit| {
                (
                    hit["id"].as_str().expect("an id"),
                    hit[ORIGIN].as_str().expect("an origin"),
                )
            })
            .collect();
        let host = "https://commons.example";
        assert_eq!(
            hits,
            [
                ("a", HERE),
                ("c", host),
                ("both", host),
                ("d", host),
                ("b", HERE)
            ]
        );
        assert_eq!(merged["confidence"], "strong");
        assert_eq!(merged["abstained"], false);
    }

    #[test]
    fn two_stores_that_know_nothing_know_nothing() {
        let merged = searches(answer(&[], "none"), answer(&[], "none"), "h", 5);
        assert_eq!(merged["abstained"], true);
        assert_eq!(merged["confidence"], "none");
        assert_eq!(merged["total"], 0);
    }

    #[test]
    fn tags_of_both_are_added_up() {
        let of = |name: &str, count: i64| json!({ "tags": [name, "git"], "counts": [{ "name": name, "trace_count": count }, { "name": "git", "trace_count": 1 }] });
        let sum = tags(&of("a", 2), &of("b", 3));
        assert_eq!(sum["tags"], json!(["a", "b", "git"]));
        assert_eq!(sum["counts"][2], json!({ "name": "git", "trace_count": 2 }));
    }
}
