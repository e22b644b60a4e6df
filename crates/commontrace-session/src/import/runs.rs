//! What a command tells besides itself: that tests were run, a commit was made, a pull request opened.

use crate::shell::{TestRun, test_run};
use crate::test_output::{self, Outcome};
use crate::{Body, Event};

/// The longest summary of a run, in bytes.
const LONGEST_SUMMARY: usize = 500;

/// The events that follow from an event.
pub(crate) fn told_by(event: &Event) -> Vec<Event> {
    let Body::TerminalCommand {
        command,
        exit_code,
        output,
        ended,
        ..
    } = &event.body
    else {
        return Vec::new();
    };
    let mut told = Vec::new();
    if ended.is_none()
        && let Some(run) = test_run(command)
    {
        told.push(test_result(&run, *exit_code, output));
    }
    if let Some(commit) = commit(command, output) {
        told.push(commit);
    }
    if command.contains("gh pr create")
        && let Some(url) = pull_request(output)
    {
        told.push(Body::PullRequest { url });
    }
    told.into_iter()
        .map(|body| Event {
            timestamp: event.timestamp,
            actor: event.actor.clone(),
            tool_call_id: event.tool_call_id.clone(),
            ..Event::new(body)
        })
        .collect()
}

/// What is known of a run by its exit code, as far as that is the tests' own, and by its output.
fn test_result(run: &TestRun<'_>, exit_code: Option<i64>, output: &str) -> Body {
    let seen = test_output::read(output);
    let by_exit = match exit_code {
        Some(0) if run.owned.success => Some(true),
        Some(code) if code != 0 && run.owned.failure => Some(false),
        _ => None,
    };
    // Output that shows a failure outweighs an exit code that hides it; without either nobody knows. That of a
    // run in which no test ran says nothing if it is 0.
    let tests_passed = match (by_exit, seen.outcome) {
        (_, Some(Outcome::Failed)) | (Some(false), _) => Some(false),
        (_, Some(Outcome::NothingRan)) => None,
        (_, Some(Outcome::Passed)) | (Some(true), _) => Some(true),
        (None, None) => None,
    };
    Body::TestResult {
        tests_passed,
        test_command: run.command.to_owned(),
        failed_tests: seen.failed,
        summary: short(&seen.summary),
    }
}

/// The last lines of a summary, whole unless the last is too long itself.
fn short(summary: &str) -> String {
    let start = summary.ceil_char_boundary(summary.len().saturating_sub(LONGEST_SUMMARY));
    let last = &summary[start..];
    match last.split_once('\n') {
        Some((_, whole)) if start > 0 => whole.to_owned(),
        _ => last.to_owned(),
    }
}

/// The commit that `git commit` says it has made: `[branch 1a2b3c4] subject`.
fn commit(command: &str, output: &str) -> Option<Body> {
    if !command.contains("git ") || !command.contains("commit") {
        return None;
    }
    output.lines().find_map(|line| {
        let (inside, message) = line.strip_prefix('[')?.split_once("] ")?;
        let sha = inside.rsplit(' ').next()?;
        let is_sha = (7..=40).contains(&sha.len()) && sha.bytes().all(|b| b.is_ascii_hexdigit());
        (is_sha && inside.contains(' ')).then(|| Body::Commit {
            sha: Some(sha.to_owned()),
            message: message.trim().to_owned(),
        })
    })
}

/// The address that `gh pr create` prints.
fn pull_request(output: &str) -> Option<String> {
    output
        .split_whitespace()
        .find(|word| word.starts_with("https://") && word.contains("/pull/"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(command: &str, exit_code: Option<i64>, output: &str) -> Vec<Body> {
        let event = Event::new(Body::TerminalCommand {
            command: command.to_owned(),
            exit_code,
            output: output.to_owned(),
            duration_ms: None,
            cwd: None,
            ended: None,
        });
        told_by(&event)
            .into_iter()
            .map(|event| event.body)
            .collect()
    }

    fn passed(command: &str, exit_code: Option<i64>, output: &str) -> Option<bool> {
        match told(command, exit_code, output).first() {
            Some(Body::TestResult { tests_passed, .. }) => *tests_passed,
            other => panic!("no test result for {command}: {other:?}"),
        }
    }

    #[test]
    fn exit_codes_count_only_where_they_are_the_tests_own() {
        assert_eq!(passed("cd x && cargo test", Some(0), ""), Some(true));
        assert_eq!(passed("cargo test", Some(101), ""), Some(false));
        assert_eq!(passed("cargo test", None, ""), None);
        assert_eq!(passed("npm test", Some(0), "  0 passing (2ms)"), None);
        assert_eq!(passed("rspec", Some(0), "0 examples, 0 failures"), None);
        // Whether the tests were run at all is not told.
        assert_eq!(passed("npm run build && npm test", Some(1), ""), None);
        assert_eq!(passed("npm run build && npm test", Some(0), ""), Some(true));
        assert_eq!(passed("pytest | tail -5", Some(0), "no summary"), None);
        assert_eq!(
            passed(
                "pytest 2>&1 | tail -1",
                Some(0),
                "== 1 failed, 2 passed in 0.1s =="
            ),
            Some(false)
        );
        assert_eq!(
            passed("set -o pipefail; pytest | tail", Some(0), ""),
            Some(true)
        );
        assert_eq!(
            passed("pytest || true", Some(0), "== 3 passed in 0.1s =="),
            Some(true)
        );
        assert_eq!(passed("pytest; echo done", Some(0), ""), None);
    }

    #[test]
    fn commits_and_pull_requests_are_told_by_what_was_printed() {
        assert_eq!(
            told(
                "git add -A && git commit -m 'Fix it'",
                Some(0),
                "[main 1a2b3c4] Fix it\n 1 file changed"
            ),
            [Body::Commit {
                sha: Some("1a2b3c4".to_owned()),
                message: "Fix it".to_owned()
            }]
        );
        assert_eq!(
            told(
                "gh pr create --fill",
                Some(0),
                "https://github.com/acme/app/pull/7\n"
            ),
            [Body::PullRequest {
                url: "https://github.com/acme/app/pull/7".to_owned()
            }]
        );
        assert_eq!(told("git commit -m x", Some(1), "nothing to commit"), []);
    }
}
