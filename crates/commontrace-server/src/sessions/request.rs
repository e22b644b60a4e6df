//! What is asked for with a run: read from the body and the query, checked place by place, and taken apart
//! into what says so and the files that are kept beside it.
//!
//! Elsewhere what must not be stored is replaced. Here that would make another test of a test and another
//! command of a command, so such a request is refused.

use std::collections::BTreeSet;

use commontrace_api::Bounded;
use commontrace_api::finalize::{FinalizeRequest, HeldBackTest, RepoOverride, RunRequest};
use commontrace_api::sessions::FinalizeQuery;
use commontrace_core::hex;
use commontrace_session::posted::{Step, Wrong};
use commontrace_session::stored::Blobs;
use commontrace_store::NewBlob;
use serde_path_to_error::Segment;

use super::intake::new_blobs;
use crate::error::{ApiError, ApiResult};
use crate::extract::describe;

/// Files of tests in a request.
const FILES: usize = 100;
/// Bytes of all of them together.
const FILES_BYTES: usize = 4 << 20;
/// Bytes of a path.
const PATH_BYTES: usize = 1000;
/// Bytes of a command, or of what takes the place of a text of the session.
const TEXT_BYTES: usize = 4000;
/// Tests that are expected.
const EXPECTED: usize = 1000;
/// Bytes of all their ids together.
const EXPECTED_BYTES: usize = 256 << 10;
/// Characters of a text that an answer quotes.
const QUOTED: usize = 100;

/// A request for a run.
#[derive(Debug)]
pub struct Asked {
    /// What it asks for.
    pub request: RunRequest,
    /// The files that it names by their hashes.
    pub files: Vec<NewBlob>,
    /// Whether it leaves everything to the server.
    pub plain: bool,
}

/// Reads a request from its body, if it has one, and its query.
pub fn read(body: Option<&str>, query: &FinalizeQuery) -> ApiResult<Asked> {
    let body = body.map_or_else(|| Ok(FinalizeRequest::default()), parse)?;
    let mut wrong = Faults::default();
    let repeats = once(
        "repeats",
        query.repeats.map(Bounded::value),
        body.repeats.map(Bounded::value),
        &mut wrong,
    );
    let fix = once("fix", query.fix, body.fix, &mut wrong);
    check(&body, &mut wrong);
    if !wrong.0.is_empty() {
        return Err(ApiError::wrong(wrong.0));
    }
    let mut blobs = Blobs::default();
    let tests = body.tests.into_iter().map(|file| HeldBackTest {
        bytes: file.content.as_ref().map_or(0, String::len) as u64,
        sha256: file
            .content
            .map(|content| hex::encode(&blobs.add(content.as_bytes()))),
        path: file.path,
    });
    let usual = RunRequest::default();
    let request = RunRequest {
        repeats: repeats.map_or(usual.repeats, |repeats| repeats as u8),
        fix: fix.unwrap_or_default(),
        tests: tests.collect(),
        setup: body.setup,
        expected: body.expected,
        repo: body.repo,
    };
    Ok(Asked {
        plain: request == usual,
        request,
        files: new_blobs(blobs),
    })
}

