//! Turns text into BERT word-piece ids, exactly as the model's own tokenizer does.
//!
//! Reads the vocabulary from `tokenizer.json` and implements the one pipeline that file asks for:
//! clean, split out CJK ideographs, strip accents, lower-case, split on spaces and punctuation,
//! then greedy longest match. Text is consumed lazily: once the limit is reached the rest is not
//! looked at, so a megabyte of log costs no more than a paragraph. Other tokenizers are refused.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::Deserialize;
use unicode_categories::UnicodeCategories as _;
use unicode_normalization::UnicodeNormalization as _;

/// Longer words become one unknown token.
const MAX_WORD_CHARS: usize = 100;

/// The word-piece vocabulary and the ids of its special tokens.
#[derive(Debug)]
pub struct WordPiece {
    /// Pieces that start a word.
    first: Vocabulary,
    /// Pieces that continue a word, without their `##`.
    rest: Vocabulary,
    /// Tokens matched in the raw text before anything else, such as `[SEP]`.
    special: Vec<(String, u32)>,
    longest_piece: usize,
    start: u32,
    end: u32,
    unknown: u32,
}

type Vocabulary = HashMap<Box<str>, u32, BuildHasherDefault<PieceHasher>>;

/// Says why a `tokenizer.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerFileError {
    /// Not JSON, or not of the expected shape.
    #[error("not a tokenizer description: {0}")]
    Json(#[from] serde_json::Error),
    /// A tokenizer other than lower-casing BERT word pieces.
    #[error("unsupported tokenizer: {0}")]
    Unsupported(&'static str),
    /// A token the encoder needs is not in the vocabulary.
    #[error("the vocabulary lacks the token `{0}`")]
    MissingToken(&'static str),
}

#[derive(Deserialize)]
struct TokenizerFile {
    normalizer: Normalizer,
    pre_tokenizer: Kind,
    model: Model,
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Normalizer {
    r#type: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Model {
    r#type: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: Vocabulary,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

impl WordPiece {
    /// Reads the vocabulary out of the bytes of a `tokenizer.json`, whose ids must be below
    /// `words`.
    pub fn from_json(json: &[u8], words: u32) -> Result<Self, TokenizerFileError> {
        let file: TokenizerFile = serde_json::from_slice(json)?;
        file.check_is_bert_uncased()?;
        let vocab = file.model.vocab;
        if vocab
            .values()
            .chain(file.added_tokens.iter().map(|t| &t.id))
            .any(|id| *id >= words)
        {
            return Err(TokenizerFileError::Unsupported(
                "it has more words than the encoder",
            ));
        }
        let id = |token: &'static str| {
            vocab
                .get(token)
                .copied()
                .ok_or(TokenizerFileError::MissingToken(token))
        };
        let (start, end, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);

        let mut first = Vocabulary::with_capacity_and_hasher(vocab.len(), Default::default());
        let mut rest = Vocabulary::default();
        let mut longest_piece = 0;
        for (piece, id) in vocab {
            longest_piece = longest_piece.max(piece.len());
            match piece.strip_prefix("##") {
                Some(tail) if !tail.is_empty() => {
                    rest.insert(tail.into(), id);
                }
                _ => {
                    first.insert(piece, id);
                }
            }
        }
        let special = file
            .added_tokens
            .into_iter()
            .map(|t| (t.content, t.id))
            .collect();
        Ok(Self {
            first,
            rest,
            special,
            longest_piece,
            start,
            end,
            unknown,
        })
    }

    /// Returns the ids of `text` between the start and end markers, `limit` ids at most.
    ///
    /// What does not fit is cut off at the end, as the model's own tokenizer does.
    #[must_use]
    pub fn encode(&self, text: &str, limit: usize) -> Vec<u32> {
        let room = limit.saturating_sub(1);
        let mut ids = Vec::with_capacity(room.min(text.len() / 3 + 4));
        ids.push(self.start);
        let mut left = text;
        while ids.len() < room && !left.is_empty() {
            let (plain, special, after) = self.split_at_special(left);
            self.encode_plain(plain, room, &mut ids);
            if let Some(id) = special
                && ids.len() < room
            {
                ids.push(id);
            }
            left = after;
        }
        ids.truncate(room);
        ids.push(self.end);
        ids
    }

    /// Splits at the first special token: the text before it, its id, the text after it.
    fn split_at_special<'t>(&self, text: &'t str) -> (&'t str, Option<u32>, &'t str) {
        for (at, _) in text.match_indices('[') {
            for (token, id) in &self.special {
                if text[at..].starts_with(token.as_str()) {
                    return (&text[..at], Some(*id), &text[at + token.len()..]);
                }
            }
        }
        (text, None, "")
    }

    /// Appends the pieces of text without special tokens until `ids` holds `room` or more.
    fn encode_plain(&self, text: &str, room: usize, ids: &mut Vec<u32>) {
        let mut word = Word::default();
        for c in normalized(text) {
            if ids.len() >= room {
                return;
            }
            if c.is_whitespace() {
                self.flush(&mut word, ids);
            } else if is_punctuation(c) {
                self.flush(&mut word, ids);
                word.push(c);
                self.flush(&mut word, ids);
            } else {
                word.push(c);
            }
        }
        self.flush(&mut word, ids);
    }

    /// Appends the pieces of one word, or one unknown token if it has no complete split.
    fn flush(&self, word: &mut Word, ids: &mut Vec<u32>) {
        if word.chars == 0 {
            return;
        }
        let before = ids.len();
        let mut left = word.text.as_str();
        let mut vocabulary = &self.first;
        if word.chars > MAX_WORD_CHARS {
            ids.push(self.unknown);
            left = "";
        }
        while !left.is_empty() {
            let Some((id, length)) = self.longest_match(vocabulary, left) else {
                ids.truncate(before);
                ids.push(self.unknown);
                break;
            };
            ids.push(id);
            left = &left[length..];
            vocabulary = &self.rest;
        }
        word.clear();
    }

    /// Finds the longest prefix of `text` in the vocabulary: its id and its length in bytes.
    fn longest_match(&self, vocabulary: &Vocabulary, text: &str) -> Option<(u32, usize)> {
        let longest = text.floor_char_boundary(self.longest_piece);
        text[..longest]
            .char_indices()
            .rev()
            .map(|(at, c)| at + c.len_utf8())
            .find_map(|length| Some((*vocabulary.get(&text[..length])?, length)))
    }
}

impl TokenizerFile {
    fn check_is_bert_uncased(&self) -> Result<(), TokenizerFileError> {
        let normalizer = &self.normalizer;
        let checks = [
            (
                self.model.r#type == "WordPiece",
                "its model is not WordPiece",
            ),
            (
                self.model.continuing_subword_prefix == "##",
                "its continuation prefix is not `##`",
            ),
            (
                self.model.max_input_chars_per_word == MAX_WORD_CHARS,
                "its word limit is not 100",
            ),
            (
                self.pre_tokenizer.r#type == "BertPreTokenizer",
                "it does not split words as BERT",
            ),
            (
                normalizer.r#type == "BertNormalizer",
                "its normalizer is not BERT's",
            ),
            (
                normalizer.clean_text && normalizer.handle_chinese_chars && normalizer.lowercase,
                "its normalizer does not clean, split ideographs and lower-case",
            ),
            (
                normalizer.strip_accents.unwrap_or(true),
                "its normalizer keeps accents",
            ),
            (
                self.added_tokens.iter().all(|t| t.content.starts_with('[')),
                "a special token does not start with `[`",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(TokenizerFileError::Unsupported(reason)),
            None => Ok(()),
        }
    }
}

/// A word being collected; characters past the limit are counted but not kept.
#[derive(Default)]
struct Word {
    text: String,
    chars: usize,
}

impl Word {
    fn push(&mut self, c: char) {
        self.chars += 1;
        if self.chars <= MAX_WORD_CHARS {
            self.text.push(c);
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.chars = 0;
    }
}

/// Cleans, spaces out ideographs, strips accents and lower-cases, lazily.
fn normalized(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !is_dropped(*c))
        .flat_map(|c| {
            let spaced = is_cjk_ideograph(c);
            let space = spaced.then_some(' ');
            space.into_iter().chain([c]).chain(space)
        })
        .nfd()
        .filter(|c| c.is_ascii() || !c.is_mark_nonspacing())
        .flat_map(char::to_lowercase)
}

/// Control, format and private-use characters, and the replacement character.
fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        ' '..='~' => false,
        '\0' | '\u{fffd}' => true,
        _ => c.is_other(),
    }
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_punctuation()
    } else {
        c.is_punctuation()
    }
}

