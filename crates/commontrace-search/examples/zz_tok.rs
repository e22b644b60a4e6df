//! scratch
use std::io::{BufRead, Write};
fn main() {
    let out = std::io::stdout();
    let mut out = std::io::BufWriter::new(out.lock());
    for l in std::io::stdin().lock().lines() {
        let t: String = serde_json::from_str(&l.unwrap()).unwrap();
        writeln!(
            out,
            "{}",
            commontrace_search::tokenize::tokens(&t).join(" ")
        )
        .unwrap();
    }
}
