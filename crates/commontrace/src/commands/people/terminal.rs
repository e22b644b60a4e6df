//! How things are shown: in colour and to the width of a terminal, or plain where somebody else reads.

use std::io::{self, IsTerminal as _, Write as _};

use commontrace_core::text::{clean, clean_line};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::config::Environment;

/// Columns of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;
/// Columns beyond which lines of prose are hard to read.
const WIDTH_MAX: usize = 100;
/// Columns of a piece of a text that is shown where there is no terminal.
const PIECE: usize = 200;

/// Where standard output goes.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Whether a person looks at it.
    pub is_terminal: bool,
    colour: bool,
    /// Columns to fill; nothing where lines are not broken.
    width: Option<usize>,
}

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// What the eye is to find first.
    Strong,
    /// What helps, once it is looked for.
    Faint,
    /// A piece that was searched for.
    Match,
    /// Code.
    Code,
    /// What is good.
    Good,
    /// What needs attention.
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Match => "1;33",
            Self::Code => "36",
            Self::Good => "32",
            Self::Bad => "31",
        }
    }
}

impl Terminal {
    /// Looks where standard output goes.
    pub fn of(env: &Environment) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env.get("TERM").is_some_and(|term| term == "dumb");
        let width = is_terminal.then(|| columns(env).clamp(20, WIDTH_MAX));
        Self {
            is_terminal,
            colour: is_terminal && !is_set("NO_COLOR") && !is_dumb,
            width,
        }
    }

    /// Makes a text stand out, where that can be seen.
    pub fn styled(&self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// Cuts a piece of a text to what fits behind `before` columns.
    pub fn fit(&self, text: &str, before: usize) -> String {
        let room = match self.width {
            Some(width) => width.saturating_sub(before).max(10),
            None => PIECE,
        };
        if text.width() <= room {
            return text.to_owned();
        }
        let mut out = String::new();
        let mut used = 1;
        for c in text.chars() {
            used += c.width().unwrap_or(0);
            if used > room {
                break;
            }
            out.push(c);
        }
        format!("{}…", out.trim_end())
    }

    /// Breaks a line of prose between words, each part but the first behind `indent`.
    pub fn wrap(&self, text: &str, indent: &str) -> String {
        let Some(width) = self.width else {
            return text.to_owned();
        };
        let mut out = String::new();
        let mut used = indent.width();
        for (number, word) in text.split(' ').enumerate() {
            let wide = word.width();
            if number > 0 && used + 1 + wide > width {
                out.push('\n');
                out.push_str(indent);
                used = indent.width();
            } else if number > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += wide;
        }
        out
    }

    /// Shows a text of somebody: prose broken at the width, code as it is.
    pub fn text(&self, text: &str, indent: &str) -> String {
        let text = clean(text);
        let mut in_code = false;
        let mut lines = Vec::new();
        for line in text.trim_end().lines() {
            let is_fence = line.trim_start().starts_with("```");
            let shown = if is_fence {
                in_code = !in_code;
                self.styled(Style::Faint, line)
            } else if in_code || line.starts_with("    ") || line.starts_with('\t') {
                self.styled(Style::Code, line)
            } else if line.starts_with('#') {
                self.styled(Style::Strong, line)
            } else {
                self.wrap(line, indent)
            };
            let behind = if line.is_empty() { "" } else { indent };
            lines.push(format!("{behind}{shown}"));
        }
        lines.join("\n")
    }
}

fn columns(env: &Environment) -> usize {
    let told = env.get("COLUMNS").and_then(|columns| columns.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    told.or_else(asked).unwrap_or(USUAL_WIDTH)
}

/// Puts a text of somebody in one line.
pub fn one_line(text: &str) -> String {
    clean_line(text)
}

/// Writes JSON with what [`clean`] would take away as escapes, which read as the same.
pub fn harmless_json(text: &str) -> String {
    if *clean(text) == *text {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if clean(c.encode_utf8(&mut [0; 4])).is_empty() {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            out.extend(units.map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes `s` behind a noun unless there is one of it.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A question to the person at the terminal, whatever standard input and output are connected to. Nothing if
/// there is no terminal to ask on.
pub fn ask(question: &str) -> Option<String> {
    use std::io::BufRead as _;
    let mut terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()?;
    write!(terminal, "{question} ").ok()?;
    terminal.flush().ok()?;
    let mut answer = String::new();
    io::BufReader::new(terminal).read_line(&mut answer).ok()?;
    Some(answer.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(width: usize) -> Terminal {
        Terminal {
            is_terminal: true,
            colour: false,
            width: Some(width),
        }
    }

    #[test]
    fn prose_is_broken_between_words_and_code_is_not() {
        let text = "one two three four\n```\none two three four\n```";
        assert_eq!(
            wide(12).text(text, "  "),
            "  one two\n  three four\n  ```\n  one two three four\n  ```"
        );
        let plain = Terminal {
            width: None,
            ..wide(12)
        };
        assert_eq!(plain.text("one two three four", ""), "one two three four");
    }

    #[test]
    fn a_line_is_cut_by_columns_not_characters() {
        assert_eq!(wide(20).fit("a short line", 2), "a short line");
        assert_eq!(
            wide(20).fit("錆錆錆錆錆錆錆錆錆錆錆錆", 4),
            "錆錆錆錆錆錆錆…"
        );
    }

    #[test]
    fn what_would_move_the_cursor_is_not_shown() {
        assert_eq!(wide(40).text("a\x1b[2Jb\u{202e}c", ""), "abc");
        assert_eq!(one_line("a\x1b]0;title\x07\nb"), "a b");
    }
}
