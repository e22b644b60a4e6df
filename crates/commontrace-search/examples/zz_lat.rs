//! scratch
use commontrace_core::{TraceId, UserId};
use commontrace_search::document::{Document, Query};
use commontrace_search::index::SearchIndex;
use commontrace_search::select::Best;
use commontrace_search::vectors::Vectors;
use std::time::Instant;
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
fn rss() -> u64 {
    std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 4096
        / 1_000_000
}
fn main() {
    let dir = "/work/shared/eval/retrieval";
    let docs: Vec<Document> = std::fs::read_to_string(format!("{dir}/mixed-capacity/corpus.jsonl"))
        .unwrap()
        .lines()
        .enumerate()
        .map(|(i, l)| {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            let s = |k: &str| v[k].as_str().unwrap().to_owned();
            Document {
                id: TraceId(uuid::Uuid::from_u128(i as u128)),
                title: s("title"),
                context: s("context"),
                solution: s("solution"),
                tags: v["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|t| t.as_str().unwrap().to_owned())
                    .collect(),
                fingerprint: Default::default(),
                trust: 0.0,
                valid_until: None,
                created_at: 0,
                stale: false,
                contributor: UserId(uuid::Uuid::nil()),
            }
        })
        .collect();
    let qs: Vec<String> = std::fs::read_to_string(format!("{dir}/stackeval-qa/queries.jsonl"))
        .unwrap()
        .lines()
        .map(|l| {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            v["text"].as_str().unwrap().to_owned()
        })
        .collect();
    // long pastes: several full questions glued to 2000 chars
    let long: Vec<String> = qs
        .chunks(4)
        .map(|c| c.join("\n").chars().take(2000).collect())
        .collect();
    let short: Vec<String> = qs.iter().filter(|q| q.len() < 100).cloned().collect();
    let mut state = 1u64;
    let mut rnd = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    for n in [10_000, 69_634] {
        let r0 = rss();
        let index = SearchIndex::new();
        let t = Instant::now();
        for d in &docs[..n] {
            index.upsert(d);
        }
        let words = t.elapsed();
        let r1 = rss();
        let t = Instant::now();
        for d in &docs[..n] {
            let v: Vec<f32> = (0..384).map(|_| rnd()).collect();
            index.set_vector(d.id, &v).unwrap();
        }
        println!(
            "{n} docs: upsert {words:?} vectors {:?} memory {:?} rss words {} vectors {}",
            t.elapsed(),
            index.memory(),
            r1 - r0,
            rss() - r1
        );
        let v: Vec<f32> = (0..384).map(|_| rnd()).collect();
        let tag = ["bash".to_owned()];
        for (name, set) in [("short", &short), ("2000 chars", &long)] {
            for (leg, vector, tags, exp) in [
                ("words", None, &[][..], true),
                ("both", Some(v.as_slice()), &[][..], true),
                ("both+tag", Some(v.as_slice()), &tag[..], true),
                ("both+valid only", Some(v.as_slice()), &[][..], false),
            ] {
                let c0 = cpu();
                let mut times: Vec<_> = set
                    .iter()
                    .map(|q| {
                        let t = Instant::now();
                        let a = index.search(&Query {
                            text: Some(q),
                            vector,
                            tags,
                            context: None,
                            include_expired: exp,
                            abstain: true,
                            now: 0,
                            limit: 10,
                        });
                        std::hint::black_box(a);
                        t.elapsed()
                    })
                    .collect();
                let c = (cpu() - c0) / set.len() as u64 / 1000;
                times.sort();
                println!(
                    "  {name} {leg}: cpu mean {c} us; p50 {:?} p95 {:?} p99 {:?}",
                    times[times.len() / 2],
                    times[times.len() * 95 / 100],
                    times[times.len() * 99 / 100]
                );
            }
        }
        let t = Instant::now();
        for tags in [&[][..], &tag[..]] {
            std::hint::black_box(index.search(&Query {
                text: None,
                vector: None,
                tags,
                context: None,
                include_expired: true,
                abstain: true,
                now: 0,
                limit: 10,
            }));
            println!("  tags only {:?}", t.elapsed());
        }
        // updates: longest single write
        let mut w: Vec<_> = docs[..n]
            .iter()
            .step_by(n / 500)
            .map(|d| {
                let t = Instant::now();
                index.upsert(d);
                t.elapsed()
            })
            .collect();
        w.sort();
        println!(
            "  re-upsert p50 {:?} max {:?}",
            w[w.len() / 2],
            w[w.len() - 1]
        );
        let mut w: Vec<_> = docs[..n]
            .iter()
            .step_by(n / 500)
            .map(|d| {
                let t = Instant::now();
                index.remove(d.id);
                t.elapsed()
            })
            .collect();
        w.sort();
        println!("  remove p50 {:?} max {:?}", w[w.len() / 2], w[w.len() - 1]);
        let mut w: Vec<_> = docs[..n]
            .iter()
            .step_by(n / 500)
            .map(|d| {
                let t = Instant::now();
                index.upsert(d);
                t.elapsed()
            })
            .collect();
        w.sort();
        println!(
            "  re-insert p50 {:?} max {:?}",
            w[w.len() / 2],
            w[w.len() - 1]
        );
    }
    for (n, d) in [(70_000u32, 384), (100_000, 1536)] {
        let r0 = rss();
        let mut vs = Vectors::default();
        let centres: Vec<Vec<f32>> = (0..200).map(|_| (0..d).map(|_| rnd()).collect()).collect();
        for i in 0..n {
            let c = &centres[i as usize % 200];
            let v: Vec<f32> = c.iter().map(|x| x + 1.2 * rnd()).collect();
            vs.set(i, &v).unwrap();
        }
        println!(
            "{n} x {d}: rss {} MB, memory {} MB",
            rss() - r0,
            vs.memory() / 1_000_000
        );
        let (mut fast, mut slow, mut hit) = (vec![], vec![], 0);
        for q in 0..40 {
            let qv: Vec<f32> = centres[q * 5].iter().map(|x| x + 1.2 * rnd()).collect();
            let p = vs.probe(&qv).unwrap();
            let t = Instant::now();
            let near = vs.nearest(&p, None, 10);
            fast.push(t.elapsed());
            let t = Instant::now();
            let mut b = Best::new(10);
            for s in 0..n {
                b.push(vs.similarity(&p, s).unwrap(), s);
            }
            let exact = b.into_sorted();
            slow.push(t.elapsed());
            hit += exact
                .iter()
                .filter(|(_, s)| near.iter().any(|(k, _)| k == s))
                .count();
        }
        fast.sort();
        slow.sort();
        println!(
            "  sketches p50 {:?} max {:?}; exact int8 p50 {:?}; recall@10 {:.4}",
            fast[20],
            fast[39],
            slow[20],
            hit as f64 / 400.0
        );
    }
}
