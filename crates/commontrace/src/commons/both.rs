//! The store on this machine and the server that the settings name, as one commons.

use std::io;
use std::time::Duration;

use commontrace_mcp::{Answer, Away, Backend, Call, detail};
use commontrace_server::ids::Ids;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use super::local::{Holding, Local};
use super::merge;
use super::outbox::{Held, Outbox, Waiting};
use super::remote::{self, Lost, Remote, Request};
use crate::config::{Config, Publish, SearchScope};
use crate::failure::Failure;

/// How long a search waits for the server when this machine's store has answered: servers have three
/// seconds to.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a contribution that waited may take: nobody asked for it now, and it can go on waiting.
const LATER_PATIENCE: Duration = Duration::from_secs(10);

/// Both stores, or the one there is.
#[derive(Debug)]
pub struct Both {
    local: Local,
    remote: Option<Remote>,
    outbox: Outbox,
    search: SearchScope,
    publish: Publish,
    offline: bool,
    /// Rings when the server has answered, which is when what waits can be sent.
    answered: Notify,
}

/// What became of the contributions that waited.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Titles of those that the server has taken, and their ids there.
    pub taken: Vec<(String, String)>,
    /// Titles of those that it refused, and why. They are put aside.
    pub refused: Vec<(String, String)>,
}

/// What became of one that was sent.
enum Delivery {
    Taken(Answer),
    /// The server does not want it as it is.
    Refused(Held, Answer),
    /// It waits on.
    Waits(Lost),
    /// It must not be sent again, with the reason.
    TooLate(Held, String),
}

impl Both {
    /// Reads from the settings where both are; opens and asks neither. `command` stands in the log of what is
    /// sent.
    pub fn new(config: Config, command: &str) -> Result<Self, Failure> {
        Ok(Self {
            remote: Remote::of(&config, command)?,
            outbox: Outbox::in_dir(&config.storage.data_dir),
            search: config.remote.search,
            publish: config.remote.publish,
            offline: config.remote.offline,
            answered: Notify::new(),
            local: Local::new(config),
        })
    }

    /// The store on this machine.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// The server that the settings name, if they do.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Closes the store on this machine, if it was opened.
    pub async fn close(&self) {
        self.local.close().await;
    }

    /// Says which server would be sent a request; nothing if none would. Nothing is asked.
    pub async fn destination(&self, call: &Call) -> Result<Option<String>, Away> {
        let Some(remote) = self.remote.as_ref().filter(|_| !self.offline) else {
            return Ok(None);
        };
        let goes = match call {
            Call::Search(_) => self.search == SearchScope::Network,
            Call::Tags(_) | Call::Contribute(_) => true,
            Call::Trace(id) | Call::Vote(id, _) | Call::Amend(id, _) | Call::Outcome(id, _) => {
                self.local.holding(*id).await? != Holding::Own
            }
        };
        Ok(goes.then(|| remote.origin()))
    }

    async fn search(&self, call: &Call) -> Result<Answer, Away> {
        let Some(remote) = self
            .remote
            .as_ref()
            .filter(|_| self.search == SearchScope::Network)
        else {
            return self.local.send(call).await;
        };
        let host = remote.origin();
        if self.offline {
            let notice = format!("Offline: {host} was not searched.");
            return with_notice(self.local.send(call).await?, merge::HERE, &notice);
        }
        let asked = call.body().and_then(|body| body["limit"].as_u64());
        let limit = asked
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(10);
        let (here, there) = tokio::join!(self.local.send(call), remote.call(call, PATIENCE));
        match (good(&here), good(&there).filter(merge::is_search)) {
            (Some(here), Some(there)) => answer(&merge::searches(here, there, &host, limit)),
            (Some(_), None) => with_notice(
                here?,
                merge::HERE,
                &format!("{host} was not searched: {}", why(&there)),
            ),
            (None, Some(_)) => with_notice(
                there?,
                &host,
                &format!("This machine's store was not searched: {}", why(&here)),
            ),
            (None, None) => there.or(here),
        }
    }

    async fn tags(&self, call: &Call) -> Result<Answer, Away> {
        let Some(remote) = self.remote.as_ref().filter(|_| !self.offline) else {
            return self.local.send(call).await;
        };
        let (here, there) = tokio::join!(self.local.send(call), remote.call(call, PATIENCE));
        match (good(&here), good(&there)) {
            (Some(here), Some(there)) => answer(&merge::tags(&here, &there)),
            (Some(_), None) => {
                let notice = format!("Only this machine's tags: {}", why(&there));
                with_notice(here?, merge::HERE, &notice)
            }
            (None, Some(_)) => there,
            (None, None) => there.or(here),
        }
    }

