//! From a verdict on a session to the evidence that a trace carries.

use std::collections::HashSet;

use commontrace_api::evidence::Evidence;
use commontrace_api::sessions::DraftEvidence;
use commontrace_core::SessionKey;
use commontrace_core::reputation::Proof;
use commontrace_judge::facts::{Edit, Facts};
use commontrace_judge::rubric::HIGHEST;
use commontrace_session::posted::is_session_id;
use commontrace_store::{Account, Finding, NewEvidence, RunVerdict, Store};
use serde_json::Value;

use super::EventReader;
use super::examiner::material::Material;
use super::present::Kept;
use crate::error::{ApiError, ApiResult};

/// Events of a session that a draft or evidence is made of; they are all read for it.
pub const READ_MAX: i64 = 20_000;
/// The flag of a verdict whose tests prove nothing, because they were made easier to pass.
const WEAKENED: &str = "tests_weakened";
/// Digits of a commit's id that say which it is.
const COMMIT_DIGITS: usize = 7;

/// What a verdict says, in the words of the API. `results` are those of the session.
pub fn evidence(results: &Value) -> Evidence {
    let verification = &results["verification"];
    let status = verification["status"].as_str().unwrap_or("not_run");
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let count = |name: &str| verification["counts"][name].as_u64().unwrap_or(0);
    let mut evidence = Evidence {
        status: status.to_owned(),
        summary: String::new(),
        fail_to_pass: count("fail_to_pass"),
        pass_to_pass: count("pass_to_pass"),
        pass_to_fail: count("pass_to_fail"),
        flaky: count("flaky"),
        runs_per_side: verification["runs_per_side"].as_u64().unwrap_or(0),
        isolation: texts(&verification["isolation"]),
        flags: [texts(&results["flags"]), texts(&verification["flags"])].concat(),
        reasoning_score: results["reasoning_score"].as_f64(),
        score: results["score"].as_f64(),
    };
    evidence.summary = summary(&evidence, results);
    evidence
}

fn summary(evidence: &Evidence, results: &Value) -> String {
    let mut text = format!("Tests: {}.", evidence.status);
    let message = results["verification"]["message"].as_str();
    if matches!(evidence.status.as_str(), "verified" | "refuted") {
        let flaky = match evidence.flaky {
            0 => "no flake".to_owned(),
            flaky => format!("{flaky} flaky"),
        };
        text.push_str(&format!(
            " {} turned green, {} of {} that passed still pass, {} runs, {flaky}.",
            evidence.fail_to_pass,
            evidence.pass_to_pass,
            evidence.pass_to_pass + evidence.pass_to_fail,
            evidence.runs_per_side,
        ));
    }
    if evidence.status != "verified"
        && let Some(message) = message
    {
        text.push_str(&format!(" {message}"));
    }
    let judge = &results["judge"];
    if let Some(mean) = judge["mean"].as_f64() {
        let dimensions = judge["dimensions"].as_array().into_iter().flatten();
        let spread = dimensions.filter_map(|one| one["spread"].as_u64()).max();
        text.push_str(&format!(
            " Reasoning: {mean:.1} of {HIGHEST}, spread {}.",
            spread.unwrap_or(0)
        ));
    }
    let checks = results["checks"].as_array().into_iter().flatten();
    let claims = checks
        .filter(|check| check["name"] == "claims_backed")
        .find_map(|check| {
            let fraction = &check["fraction"];
            Some((fraction["n"].as_u64()?, fraction["of"].as_u64()?))
        });
    if let Some((good, of)) = claims {
        text.push_str(&format!(" {good} of {of} claims backed."));
    }
    text
}

/// What trust may count of it: nothing of tests that were made easier to pass.
pub fn proof(evidence: &Evidence) -> Option<Proof> {
    match evidence.status.as_str() {
        "refuted" => Some(Proof::Refuted),
        "verified" if !evidence.flags.iter().any(|flag| flag == WEAKENED) => Some(Proof::Verified),
        _ => None,
    }
}

/// The same as the store keeps it.
pub fn finding(evidence: &Evidence) -> Finding {
    Finding {
        proof: proof(evidence),
        score: evidence.score,
        summary: serde_json::to_string(evidence).expect("evidence has only string keys"),
    }
}

