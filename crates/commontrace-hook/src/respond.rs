//! What is done about an event: what is noted, what is looked up, and what the agent is told.

use std::path::{Path, PathBuf};

use commontrace_session::shell::test_run;
use commontrace_session::test_output::{self, Outcome};
use uuid::Uuid;

use crate::command;
use crate::commons::{self, Commons, Shown};
use crate::event::{Edit, Ended, Event, Ran, Stop, What};
use crate::facts;
use crate::failure::Failure;
use crate::history::{self, Change, Failed, History, Open};
use crate::host::Host;
use crate::text;

/// Characters of a change that are kept, on each side.
const SIDE: usize = 300;
/// Failed runs of a command from which on its solution is worth to be offered to others.
const WORTH: i64 = 2;
/// How often a server may be late before it is left alone, and for how long, in seconds.
const LATE_MAX: i64 = 2;
const LEFT_ALONE: i64 = 300;

/// Everything that is handed in.
pub struct Surroundings<'a> {
    /// The host that the event is from.
    pub host: Host,
    /// The folder with the history.
    pub data_dir: &'a Path,
    /// The store's file, if it is one.
    pub store: Option<&'a Path>,
    /// The user's home.
    pub home: Option<&'a Path>,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// Now, as the store writes times.
    pub now_text: &'a str,
    /// The server that may be asked, if one may.
    pub server: Option<&'a mut dyn Server>,
    /// Takes what went wrong and hinders nothing.
    pub log: &'a mut dyn FnMut(&str),
}

/// A server that shares traces.
pub trait Server {
    /// Its address, for people.
    fn origin(&self) -> String;
    /// Returns the trace that is surely about this error, if there is one. It answers or gives up within the time
    /// that a hook has.
    fn search(&mut self, query: &str) -> Result<Option<Shown>, Silence>;
}

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Not in time.
    #[error("{0}")]
    Late(String),
    /// For another reason.
    #[error("{0}")]
    Failed(String),
}

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The history.
    #[error("the history cannot be used: {err}{}", next(err))]
    History {
        /// What SQLite says.
        #[from]
        err: history::Error,
    },
}

/// What to do about it, where waiting does not help.
fn next(err: &history::Error) -> &'static str {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match err.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => "; `commontrace forget history` begins a new one",
        _ => "",
    }
}

/// Does what is to be done about an event, and returns what the agent is told, if anything.
pub fn respond(event: &Event, around: &mut Surroundings<'_>) -> Result<Option<String>, Error> {
    let path = around.data_dir.join("history.db");
    // Whoever only looks on has nothing to write: before the first failure there is no file.
    let is_failure = matches!(&event.what, What::Ran(ran) if has_failed(ran));
    if !is_failure && !matches!(event.what, What::Prompted(_)) && !path.exists() {
        return Ok(None);
    }
    let mut beside = Beside {
        history: History::open(&path)?,
        project: project(event.cwd.as_deref()),
        event,
        around,
    };
    let (host, now) = (beside.around.host.name(), beside.around.now);
    beside.history.note_fired(host, &event.name, now)?;
    match &event.what {
        What::Started => {
            let told = beside.started();
            // Not every host tells when a session ends.
            beside.tidy()?;
            told
        }
        What::Prompted(prompt) => beside.prompted(prompt),
        What::Ran(ran) => beside.ran(ran),
        What::Edited(edit) => beside.edited(edit).map(|()| None),
        What::Read(trace) => {
            // Whatever an agent asks for is not kept and shown again: only what can be a trace.
            if let Ok(id) = Uuid::parse_str(trace) {
                beside.tell("read", 0, &id.to_string())?;
            }
            Ok(None)
        }
        // What would be offered at the end has been done.
        What::Contributed => beside.tell("stop", 0, "").map(|_| None),
        What::Stopped(stop) => beside.stopped(*stop),
        What::Ended => beside.tidy().map(|()| None),
    }
}

struct Beside<'e, 'a, 's> {
    history: History,
    project: PathBuf,
    event: &'e Event,
    around: &'a mut Surroundings<'s>,
}

