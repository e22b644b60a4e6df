//! Turns prose, code and tool output into the tokens that search compares.
//!
//! A token is a plain string of letters, digits and a few joining characters (`_ : . - + #`), never
//! white space, quotes or control characters, so that any engine can store it. Identifiers give
//! their parts and the whole; plain words give their English stem. This module knows nothing of
//! fields, weights or documents.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// Longest token, in characters; longer ones are cut.
pub const MAX_TOKEN_CHARS: usize = 64;

/// Most tokens taken from one text; the rest of a longer text is ignored.
pub const MAX_TOKENS: usize = 16_383;

/// Words too common in prose to tell one text from another.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// Returns the tokens of `text` in order, repeated ones included.
pub fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for_each_token(text, |token| found.push(token.to_owned()));
    found
}

/// Hands each token of `text` to `emit`, in order.
pub fn for_each_token(text: &str, emit: impl FnMut(&str)) {
    let text = normalize(text);
    let mut lexer = Lexer {
        emit,
        left: MAX_TOKENS,
        stemmer: Stemmer::create(Algorithm::English),
        lower: String::new(),
        text: &text,
    };
    lexer.run();
}

/// Applies NFKC and removes characters that show nothing, which would otherwise split words.
fn normalize(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let clean = |c: &char| !is_invisible(*c);
    if is_nfkc_quick(text.chars()) == IsNormalized::Yes && text.chars().all(|c| clean(&c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(clean).nfkc().collect())
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

struct Lexer<'t, F> {
    emit: F,
    left: usize,
    stemmer: Stemmer,
    lower: String,
    text: &'t str,
}

/// What joins two words into one name when nothing stands around it.
fn joint(rest: &str) -> usize {
    let length = match rest.as_bytes() {
        [b':', b':', ..] => 2,
        [b'.' | b'-', ..] => 1,
        _ => return 0,
    };
    let joins = rest[length..].chars().next().is_some_and(is_word_char);
    if joins { length } else { 0 }
}

impl<F: FnMut(&str)> Lexer<'_, F> {
    fn run(&mut self) {
        let text = self.text;
        let mut at = 0;
        while self.left > 0 {
            let Some(skip) = text[at..].find(is_word_char) else {
                return;
            };
            at = self.chain(at + skip);
        }
    }

    /// Emits one chain of words joined without a gap, such as `std::f64::consts` or `no-verify`,
    /// and returns where it ends.
    fn chain(&mut self, start: usize) -> usize {
        let text = self.text;
        let dashes = flag_dashes(&text[..start]);
        let mut at = start;
        let mut words = 0;
        let mut end;
        loop {
            end = at + word_length(&text[at..]);
            words += 1;
            let word = &text[at..end];
            if !(words == 1 && dashes > 0 && word.chars().nth(1).is_none()) {
                self.word(word);
            }
            match joint(&text[end..]) {
                0 => break,
                length => at = end + length,
            }
        }
        let whole = &text[start..end];
        if dashes > 0 && !whole.starts_with(|c: char| c.is_ascii_digit()) {
            self.whole(&text[start - dashes..end]);
        } else if words == 2 || words > 2 && !is_call_chain(whole) {
            self.joined(whole);
        }
        self.suffix(start, end)
    }

    /// Emits a joined name whole; of a version number also `major.minor`.
    fn joined(&mut self, whole: &str) {
        self.whole(whole);
        if whole.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            let mut dots = whole.match_indices('.');
            if let Some((minor_end, _)) = dots.nth(1) {
                self.whole(&whole[..minor_end]);
            }
        }
    }

    /// Handles what may follow a chain: the `++` of C++, the `#` of C#, the `'t` of don't.
    fn suffix(&mut self, start: usize, end: usize) -> usize {
        let (word, rest) = (&self.text[start..end], &self.text[end..]);
        if rest.starts_with("++")
            && word.len() <= 3
            && word.bytes().all(|b| b.is_ascii_alphabetic())
        {
            self.whole(&self.text[start..end + 2]);
            return end + 2;
        }
        if rest.starts_with('#') && word.len() == 1 && word.bytes().all(|b| b.is_ascii_alphabetic())
        {
            self.whole(&self.text[start..=end]);
            return end + 1;
        }
        for mark in ['\'', '\u{2019}'] {
            if let Some(tail) = rest.strip_prefix(mark) {
                let length = word_length(tail);
                let ending = &tail[..length];
                if ["s", "t", "re", "ll", "ve", "d", "m"].contains(&ending) {
                    return end + mark.len_utf8() + length;
                }
            }
        }
        end
    }

    /// Emits a run of word characters: an identifier's whole and parts, a word's stem, or the
    /// pairs of neighbours of a script that is written without spaces.
    fn word(&mut self, word: &str) {
        if !word.is_ascii() && word.chars().any(is_unspaced) {
            let mut rest = word;
            while let Some(first) = rest.chars().next() {
                let unspaced = is_unspaced(first);
                let end = rest
                    .find(|c| is_unspaced(c) != unspaced)
                    .unwrap_or(rest.len());
                if unspaced {
                    self.pairs(&rest[..end]);
                } else {
                    self.identifier(&rest[..end]);
                }
                rest = &rest[end..];
            }
        } else {
            self.identifier(word);
        }
    }

    fn identifier(&mut self, word: &str) {
        let mut rest = word;
        let mut first = true;
        while !rest.is_empty() {
            let (part, after) = split_part(rest);
            if first && part.len() < word.len() {
                self.whole(word);
            }
            first = false;
            self.part(part);
            rest = after;
        }
    }

    fn pairs(&mut self, run: &str) {
        let mut previous: Option<usize> = None;
        let mut paired = false;
        for (at, c) in run.char_indices() {
            if let Some(from) = previous {
                self.whole(&run[from..at + c.len_utf8()]);
                paired = true;
            }
            previous = Some(at);
        }
        if !paired {
            self.whole(run);
        }
    }

    /// Emits one part of an identifier, stemmed if it is a plain word.
    fn part(&mut self, part: &str) {
        self.lower(part);
        if self.lower.is_empty() || STOP_WORDS.contains(&self.lower.as_str()) {
            return;
        }
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        if self.lower.len() > 2 && self.lower.bytes().all(|b| b.is_ascii_lowercase()) {
            let stem = self.stemmer.stem(&self.lower);
            if !stem.is_empty() {
                (self.emit)(&stem);
            }
        } else {
            (self.emit)(&self.lower);
        }
    }

    /// Emits a name as it stands, in lower case.
    fn whole(&mut self, name: &str) {
        self.lower(name);
        if self.left > 0 && self.lower.chars().any(|c| c != '_') {
            self.left -= 1;
            (self.emit)(&self.lower);
        }
    }

    fn lower(&mut self, name: &str) {
        self.lower.clear();
        if name.is_ascii() {
            self.lower
                .push_str(&name[..name.len().min(MAX_TOKEN_CHARS)]);
            self.lower.make_ascii_lowercase();
        } else {
            let lower = name.chars().flat_map(char::to_lowercase);
            self.lower.extend(lower.take(MAX_TOKEN_CHARS));
        }
    }
}