/// What a draft shows of a signed verdict on a session of `last_seq` events.
pub fn draft(signed: &str, last_seq: i64) -> ApiResult<DraftEvidence> {
    let results = results(signed)?;
    Ok(DraftEvidence {
        evidence: evidence(&results),
        stale: results["events_through_seq"].as_i64() != Some(last_seq),
        signed_verdict: parse(signed)?,
    })
}

/// Reads a signed verdict as it is kept.
pub fn parse(signed: &str) -> ApiResult<Value> {
    serde_json::from_str(signed)
        .map_err(|err| ApiError::internal(format!("a kept verdict is unreadable: {err}")))
}

/// Reads a signed verdict and returns the session's results in it.
pub fn results(signed: &str) -> ApiResult<Value> {
    Ok(parse(signed)?["verdict"].take())
}

/// The newest verdict on a session, to be given to a trace of its owner's.
#[derive(Debug)]
pub struct Offer {
    session: SessionKey,
    verdict: RunVerdict,
    /// What readers will see.
    pub evidence: Evidence,
    change: Change,
}

impl Offer {
    /// Takes the verdict on a session of the account's.
    pub async fn of(store: &Store, account: &Account, session_id: &str) -> ApiResult<Self> {
        let row = if is_session_id(session_id) {
            store.session(account.id, session_id).await?
        } else {
            None
        };
        let row = row.ok_or_else(|| {
            ApiError::not_found(format!(
                "you have no session `{session_id}`; leave session_id out to contribute without evidence"
            ))
        })?;
        let verdict = store.newest_verdict(row.key).await?.ok_or_else(|| {
            ApiError::conflict(format!(
                "the session `{session_id}` has no verdict yet; ask for one with POST \
                 /traces/{session_id}/finalize, or leave session_id out to contribute without evidence"
            ))
        })?;
        // What was added since was not there when the tests ran.
        let material = material(store, row.key, verdict.events_through).await?;
        let results = results(&verdict.verdict)?;
        let commit = &results["about"]["commit_after"];
        let commit = commit.as_str().unwrap_or_default().to_owned();
        let changed = Changed::of(&results);
        let test_command = Kept::parse(&row.header)?.session.repo.test_command;
        let change = tokio::task::spawn_blocking(move || {
            let mut edits = Facts::read(&material.events, &test_command).edits;
            edits.retain(|edit| changed.has(edit.path));
            Change::of(&edits, commit)
        });
        let change = change.await.map_err(|err| {
            ApiError::internal(format!("reading the session's edits failed: {err}"))
        })?;
        Ok(Self {
            session: row.key,
            evidence: evidence(&results),
            verdict,
            change,
        })
    }

    /// The evidence for a trace with this solution.
    pub fn to(&self, solution_text: &str) -> NewEvidence {
        NewEvidence {
            session: self.session,
            run: self.verdict.run,
            finding: finding(&self.evidence),
            is_backed: self.change.is_shown_by(solution_text),
        }
    }
}

/// Reads a session's events, unless there are too many.
pub async fn material(store: &Store, key: SessionKey, last_seq: i64) -> ApiResult<Material> {
    if last_seq > READ_MAX {
        return Err(ApiError::unprocessable(format!(
            "a trace is made of sessions of at most {READ_MAX} events; this one has {last_seq}"
        )));
    }
    let reader = EventReader::as_stored(store.clone(), key, 0, last_seq);
    Material::read(reader).await.map_err(ApiError::internal)
}

/// The files that a verified change changes. A session may tell of edits that are not part of it.
#[derive(Debug, Default)]
pub struct Changed(Option<Vec<String>>);

impl Changed {
    /// Those of a session's results; all, if these do not say.
    pub fn of(results: &Value) -> Self {
        let paths = results["verification"]["changed"].as_array();
        let texts = paths.map(|paths| paths.iter().filter_map(Value::as_str).map(str::to_owned));
        Self(texts.map(Iterator::collect))
    }

