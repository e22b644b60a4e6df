//! Measures the in-process embedder: load time, memory, milliseconds per query and per long text,
//! throughput of batches.
//!
//! `cargo run --release -p commontrace-search --example embed_bench -- DIR` with the model's folder.

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use commontrace_search::embed::{MiniLm, model_files};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: embed_bench DIR (the folder `make model` fills)")?
        .into();
    let before = resident_megabytes();
    let start = Instant::now();
    model_files::verify(&folder)?;
    println!(
        "verification        {:>8.1} ms",
        milliseconds(start.elapsed())
    );
    let start = Instant::now();
    let model = MiniLm::load(&folder)?;
    println!(
        "load                {:>8.1} ms",
        milliseconds(start.elapsed())
    );
    println!(
        "memory, loaded      {:>8.1} MB",
        resident_megabytes() - before
    );

    let query = "TypeError: cannot unpack non-iterable NoneType object when calling \
                 asyncio gather in pytest";
    let long = "The connection pool is exhausted after a deploy because sessions leak. ".repeat(40);
    measure("query of 23 tokens", 300, || model.encode(query));
    measure("text of 256 tokens", 40, || model.encode(&long));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let texts: Vec<String> = (0..400)
        .map(|i| format!("{query} case {i}: {}", &long[..i * 7 % 800]))
        .collect();
    let start = Instant::now();
    let vectors = runtime.block_on(model.embed_batch(texts.clone()));
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "batch of mixed text {:>8.1} texts/s",
        vectors.len() as f64 / seconds
    );
    runtime.block_on(query_during(&model, query, texts));
    println!(
        "memory, at the end  {:>8.1} MB",
        resident_megabytes() - before
    );
    Ok(())
}

/// Runs something a number of times and prints the median time, the best, which is what an idle
/// machine would show, and the mean time on the processor, where the system tells.
fn measure<T>(what: &str, runs: usize, mut run: impl FnMut() -> T) {
    let processor_before = processor_milliseconds();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    let processor = (processor_milliseconds() - processor_before) / runs as f64;
    times.sort_unstable();
    let (median, best) = (milliseconds(times[runs / 2]), milliseconds(times[0]));
    println!("{what}  {median:>8.2} ms, best {best:.2} ms, processor {processor:.2} ms");
}

/// Prints how long queries take while a batch is being embedded.
async fn query_during(model: &MiniLm, query: &str, texts: Vec<String>) {
    const QUERIES: usize = 100;
    let queries = async {
        let mut times = Vec::new();
        while times.len() < QUERIES {
            let start = Instant::now();
            let _ = black_box(model.embed_query(query).await);
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let (median, late) = (times[QUERIES / 2], times[QUERIES * 95 / 100]);
        let (median, late) = (milliseconds(median), milliseconds(late));
        println!("query during batch  {median:>8.2} ms, 95th percentile {late:.2} ms");
    };
    tokio::select! {
        _ = model.embed_batch(texts) => println!("the batch ended before the queries"),
        () = queries => {}
    }
}

/// Time this thread has spent on a processor, zero where it cannot be told.
fn processor_milliseconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e6
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Resident memory of this process, zero where it cannot be told.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    kilobytes.unwrap_or(0.0) / 1024.0
}
