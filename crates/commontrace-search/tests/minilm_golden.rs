//! The in-process encoder gives the vectors of the reference implementation.
//!
//! `golden/minilm.json` holds texts with the token ids and vectors that the sentence-transformers
//! library (6.2, PyTorch, CPU) gives for the same weights, `golden/wordpiece.json` odd texts with
//! the token ids of the tokenizers library (0.23). Needs the model's files: `make model`.

use std::path::PathBuf;

use commontrace_search::embed::MiniLm;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    tokens: Vec<u32>,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Tokens {
    text: String,
    tokens: Vec<u32>,
}

fn golden() -> Vec<Case> {
    let golden: Golden =
        serde_json::from_str(include_str!("golden/minilm.json")).expect("valid golden file");
    golden.cases
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests take the folder from the environment"
)]
fn model() -> MiniLm {
    let folder = std::env::var_os("COMMONTRACE_TEST_MODEL_DIR")
        .map(PathBuf::from)
        .expect(
            "COMMONTRACE_TEST_MODEL_DIR is not set: run `make model` and point it at the folder \
         with model.safetensors and tokenizer.json",
        );
    MiniLm::load(&folder).expect("the model loads; `make model` fetches its files")
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_equal_the_reference() {
    let model = model();
    for case in golden() {
        let vector = model.encode(&case.text).expect("every text can be encoded");
        let likeness = cosine(&vector, &case.vector);
        assert!(
            likeness >= 0.999_99,
            "cosine {likeness} for {:?}",
            case.text
        );
        let length = vector.iter().map(|x| x * x).sum::<f32>();
        assert!(
            (length - 1.0).abs() < 1e-5,
            "squared length {length} for {:?}",
            case.text
        );
    }
}

#[test]
fn token_ids_equal_the_reference() {
    let model = model();
    let odd: Vec<Tokens> =
        serde_json::from_str(include_str!("golden/wordpiece.json")).expect("valid golden file");
    let cases = golden().into_iter().map(|case| (case.text, case.tokens));
    for (text, tokens) in cases.chain(odd.into_iter().map(|case| (case.text, case.tokens))) {
        assert_eq!(model.tokens(&text), tokens, "tokens of {text:?}");
    }
}

#[tokio::test]
async fn a_vector_does_not_depend_on_its_batch() {
    let model = model();
    let texts: Vec<String> = golden().into_iter().map(|case| case.text).collect();
    let batch = model.embed_batch(texts.clone()).await;
    for (text, from_batch) in texts.iter().zip(batch) {
        let alone = model
            .embed_query(text)
            .await
            .expect("every text can be encoded");
        assert_eq!(
            from_batch.expect("every text can be encoded"),
            alone,
            "vector of {text:?}"
        );
    }
}