    /// Whether a file, by its path in the repository or on the machine, is one of them.
    pub fn has(&self, path: &str) -> bool {
        let is = |changed: &String| {
            let before = path.strip_suffix(changed.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        self.0.as_ref().is_none_or(|paths| paths.iter().any(is))
    }
}

/// What a session changed.
#[derive(Debug)]
struct Change {
    /// The lines that were added and removed, with their signs and without their indentation.
    lines: HashSet<String>,
    paths: Vec<String>,
    commit: String,
}

impl Change {
    fn of(edits: &[Edit<'_>], commit: String) -> Self {
        let lines = edits.iter().flat_map(|edit| changed_lines(edit.diff));
        Self {
            lines: lines.collect(),
            paths: edits.iter().map(|edit| edit.path.to_owned()).collect(),
            commit,
        }
    }

    /// Whether a text shows this change and no other: all diffs in it consist of its lines; without any
    /// diff it names a changed file or the commit.
    fn is_shown_by(&self, text: &str) -> bool {
        let shown = shown_lines(text);
        if !shown.is_empty() {
            return shown.iter().all(|line| self.lines.contains(line));
        }
        // The session may name a branch instead, which might be any word.
        let is_id = |start: &&str| start.bytes().all(|byte| byte.is_ascii_hexdigit());
        let commit = self.commit.get(..COMMIT_DIGITS).filter(is_id);
        self.paths.iter().any(|path| names(text, path))
            || commit.is_some_and(|commit| text.contains(commit))
    }
}

/// Whether a text names a file: as a word of its own, and in backquotes if that might be any word.
fn names(text: &str, path: &str) -> bool {
    if path.is_empty() {
        return false;
    }
    if !path.contains(['.', '/']) {
        return text.contains(&format!("`{path}`"));
    }
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(path).any(|(at, _)| {
        !text[..at].ends_with(goes_on) && !text[at + path.len()..].starts_with(goes_on)
    })
}

/// The added and removed lines of a diff.
fn changed_lines(diff: &str) -> impl Iterator<Item = String> + '_ {
    diff.lines().filter_map(changed_line)
}

/// A line of a diff with its sign and without its indentation, if it adds or removes something.
fn changed_line(line: &str) -> Option<String> {
    if line.starts_with("+++") || line.starts_with("---") {
        return None;
    }
    let sign = line.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let rest = line[1..].trim();
    (!rest.is_empty()).then(|| format!("{sign}{rest}"))
}

/// The changed lines of all fenced blocks of a Markdown text that say that they are diffs.
fn shown_lines(text: &str) -> Vec<String> {
    let mut shown = Vec::new();
    let mut block: Option<Fence<'_>> = None;
    for line in text.lines() {
        match &block {
            None => block = Fence::opened_by(line),
            Some(fence) if fence.is_closed_by(line) => block = None,
            Some(fence) if fence.is_diff() => shown.extend(changed_line(line)),
            Some(_) => {}
        }
    }
    shown
}

/// What begins a fenced block of Markdown.
struct Fence<'t> {
    marks: &'t str,
    info: &'t str,
}

impl<'t> Fence<'t> {
    fn opened_by(line: &'t str) -> Option<Self> {
        let line = line.trim_start();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = line.trim_start_matches(mark);
        let marks = &line[..line.len() - info.len()];
        // Code within a line may begin with three backquotes too, and ends with as many.
        let opens = marks.len() >= 3 && !(mark == '`' && info.contains('`'));
        opens.then_some(Self { marks, info })
    }

    /// A fence in the middle of a line, as code may have it, ends nothing.
    fn is_closed_by(&self, line: &str) -> bool {
        let rest = line.trim().strip_prefix(self.marks);
        rest.is_some_and(|rest| rest.trim_start_matches(&self.marks[..1]).is_empty())
    }

