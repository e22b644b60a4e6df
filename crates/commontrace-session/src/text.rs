//! Texts as people read them.

pub use commontrace_core::text::without_ansi;

/// The longest run of backticks in a text; whatever is fenced by more of them stays inside.
pub(crate) fn longest_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A Markdown block that nothing inside can end.
pub fn fenced(text: &str, language: &str) -> String {
    let fence = "`".repeat(longest_backticks(text).max(2) + 1);
    format!(
        "{fence}{language}\n{}\n{fence}\n",
        text.trim_end_matches('\n')
    )
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn no_text_ends_its_fence() {
        assert_eq!(
            fenced("a\n````\nb\n", "diff"),
            "`````diff\na\n````\nb\n`````\n"
        );
        assert!(fenced("", "").starts_with("```\n"));
    }
}