/// Counts the dashes of a command-line flag that end `before`: `--` or `-` at a word's start.
fn flag_dashes(before: &str) -> usize {
    let bare = before.trim_end_matches('-');
    let dashes = before.len() - bare.len();
    let at_start = !bare
        .chars()
        .next_back()
        .is_some_and(|c| is_word_char(c) || c == '.');
    if at_start && dashes <= 2 { dashes } else { 0 }
}

/// Tells `self.stream.write` from a path or version: long chains of calls are nearly all unique, so
/// whole they would only fill the dictionary.
fn is_call_chain(whole: &str) -> bool {
    whole.contains('.') && !whole.contains("::") && !whole.starts_with(|c: char| c.is_ascii_digit())
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word_char(c)).unwrap_or(text.len())
}

/// Splits the first part off an identifier: at underscores, at `aB`, and before the last capital
/// of `HTTPServer`.
fn split_part(word: &str) -> (&str, &str) {
    let start = word.find(|c| c != '_').unwrap_or(word.len());
    let word = &word[start..];
    let mut chars = word.char_indices().peekable();
    let mut previous: Option<char> = None;
    while let Some((at, c)) = chars.next() {
        let boundary = match previous {
            _ if c == '_' => true,
            Some(p) if c.is_uppercase() => {
                p.is_lowercase()
                    || (p.is_uppercase() && chars.peek().is_some_and(|(_, n)| n.is_lowercase()))
            }
            _ => false,
        };
        if boundary && at > 0 {
            return (&word[..at], word[at..].trim_start_matches('_'));
        }
        previous = Some(c);
    }
    (word, "")
}

