//! What a caller may rely on, whatever the ranking's constants are.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::document::{Confidence, Hit};

fn id(number: u128) -> TraceId {
    TraceId(Uuid::from_u128(number))
}

fn document(number: u128, title: &str, tags: &[&str]) -> Document {
    Document {
        id: id(number),
        title: title.to_owned(),
        context: String::new(),
        solution: String::new(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        fingerprint: BTreeMap::new(),
        trust: 0.0,
        valid_until: None,
        created_at: 0,
        review_after: None,
    }
}

fn query(text: &str) -> Query<'_> {
    Query {
        text: Some(text),
        vector: None,
        tags: &[],
        context: None,
        include_expired: true,
        abstain: true,
        now: 0,
        limit: 10,
    }
}

fn library() -> SearchIndex {
    let index = SearchIndex::new();
    let titles = [
        "asyncio task was destroyed but it is pending",
        "cannot borrow as mutable because it is also borrowed as immutable",
        "docker build fails with no space left on device",
        "postgres deadlock detected while waiting for a lock",
        "webpack cannot resolve module alias",
        "git rebase loses commits after a force push",
    ];
    for (number, title) in titles.iter().enumerate() {
        index.upsert(&document(number as u128 + 1, title, &["common"]));
    }
    index
}

fn ids(answer: &Answer) -> Vec<TraceId> {
    answer.hits.iter().map(|hit| hit.id).collect()
}

#[test]
fn a_document_is_found_at_once_and_gone_at_once() {
    let index = library();
    index.upsert(&document(9, "terraform state lock cannot be acquired", &[]));
    let asked = query("terraform cannot acquire the state lock");
    assert_eq!(ids(&index.search(&asked))[0], id(9));
    assert!(index.remove(id(9)));
    assert!(!ids(&index.search(&asked)).contains(&id(9)));
    assert!(!index.remove(id(9)));
}

#[test]
fn an_upsert_replaces_the_words_and_keeps_the_vector() {
    let index = library();
    index.set_vector(id(1), &[1.0, 0.0]).expect("a good vector");
    index.upsert(&document(1, "kubernetes pod stays in crash loop", &[]));
    assert!(index.search(&query("asyncio task destroyed")).abstained);
    assert_eq!(
        ids(&index.search(&query("kubernetes pod crash loop"))),
        [id(1)]
    );
    assert_eq!(index.len() - index.vectorless(), 1);
}

#[test]
fn nothing_relevant_is_an_answer() {
    let index = library();
    for text in [
        "how long to boil eggs",
        "xqzv wplk mmnt",
        "how do I do this",
        "?!",
        "the of",
    ] {
        let answer = index.search(&query(text));
        assert!(answer.abstained && answer.hits.is_empty(), "{text}");
        assert_eq!(answer.confidence, Confidence::None, "{text}");
    }
    let shown = Query {
        abstain: false,
        ..query("how to borrow eggs")
    };
    assert!(!index.search(&shown).hits.is_empty());
}

#[test]
fn asking_changes_nothing() {
    let index = library();
    let texts = [
        "docker no space left on device",
        "git push",
        "deadlock",
        "module alias",
    ];
    let ask = || texts.map(|text| index.search(&query(text)));
    let first = ask();
    for _ in 0..3 {
        assert_eq!(ask(), first);
    }
}

#[test]
fn a_document_without_a_vector_is_found_beside_those_that_have_one() {
    let index = library();
    for number in 1..=5 {
        index
            .set_vector(id(number), &[1.0, number as f32 / 10.0])
            .expect("a good vector");
    }
    let vector = [0.0, 1.0];
    let asked = Query {
        vector: Some(&vector),
        ..query("git rebase loses commits after force push")
    };
    let answer = index.search(&asked);
    assert!(answer.semantic);
    assert_eq!(ids(&answer)[0], id(6));
}

#[test]
fn a_vector_that_cannot_be_compared_is_ignored() {
    let index = library();
    index.set_vector(id(1), &[1.0, 0.0]).expect("a good vector");
    for vector in [&[1.0_f32, 2.0, 3.0][..], &[0.0, 0.0], &[f32::NAN, 1.0], &[]] {
        let answer = index.search(&Query {
            vector: Some(vector),
            ..query("docker no space left on device")
        });
        assert!(!answer.semantic);
        assert_eq!(ids(&answer)[0], id(3));
    }
    assert!(index.set_vector(id(2), &[1.0]).is_err());
    assert_eq!(index.set_vector(id(99), &[1.0, 0.0]), Ok(false));
}