/// The blocks BERT's tokenizer treats as one word per character.
fn is_cjk_ideograph(c: char) -> bool {
    matches!(
        u32::from(c),
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0x2F800..=0x2FA1F
    )
}

/// FNV-1a: pieces are a few bytes long and the vocabulary is fixed, so neither the quality nor
/// the flooding resistance of the default hasher is needed.
struct PieceHasher(u64);

impl Default for PieceHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for PieceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [&str; 14] = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "run", "##s", ",", "cafe",
        "\u{4e2d}", "a", "##a",
    ];

    fn file(pieces: &[&str]) -> serde_json::Value {
        let vocab: serde_json::Map<_, _> = pieces
            .iter()
            .enumerate()
            .map(|(i, p)| ((*p).to_owned(), i.into()))
            .collect();
        serde_json::json!({
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "added_tokens": [{"id": 3, "content": "[SEP]"}],
            "model": {
                "type": "WordPiece", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab,
            },
        })
    }

    fn load(file: &serde_json::Value) -> Result<WordPiece, TokenizerFileError> {
        WordPiece::from_json(file.to_string().as_bytes(), 14)
    }

    fn pieces(text: &str) -> Vec<&'static str> {
        let wordpiece = load(&file(&PIECES)).expect("a valid tokenizer");
        let ids = wordpiece.encode(text, 20);
        ids.iter().map(|id| PIECES[*id as usize]).collect()
    }

    fn inner(text: &str) -> Vec<&'static str> {
        let pieces = pieces(text);
        assert_eq!((pieces[0], pieces[pieces.len() - 1]), ("[CLS]", "[SEP]"));
        pieces[1..pieces.len() - 1].to_vec()
    }

    #[test]
    fn words_are_split_into_the_longest_pieces() {
        assert_eq!(
            inner("unaffable runs"),
            ["un", "##aff", "##able", "run", "##s"]
        );
    }

    #[test]
    fn a_word_without_a_complete_split_is_unknown() {
        assert_eq!(inner("run unaffect run"), ["run", "[UNK]", "run"]);
    }

    #[test]
    fn case_accents_and_control_characters_do_not_matter() {
        assert_eq!(inner("R\u{0}U\u{200b}N"), ["run"]);
        assert_eq!(inner("Caf\u{e9}"), ["cafe"]);
        assert_eq!(inner("cafe\u{301}"), ["cafe"]);
    }

    #[test]
    fn punctuation_and_ideographs_are_words_of_their_own() {
        assert_eq!(inner("run,run"), ["run", ",", "run"]);
        assert_eq!(inner("run\u{4e2d}run"), ["run", "\u{4e2d}", "run"]);
    }

    #[test]
    fn special_tokens_are_found_inside_text() {
        assert_eq!(
            inner("run[SEP]run [sep"),
            ["run", "[SEP]", "run", "[UNK]", "[UNK]"]
        );
    }

    #[test]
    fn overlong_words_are_unknown() {
        assert_eq!(inner(&"a".repeat(101)), ["[UNK]"]);
        let fits = load(&file(&PIECES))
            .expect("a valid tokenizer")
            .encode(&"a".repeat(100), 200);
        assert_eq!(fits.len(), 102);
    }

    #[test]
    fn text_beyond_the_limit_is_cut_off() {
        let wordpiece = load(&file(&PIECES)).expect("a valid tokenizer");
        assert_eq!(
            wordpiece.encode(&"unaffable ".repeat(1000), 6),
            [2, 4, 5, 6, 4, 3]
        );
        assert_eq!(wordpiece.encode("", 6), [2, 3]);
    }

    #[test]
    fn other_tokenizers_are_refused() {
        let mut cased = file(&PIECES);
        cased["normalizer"]["lowercase"] = false.into();
        assert!(matches!(
            load(&cased),
            Err(TokenizerFileError::Unsupported(_))
        ));
        let unmarked = file(&PIECES[..2]);
        assert!(matches!(
            load(&unmarked),
            Err(TokenizerFileError::MissingToken("[CLS]"))
        ));
        let more_words = file(&[&PIECES[..], &["more"]].concat());
        assert!(matches!(
            load(&more_words),
            Err(TokenizerFileError::Unsupported(_))
        ));
        assert!(matches!(
            WordPiece::from_json(b"{", 14),
            Err(TokenizerFileError::Json(_))
        ));
    }
}