    /// Sends what is about one trace to the store that has it.
    async fn to_holder(&self, call: &Call, id: Uuid) -> Result<Answer, Away> {
        let Some(remote) = &self.remote else {
            return self.local.send(call).await;
        };
        let held = self.local.holding(id).await;
        if held == Ok(Holding::Own) {
            return self.local.send(call).await;
        }
        // The trace may be private, and so what is said of it.
        if let (Err(why), false) = (&held, call.reads()) {
            return Err(why.clone());
        }
        let is_here = held == Ok(Holding::Starter);
        let asked = remote.call(call, call.deadline()).await;
        match &asked {
            // Starter traces stand in every store; the server's copy is the one that others see.
            Ok(Answer { status: 404, .. }) if is_here => self.local.send(call).await,
            Err(_) if is_here && call.reads() => self.local.send(call).await,
            _ => asked,
        }
    }

    /// Sends a contribution to the server, or keeps it until one answers.
    async fn publish(&self, remote: &Remote, body: &Value) -> Result<Answer, Away> {
        let host = remote.origin();
        if self.publish == Publish::Never {
            return Err(Away::Unconfigured(format!(
                "Nothing is published on {host}: the user's settings say publish = \"never\". The user can change that, or keep \
                 the trace on this machine with `commontrace contribute --private`."
            )));
        }
        let waiting = Waiting {
            idempotency_key: Ids::Random.uuid(),
            host: host.clone(),
            since: remote::now(),
            body: body.clone(),
        };
        let held = self.outbox.add(waiting).map_err(|err| kept_nowhere(&err))?;
        if self.offline {
            return queued(&format!("commontrace is offline, so {host} was not asked"));
        }
        match self
            .deliver(remote, held, Duration::MAX)
            .await
            .map_err(|err| kept_nowhere(&err))?
        {
            Delivery::Taken(answer) => Ok(answer),
            // Its contributor is told, and can mend it.
            Delivery::Refused(held, answer) => {
                held.done().map_err(|err| kept_nowhere(&err))?;
                Ok(answer)
            }
            Delivery::TooLate(_, reason) => Err(Away::NoAnswer(reason)),
            Delivery::Waits(lost) => queued(&match Away::from(lost) {
                Away::Unavailable(why) | Away::NoAnswer(why) | Away::Unconfigured(why) => why,
            }),
        }
    }

    /// Sends a contribution that nobody else is sending.
    async fn deliver(
        &self,
        remote: &Remote,
        mut held: Held,
        patience: Duration,
    ) -> io::Result<Delivery> {
        let was_tried = held.was_tried();
        if let Err(reason) = held.begin(remote::now())? {
            return Ok(Delivery::TooLate(held, reason));
        }
        let call = Call::Contribute(held.waiting.body.clone());
        let (path, name) = (call.path(), held.waiting.idempotency_key.to_string());
        let request = Request::of(&call, &path, Some(&name));
        let deadline = request.deadline.min(patience);
        let sent = remote
            .send(Request {
                deadline,
                ..request
            })
            .await;
        Ok(match sent {
            Ok(answer) if (200..300).contains(&answer.status) => {
                held.done()?;
                Delivery::Taken(answer)
            }
            Ok(answer) if answer.status >= 500 || answer.status == 408 => {
                Delivery::Waits(Lost::Unknown(Away::NoAnswer(format!(
                    "{} cannot take it now (HTTP {}).",
                    remote.origin(),
                    answer.status
                ))))
            }
            Ok(answer) => {
                // It answered that it has not got it.
                if !was_tried {
                    held.not_sent()?;
                }
                Delivery::Refused(held, answer)
            }
            Err(lost) => {
                if !was_tried && !matches!(lost, Lost::Unknown(_)) {
                    held.not_sent()?;
                }
                Delivery::Waits(lost)
            }
        })
    }

