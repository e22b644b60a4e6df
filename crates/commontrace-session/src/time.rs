//! Moments as records and clients write them, as far as every store can keep them.

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Utc};

/// Reads a moment: RFC 3339, or the same without an offset, which is taken as UTC. Whether it had an offset
/// comes with it.
pub(crate) fn moment(text: &str) -> Option<(DateTime<Utc>, bool)> {
    let text = text.trim();
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some((kept(moment.to_utc())?, true));
    }
    let naive = text.parse();
    let spaced = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    let naive: NaiveDateTime = naive.or_else(|_| spaced()).ok()?;
    Some((kept(naive.and_utc())?, false))
}

/// The moment in whole microseconds, if it is of the years 1 to 9999.
pub(crate) fn kept(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1..=9999)
        .contains(&moment.year())
        .then(|| moment.trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_are_cut_to_what_is_kept() {
        let exact = moment("2026-01-31T12:00:00.123456Z");
        assert!(exact.is_some_and(|(_, has_offset)| has_offset));
        assert_eq!(moment("2026-01-31T13:00:00.123456789+01:00"), exact);
        let naive = exact.map(|(exact, _)| (exact, false));
        assert_eq!(moment(" 2026-01-31T12:00:00.123456"), naive);
        assert_eq!(moment("2026-01-31 12:00:00.123456"), naive);
        for text in [
            "0000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "2026-01-31",
            "",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