impl Beside<'_, '_, '_> {
    fn name(&self) -> String {
        self.project.to_string_lossy().into_owned()
    }

    fn tidy(&mut self) -> Result<(), Error> {
        let project = self.name();
        Ok(self.history.tidy(&project, self.around.now)?)
    }

    /// Something is said of this project alone, and nothing if nothing is open.
    fn started(&mut self) -> Result<Option<String>, Error> {
        let mut open = self.history.open_failures(&self.name(), self.around.now)?;
        open.retain(|open| {
            open.session != self.event.session && open.runs >= WORTH && !open.headline.is_empty()
        });
        open.truncate(3);
        let told = match open.first() {
            Some(first) => self.tell("open", first.signature, "")?,
            None => false,
        };
        Ok(told.then(|| facts::unsolved(&open)))
    }

    /// An error that the user pastes is looked up on this machine; prompts go nowhere.
    fn prompted(&mut self, prompt: &str) -> Result<Option<String>, Error> {
        let prompt = text::output(prompt, &self.project, self.around.home);
        let failure = Failure::of("", &prompt);
        if !failure.is_certain || !self.tell("asked", failure.signature, "")? {
            return Ok(None);
        }
        self.known(&failure)
    }

    fn ran(&mut self, ran: &Ran) -> Result<Option<String>, Error> {
        let has_failed = has_failed(ran);
        // Most commands end well while nothing is open: nothing has to be read of them.
        let is_awaited = |this: &Self| this.history.has_open(&this.name(), this.around.now);
        if !has_failed && (!has_passed(ran) || !is_awaited(self)?) {
            return Ok(None);
        }
        let line = text::output(&ran.command, &self.project, self.around.home);
        let key = command::shown(&command::key(&line));
        // `echo x > file` may mend something, but nobody waits for it to pass.
        let may_mend = ran.ended == Ended::Well && !command::only_reads(&ran.command);
        match has_failed {
            _ if key.is_empty() && !may_mend => Ok(None),
            true => self.failed(ran, &key),
            false => self.passed(ran, &key),
        }
    }

    fn failed(&mut self, ran: &Ran, key: &str) -> Result<Option<String>, Error> {
        let output = text::output(&ran.output, &self.project, self.around.home);
        let failure = Failure::of(key, &output);
        let project = self.name();
        let shown = command::shown(&text::output(&ran.command, &self.project, self.around.home));
        self.history.note_failed(&Failed {
            project: &project,
            session: &self.event.session,
            key,
            command: &shown,
            signature: failure.signature,
            headline: &failure.headline,
            call: self.event.call.as_deref(),
            at: self.around.now,
        })?;
        if failure.headline.is_empty() || !self.tell("asked", failure.signature, "")? {
            return Ok(None);
        }
        match self.known(&failure)? {
            Some(told) => Ok(Some(told)),
            None => self.asked_elsewhere(&failure),
        }
    }

    /// What this machine knows of a failure: what solved it in this project, else a trace of the store.
    fn known(&mut self, failure: &Failure) -> Result<Option<String>, Error> {
        if let Some(solved) = self.history.solved(&self.name(), failure.signature)? {
            return Ok(Some(facts::solved(&solved)));
        }
        let found = match self.in_store(failure) {
            Ok(found) => found,
            Err(err) => {
                (self.around.log)(&format!("the store cannot be searched: {err}"));
                None
            }
        };
        let Some(shown) = found else { return Ok(None) };
        self.tell("shown", failure.signature, &shown.id.to_string())?;
        Ok(Some(facts::trace(&shown, "the store on this machine")))
    }

    fn in_store(&self, failure: &Failure) -> Result<Option<commons::Shown>, commons::Error> {
        let Some(path) = self.around.store else {
            return Ok(None);
        };
        let Some(commons) = Commons::open(path)? else {
            return Ok(None);
        };
        let found = commons.search(&failure.query, self.around.now_text)?;
        match found.first().filter(|best| best.evidence.is_enough()) {
            Some(best) => commons.shown(best.id),
            None => Ok(None),
        }
    }

    fn asked_elsewhere(&mut self, failure: &Failure) -> Result<Option<String>, Error> {
        let (now, paused) = (self.around.now, self.history.fact("server_paused_until")?);
        let Some(server) = self.around.server.as_deref_mut() else {
            return Ok(None);
        };
        if paused.is_some_and(|until| until > now) {
            return Ok(None);
        }
        match server.search(&failure.query) {
            Ok(found) => {
                self.history.set_fact("server_late", 0)?;
                let Some(hit) = found else { return Ok(None) };
                let told = facts::trace(&hit, &server.origin());
                self.tell("shown", failure.signature, &hit.id.to_string())?;
                Ok(Some(told))
            }
            Err(silence) => {
                if matches!(silence, Silence::Late(_)) {
                    let late = self.history.fact("server_late")?.unwrap_or(0) + 1;
                    self.history.set_fact("server_late", late % LATE_MAX)?;
                    if late >= LATE_MAX {
                        self.history
                            .set_fact("server_paused_until", now + LEFT_ALONE)?;
                    }
                }
                (self.around.log)(&silence.to_string());
                Ok(None)
            }
        }
    }

    fn passed(&mut self, ran: &Ran, key: &str) -> Result<Option<String>, Error> {
        let (project, now) = (self.name(), self.around.now);
        // A pipe may have hidden that it failed again.
        let is_sure = !command::is_masked(&ran.command);
        let solved = match is_sure {
            true => self.history.note_passed(&project, key, now)?,
            false => None,
        };
        let Some((open, _)) = solved else {
            if !command::only_reads(&ran.command) && !command::is_ignored(&ran.command, Some(0)) {
                let line = text::output(&ran.command, &self.project, self.around.home);
                let command = command::shown(&line);
                self.history.note_change(
                    &project,
                    &self.event.session,
                    &Change::Ran { command },
                    now,
                )?;
            }
            return Ok(None);
        };
        for trace in self.traces_for(&open)? {
            if self.tell("offered", 0, &trace)? {
                return Ok(Some(facts::offer_outcome(&open.command, &trace)));
            }
        }
        Ok(None)
    }

    /// The traces that this session was shown for a failure, else those that it has read since.
    fn traces_for(&self, open: &Open) -> Result<Vec<String>, Error> {
        let told = |what, signature, since| {
            self.history
                .told(&self.event.session, what, signature, since)
        };
        let shown = told("shown", open.signature, 0)?;
        if shown.is_empty() {
            return Ok(told("read", 0, open.began_at)?);
        }
        Ok(shown)
    }

    fn edited(&mut self, edit: &Edit) -> Result<(), Error> {
        let (project, now) = (self.name(), self.around.now);
        if edit.path.is_empty() || !self.history.has_open(&project, now)? {
            return Ok(());
        }
        let side = |text: &str| {
            let excerpt = text::excerpt(text, &self.project, self.around.home);
            text::cut(excerpt.trim_matches('\n'), SIDE)
        };
        let change = Change::Edited {
            path: text::cut(
                text::output(&edit.path, &self.project, self.around.home)
                    .trim_start_matches("./")
                    .trim(),
                SIDE,
            ),
            old: side(&edit.old),
            new: side(&edit.new),
        };
        self.history
            .note_change(&project, &self.event.session, &change, now)?;
        Ok(())
    }

    /// Offers once in a session to share what took work and nobody had recorded, where somebody is there who could
    /// agree.
    fn stopped(&mut self, stop: Stop) -> Result<Option<String>, Error> {
        if stop.again || stop.unattended {
            return Ok(None);
        }
        for open in self.history.solved_in(&self.event.session)? {
            if open.runs >= WORTH && !open.headline.is_empty() && self.traces_for(&open)?.is_empty()
            {
                let first = self.tell("stop", 0, "")?;
                return Ok(first.then(|| facts::offer_contribution(&open)));
            }
        }
        Ok(None)
    }

    /// Notes that the session is told something; false if it was told before.
    fn tell(&mut self, what: &str, signature: i64, trace: &str) -> Result<bool, Error> {
        Ok(self
            .history
            .tell(&self.event.session, what, signature, trace, self.around.now)?)
    }
}

