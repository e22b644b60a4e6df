//! Keeps the head and the tail of what a command writes, and writes the rest to a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::limits::Limits;
use crate::outcome::Output;

/// What a command has written so far.
#[derive(Debug)]
pub(crate) struct Collector {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    total: u64,
    log: File,
    path: PathBuf,
    may_log: u64,
}

impl Collector {
    /// Nothing so far, and a new log file.
    pub fn new(log: &Path, limits: &Limits) -> Result<Self, Error> {
        let path = log.to_owned();
        let file = File::create(log).map_err(|source| Error::Log {
            path: path.clone(),
            source,
        })?;
        let half = usize::try_from(limits.kept_output / 2).unwrap_or(usize::MAX);
        Ok(Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            half,
            total: 0,
            log: file,
            path,
            may_log: limits.log,
        })
    }

    /// Adds what was written next.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let logged = bytes
            .len()
            .min(usize::try_from(self.may_log).unwrap_or(usize::MAX));
        self.log
            .write_all(&bytes[..logged])
            .map_err(|source| Error::Log {
                path: self.path.clone(),
                source,
            })?;
        self.may_log -= logged as u64;
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend(first);
        let rest = &rest[rest.len().saturating_sub(self.half)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
        Ok(())
    }

    /// How many bytes were written in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is kept.
    pub fn finish(self, limits: &Limits) -> Output {
        let tail = Vec::from(self.tail);
        Output {
            omitted: self.total - self.head.len() as u64 - tail.len() as u64,
            head: self.head,
            tail,
            not_logged: self.total.saturating_sub(limits.log),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(parts: &[&str], kept_output: u64, log: u64) -> (Output, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let limits = Limits {
            kept_output,
            log,
            ..Limits::default()
        };
        let mut collector = Collector::new(file.path(), &limits).unwrap();
        parts
            .iter()
            .for_each(|part| collector.add(part.as_bytes()).unwrap());
        (
            collector.finish(&limits),
            std::fs::read_to_string(file.path()).unwrap(),
        )
    }

    #[test]
    fn short_output_is_kept_whole() {
        let (output, log) = kept(&["ab", "cd", "e"], 8, 100);
        assert_eq!((output.text().as_str(), output.omitted), ("abcde", 0));
        assert_eq!(
            (log.as_str(), output.not_logged, output.total()),
            ("abcde", 0, 5)
        );
    }

    #[test]
    fn long_output_keeps_both_ends_however_it_comes() {
        let text = "0123456789abcdefghij";
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        for parts in [&[text][..], &["01", "23456789abcde", "fghij"], &bytes] {
            let (output, log) = kept(parts, 8, 6);
            assert_eq!(
                (output.head.as_slice(), output.tail.as_slice()),
                (&b"0123"[..], &b"ghij"[..])
            );
            assert_eq!(
                (output.omitted, output.total(), output.not_logged),
                (12, 20, 14)
            );
            assert_eq!(log, "012345");
        }
    }
}
