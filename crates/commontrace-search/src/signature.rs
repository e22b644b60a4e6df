//! Recognises lines that tools print when something fails, and tells when two are the same.
//!
//! A signature is the hash of such a line without what differs from one machine or run to the next:
//! paths, numbers and addresses. It says nothing of lines that are merely similar.

/// Most signatures taken from one text.
const MAX_SIGNATURES: usize = 16;

/// Longest line that is read; what is longer is data.
const MAX_LINE: usize = 400;

/// Fewest words of a signature, so that `error: failed` equals nothing.
const MIN_WORDS: usize = 3;

/// Words that tools use and questions rarely do, unless they quote a tool.
const ERROR_WORDS: [&str; 24] = [
    "error",
    "errors",
    "exception",
    "traceback",
    "fatal",
    "panic",
    "panicked",
    "failed",
    "failure",
    "cannot",
    "undefined",
    "unexpected",
    "invalid",
    "warning",
    "denied",
    "unresolved",
    "missing",
    "segfault",
    "abort",
    "aborted",
    "refused",
    "unknown",
    "deprecated",
    "errno",
];

/// Tells `failed`, `ValueError`, `error[E0502]` and `ORA-00942` from other words.
#[must_use]
pub fn is_error_word(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    ERROR_WORDS
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
        || word.ends_with("Error")
        || word.ends_with("Exception")
        || word.starts_with("error[")
        || is_code(word)
}

/// Tells `E0502`, `TS2307` and `ORA-00942`: capitals, then two digits or more.
fn is_code(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = word[letters..].trim_start_matches(['-', '_']);
    (1..=6).contains(&letters)
        && (2..=6).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the signatures of the lines of `text` that look like errors, each once.
#[must_use]
pub fn signatures(text: &str) -> Vec<u64> {
    let mut found: Vec<u64> = text
        .lines()
        .filter(|line| line.len() <= MAX_LINE && line.split_whitespace().any(is_error_word))
        .filter_map(signature)
        .take(MAX_SIGNATURES)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn signature(line: &str) -> Option<u64> {
    let mut hash = Fnv::default();
    let mut words = 0;
    for word in line.split_whitespace() {
        let path = word.contains(['/', '\\']);
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        // Letters with few digits name something (`utf8`, `E0502`); mostly digits count something.
        let digits = bare.chars().filter(char::is_ascii_digit).count();
        if path || bare.is_empty() || digits * 2 > bare.chars().count() && !is_code(bare) {
            continue;
        }
        words += 1;
        bare.chars()
            .flat_map(char::to_lowercase)
            .for_each(|c| hash.add(c));
        hash.add(' ');
    }
    (words >= MIN_WORDS).then_some(hash.0)
}

/// FNV-1a: stable over releases, unlike the standard library's hasher.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, c: char) {
        self.0 = (self.0 ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_and_numbers_do_not_matter() {
        let mine = signatures("error: cannot open /home/ada/x.rs at line 12: Permission denied");
        let theirs = signatures("log\nerror: cannot open C:\\y.rs at line 7: permission denied");
        assert_eq!(mine.len(), 1);
        assert_eq!(mine, theirs);
    }

    #[test]
    fn names_and_codes_matter() {
        assert_ne!(
            signatures("error[E0502]: cannot borrow `x` as mutable"),
            signatures("error[E0499]: cannot borrow `x` as mutable")
        );
        assert_ne!(
            signatures("ModuleNotFoundError: No module named numpy"),
            signatures("ModuleNotFoundError: No module named pandas")
        );
    }

    #[test]
    fn questions_and_bare_words_have_none() {
        assert!(signatures("how do I sort a list of numbers").is_empty());
        assert!(signatures("error: failed").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_gives_few_signatures(text in any::<String>()) {
            prop_assert!(signatures(&text).len() <= MAX_SIGNATURES);
        }
    }
}
