//! The syntax of giving a value to a name, in as many languages as a trace may hold.
//!
//! Knows where a value starts and ends, and nothing of what a value means.

use crate::reference::name_before;
use crate::view::{head, tail};

/// How a value is given, which tells how much of it to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `"value"`
    Quoted,
    /// `name: value`, `--name value`
    Bare,
    /// `NAME=value`
    Environment,
    /// `the name is value`
    Prose,
}

/// A value and where it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) start: usize,
    pub(crate) value: &'a str,
    pub(crate) form: Form,
}

/// The longest unquoted value that is looked at in full, in bytes.
const LONGEST: usize = 1024;

/// The value given to the name that ends at `end`.
pub(crate) fn after(view: &str, end: usize) -> Option<Setting<'_>> {
    let (rest, form) = past_sign(view, end)?;
    value_at(view, view.len() - rest.len(), form)
}

/// Where the value ends that was found to be secret; one cut off for its length goes on to its last character.
pub(crate) fn end(view: &str, setting: &Setting<'_>) -> usize {
    let end = setting.start + setting.value.len();
    if setting.value.len() + 4 <= LONGEST {
        return end;
    }
    end + view[end..].find(ends_word).unwrap_or(view.len() - end)
}

/// What follows the sign between a name and its value.
fn past_sign(view: &str, end: usize) -> Option<(&str, Form)> {
    let (name, rest) = view.split_at(end);
    if is_flag(name) && rest.starts_with([' ', '=']) {
        return Some((rest.trim_start_matches([' ', '=']), Form::Bare));
    }
    if let Some(value) = rest.strip_prefix('>') {
        // `<password>value</password>`
        let is_element = tail(name, 48).contains('<') && head(value, LONGEST).contains("</");
        return is_element.then_some((value, Form::Quoted));
    }
    if let Some(value) = rest.strip_prefix('=').filter(|_| is_environment_name(name)) {
        return Some((value, Form::Environment));
    }
    let blank = [' ', '\t'];
    if let Some(value) = past_comma(name, rest) {
        return Some((value, Form::Quoted));
    }
    if let Some(value) = [" is ", " was ", " is: ", " was: "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))
    {
        return Some((value, Form::Prose));
    }
    let bare = rest
        .trim_start_matches(blank)
        .trim_start_matches(['"', '\'', '`', ']'])
        .trim_start_matches(blank);
    if rest.len() - bare.len() > 8 {
        return None;
    }
    let signs = [":=", "=>", "||=", ":", "="];
    let value = signs.iter().find_map(|sign| bare.strip_prefix(sign))?;
    if value.starts_with(['=', '~', ':']) {
        // A comparison or a path, not an assignment.
        return None;
    }
    let value = value.trim_start_matches(blank);
    Some((past_type(value).unwrap_or(value), Form::Bare))
}

/// Past the comma in PHP's `define('NAME', 'value')`. Elsewhere a comma only parts two names.
fn past_comma<'a>(name: &str, rest: &'a str) -> Option<&'a str> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let before = &name[..name.len() - name_before(name).len()];
    let call = before.strip_suffix(quote)?.trim_end().strip_suffix('(')?;
    let is_define = tail(call.trim_end(), 6).eq_ignore_ascii_case("define");
    let value = rest[1..].trim_start().strip_prefix(',')?.trim_start();
    // Only a literal is given here: an expression would follow without a quote.
    (is_define && value.starts_with(['"', '\''])).then_some(value)
}

/// Whether a name belongs to a command-line option such as `--db-password`.
fn is_flag(before: &str) -> bool {
    let word = name_before(before);
    word.starts_with("--") && word.len() > 4
}

/// Whether a name is written like an environment variable: `DB_PASSWORD`.
fn is_environment_name(before: &str) -> bool {
    let word = name_before(before);
    word.len() >= 4
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Past the type in `password: str = "…"`.
fn past_type(value: &str) -> Option<&str> {
    let name = value.trim_start_matches(|c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '[' | ']' | '?' | '&')
    });
    let after = name
        .strip_prefix(" = ")
        .or_else(|| name.strip_prefix(" | None = "))?;
    (value.len() > name.len()).then_some(after)
}

/// The value at `start`, without its quotes.
fn value_at(view: &str, start: usize, form: Form) -> Option<Setting<'_>> {
    let rest = head(&view[start..], 8 * LONGEST);
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
    let unprefixed = rest
        .strip_prefix(['b', 'r', 'f', 'u', '@', 'L'])
        .filter(|after| after.starts_with(is_quote))
        .unwrap_or(rest);
    if let Some(quote) = unprefixed.chars().next().filter(|c| is_quote(*c)) {
        let inner = unprefixed.trim_start_matches(quote);
        let value = inner.split([quote, '\n']).next()?;
        let is_closed = inner[value.len()..].starts_with(quote);
        let start = start + rest.len() - inner.len();
        return is_closed.then_some(Setting {
            start,
            value: value.trim_end(),
            form: Form::Quoted,
        });
    }
    let word = head(rest, LONGEST).split(ends_word).next()?;
    // What follows a separator is another setting: `a=1;b=2`, `a=1&b=2`, `{a:1,b:2}`.
    let is_separator = |(at, c): &(usize, char)| {
        matches!(c, ';' | '&' | ',' | '|') && starts_setting(&word[at + 1..])
    };
    let word = word
        .char_indices()
        .find(is_separator)
        .map_or(word, |(at, _)| &word[..at]);
    let value = word.trim_end_matches([',', ';', ')', ']', '}', '.', ':', '\\']);
    Some(Setting { start, value, form })
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<')
}

/// Whether `rest` starts with a name and a sign, or with nothing that a value could go on with.
fn starts_setting(rest: &str) -> bool {
    let after = rest
        .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_name = after.len() < rest.len();
    !is_name || after.starts_with(['=', ':'])
}
