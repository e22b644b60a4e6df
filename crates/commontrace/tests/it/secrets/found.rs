//! Looks for secrets in bytes: for each whole, and for every piece of twelve characters.

use std::collections::HashMap;
use std::path::Path;

use super::planted::Planted;

/// Characters of a piece that is enough to be a leak.
const PIECE: usize = 12;

/// All pieces of all secrets.
#[derive(Debug)]
pub struct Pieces<'a> {
    of: HashMap<[u8; PIECE], &'a Planted>,
    found: Vec<String>,
}

impl<'a> Pieces<'a> {
    /// Cuts the secrets up. Lines of a key are pieces of their own.
    pub fn of(secrets: &'a [Planted]) -> Self {
        let mut of = HashMap::new();
        for secret in secrets {
            for line in secret.value.lines() {
                assert!(
                    line.len() >= PIECE,
                    "too short to be looked for: {secret:?}"
                );
                for window in line.as_bytes().windows(PIECE) {
                    let window: [u8; PIECE] = window.try_into().expect("it is as long");
                    // What every secret of a kind begins with says nothing.
                    of.insert(window, secret);
                }
            }
        }
        let shared = ["ey", "JhbGciOiJIUzI1NiJ9.", "ey", "J"].concat();
        for beginning in [
            shared.as_str(),
            "b3BlbnNzaC1rZXktdjE",
            "pypi-AgEIcHlwaS5vcmc",
        ] {
            for window in beginning.as_bytes().windows(PIECE) {
                of.remove(window);
            }
        }
        Self {
            of,
            found: Vec::new(),
        }
    }

    /// Looks through bytes from `place`.
    pub fn look(&mut self, place: &str, bytes: &[u8]) {
        let mut at = 0;
        while at + PIECE <= bytes.len() {
            let Some(secret) = self.of.get(&bytes[at..at + PIECE]) else {
                at += 1;
                continue;
            };
            let around = &bytes[at.saturating_sub(40)..(at + 60).min(bytes.len())];
            self.found.push(format!(
                "{} in {place}: {:?}",
                secret.kind,
                String::from_utf8_lossy(around)
            ));
            at += PIECE;
            // One place of a text is enough.
            while at + PIECE <= bytes.len() && self.of.contains_key(&bytes[at - 1..at + PIECE - 1])
            {
                at += 1;
            }
        }
    }

    /// Looks through every file below a folder.
    pub fn look_below(&mut self, folder: &Path) {
        for file in files_below(folder) {
            let bytes = std::fs::read(&file).unwrap();
            self.look(&file.display().to_string(), &bytes);
        }
    }

    /// What was found.
    pub fn found(self) -> Vec<String> {
        self.found
    }
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}
