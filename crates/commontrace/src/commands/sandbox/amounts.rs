//! Reads times and sizes as people write them.

use std::time::Duration;

/// Reads `90`, `90s`, `10m`, `2h` or `500ms`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("", 1000),
    ];
    let millis = amount(text, &units).filter(|millis| *millis > 0);
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a time such as 90s, 10m or 2h".into())
}

/// Reads `4096`, `64KiB`, `512MiB` or `2GiB`; `k`, `m` and `g` mean the same.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("k", 1 << 10),
        ("m", 1 << 20),
        ("g", 1 << 30),
        ("", 1),
    ];
    amount(&text.to_ascii_lowercase(), &units)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size such as 512MiB or 2GiB".into())
}

/// A whole number and the first unit that follows it.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?;
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(())?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        let ms = |text| parse_duration(text).map(|time| time.as_millis()).ok();
        assert_eq!(ms("90"), Some(90_000));
        assert_eq!(ms("10m"), Some(600_000));
        assert_eq!(ms("2h"), Some(7_200_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("512m"), Ok(512 << 20));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "0",
            "m",
            "-1",
            "1.5h",
            "10 m",
            "+3s",
            "99999999999999999999",
            "1d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_size("18446744073709551615g").is_err());
    }
}