#[test]
fn expired_documents_rank_at_half_weight_or_are_left_out() {
    let index = library();
    for number in [20, 21] {
        index.upsert(&document(
            number,
            "terraform state lock cannot be acquired",
            &["infra"],
        ));
    }
    assert!(index.update_validity(id(20), Some(50)));
    let asked = |now, include_expired| Query {
        now,
        include_expired,
        ..query("terraform state lock cannot be acquired")
    };
    let halved = index.search(&asked(50, true));
    assert_eq!(ids(&halved)[0], id(21));
    let old = halved
        .hits
        .iter()
        .find(|hit| hit.id == id(20))
        .expect("still shown");
    assert!(old.expired && (old.score * 2.0 - halved.hits[0].score).abs() < 1e-9);
    assert!(!ids(&index.search(&asked(50, false))).contains(&id(20)));
    assert!(ids(&index.search(&asked(49, false))).contains(&id(20)));
}

#[test]
fn leaving_out_expired_documents_copes_with_removed_ones() {
    let index = library();
    index.update_validity(id(1), Some(0));
    index.remove(id(2));
    let listed = Query {
        text: None,
        include_expired: false,
        ..query("")
    };
    assert_eq!(ids(&index.search(&listed)).len(), 4);
    let asked = Query {
        include_expired: false,
        ..query("cannot borrow as mutable, docker no space left on device")
    };
    assert_eq!(ids(&index.search(&asked))[0], id(3));
}

#[test]
fn trust_and_environment_order_equals_only() {
    let index = library();
    for number in [30, 31] {
        index.upsert(&document(
            number,
            "terraform state lock cannot be acquired",
            &[],
        ));
    }
    let asked = query("terraform state lock cannot be acquired");
    assert_eq!(ids(&index.search(&asked))[..2], [id(30), id(31)]);
    assert!(index.update_trust(id(31), 3.0));
    assert!(index.update_trust(id(1), 1e9));
    assert_eq!(ids(&index.search(&asked))[..2], [id(31), id(30)]);
    assert!(index.update_review(id(31), Some(0)));
    let linux = BTreeMap::from([("os".to_owned(), "linux".to_owned())]);
    let mut better = document(30, "terraform state lock cannot be acquired", &[]);
    better.fingerprint = linux.clone();
    index.upsert(&better);
    let asked = Query {
        context: Some(&linux),
        ..asked
    };
    assert_eq!(ids(&index.search(&asked))[..2], [id(30), id(31)]);
}

#[test]
fn tags_alone_list_valid_trusted_new_documents_first() {
    let index = SearchIndex::new();
    for (number, created_at) in [(1, 10), (2, 30), (3, 20), (4, 5)] {
        let mut document = document(number, "any", &["rust", "cargo"]);
        document.created_at = created_at;
        index.upsert(&document);
    }
    index.upsert(&document(5, "any", &["rust"]));
    index.update_trust(id(4), 2.0);
    index.update_validity(id(2), Some(0));
    let tags = ["cargo".to_owned(), "rust".to_owned(), "rust".to_owned()];
    let asked = Query {
        text: None,
        tags: &tags,
        ..query("")
    };
    let answer = index.search(&asked);
    assert_eq!(ids(&answer), [id(4), id(3), id(1), id(2)]);
    assert!(!answer.abstained);
    let blank = Query {
        text: Some("  "),
        tags: &[],
        limit: 2,
        ..asked
    };
    assert_eq!(ids(&index.search(&blank)), [id(4), id(3)]);
}

#[test]
fn the_same_error_elsewhere_comes_first() {
    let index = library();
    let mut same = document(40, "deploy", &[]);
    same.context = "npm ERR! cannot read /srv/app/7/package.json: permission denied".to_owned();
    index.upsert(&same);
    for number in 41..60 {
        index.upsert(&document(
            number,
            "npm package json permission denied read error",
            &[],
        ));
    }
    let asked = query("npm ERR! cannot read /home/me/package.json: permission denied");
    assert_eq!(ids(&index.search(&asked))[0], id(40));
}

