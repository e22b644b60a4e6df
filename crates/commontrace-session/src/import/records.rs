//! Records of files that have one on each line.

use std::io::BufRead;

use serde_json::value::RawValue;

use super::desk::Desk;
use super::lines::{Damage, LONGEST_LINE, Lines};
use super::{ImportError, Input, document};

/// A record, redacted.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'r> {
    /// Its bytes.
    pub(crate) raw: &'r str,
    /// Whether anything in it was redacted.
    pub(crate) redacted: bool,
}

/// Calls `take` for every object of every line. Two objects on a line, where a line break was lost, are two
/// records; what cannot be read is reported.
pub(crate) fn each(
    reader: impl BufRead,
    input: &Input<'_>,
    desk: &mut Desk<'_>,
    mut take: impl FnMut(&mut Desk<'_>, Incoming<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut lines = Lines::new(reader);
    loop {
        let (line, text) = match lines.next() {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err((line, offset, error)) => {
                // What was read before stays.
                desk.report
                    .bad(line, offset, format!("cannot be read further: {error}"));
                break;
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(damage) => {
                let reason = match damage {
                    Damage::TooLong => format!("a line of more than {LONGEST_LINE} bytes"),
                    Damage::NoText => "not UTF-8".to_owned(),
                };
                desk.report.ends_within_record |= !line.ended;
                desk.report.bad(line.number, line.offset, reason);
                continue;
            }
        };
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        loop {
            let at = line.offset + values.byte_offset() as u64;
            let value = match values.next() {
                None => break,
                Some(Ok(value)) if value.get().starts_with('{') => value.get(),
                Some(Ok(_)) => {
                    desk.report
                        .bad(line.number, at, "a record that is no object");
                    break;
                }
                Some(Err(error)) => {
                    let reason = if error.is_eof() && !line.ended {
                        desk.report.ends_within_record = true;
                        "cut off: the file ends within a record".to_owned()
                    } else {
                        document::reason(&error)
                    };
                    desk.report.bad(line.number, at, reason);
                    break;
                }
            };
            let (raw, redacted) = input.redacted(value, desk);
            desk.place = (line.number, at);
            take(
                desk,
                Incoming {
                    raw: &raw,
                    redacted,
                },
            )?;
        }
    }
    desk.report.counts.bytes += lines.offset();
    Ok(())
}
