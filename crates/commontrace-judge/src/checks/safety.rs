//! What stands in the record that should not.

use std::sync::LazyLock;

use commontrace_session::Event;
use regex::Regex;

use super::{Check, Name, number};
use crate::text::{each_text, start};

/// What the redaction leaves in a secret's place.
const MARK: &str = "[redacted:";
/// So many events are shown at most; the search for more ends.
const ENOUGH: usize = 1_000;

static SPEAKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?ix)
        \b(?:ignore|disregard|forget|override)\ (?:all\ |any\ |the\ |your\ |every\ )*(?:previous|prior|above|earlier|preceding|system)\ (?:instruction|prompt|rule|message|direction)
        | \byou\ are\ (?:now\ )?(?:the|a|an)\ (?:impartial\ |lenient\ |generous\ )?(?:judge|grader|evaluator|scorer)\b
        | \b(?:note|message|instructions?|attention|dear)(?:\ to|\ for|,)?\ (?:the\ |any\ |all\ )?(?:ai\ |llm\ |automated\ )?(?:judges?|graders?|evaluators?|scorers?)\b
        | \b(?:judges?|graders?|evaluators?)\ ?[:,]\ *(?:please\ )?(?:give|assign|score|rate|mark|set|award|return|output|must|should)\b
        | \b(?:give|assign|award|return|output|rate|score)\ (?:this\ |the\ |it\ )?(?:session|trace|reasoning|run|trajectory|dimension|answer|solution)?\ ?(?:a\ |an\ |the\ |with\ |as\ )*(?:full|maximum|highest|perfect|top|best\ possible)\ (?:score|marks?|level|rating|grade)
        | ["']reasoning_score["']\s*:\s*\d | ["']level["']\s*:\s*4\b.{0,40}["'](?:why|evidence)["']
        | \b(?:verdict|verification)\ ?(?:status)?["']?\s*[:=]\s*\{?\s*["']?(?:status["']?\s*:\s*["'])?verified\b
        | <\|(?:im_start|im_end|system|assistant|endoftext)\|> | \[/?INST\] | </?(?:system|assistant)_?(?:prompt|message)?>
        | \bnew\ system\ (?:prompt|instructions?)\b | \bend\ of\ (?:the\ )?(?:data|transcript|session|evidence)\b.{0,40}\b(?:now|instead|begin)
        "#,
    )
    .expect("a pattern that the tests compile")
});

/// Whether a text has words that are meant for a model or a judge who reads it.
pub fn speaks_to_a_reader(text: &str) -> bool {
    SPEAKS.is_match(text)
}

pub fn secret_exposed(events: &[Event]) -> Check {
    let name = Name::SecretExposed;
    let (mut places, mut rule) = (Vec::new(), None);
    for (at, event) in events.iter().enumerate() {
        let mut found = false;
        each_text(event, &mut |text| {
            let marks = text.match_indices(MARK).filter_map(|(start, _)| {
                let (rule, _) = text[start + MARK.len()..].split_once(']')?;
                let named = !rule.is_empty() && rule.len() <= 60;
                // An address of a person is no credential.
                (named && rule != "email").then_some(rule)
            });
            for mark in marks {
                found = true;
                rule.get_or_insert(mark);
            }
        });
        if found && places.len() < ENOUGH {
            places.push(at);
        }
    }
    match rule {
        Some(rule) => {
            let message = format!(
                "a secret stood in {}, first one of the kind {}",
                number(places.len(), "event"),
                start(rule, 60)
            );
            Check::fail(name, message).at(events, places)
        }
        None => Check::pass(name, "no secret was found when the session was recorded"),
    }
}

pub fn injection_attempt(events: &[Event]) -> Check {
    let name = Name::InjectionAttempt;
    let (mut speaking, mut hidden) = (Vec::new(), Vec::new());
    for (at, event) in events.iter().enumerate() {
        let (mut speaks, mut hides) = (false, false);
        each_text(event, &mut |text| {
            speaks |= speaks_to_a_reader(text);
            hides |= !text.is_ascii() && hides_text(text);
        });
        if speaks && speaking.len() < ENOUGH {
            speaking.push(at);
        }
        if hides && hidden.len() < ENOUGH {
            hidden.push(at);
        }
    }
    if speaking.is_empty() && hidden.is_empty() {
        return Check::pass(name, "nothing speaks to a reader or hides from one");
    }
    let mut parts = Vec::new();
    if !speaking.is_empty() {
        parts.push(format!(
            "{} with words meant for a model or a judge",
            number(speaking.len(), "event")
        ));
    }
    if !hidden.is_empty() {
        parts.push(format!(
            "{} with hidden characters",
            number(hidden.len(), "event")
        ));
    }
    Check::fail(name, parts.join(", ")).at(events, speaking.into_iter().chain(hidden))
}

/// Whether a text has characters that nobody sees and that change what is read: tags, changes of
/// direction, or zero-width spaces within words. A mark at the very start is a byte order mark.
fn hides_text(text: &str) -> bool {
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{e0001}'..='\u{e007f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                return true;
            }
            '\u{200b}' | '\u{2060}' | '\u{feff}' => {
                let within = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                if within(before) && within(rest.peek().copied()) {
                    return true;
                }
            }
            _ => {}
        }
        before = Some(c);
    }
    false
}
