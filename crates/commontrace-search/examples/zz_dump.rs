//! scratch
use commontrace_search::lexical::{Counted, Fields, Lexical};
use commontrace_search::query::analyze;
use std::io::Write;
fn main() {
    for set in std::env::args().skip(1) {
        let dir = format!("/work/shared/eval/retrieval/{set}");
        let read = |f: &str| std::fs::read_to_string(format!("{dir}/{f}")).unwrap();
        let mut lex = Lexical::default();
        for (i, line) in read("corpus.jsonl").lines().enumerate() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let s = |k: &str| v[k].as_str().unwrap();
            let tags: Vec<String> = v["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_str().unwrap().to_owned())
                .collect();
            lex.set(
                i as u32,
                Counted::of(Fields {
                    title: s("title"),
                    context: s("context"),
                    solution: s("solution"),
                    tags: &tags,
                }),
            );
        }
        let mut f = std::io::BufWriter::new(
            std::fs::File::create(format!("/tmp/sx/lex-{set}.f32")).unwrap(),
        );
        let mut g = std::io::BufWriter::new(
            std::fs::File::create(format!("/tmp/sx/shape-{set}.tsv")).unwrap(),
        );
        for line in read("queries.jsonl").lines() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let a = analyze(v["text"].as_str().unwrap());
            f.write_all(&1f32.to_le_bytes()).unwrap();
            for s in lex.score(&lex.weigh(&a.terms)) {
                f.write_all(&s.to_le_bytes()).unwrap();
            }
            let s = a.shape;
            writeln!(g, "{}\t0\t{}\t{}\t0\t0", s.symbols, s.errors, s.lines).unwrap();
        }
    }
}
