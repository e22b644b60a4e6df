//! scratch
use commontrace_search::lexical::{Fields, Lexical};
use std::collections::HashMap;
fn main() {
    for set in ["cosqa", "stackeval-qa", "diagnostics", "mixed-capacity"] {
        let dir = format!("/work/shared/eval/retrieval/{set}");
        let read = |f: &str| std::fs::read_to_string(format!("{dir}/{f}")).unwrap();
        let t = std::time::Instant::now();
        let mut lex = Lexical::default();
        let mut ids = HashMap::new();
        for (i, line) in read("corpus.jsonl").lines().enumerate() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let s = |k: &str| v[k].as_str().unwrap();
            let tags: Vec<String> = v["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_str().unwrap().to_owned())
                .collect();
            ids.insert(s("id").to_owned(), i);
            lex.set(
                i as u32,
                Fields {
                    title: s("title"),
                    context: s("context"),
                    solution: s("solution"),
                    tags: &tags,
                },
            );
        }
        let built = t.elapsed();
        let mut rel: HashMap<String, Vec<usize>> = HashMap::new();
        for l in read("qrels.tsv").lines() {
            let f: Vec<_> = l.split('\t').collect();
            rel.entry(f[0].to_owned()).or_default().push(ids[f[1]]);
        }
        let t = std::time::Instant::now();
        let (mut n, mut sum) = (0.0, 0.0);
        let mut by: std::collections::BTreeMap<String, (f64, f64)> = Default::default();
        let mut scores = Vec::new();
        let mut dump = std::env::var("DUMP").ok().map(|d| {
            std::io::BufWriter::new(std::fs::File::create(format!("{d}/lex-{set}.f32")).unwrap())
        });
        for line in read("queries.jsonl").lines() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let top = lex.score(v["text"].as_str().unwrap(), &mut scores);
            if let Some(f) = &mut dump {
                use std::io::Write;
                f.write_all(&top.to_le_bytes()).unwrap();
                for s in &scores {
                    f.write_all(&s.to_le_bytes()).unwrap();
                }
            }
            let good = &rel[v["id"].as_str().unwrap()];
            let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] > 0.0).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
            let dcg: f64 = order
                .iter()
                .take(10)
                .enumerate()
                .filter(|(_, d)| good.contains(d))
                .map(|(i, _)| 1.0 / (i as f64 + 2.0).log2())
                .sum();
            let ideal: f64 = (0..good.len().min(10))
                .map(|i| 1.0 / (i as f64 + 2.0).log2())
                .sum();
            n += 1.0;
            sum += dcg / ideal;
            let k = v["kind"]
                .as_str()
                .unwrap()
                .split([':', '/'])
                .next()
                .unwrap()
                .to_owned();
            let e = by.entry(k).or_default();
            e.0 += dcg / ideal;
            e.1 += 1.0;
        }
        print!("{set} {:.4} [", sum / n);
        for (k, (s, n)) in by {
            print!("{k} {:.3} ", s / n);
        }
        println!(
            "] build {built:?} query {:?} size {:?}",
            t.elapsed() / n as u32,
            lex.size()
        );
    }
}
