//! Positions in PostgreSQL's write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A position in the write-ahead log of a PostgreSQL server; later ones are greater. Written as
/// PostgreSQL writes its `pg_lsn`: `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WalPosition(pub(crate) u64);

impl WalPosition {
    /// Reads what a statement returns as `(lsn - '0/0')::bigint`.
    pub(crate) fn from_bigint(bytes: i64) -> Self {
        Self(u64::try_from(bytes).unwrap_or(0))
    }
}

impl fmt::Display for WalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is two hexadecimal numbers with a slash between them, such as 16/B374D848")]
pub struct NotAPosition;

impl FromStr for WalPosition {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let half = |text: &str| {
            let digits =
                (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits
                .then(|| u64::from_str_radix(text, 16).ok())
                .flatten()
                .ok_or(NotAPosition)
        };
        let (high, low) = text.split_once('/').ok_or(NotAPosition)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        for text in ["0/0", "0/16B3748", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            let position: WalPosition = text.parse().expect("a position");
            assert_eq!(position.to_string(), text);
        }
        let (low, high): (WalPosition, WalPosition) =
            ("0/FFFFFFFF".parse().unwrap(), "1/0".parse().unwrap());
        assert!(low < high);
        for text in [
            "",
            "/",
            "0",
            "0/",
            "/0",
            "0/G",
            "-1/0",
            "+1/0",
            "1/2/3",
            "123456789/0",
            "0/ 1",
        ] {
            assert!(text.parse::<WalPosition>().is_err(), "{text}");
        }
    }
}
