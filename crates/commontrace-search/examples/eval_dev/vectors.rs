//! The vectors of texts, kept between runs.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use commontrace_search::embed::MiniLm;
use sha2::{Digest, Sha256};

/// Embeds texts on two threads, or reads what an earlier run kept.
pub fn vectors(model: &MiniLm, cache: &Path, texts: &[String]) -> Result<Vec<Vec<f32>>> {
    fs::create_dir_all(cache)?;
    let mut digest = Sha256::new();
    texts
        .iter()
        .for_each(|text| digest.update([text.as_bytes(), &[0]].concat()));
    let name: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let file = cache.join(format!("{name}.f32"));
    if let Ok(bytes) = fs::read(&file) {
        let floats: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        return Ok(floats
            .chunks(model.model().dimensions)
            .map(<[f32]>::to_vec)
            .collect());
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![Vec::new(); texts.len()]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(text) = texts.get(at) else { return };
                    let vector = model.encode(text).expect("the local model embeds any text");
                    done.lock().expect("no thread panics")[at] = vector;
                }
            });
        }
    });
    let done = done.into_inner()?;
    let bytes: Vec<u8> = done
        .iter()
        .flatten()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    fs::write(file, bytes)?;
    Ok(done)
}
