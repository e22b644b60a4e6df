//! A draft of a trace, made of what a session recorded and what its tests proved.
//!
//! Nothing in it is invented: every line is copied from an event or counted by the verifier, but for the
//! words of a model, if one was asked, which were compared with the events. It is a draft: its owner reads it,
//! mends it and decides whether to contribute it.

mod environment;

use commontrace_api::sessions::{DraftEvidence, TraceDraft};
use commontrace_core::trace::TITLE_MAX;
use commontrace_judge::facts::{Edit, Facts, Run};
use commontrace_judge::words::{Wording, Words};
use commontrace_search::signature::is_error_word;
use commontrace_session::text::{fenced, without_ansi};
use commontrace_session::{Body, Session};
use commontrace_store::Store;

use self::environment::environment;
use super::evidence::{self, Changed};
use super::present::Kept;
use crate::error::{ApiError, ApiResult};

/// Characters of a command's output that are shown.
const OUTPUT: usize = 2_000;
/// Characters of all diffs that are shown.
const DIFFS: usize = 12_000;
/// Characters of what somebody said that are shown.
const SAID: usize = 1_500;
/// Characters of a model's name and of an agent's version.
const AGENT_MODEL: usize = 100;
const AGENT_VERSION: usize = 50;
/// Failed attempts that are listed.
const ATTEMPTS: usize = 8;

/// Languages by the ends of file names.
const LANGUAGES: [(&str, &str); 16] = [
    ("rs", "rust"),
    ("py", "python"),
    ("js", "javascript"),
    ("mjs", "javascript"),
    ("jsx", "javascript"),
    ("ts", "typescript"),
    ("tsx", "typescript"),
    ("go", "go"),
    ("java", "java"),
    ("kt", "kotlin"),
    ("rb", "ruby"),
    ("c", "c"),
    ("cpp", "cpp"),
    ("cs", "csharp"),
    ("php", "php"),
    ("sh", "shell"),
];

/// Drafts a trace of a session in the store.
pub async fn of(store: &Store, row: commontrace_store::Session) -> ApiResult<TraceDraft> {
    let kept = Kept::parse(&row.header)?;
    let newest = store.newest_verdict(row.key).await?;
    let evidence = match &newest {
        Some(newest) => Some(evidence::draft(&newest.verdict, row.last_seq)?),
        None => None,
    };
    // Of a session that went on since, the words may be wrong.
    let wording = newest
        .filter(|newest| newest.events_through == row.last_seq)
        .and_then(|newest| serde_json::from_str(newest.wording.as_deref()?).ok());
    let material = evidence::material(store, row.key, row.last_seq).await?;
    let drafted = tokio::task::spawn_blocking(move || {
        let facts = Facts::read(&material.events, &kept.session.repo.test_command);
        draft(&row.id, &kept.session, &facts, evidence, wording.as_ref())
    });
    drafted
        .await
        .map_err(|err| ApiError::internal(format!("drafting a trace failed: {err}")))
}

/// Drafts a trace of a session. `id` is the session's, `evidence` what was found out about it, and
/// `wording` how a model words it.
fn draft(
    id: &str,
    session: &Session,
    facts: &Facts<'_>,
    evidence: Option<DraftEvidence>,
    wording: Option<&Wording>,
) -> TraceDraft {
    let failure = facts.runs.iter().find(|run| run.passed == Some(false));
    let signature = failure.and_then(|run| signature(run.output));
    // Drafts and experiments that are not part of what was verified would not be backed by it.
    let changed = evidence.as_ref().map_or_else(Changed::default, |found| {
        Changed::of(&found.signed_verdict["verdict"])
    });
    let edits = facts.edits.iter().filter(|edit| !edit.undone);
    let edits: Vec<&Edit<'_>> = edits.filter(|edit| changed.has(edit.path)).collect();
    let words = wording.and_then(|wording| wording.words.as_ref());
    let language = language(&edits);
    let mut tags: Vec<String> = language.iter().map(|&name| name.to_owned()).collect();
    if !session.repo.name.is_empty() {
        tags.push(session.repo.name.clone());
    }
    TraceDraft {
        session_id: evidence.is_some().then(|| id.to_owned()),
        title: match words {
            Some(words) => start(&words.title, TITLE_MAX),
            None => title(session, signature.as_deref(), &edits),
        },
        context_text: context(session, facts, failure, signature.as_deref(), words),
        solution_text: solution(session, facts, &edits, words),
        worded_by: wording
            .filter(|_| words.is_some())
            .map(|wording| wording.model.clone()),
        not_worded: wording.and_then(|wording| wording.error.clone()),
        tags,
        context: environment(facts, language),
        agent_model: session
            .model
            .as_deref()
            .map(|model| start(model, AGENT_MODEL)),
        agent_version: session
            .tool_version
            .as_deref()
            .map(|version| start(version, AGENT_VERSION)),
        evidence,
    }
}

