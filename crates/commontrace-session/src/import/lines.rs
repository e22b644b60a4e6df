//! Lines of a file, however long and however damaged.

use std::io::{self, BufRead, ErrorKind};

/// The longest line that is read, in bytes; a longer one is damage.
pub(crate) const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// One line, without its line break.
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Where it begins in the file, in bytes.
    pub(crate) offset: u64,
    /// Whether a line break ends it; the last line of a file that is still written may have none.
    pub(crate) ended: bool,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    TooLong,
    NoText,
}

/// The line and the offset at which a reader failed, and how.
pub(crate) type Failure = (u64, u64, io::Error);

/// A line, and what it says or why that cannot be told.
pub(crate) type Next<'l> = (Line, Result<&'l str, Damage>);

/// Reads lines one by one into a buffer that it keeps.
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            number: 0,
            offset: 0,
        }
    }

    /// How much was read, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// An error of the reader comes with the line and the offset that were reached.
    pub(crate) fn next(&mut self) -> Result<Option<Next<'_>>, Failure> {
        loop {
            self.buffer.clear();
            let begin = self.offset;
            let (length, ended) = self
                .fill()
                .map_err(|error| (self.number + 1, begin, error))?;
            if length == 0 {
                return Ok(None);
            }
            self.offset += length;
            self.number += 1;
            let too_long = self.buffer.len() > LONGEST_LINE;
            if !too_long && self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = Line {
                number: self.number,
                offset: begin,
                ended,
            };
            if too_long {
                self.buffer = Vec::new();
                return Ok(Some((line, Err(Damage::TooLong))));
            }
            let text = std::str::from_utf8(&self.buffer).map_err(|_| Damage::NoText);
            let text = text.map(|text| text.trim_start_matches('\u{feff}').trim_ascii_end());
            return Ok(Some((line, text)));
        }
    }

    /// Reads up to and with the next line break; of a line that is too long only its start is kept.
    fn fill(&mut self) -> io::Result<(u64, bool)> {
        let mut length = 0;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok((length, false));
            }
            let found = memchr::memchr(b'\n', available);
            let used = found.map_or(available.len(), |at| at + 1);
            let kept = used.min((LONGEST_LINE + 1).saturating_sub(self.buffer.len()));
            self.buffer.extend_from_slice(&available[..kept]);
            self.reader.consume(used);
            length += used as u64;
            if found.is_some() {
                if self.buffer.last() == Some(&b'\n') {
                    self.buffer.pop();
                }
                return Ok((length, true));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u64, u64, bool, Result<String, Damage>)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, bytes));
        let mut out = Vec::new();
        while let Some((line, text)) = lines.next().expect("memory can be read") {
            let text = text.map(str::to_owned);
            out.push((line.number, line.offset, line.ended, text));
        }
        out
    }

    #[test]
    fn lines_have_numbers_and_offsets_and_blank_ones_count() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(
            read(b"\xef\xbb\xbf{}\r\n\n  \n[1, 2, 3, 4]\n\xff\nlast"),
            [
                (1, 0, true, ok("{}")),
                (4, 11, true, ok("[1, 2, 3, 4]")),
                (5, 24, true, Err(Damage::NoText)),
                (6, 26, false, ok("last")),
            ]
        );
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let mut bytes = vec![b'x'; LONGEST_LINE + 1];
        bytes.extend_from_slice(b"\nnext\n");
        let read = read(&bytes);
        assert_eq!(read[0].3, Err(Damage::TooLong));
        assert_eq!(read[1].3, Ok("next".to_owned()));
        assert_eq!(read[1].1, LONGEST_LINE as u64 + 2);
    }
}