fn parse(text: &str) -> ApiResult<FinalizeRequest> {
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::unprocessable("the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut json);
    let read = read.map_err(|err| {
        let mut faults = Faults::default();
        let mut place: Vec<Step> = err.path().iter().filter_map(step).collect();
        let inner = err.into_inner();
        if !inner.is_data() {
            return not_json(&inner);
        }
        let said = inner.to_string();
        let said = said
            .rsplit_once(" at line ")
            .map_or(&*said, |(said, _)| said);
        let refusal = describe::refusal(".", said);
        // A member that is missing or not known is named apart from the path to where it should be.
        if let Some(name) = refusal.field {
            let known = matches!(place.last(), Some(Step::Name(last)) if *last == name);
            if !known {
                place.push(Step::Name(name));
            }
        }
        faults.add("value_error", place, refusal.detail, "");
        ApiError::wrong(faults.0)
    })?;
    json.end().map_err(|err| not_json(&err))?;
    Ok(read)
}

fn not_json(err: &serde_json::Error) -> ApiError {
    ApiError::unprocessable(format!("the body is not valid JSON: {err}"))
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Name(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// What the query or the body says; both may, if it is the same.
fn once<T: PartialEq + Copy>(
    name: &str,
    query: Option<T>,
    body: Option<T>,
    wrong: &mut Faults,
) -> Option<T> {
    if let (Some(query), Some(body)) = (query, body)
        && query != body
    {
        let msg = "is not what the query says; say it in one of the two";
        wrong.add("value_error", vec![named(name)], msg, "");
    }
    body.or(query)
}

fn check(body: &FinalizeRequest, wrong: &mut Faults) {
    let tests = || vec![named("tests")];
    if body.tests.len() > FILES {
        let msg = format!("must have at most {FILES} files");
        return wrong.add("too_long", tests(), msg, "");
    }
    let bytes: usize = body
        .tests
        .iter()
        .filter_map(|file| file.content.as_ref())
        .map(String::len)
        .sum();
    if bytes > FILES_BYTES {
        let msg = format!("must have at most {FILES_BYTES} bytes together, not {bytes}");
        return wrong.add("too_long", tests(), msg, "");
    }
    let mut paths = BTreeSet::new();
    for (index, file) in body.tests.iter().enumerate() {
        let place = |member| vec![named("tests"), Step::Index(index), named(member)];
        if let Err(msg) = is_path(&file.path) {
            wrong.add("value_error", place("path"), msg, &file.path);
        } else if !paths.insert(file.path.as_str()) {
            let msg = "is the path of an earlier file too";
            wrong.add("value_error", place("path"), msg, &file.path);
        }
        wrong.secret(place("path"), &file.path);
        if let Some(content) = &file.content {
            wrong.secret(place("content"), content);
        }
    }
    if body.expected.len() > EXPECTED
        || body.expected.iter().map(String::len).sum::<usize>() > EXPECTED_BYTES
    {
        let msg = format!("must have at most {EXPECTED} ids of {EXPECTED_BYTES} bytes together");
        wrong.add("too_long", vec![named("expected")], msg, "");
    }
    for (index, id) in body.expected.iter().enumerate().take(EXPECTED) {
        let place = vec![named("expected"), Step::Index(index)];
        if id.trim().is_empty() {
            wrong.add("value_error", place.clone(), "must be the id of a test", id);
        }
        wrong.secret(place, id);
    }
    let RepoOverride {
        url,
        commit_before,
        commit_after,
        test_command,
    } = &body.repo;
    for (member, text) in [
        ("url", url),
        ("commit_before", commit_before),
        ("commit_after", commit_after),
        ("test_command", test_command),
    ] {
        if let Some(text) = text {
            wrong.text(vec![named("repo"), named(member)], text);
        }
    }
    if let Some(setup) = &body.setup {
        wrong.text(vec![named("setup")], setup);
    }
}

/// Returns why a text is not the place of a file in a repository.
fn is_path(path: &str) -> Result<(), String> {
    let bad = |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
    if path.is_empty() || path.len() > PATH_BYTES {
        Err(format!("must have 1 to {PATH_BYTES} bytes"))
    } else if path.contains(['\0', '\\']) || path.split('/').any(bad) {
        Err(
            "must be the path of a file relative to the repository, without `..` and not in `.git`"
                .to_owned(),
        )
    } else {
        Ok(())
    }
}

fn named(name: &str) -> Step {
    Step::Name(name.to_owned())
}

/// What is wrong with a request.
#[derive(Default)]
struct Faults(Vec<Wrong>);

impl Faults {
    fn add(&mut self, kind: &'static str, place: Vec<Step>, msg: impl Into<String>, input: &str) {
        let mut loc = vec![named("body")];
        loc.extend(place);
        self.0.push(Wrong {
            kind,
            loc,
            msg: msg.into(),
            input: input.chars().take(QUOTED).collect::<String>().into(),
        });
    }

    fn text(&mut self, place: Vec<Step>, text: &str) {
        if text.len() > TEXT_BYTES || text.contains('\0') {
            let msg = format!("must have at most {TEXT_BYTES} bytes and no NUL");
            self.add("value_error", place.clone(), msg, "");
        }
        self.secret(place, text);
    }

    /// What must not be stored is never quoted.
    fn secret(&mut self, place: Vec<Step>, text: &str) {
        let redacted = commontrace_redact::redact(text);
        if let Some(finding) = redacted.findings.first() {
            let msg = format!(
                "has something that is not stored, by the rule `{}`, and is not replaced, because that would \
                 prove something else; take it out",
                finding.rule
            );
            self.0.retain(|wrong| wrong.loc[1..] != place[..]);
            self.add("redaction", place, msg, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(body: &Value) -> Result<Asked, ApiError> {
        read(Some(&body.to_string()), &query())
    }

    fn query() -> FinalizeQuery {
        FinalizeQuery {
            wait: None,
            repeats: None,
            fix: None,
        }
    }

    #[test]
    fn an_absent_body_and_an_empty_object_leave_everything_to_the_server() {
        for body in [None, Some("{}"), Some(r#" {"repeats": 3}"#)] {
            let asked = read(body, &query()).expect("a request");
            assert!(asked.plain && asked.files.is_empty(), "{body:?}");
        }
    }

    #[test]
    fn a_request_names_its_files_by_their_hashes() {
        let asked = asked(&json!({
            "tests": [{"path": "tests/test_a.py", "content": "assert 1"}, {"path": "old.t", "content": null}],
            "expected": ["a"], "setup": "make deps", "fix": "edits", "repo": {"test_command": "pytest"},
        }));
        let asked = asked.expect("a request");
        let [kept, removed] = &asked.request.tests[..] else {
            panic!("two files");
        };
        assert_eq!((kept.bytes, removed.sha256.as_ref()), (8, None));
        assert_eq!(
            kept.sha256.as_deref(),
            Some(&*hex::encode(&asked.files[0].hash))
        );
        assert!(!asked.plain);
        let back = serde_json::to_string(&asked.request).expect("JSON");
        assert_eq!(
            serde_json::from_str::<RunRequest>(&back).ok(),
            Some(asked.request)
        );
    }

    #[track_caller]
    fn refused(body: &Value, place: &Value, part: &str) {
        let text = body.to_string();
        let err = read(Some(&text), &query()).expect_err("a refusal");
        let answer: Value = serde_json::from_slice(&err.into_json()).expect("JSON");
        let first = &answer["detail"][0];
        assert_eq!(first["loc"], *place, "{answer}");
        assert!(
            first["msg"].as_str().is_some_and(|msg| msg.contains(part)),
            "{answer}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let file = |path: &str| json!({"path": path, "content": ""});
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            ".git/config",
            ".GIT/config",
            "a//b",
            "a\0b",
            "a/",
        ] {
            refused(
                &json!({"tests": [file("ok"), file(path)]}),
                &json!(["body", "tests", 1, "path"]),
                "must",
            );
        }
        refused(
            &json!({"tests": [file("a"), file("a")]}),
            &json!(["body", "tests", 1, "path"]),
            "earlier",
        );
        refused(
            &json!({"tests": [{"content": ""}]}),
            &json!(["body", "tests", 0, "path"]),
            "required",
        );
        refused(
            &json!({"tests": [file("a"), {"path": 1}]}),
            &json!(["body", "tests", 1, "path"]),
            "string",
        );
        refused(&json!({"test": []}), &json!(["body", "test"]), "not known");
        refused(
            &json!({"repo": []}),
            &json!(["body", "repo"]),
            "an object, not array",
        );
        refused(
            &json!({"tests": [["a", "1"]]}),
            &json!(["body", "tests", 0]),
            "an object, not array",
        );
        refused(
            &json!({"repeats": 11}),
            &json!(["body", "repeats"]),
            "1 to 10",
        );
        refused(
            &json!({"expected": ["a", " "]}),
            &json!(["body", "expected", 1]),
            "id",
        );
        refused(
            &json!({"repo": {"url": "a\0"}}),
            &json!(["body", "repo", "url"]),
            "NUL",
        );
        let many: Vec<Value> = (0..101).map(|n| file(&n.to_string())).collect();
        refused(
            &json!({"tests": many}),
            &json!(["body", "tests"]),
            "at most 100",
        );
        let large = json!([{"path": "a", "content": "x".repeat(FILES_BYTES + 1)}]);
        refused(
            &json!({"tests": large}),
            &json!(["body", "tests"]),
            "bytes together",
        );
        for body in ["[]", "{", "{} {}", "nul"] {
            assert_eq!(
                read(Some(body), &query()).expect_err("a refusal").status(),
                422
            );
        }
    }

    #[test]
    fn what_must_not_be_stored_is_refused_with_its_rule_and_not_quoted() {
        let content = "KEY = 'ghp_Zk3Vq8Xw1Rt6Yp9Lm2Nb5Hs7Jd4Fg0Qc8XaT'";
        let body = json!({"tests": [{"path": "t.py", "content": content}]});
        let err = read(Some(&body.to_string()), &query()).expect_err("a refusal");
        let answer = String::from_utf8(err.into_json()).expect("text");
        assert!(
            answer.contains("github-pat") && !answer.contains("ghp_"),
            "{answer}"
        );
        refused(
            &body,
            &json!(["body", "tests", 0, "content"]),
            "by the rule",
        );
    }
}
