//! What of a session is examined: its events, cut where they are long, the chain over them as they are, and
//! its edits.

use commontrace_api::finalize::HeldBackTest;
use commontrace_core::hex;
use commontrace_judge::sign::Chain;
use commontrace_session::stored::{self, Hash};
use commontrace_session::{Body, Event};
use commontrace_verify::git::{Edit, Replacement};
use sha2::{Digest, Sha256};

use crate::sessions::EventReader;
use crate::sessions::examine::Subject;

/// Bytes of a text that are kept of its beginning, and of its end.
const KEPT: usize = 64 * 1024;
/// The same once there are many bytes.
const KEPT_OF_MANY: usize = 2 * 1024;
/// How many bytes are many.
const MANY: usize = 128 << 20;

/// Events to be judged.
#[derive(Debug, Default)]
pub struct Material {
    /// The events in the order in which they were stored.
    pub events: Vec<Event>,
    /// The chain over the events before anything was cut.
    pub chain: Chain,
}

impl Material {
    /// Reads a session's events.
    pub async fn read(mut reader: EventReader) -> Result<Self, String> {
        let mut material = Self::default();
        let mut bytes = 0;
        while let Some(mut event) = next(&mut reader).await? {
            material.chain.push(&event);
            let kept = if bytes < MANY { KEPT } else { KEPT_OF_MANY };
            bytes += cut(&mut event.body, kept);
            event.extra.clear();
            material.events.push(event);
        }
        Ok(material)
    }
}

/// Returns a session's edits in their order. Each is the whole file where the record has it, else a diff.
pub async fn edits(subject: &Subject) -> Result<Vec<Edit>, String> {
    let mut edits = Vec::new();
    let mut reader = subject.events();
    while let Some(event) = next(&mut reader).await? {
        let Body::CodeEdit {
            file_path,
            diff,
            snapshot_after,
        } = event.body
        else {
            continue;
        };
        edits.push(Edit {
            path: file_path,
            replacement: match snapshot_after {
                Some(content) => Replacement::Content(content),
                None => Replacement::Diff(diff),
            },
        });
    }
    Ok(edits)
}

/// Returns the files of tests that a run was asked for with: their paths and contents, nothing for those that
/// are to be removed.
pub async fn tests(subject: &Subject) -> Result<Vec<(String, Option<String>)>, String> {
    let mut files = Vec::new();
    for test in &subject.request.tests {
        let content = match &test.sha256 {
            None => None,
            Some(sha256) => Some(content(subject, test, sha256).await?),
        };
        files.push((test.path.clone(), content));
    }
    Ok(files)
}

async fn content(subject: &Subject, test: &HeldBackTest, sha256: &str) -> Result<String, String> {
    let missing = || {
        let path = &test.path;
        format!(
            "the file of tests `{path}`, with the SHA-256 {sha256}, is not kept with the session"
        )
    };
    let hash: Hash = hex::decode(sha256).ok_or_else(missing)?;
    let found = subject
        .store
        .session_blobs(subject.key, &[hash.to_vec()])
        .await
        .map_err(|_| "the files of tests could not be read".to_owned())?;
    let (_, kept) = found.first().ok_or_else(missing)?;
    let bytes = stored::decompress(kept, test.bytes).map_err(|_| missing())?;
    if Sha256::digest(&bytes)[..] != hash[..] {
        return Err(missing());
    }
    String::from_utf8(bytes).map_err(|_| missing())
}

async fn next(reader: &mut EventReader) -> Result<Option<Event>, String> {
    let next = reader
        .next()
        .await
        .map_err(|_| "the session's events could not be read".to_owned())?;
    next.map(|(seq, event)| {
        serde_json::from_value(event).map_err(|err| format!("event {seq} is unreadable: {err}"))
    })
    .transpose()
}

/// Cuts the texts of an event and returns how many bytes are left.
fn cut(body: &mut Body, kept: usize) -> usize {
    let mut left = 0;
    let mut shorten = |text: &mut String| {
        if text.len() > 2 * kept {
            let (head, tail) = (text.floor_char_boundary(kept), text.len() - kept);
            let tail = text.ceil_char_boundary(tail);
            *text = format!("{}\n[…]\n{}", &text[..head], &text[tail..]);
        }
        left += text.len();
    };
    match body {
        Body::TerminalCommand { output, .. } => shorten(output),
        Body::ToolResult { content, .. } => shorten(content),
        Body::FileRead {
            content: Some(content),
            ..
        } => shorten(content),
        Body::Search {
            results: Some(results),
            ..
        } => shorten(results),
        Body::CodeEdit {
            diff,
            snapshot_after,
            ..
        } => {
            shorten(diff);
            *snapshot_after = None;
        }
        Body::ReasoningStep { content }
        | Body::UserMessage { content }
        | Body::AgentMessage { content } => shorten(content),
        _ => {}
    }
    left
}