    /// Sends what waits for the server, as far as it takes it now.
    pub async fn deliver_waiting(&self) -> Delivered {
        let mut done = Delivered::default();
        let Some(remote) = self.remote.as_ref().filter(|_| !self.offline) else {
            return done;
        };
        // What was agreed to before the settings forbade it waits on, too.
        if self.publish == Publish::Never || self.outbox.is_empty() {
            return done;
        }
        let all = self.outbox.take(&remote.origin());
        for held in all.unwrap_or_else(|err| {
            tracing::warn!("the contributions that wait cannot be read: {err}");
            Vec::new()
        }) {
            let title = held.waiting.body["title"].as_str().unwrap_or("").to_owned();
            match self.deliver_one(remote, held, &title, &mut done).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(err) => {
                    tracing::warn!("the contribution `{title}` waits on: {err}");
                    break;
                }
            }
        }
        done
    }

    /// Sends one that waited; false if the others have to go on waiting.
    async fn deliver_one(
        &self,
        remote: &Remote,
        held: Held,
        title: &str,
        done: &mut Delivered,
    ) -> io::Result<bool> {
        let mut refuse = |held: Held, reason: String| {
            held.refuse(&reason)?;
            done.refused.push((title.to_owned(), reason));
            Ok(true)
        };
        match self.deliver(remote, held, LATER_PATIENCE).await? {
            Delivery::Taken(answer) => {
                let read: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let id = read["id"].as_str().unwrap_or("").to_owned();
                done.taken.push((title.to_owned(), id));
                Ok(true)
            }
            // About the account or the moment, not about the contribution.
            Delivery::Refused(
                _,
                Answer {
                    status: 300..=399 | 401 | 425 | 429,
                    ..
                },
            )
            | Delivery::Waits(_) => Ok(false),
            Delivery::Refused(held, answer) => refuse(held, why_refused(&answer)),
            Delivery::TooLate(held, reason) => refuse(held, reason),
        }
    }

    /// Sends what waits whenever the server has answered something; never ends.
    pub async fn keep_delivering(&self) {
        loop {
            self.answered.notified().await;
            let done = self.deliver_waiting().await;
            for (title, reason) in done.refused {
                tracing::warn!("the contribution `{title}` was refused: {reason}");
            }
        }
    }
}

impl Backend for Both {
    async fn send(&self, call: &Call) -> Result<Answer, Away> {
        let sent = match (call, &self.remote) {
            (_, None) => self.local.send(call).await,
            (Call::Search(_), Some(_)) => self.search(call).await,
            (Call::Tags(_), Some(_)) => self.tags(call).await,
            (Call::Contribute(body), Some(remote)) => self.publish(remote, body).await,
            (Call::Trace(id) | Call::Vote(id, _) | Call::Outcome(id, _), Some(_)) => {
                self.to_holder(call, *id).await
            }
            (Call::Amend(id, _), Some(remote)) => {
                if self.publish == Publish::Never
                    && self.local.holding(*id).await != Ok(Holding::Own)
                {
                    return Err(Away::Unconfigured(format!(
                        "Nothing is published on {}: the user's settings say publish = \"never\".",
                        remote.origin()
                    )));
                }
                self.to_holder(call, *id).await
            }
        };
        if self.remote.as_ref().is_some_and(Remote::has_answered) && !self.outbox.is_empty() {
            self.answered.notify_one();
        }
        sent
    }
}

/// Reads an answer that is one.
fn good(answer: &Result<Answer, Away>) -> Option<Value> {
    let answer = answer.as_ref().ok()?;
    let is_good = (200..300).contains(&answer.status);
    is_good.then(|| serde_json::from_slice(&answer.body).ok())?
}

/// Says why there is no good answer, as the end of a sentence.
fn why(answer: &Result<Answer, Away>) -> String {
    match answer {
        Ok(answer) if (200..300).contains(&answer.status) => {
            "its answer is none of this API.".to_owned()
        }
        Ok(answer) => why_refused(answer),
        Err(Away::Unavailable(why) | Away::NoAnswer(why) | Away::Unconfigured(why)) => why.clone(),
    }
}

fn why_refused(answer: &Answer) -> String {
    let said = detail(&answer.body).unwrap_or_else(|| "refused".to_owned());
    let advice = match answer.status {
        401 => {
            " The user's key is missing, revoked or another server's: `commontrace status` looks."
        }
        _ => "",
    };
    format!("{said} (HTTP {}).{advice}", answer.status)
}

fn with_notice(given: Answer, origin: &str, sentence: &str) -> Result<Answer, Away> {
    let Ok(mut read) = serde_json::from_slice::<Value>(&given.body) else {
        return Ok(given);
    };
    merge::mark(&mut read, origin);
    merge::notice(&mut read, sentence);
    Ok(Answer {
        body: read.to_string().into_bytes(),
        ..given
    })
}

fn answer(body: &Value) -> Result<Answer, Away> {
    Ok(Answer {
        status: 200,
        retry_after: None,
        body: body.to_string().into_bytes(),
    })
}

/// The answer to a contribution that waits. No id stands in it: the trace has none yet.
fn queued(why: &str) -> Result<Answer, Away> {
    let why = why.trim_end_matches('.');
    let message = format!(
        "Not published yet: {why}. The trace is kept on this machine and sent once, by the next commontrace command that \
         reaches the server. `commontrace status` shows what waits."
    );
    Ok(Answer {
        status: 202,
        ..answer(&json!({ "status": "queued", "message": message }))?
    })
}

fn kept_nowhere(err: &io::Error) -> Away {
    Away::Unavailable(format!(
        "Not contributed: the contribution cannot be kept in the data directory ({err})."
    ))
}
