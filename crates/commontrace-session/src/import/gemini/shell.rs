//! The text that Gemini's shell tool answers with.

/// What it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shell {
    pub(super) output: String,
    /// `None` where a signal ended it, and where the text is no longer the tool's own.
    pub(super) exit_code: Option<i64>,
    pub(super) signal: Option<String>,
    pub(super) error: Option<String>,
}

/// The lines behind the output, from the last; versions leave out those that have nothing to say.
const TRAILERS: &[&str] = &[
    "Process Group PGID:",
    "Background PIDs:",
    "Signal:",
    "Exit Code:",
    "Error:",
];

/// Reads the text. One that was masked or summarised later has none of its lines, and nothing is known.
pub(super) fn read(text: &str) -> Shell {
    let mut shell = Shell::default();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut seen = Vec::new();
    while let Some(line) = lines.last().map(|line| line.trim()) {
        let Some(trailer) = TRAILERS
            .iter()
            .copied()
            .find(|trailer| line.starts_with(trailer))
        else {
            // Lists of processes take more lines than one.
            break;
        };
        if seen.contains(&trailer) {
            break;
        }
        seen.push(trailer);
        let value = line[trailer.len()..].trim();
        let value = Some(value).filter(|value| !value.is_empty() && *value != "(none)");
        match trailer {
            "Exit Code:" => shell.exit_code = value.and_then(|value| value.parse().ok()),
            "Signal:" => shell.signal = value.map(str::to_owned),
            "Error:" => shell.error = value.map(str::to_owned),
            _ => {}
        }
        lines.pop();
    }
    let starts = |name: &str| lines.iter().position(|line| line.starts_with(name));
    let output = starts("Output:").or_else(|| starts("Stdout:"));
    let known = output.is_some() || starts("Command:").is_some() || !seen.is_empty();
    if !known {
        return Shell {
            output: text.to_owned(),
            ..Shell::default()
        };
    }
    let body: Vec<&str> = match output {
        Some(at) => {
            let first = lines[at]
                .split_once(':')
                .map_or("", |(_, rest)| rest.strip_prefix(' ').unwrap_or(rest));
            std::iter::once(first)
                .chain(lines[at + 1..].iter().copied())
                .collect()
        }
        None => Vec::new(),
    };
    let mut output = body
        .join("\n")
        .replace("\nStderr: (none)", "")
        .replace("\nStderr: ", "\n");
    if matches!(&*output, "(empty)" | "(none)") {
        output.clear();
    }
    shell.output = output;
    // Newer versions name an exit code only where it is not 0.
    let silent = !seen.contains(&"Exit Code:") && shell.signal.is_none() && shell.error.is_none();
    if silent && starts("Output:").is_some() {
        shell.exit_code = Some(0);
    }
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, exit_code: Option<i64>, output: &str) {
        let shell = read(text);
        assert_eq!(
            (shell.exit_code, &*shell.output),
            (exit_code, output),
            "{text}"
        );
    }

    #[test]
    fn each_generation_is_read() {
        check(
            "Command: ls\nDirectory: (root)\nStdout: a\nb\nStderr: (none)\nError: (none)\nExit Code: 0\nSignal: (none)\nBackground PIDs: (none)\nProcess Group PGID: 7",
            Some(0),
            "a\nb",
        );
        check(
            "Output: a\nError: not mine\nb\nProcess Group PGID: 7",
            Some(0),
            "a\nError: not mine\nb",
        );
        check(
            "Output: boom\nExit Code: 2\nProcess Group PGID: 7",
            Some(2),
            "boom",
        );
        check(
            "Command: x\nDirectory: (root)\nOutput: (empty)\nError: (none)\nExit Code: (none)\nSignal: SIGKILL",
            None,
            "",
        );
    }

    #[test]
    fn what_was_summarised_later_tells_no_exit_code() {
        check("The tests passed.", None, "The tests passed.");
        check("", None, "");
    }
}
