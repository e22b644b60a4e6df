//! What is remembered of a session from line to line.

use std::collections::{HashMap, VecDeque};

use super::super::state::State;
use crate::{Actor, Body, Event};

/// So many lines without an event are remembered, to tell which event came before them.
const MOST_WITHOUT: usize = 4096;

/// So many titles of other lines are held until their line comes.
const MOST_TITLES: usize = 64;

/// The longest title that is held, in bytes.
const LONGEST_TITLE: usize = 4096;

/// So many messages of the model are remembered; the lines of one stand close together.
const MOST_MESSAGES: usize = 256;

#[derive(Default)]
pub(crate) struct Memory {
    /// Lines without an event, and the event or line that each follows.
    without: HashMap<String, Option<String>>,
    without_order: VecDeque<String>,
    /// Titles by the line that they were made for.
    summaries: HashMap<String, String>,
    title: Option<(u8, String)>,
    title_is_new: bool,
    /// The compaction whose summary is to come.
    pub(super) boundary: Option<Event>,
    /// What a person typed to be run, until its output comes.
    pub(super) typed_command: Option<(Event, String)>,
    /// Whether the first words of a person were read.
    pub(super) opened: bool,
    /// What each message used, by its id.
    messages: VecDeque<Used>,
}

/// A message of the model and what it used.
struct Used {
    message: String,
    tokens: [u64; 4],
    /// Whether an event says so.
    told: bool,
}

impl Memory {
    /// The event at or before a line.
    pub(super) fn event_before(&self, line: &str) -> String {
        let mut at = line;
        for _ in 0..MOST_WITHOUT {
            match self.without.get(at) {
                Some(Some(before)) => at = before,
                _ => break,
            }
        }
        at.to_owned()
    }

    pub(super) fn without_event(&mut self, line: &str, parent: Option<String>) {
        if self.without_order.len() == MOST_WITHOUT
            && let Some(oldest) = self.without_order.pop_front()
        {
            self.without.remove(&oldest);
        }
        self.without_order.push_back(line.to_owned());
        self.without.insert(line.to_owned(), parent);
    }

    /// Holds a title until the line comes that it was made for; it may be another session's.
    pub(super) fn summary(&mut self, leaf: String, title: String) {
        let fits = leaf.len() <= LONGEST_TITLE && title.len() <= LONGEST_TITLE;
        if fits && self.summaries.len() < MOST_TITLES && !leaf.is_empty() && !title.is_empty() {
            // A file may begin with titles of other sessions; one without a line in this session is taken only
            // for want of a better one.
            self.title(0, title.clone());
            self.summaries.insert(leaf, title);
        }
    }

    /// Takes a title, unless there is one of a higher rank.
    pub(super) fn title(&mut self, rank: u8, title: String) {
        if self.title.as_ref().is_none_or(|(known, _)| *known <= rank) {
            self.title = Some((rank, title));
            self.title_is_new = true;
        }
    }

    /// The title, if it changed, now that the line `uuid` was read.
    pub(super) fn best_title(&mut self, uuid: &str) -> Option<String> {
        if let Some(title) = self.summaries.remove(uuid) {
            self.title(1, title);
        }
        std::mem::take(&mut self.title_is_new)
            .then(|| self.title.as_ref().map(|(_, title)| title.clone()))
            .flatten()
    }

    /// By how much a message has used more than was known of it, and whether an event is to say so: the first
    /// that there is of the message.
    pub(super) fn used_more(
        &mut self,
        message: &str,
        tokens: [u64; 4],
        events: usize,
    ) -> ([u64; 4], bool) {
        if !self.messages.iter().any(|used| used.message == message) {
            if self.messages.len() == MOST_MESSAGES {
                self.messages.pop_front();
            }
            self.messages.push_back(Used {
                message: message.to_owned(),
                tokens: [0; 4],
                told: false,
            });
        }
        let mut more = [0; 4];
        let mut tell = false;
        if let Some(used) = self
            .messages
            .iter_mut()
            .rev()
            .find(|used| used.message == message)
        {
            for ((more, known), now) in more.iter_mut().zip(&mut used.tokens).zip(tokens) {
                *more = now.saturating_sub(*known);
                *known = now.max(*known);
            }
            tell = events > 0 && !used.told;
            used.told |= tell;
        }
        (more, tell)
    }
}

/// Events that wait for a line which did not come.
pub(crate) fn left_over(state: &mut State) -> Vec<Event> {
    let typed = state
        .claude
        .typed_command
        .take()
        .map(|(mut event, command)| {
            event.actor = Actor::Human;
            event.body = Body::TerminalCommand {
                command,
                exit_code: None,
                output: String::new(),
                duration_ms: None,
                cwd: None,
                ended: None,
            };
            event
        });
    state
        .claude
        .boundary
        .take()
        .into_iter()
        .chain(typed)
        .collect()
}
