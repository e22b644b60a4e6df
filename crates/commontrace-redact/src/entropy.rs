//! Shannon entropy of a string's bytes.

/// The entropy of `bytes` in bits per byte, `-Σ p(b) log2 p(b)`; 0 for an empty string.
pub(crate) fn shannon(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::shannon;

    #[test]
    fn entropy_counts_how_mixed_a_string_is() {
        assert_eq!(shannon(b""), 0.0);
        assert_eq!(shannon(b"aaaa"), 0.0);
        assert_eq!(shannon(b"abab"), 1.0);
        assert_eq!(shannon(b"abcd"), 2.0);
    }
}
