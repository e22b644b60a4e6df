//! Reads single numbers out of Prometheus' text format.

/// The gauge of traces that wait for a vector.
pub const BACKLOG: &str = "commontrace_embedding_backlog";
/// Time spent on embedding, queries included.
pub const EMBEDDING_SECONDS: &str = "commontrace_embedding_duration_seconds_sum";
/// Texts embedded, queries included.
pub const EMBEDDING_COUNT: &str = "commontrace_embedding_duration_seconds_count";

/// Returns the sum of a metric over all its label sets, or `None` when it is not there.
pub fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let number = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        number.split_ascii_whitespace().next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let text = "# TYPE a gauge\na 3\nab 5\nb{x=\"1}\"} 1.5\nb{x=\"2\"} 2 1700000000\n";
        assert_eq!(value(text, "a"), Some(3.0));
        assert_eq!(value(text, "b"), Some(3.5));
        assert_eq!(value(text, "c"), None);
    }
}
