//! Output as lines of bounded length, without colours.

use std::borrow::Cow;

use commontrace_core::text::without_ansi;

/// The longest line that is looked at; the rest of a longer one is left out.
const MAX_LINE_BYTES: usize = 16 << 10;

/// The lines of an output: decoded, without terminal escapes and line ends, cut to a bounded length.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    bytes.split(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = &line[..line.len().min(MAX_LINE_BYTES)];
        // What a progress bar drew over with carriage returns was never seen.
        let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
        match String::from_utf8_lossy(line) {
            Cow::Borrowed(text) => without_ansi(text),
            Cow::Owned(text) => Cow::Owned(without_ansi(&text).into_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_line_ends_and_overdrawn_text_are_left_out() {
        let bytes = b"\x1b[32mok\x1b[0m \x1b]0;title\x07x\r\n10%\r100%\nlast";
        assert_eq!(lines(bytes).collect::<Vec<_>>(), ["ok x", "100%", "last"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let bytes = vec![b'a'; 1 << 20];
        assert_eq!(
            lines(&bytes).next().map(|line| line.len()),
            Some(MAX_LINE_BYTES)
        );
    }
}
