//! Writing JSON piece by piece.

use std::io::{self, Write};

use serde::Serialize;

/// An object or a list of which the parts are written as they come.
pub(super) struct Pieces {
    first: bool,
    close: &'static str,
}

impl Pieces {
    pub(super) fn object(out: &mut impl Write) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self {
            first: true,
            close: "}",
        })
    }

    pub(super) fn list(out: &mut impl Write) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self {
            first: true,
            close: "]",
        })
    }

    fn next(&mut self, out: &mut impl Write) -> io::Result<()> {
        let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
        self.first = false;
        out.write_all(separator)
    }

    /// The next item of a list.
    pub(super) fn item(&mut self, out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
        self.next(out)?;
        Ok(serde_json::to_writer(out, value)?)
    }

    /// The name of the next member; its value is to follow.
    pub(super) fn name(&mut self, out: &mut impl Write, name: &str) -> io::Result<()> {
        self.next(out)?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b": ")
    }

    /// The next member.
    pub(super) fn member(
        &mut self,
        out: &mut impl Write,
        name: &str,
        value: &impl Serialize,
    ) -> io::Result<()> {
        self.name(out, name)?;
        Ok(serde_json::to_writer(out, value)?)
    }

    pub(super) fn close(self, out: &mut impl Write) -> io::Result<()> {
        if !self.first {
            out.write_all(b"\n")?;
        }
        out.write_all(self.close.as_bytes())
    }
}