fn is_word_char(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    // Vowel signs and accents belong to the letter before them, though not all are letters.
    c.is_alphanumeric()
        || matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{ecd}')
            && !matches!(c, '\u{964}' | '\u{965}' | '\u{e4f}' | '\u{e5a}' | '\u{e5b}')
}

/// Tells whether a character belongs to a script written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'          // Thai, Lao
        | '\u{1000}'..='\u{109f}'      // Myanmar
        | '\u{1780}'..='\u{17ff}'      // Khmer
        | '\u{3040}'..='\u{30ff}'      // Hiragana, Katakana
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'      // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}'      // Hangul: spaced, but one word carries many endings
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(tokens(text), expected, "tokens({text:?})");
    }

    #[test]
    fn identifiers_keep_the_whole_beside_their_parts() {
        check("getUserName", &["getusername", "get", "user", "name"]);
        check(
            "read_text_file",
            &["read_text_file", "read", "text", "file"],
        );
        check(
            "HTTPServerError",
            &["httpservererror", "http", "server", "error"],
        );
        check("__init__", &["__init__", "init"]);
        check("___", &[]);
    }

    #[test]
    fn plain_words_are_stemmed_and_stop_words_dropped() {
        check("The files are being copied", &["file", "be", "copi"]);
        check("It doesn't work", &["doesn", "work"]);
    }

    #[test]
    fn codes_and_names_stay_whole() {
        check("error[E0502]", &["error", "e0502"]);
        check("TS2307", &["ts2307"]);
        check(
            "ERR_REQUIRE_ESM",
            &["err_require_esm", "err", "requir", "esm"],
        );
        check("ORA-00942", &["ora", "00942", "ora-00942"]);
        check(
            "std::f64::consts",
            &["std", "f64", "const", "std::f64::consts"],
        );
        check(
            "git commit --no-verify",
            &["git", "commit", "verifi", "--no-verify"],
        );
        check("rm -r x", &["rm", "-r", "x"]);
        check("C++ and C#", &["c", "c++", "c", "c#"]);
        check(
            "python 3.11.2",
            &["python", "3", "11", "2", "3.11.2", "3.11"],
        );
        check("HTTP 404", &["http", "404"]);
    }

    #[test]
    fn scripts_without_spaces_give_pairs() {
        check("配列の要素", &["配列", "列の", "の要", "要素"]);
        check("Python配列", &["python", "配列"]);
        check("字", &["字"]);
    }

    #[test]
    fn look_alike_forms_are_folded() {
        check("ｆｕｌｌ ﬁle", &["full", "file"]);
        check("pass\u{200b}word", &["password"]);
    }

    #[test]
    fn length_and_number_of_tokens_are_bounded() {
        assert_eq!(tokens(&"x".repeat(5_000))[0].len(), MAX_TOKEN_CHARS);
        assert_eq!(tokens(&"w ".repeat(40_000)).len(), MAX_TOKENS);
    }

    proptest! {
        #[test]
        fn any_text_gives_clean_bounded_tokens(text in any::<String>()) {
            for token in tokens(&text) {
                prop_assert!(!token.is_empty());
                prop_assert!(token.chars().count() <= MAX_TOKEN_CHARS);
                prop_assert!(token.chars().all(|c| is_word_char(c) || ":.-+#".contains(c)), "{token:?}");
            }
        }

        #[test]
        fn code_like_text_never_panics(text in "[a-zA-Z0-9_:.'#+\\- é配ก\u{301}\u{130}]{0,60}") {
            tokens(&text);
        }
    }
}