/// A change to an index of few words, so that histories collide often.
#[derive(Debug, Clone)]
enum Change {
    Upsert(u8, Vec<u8>, u8),
    Vector(u8, [i8; 3]),
    Remove(u8),
    Trust(u8, i8),
    Validity(u8, Option<bool>),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::collection::vec(0_u8..30, 0..8);
    prop_oneof![
        4 => (0_u8..15, words, 0_u8..4).prop_map(|(n, w, t)| Change::Upsert(n, w, t)),
        2 => (0_u8..15, any::<[i8; 3]>()).prop_map(|(n, v)| Change::Vector(n, v)),
        2 => (0_u8..15).prop_map(Change::Remove),
        1 => (0_u8..15, any::<i8>()).prop_map(|(n, t)| Change::Trust(n, t)),
        1 => (0_u8..15, any::<Option<bool>>()).prop_map(|(n, v)| Change::Validity(n, v)),
    ]
}

fn words(numbers: &[u8]) -> String {
    numbers.iter().map(|n| format!("word{n}x ")).collect()
}

proptest! {
    #[test]
    fn any_history_of_changes_answers_like_a_rebuilt_index(
        changes in prop::collection::vec(change(), 1..80),
        asked in prop::collection::vec(0_u8..30, 1..6),
    ) {
        let index = SearchIndex::new();
        let mut last: BTreeMap<u128, (Document, Option<[f32; 3]>)> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Upsert(n, w, t) => {
                    let n = u128::from(n);
                    let tags: &[&str] = [&[][..], &["a"], &["b"], &["a", "b"]][usize::from(t)];
                    let new = document(n, &words(&w), tags);
                    index.upsert(&new);
                    last.entry(n).and_modify(|held| held.0 = new.clone()).or_insert((new, None));
                }
                Change::Vector(n, v) => {
                    let vector = v.map(f32::from);
                    let stored = index.set_vector(id(n.into()), &vector);
                    if let (Ok(true), Some(held)) = (stored, last.get_mut(&u128::from(n))) {
                        held.1 = Some(vector);
                    }
                }
                Change::Remove(n) => {
                    prop_assert_eq!(index.remove(id(n.into())), last.remove(&u128::from(n)).is_some());
                }
                Change::Validity(n, ended) => {
                    let valid_until = ended.map(|ended| if ended { -1 } else { 1 });
                    index.update_validity(id(n.into()), valid_until);
                    if let Some(held) = last.get_mut(&u128::from(n)) {
                        held.0.valid_until = valid_until;
                    }
                }
                Change::Trust(n, t) => {
                    index.update_trust(id(n.into()), t.into());
                    if let Some(held) = last.get_mut(&u128::from(n)) {
                        held.0.trust = t.into();
                    }
                }
            }
        }
        let rebuilt = SearchIndex::new();
        for (document, vector) in last.values() {
            rebuilt.upsert(document);
            if let Some(vector) = vector {
                rebuilt.set_vector(document.id, vector).expect("it was accepted before");
            }
        }
        prop_assert_eq!(index.len(), rebuilt.len());
        prop_assert_eq!(index.vectorless(), rebuilt.vectorless());
        let text = words(&asked);
        for vector in [None, Some(&[0.3_f32, -0.5, 0.8][..])] {
            for tags in [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]] {
                for include_expired in [true, false] {
                    let text = query(&text);
                    let asked = Query {
                        vector, tags: &tags, include_expired, abstain: false, limit: 50, ..text
                    };
                    prop_assert_eq!(index.search(&asked), rebuilt.search(&asked));
                    let listed = Query { text: None, ..asked };
                    let found: Vec<Hit> = index.search(&listed).hits;
                    let expected = last.values().filter(|(document, _)| {
                        tags.iter().all(|tag| document.tags.contains(tag))
                            && (include_expired || document.valid_until.is_none_or(|end| end > 0))
                    });
                    prop_assert_eq!(found.len(), expected.count());
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(title in any::<String>(), text in any::<String>(), limit in 0_usize..5) {
        let index = library();
        index.upsert(&document(50, &title, &[]));
        let answer = index.search(&Query { limit, ..query(&text) });
        prop_assert!(answer.hits.len() <= limit);
        prop_assert!(answer.hits.iter().all(|hit| hit.score.is_finite()));
    }
}