    fn is_diff(&self) -> bool {
        let language = self.info.split_whitespace().next().unwrap_or_default();
        ["diff", "patch"]
            .iter()
            .any(|known| language.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change() -> Change {
        Change {
            lines: changed_lines(
                "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-    return 1\n+    return 2\n",
            )
            .collect(),
            paths: vec!["src/x.py".to_owned()],
            commit: "0123456789abcdef".to_owned(),
        }
    }

    #[test]
    fn a_text_shows_a_change_by_its_lines_or_by_its_names() {
        let diff = |lines: &str| format!("It was one.\n\n```diff\n{lines}\n```\n");
        assert!(change().is_shown_by(&diff("-return 1\n+return 2")));
        assert!(change().is_shown_by(&diff(" def f():\n+        return 2")));
        assert!(change().is_shown_by("In `src/x.py` return two."));
        assert!(change().is_shown_by("See commit 0123456."));
        assert!(!change().is_shown_by("Return two."));
        assert!(!change().is_shown_by("In `lib-src/x.py` or src/x.python."));
        assert!(!change().is_shown_by(""));
    }

    #[test]
    fn a_branch_is_named_by_accident_and_shows_nothing() {
        let change = Change {
            commit: "release".to_owned(),
            ..change()
        };
        assert!(!change.is_shown_by("Wait for the next release."));
    }

    #[test]
    fn a_file_with_the_name_of_a_word_is_named_in_backquotes() {
        let change = Change {
            paths: vec!["e".to_owned(), "Makefile".to_owned()],
            commit: String::new(),
            ..change()
        };
        assert!(!change.is_shown_by("Delete everything, or write a Makefile."));
        assert!(change.is_shown_by("Add the target to `Makefile`."));
    }

    #[test]
    fn a_file_is_changed_by_its_whole_path() {
        let changed = Changed::of(&json!({"verification": {"changed": ["src/x.py"]}}));
        assert!(changed.has("src/x.py") && changed.has("/work/shop/src/x.py"));
        assert!(!changed.has("x.py") && !changed.has("lib_src/x.py") && !changed.has("src/x.pyc"));
        assert!(Changed::of(&json!({})).has("any"));
        assert!(!Changed::of(&json!({"verification": {"changed": []}})).has("any"));
    }

    #[test]
    fn a_text_with_another_change_does_not_show_it() {
        let text = "In `src/x.py`:\n```diff\n+    return 2\n+    os.remove(home)\n```\n";
        assert!(!change().is_shown_by(text));
        for other in [
            "```diff\n+return 2\n```\n````patch\n+evil\n````",
            "```diff\n+return 2```\n+evil\n```",
            "```Diff title=x\n+evil\n```",
            "~~~diff\n+evil\n~~~",
            "```diff\n+evil",
        ] {
            assert!(
                !change().is_shown_by(&format!("`src/x.py`\n{other}")),
                "{other}"
            );
        }
        // Signs of what a command printed are no diff.
        assert!(change().is_shown_by("`src/x.py`\n```\n+ cargo test\n```"));
    }

    #[test]
    fn the_summary_says_what_was_counted() {
        let results = json!({
            "verification": {
                "status": "verified", "runs_per_side": 3, "isolation": ["bubblewrap"],
                "counts": {"fail_to_pass": 2, "pass_to_pass": 640, "pass_to_fail": 0, "flaky": 0},
            },
            "judge": {"mean": 3.2, "dimensions": [{"spread": 1}, {"spread": null}, {"spread": 0}]},
            "checks": [{"name": "claims_backed", "fraction": {"n": 9, "of": 11}}],
            "flags": [], "score": 0.92, "reasoning_score": 4.2,
        });
        let found = evidence(&results);
        assert_eq!(
            found.summary,
            "Tests: verified. 2 turned green, 640 of 640 that passed still pass, 3 runs, no flake. \
             Reasoning: 3.2 of 4, spread 1. 9 of 11 claims backed."
        );
        assert_eq!(proof(&found), Some(Proof::Verified));
        let mut refuted = results;
        refuted["verification"]["status"] = json!("refuted");
        refuted["verification"]["message"] = json!("`adds` passed and fails.");
        let summary = evidence(&refuted).summary;
        assert!(
            summary.contains("no flake. `adds` passed and fails. Reasoning"),
            "{summary}"
        );
        let weakened = Evidence {
            flags: vec![WEAKENED.to_owned()],
            ..found
        };
        assert_eq!(proof(&weakened), None);
        let absent =
            evidence(&json!({"verification": {"status": "infrastructure", "message": "No git."}}));
        assert_eq!(
            (absent.summary.as_str(), proof(&absent)),
            ("Tests: infrastructure. No git.", None)
        );
    }
}
