//! scratch: reads one JSON string per line from FILE, writes f32 vectors to OUT
use commontrace_search::embed::MiniLm;
use std::io::Write;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let m = MiniLm::load(a[1].as_ref()).unwrap();
    let texts: Vec<String> = std::fs::read_to_string(&a[2])
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let out = std::sync::Mutex::new(vec![0f32; texts.len() * 384]);
    let t = std::time::Instant::now();
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                loop {
                    let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if i >= texts.len() {
                        return;
                    }
                    if i % 2000 == 0 {
                        eprintln!("{i}/{} {:?}", texts.len(), t.elapsed());
                    }
                    let v = m.encode(&texts[i]).unwrap();
                    out.lock().unwrap()[i * 384..(i + 1) * 384].copy_from_slice(&v);
                }
            });
        }
    });
    let mut f = std::io::BufWriter::new(std::fs::File::create(&a[3]).unwrap());
    for x in out.lock().unwrap().iter() {
        f.write_all(&x.to_le_bytes()).unwrap();
    }
}