fn title(session: &Session, signature: Option<&str>, edits: &[&Edit<'_>]) -> String {
    let file = edits.first().map(|edit| edit.path);
    let title = match (signature, &session.title, file) {
        (Some(signature), ..) => signature.to_owned(),
        (None, Some(title), _) => title.clone(),
        (None, None, Some(file)) => format!("A change of {file} in {}", session.repo.name),
        (None, None, None) => format!("A session in {}", session.repo.name),
    };
    start(&title, TITLE_MAX)
}

fn context(
    session: &Session,
    facts: &Facts<'_>,
    failure: Option<&Run<'_>>,
    signature: Option<&str>,
    words: Option<&Words>,
) -> String {
    let mut text = String::new();
    let asked = facts.events.iter().find_map(|event| match &event.body {
        Body::UserMessage { content } => Some(content),
        _ => None,
    });
    let asked = words.map(|words| &words.problem).or(asked);
    if let Some(asked) = asked {
        text.push_str(&start(asked.trim(), SAID));
        text.push_str("\n\n");
    }
    if let Some(run) = failure {
        let output = without_ansi(run.output);
        text.push_str(&format!(
            "`{}` failed{}:\n\n{}\n",
            run.command,
            run.exit_code
                .map_or(String::new(), |code| format!(" with exit code {code}")),
            fenced(&end(&output, OUTPUT), "")
        ));
    } else if let Some(signature) = signature {
        text.push_str(signature);
    }
    let failed = facts.runs.iter().filter(|run| run.passed == Some(false));
    let worded = words.into_iter().flat_map(|words| &words.failed_attempts);
    let recorded = failed
        .skip(1)
        .filter_map(|run| {
            let before = facts.edits.iter().rev().find(|edit| edit.at < run.at)?;
            Some(format!(
                "- after a change of `{}`, `{}` still failed",
                before.path, run.command
            ))
        })
        .take(ATTEMPTS);
    let attempts: Vec<String> = match words {
        Some(_) => worded.map(|attempt| format!("- {attempt}")).collect(),
        None => recorded.collect(),
    };
    if !attempts.is_empty() {
        text.push_str("\nWhat did not work:\n\n");
        text.push_str(&attempts.join("\n"));
        text.push('\n');
    }
    if text.is_empty() {
        text = format!("A session in the repository {}", session.repo.name);
    }
    text.trim_end().to_owned()
}

fn solution(
    session: &Session,
    facts: &Facts<'_>,
    edits: &[&Edit<'_>],
    words: Option<&Words>,
) -> String {
    let mut text = String::new();
    let said = facts
        .said
        .iter()
        .rev()
        .find_map(|&at| match &facts.events[at].body {
            Body::AgentMessage { content } | Body::ReasoningStep { content } => Some(content),
            _ => None,
        });
    match (words, said) {
        (Some(words), _) => {
            text.push_str(&format!(
                "{}\n\n{}\n\n",
                words.cause.trim(),
                words.solution.trim()
            ));
        }
        (None, Some(said)) => {
            text.push_str(&start(said.trim(), SAID));
            text.push_str("\n\n");
        }
        (None, None) => {}
    }
    let mut room = DIFFS;
    for edit in edits.iter().filter(|edit| !edit.diff.trim().is_empty()) {
        if edit.diff.len() > room {
            text.push_str(&format!(
                "`{}` was changed too; its diff is long.\n\n",
                edit.path
            ));
            continue;
        }
        room -= edit.diff.len();
        text.push_str(&format!(
            "`{}`:\n\n{}\n",
            edit.path,
            fenced(edit.diff, "diff")
        ));
    }
    if !session.repo.test_command.is_empty() {
        text.push_str(&format!("Check: `{}`\n", session.repo.test_command));
    }
    text.trim_end().to_owned()
}

/// Returns the first line of an output that says what is wrong, as a search tells such lines.
fn signature(output: &str) -> Option<String> {
    let output = without_ansi(output);
    let mut lines = output.lines().map(str::trim).filter(|line| line.len() > 8);
    let says = |line: &&str| line.split_whitespace().any(is_error_word);
    lines.find(says).map(str::to_owned)
}

fn language(edits: &[&Edit<'_>]) -> Option<&'static str> {
    edits.iter().find_map(|edit| {
        let (_, end) = edit.path.rsplit_once('.')?;
        let known = LANGUAGES.iter().find(|(known, _)| *known == end)?;
        Some(known.1)
    })
}

fn start(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars.saturating_sub(1)) {
        Some((at, _)) if text[at..].chars().count() > 1 => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

fn end(text: &str, chars: usize) -> String {
    match text.char_indices().rev().nth(chars) {
        Some((at, c)) => format!("…{}", &text[at + c.len_utf8()..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use commontrace_session::Event;
    use serde_json::{Value, json};

    use super::*;

    fn events() -> Vec<Event> {
        let event = |id: &str, event_type: &str, data: Value| json!({"id": id, "timestamp": null, "event_type": event_type, "data": data});
        let all = [
            event(
                "1",
                "user_message",
                json!({"content": "cents() is off by one"}),
            ),
            event(
                "2",
                "terminal_command",
                json!({"command": "pytest", "exit_code": 1, "output": "collected 2\nE   AssertionError: 28 != 29\n1 failed"}),
            ),
            event(
                "3",
                "code_edit",
                json!({"file_path": "money.py", "diff": "@@ -1 +1 @@\n-int(x * 100)\n+round(x * 100)\n"}),
            ),
            event(
                "4",
                "terminal_command",
                json!({"command": "pytest", "exit_code": 0, "output": "2 passed"}),
            ),
            event(
                "5",
                "agent_message",
                json!({"content": "int() cut off; ``` round() does not"}),
            ),
        ];
        all.map(|event| serde_json::from_value(event).unwrap())
            .into()
    }

    fn session() -> Session {
        let mut session = Session::default();
        session.repo.name = "shop".to_owned();
        session.repo.test_command = "pytest".to_owned();
        session
    }

    #[test]
    fn a_draft_says_what_failed_what_was_changed_and_what_that_proved() {
        let events = events();
        let facts = Facts::read(&events, "pytest");
        let signed = json!({"verdict": {
            "score": null, "events_through_seq": 5, "verification": {"status": "verified"},
        }});
        let evidence = evidence::draft(&signed.to_string(), 5).expect("a verdict");
        let draft = draft("s-1", &session(), &facts, Some(evidence), None);
        assert_eq!(draft.session_id.as_deref(), Some("s-1"));
        assert_eq!(draft.title, "E   AssertionError: 28 != 29");
        assert!(draft.context_text.starts_with("cents() is off by one"));
        assert!(
            draft
                .context_text
                .contains("`pytest` failed with exit code 1")
        );
        assert!(draft.solution_text.contains("+round(x * 100)"));
        assert!(draft.solution_text.contains("Check: `pytest`"));
        // A later run may find something else: what the tests proved stands beside the text.
        assert!(!draft.solution_text.contains("verified"));
        assert!(!draft.evidence.as_ref().is_some_and(|found| found.stale));
        assert_eq!(draft.tags, ["python", "shop"]);
        let husk =
            commontrace_core::husk::husk(&draft.title, &draft.context_text, &draft.solution_text);
        assert_eq!(husk, None);
    }

    #[test]
    fn a_models_words_stand_beside_what_is_copied() {
        let events = events();
        let facts = Facts::read(&events, "pytest");
        let words = Words {
            title: "cents() cuts off".to_owned(),
            problem: "Prices are a cent too low.".to_owned(),
            cause: "`int()` cuts off.".to_owned(),
            solution: "Round first.".to_owned(),
            failed_attempts: vec!["Adding a half did not help.".to_owned()],
        };
        let wording = Wording {
            model: "a-model".to_owned(),
            words: Some(words),
            reason: None,
            error: None,
        };
        let worded = draft("s-1", &session(), &facts, None, Some(&wording));
        assert_eq!(worded.worded_by.as_deref(), Some("a-model"));
        assert_eq!(worded.title, "cents() cuts off");
        assert!(
            worded
                .context_text
                .starts_with("Prices are a cent too low.")
        );
        assert!(worded.context_text.contains("AssertionError: 28 != 29"));
        assert!(
            worded
                .context_text
                .ends_with("- Adding a half did not help.")
        );
        assert!(
            worded
                .solution_text
                .starts_with("`int()` cuts off.\n\nRound first.")
        );
        assert!(worded.solution_text.contains("+round(x * 100)"));
        let refused = Wording {
            model: "a-model".to_owned(),
            words: None,
            reason: None,
            error: Some("made up".to_owned()),
        };
        let plain = draft("s-1", &session(), &facts, None, Some(&refused));
        assert_eq!(
            (plain.worded_by, plain.not_worded.as_deref()),
            (None, Some("made up"))
        );
        assert_eq!(plain.title, "E   AssertionError: 28 != 29");
    }

    #[test]
    fn what_was_not_verified_is_not_said_to_be() {
        let events = events();
        let facts = Facts::read(&events, "pytest");
        let unverified = draft("s-1", &session(), &facts, None, None);
        assert_eq!((unverified.evidence, unverified.session_id), (None, None));
        let empty = draft("s-1", &session(), &Facts::read(&[], ""), None, None);
        assert_eq!(empty.title, "A session in shop");
    }
}