/// The root of the repository that a folder is in, else the folder.
fn project(cwd: Option<&Path>) -> PathBuf {
    let Some(cwd) = cwd else {
        return PathBuf::from("/");
    };
    let root = cwd
        .ancestors()
        .take(40)
        .find(|folder| folder.join(".git").exists());
    root.unwrap_or(cwd).to_owned()
}

/// Whether a command has failed: the host says so; or a pipe has hidden it and the output leaves no doubt; or the host does not
/// say, and tests do.
fn has_failed(ran: &Ran) -> bool {
    match ran.ended {
        Ended::Badly(code) => !command::is_ignored(&ran.command, code),
        Ended::Well => {
            command::is_masked(&ran.command)
                && is_beyond_doubt(&ran.output)
                && !command::is_ignored(&ran.command, None)
        }
        Ended::Unknown => {
            test_run(&ran.command).is_some()
                && test_output::read(&ran.output).outcome == Some(Outcome::Failed)
                && !command::is_ignored(&ran.command, None)
        }
    }
}

/// Whether a command that has not failed ended well.
fn has_passed(ran: &Ran) -> bool {
    match ran.ended {
        Ended::Well => true,
        Ended::Badly(_) => false,
        // Where nobody says how it ended, tests do.
        Ended::Unknown => test_output::read(&ran.output).outcome == Some(Outcome::Passed),
    }
}

/// Whether an output has a report that programs print when they fail and at no other time.
fn is_beyond_doubt(output: &str) -> bool {
    const REPORTS: [&str; 12] = [
        "Traceback (most recent call last)",
        "error[E",
        "error: could not compile",
        "npm error ",
        "npm ERR! ",
        "FAILED ",
        "--- FAIL: ",
        "panic: ",
        "thread 'main' panicked",
        "BUILD FAILURE",
        "make: *** ",
        "fatal: ",
    ];
    let clean = commontrace_core::text::without_ansi(output);
    clean
        .lines()
        .any(|line| REPORTS.iter().any(|report| line.starts_with(report)))
        || test_output::read(output).outcome == Some(Outcome::Failed)
}
