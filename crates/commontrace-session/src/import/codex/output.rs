//! What a command of Codex printed, in the three forms that its versions write.

use serde::Deserialize;

/// A result, as far as its text tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Output {
    pub(super) exit_code: Option<i64>,
    pub(super) seconds: Option<f64>,
    pub(super) text: String,
    /// The process that goes on, to be asked again under this number.
    pub(super) running: Option<i64>,
    /// Whether it was stopped because it took too long.
    pub(super) timed_out: bool,
}

/// Reads the text of a result.
pub(super) fn read(text: &str) -> Output {
    let mut output = as_json(text)
        .or_else(|| as_lines(text))
        .unwrap_or_else(|| Output {
            text: text.to_owned(),
            ..Output::default()
        });
    let starts = ["command timed out after", "Command timed out after"];
    output.timed_out = output.exit_code == Some(124)
        && output.text.lines().any(|line| {
            starts
                .iter()
                .any(|start| line.trim_start().starts_with(start))
        });
    output
}

/// `{"output": …, "metadata": {"exit_code": …, "duration_seconds": …}}`.
fn as_json(text: &str) -> Option<Output> {
    #[derive(Deserialize)]
    struct Whole {
        output: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        exit_code: Option<i64>,
        duration_seconds: Option<f64>,
    }
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let whole: Whole = serde_json::from_str(text).ok()?;
    Some(Output {
        exit_code: whole.metadata.exit_code,
        seconds: whole.metadata.duration_seconds,
        text: whole.output,
        ..Output::default()
    })
}

/// Lines that say how it went, then `Output:` and the rest.
fn as_lines(text: &str) -> Option<Output> {
    let mut output = Output::default();
    let mut rest = text;
    let mut known = false;
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let value = |name: &str| line.strip_prefix(name).map(str::trim);
        if let Some(code) = value("Exit code:").or_else(|| value("Process exited with code")) {
            output.exit_code = Some(code.parse().ok()?);
            known = true;
        } else if let Some(seconds) = value("Wall time:") {
            let number = seconds.split_whitespace().next()?;
            output.seconds = Some(number.parse().ok()?);
        } else if let Some(number) = value("Process running with session ID") {
            output.running = Some(number.parse().ok()?);
            known = true;
        } else if line.trim_end() == "Output:" {
            after.clone_into(&mut output.text);
            return (known || output.seconds.is_some()).then_some(output);
        } else {
            let is_head = [
                "Chunk ID:",
                "Total output lines:",
                "Original token count:",
                "Warning:",
            ]
            .iter()
            .any(|name| line.starts_with(name));
            if !is_head {
                return known.then(|| {
                    rest.clone_into(&mut output.text);
                    output
                });
            }
        }
        if after.is_empty() {
            return known.then_some(output);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_tells_the_exit_code() {
        let plain = |code, seconds, text: &str| Output {
            exit_code: Some(code),
            seconds: Some(seconds),
            text: text.to_owned(),
            ..Output::default()
        };
        assert_eq!(
            read(r#"{"output":"a\nb","metadata":{"exit_code":2,"duration_seconds":0.5}}"#),
            plain(2, 0.5, "a\nb")
        );
        assert_eq!(
            read(
                "Exit code: 0\nWall time: 1.5 seconds\nTotal output lines: 900\nOutput:\na\nOutput:\nb"
            ),
            plain(0, 1.5, "a\nOutput:\nb")
        );
        assert_eq!(
            read(
                "Chunk ID: 1f\nWall time: 0.1 seconds\nProcess exited with code 101\nOriginal token count: 9\nOutput:\nno"
            ),
            plain(101, 0.1, "no")
        );
        let running = read(
            "Chunk ID: 1f\nWall time: 10.0 seconds\nProcess running with session ID 7\nOutput:\nwait",
        );
        assert_eq!((running.exit_code, running.running), (None, Some(7)));
        assert_eq!(running.text, "wait");
    }

    #[test]
    fn a_timeout_is_told_by_code_and_words() {
        assert!(read("Exit code: 124\nWall time: 10 seconds\nOutput:\ncommand timed out after 10000 milliseconds\n").timed_out);
        assert!(!read("Exit code: 124\nWall time: 10 seconds\nOutput:\n").timed_out);
    }

    #[test]
    fn other_texts_are_only_texts() {
        for text in [
            "",
            "plain",
            "{\"output\": 5}",
            "Exit code: x\nOutput:\n",
            "Wall time: 3",
            "Output:\nx",
        ] {
            let read = read(text);
            assert_eq!(
                (read.exit_code, read.running, &*read.text),
                (None, None, text),
                "{text}"
            );
        }
    }
}
