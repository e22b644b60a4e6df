//! Listens to a container until it has ended, and ends it when a limit is reached.

use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{KillContainerOptions, WaitContainerOptions};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::trouble;
use crate::Error;
use crate::outcome::{End, Output, TimeLimit};
use crate::output::Collector;
use crate::run::Job;

/// What stands before the command's output, written once its tree is there.
pub(super) const BEGIN: &str = "\\001begin\\n";
const BEGIN_BYTES: &[u8] = b"\x01begin\n";
/// How long the engine has for ending a container.
const GRACE: Duration = Duration::from_secs(30);

/// What came of a container.
pub(super) struct Watched {
    pub ended: Ended,
    pub output: Said,
    pub wall: Duration,
}

/// Why a container ended.
pub(super) enum Ended {
    /// It was ended, for this reason.
    Stopped(End),
    /// Its command did.
    ByItself,
}

/// What a container has written.
pub(super) struct Said {
    /// What its command has written.
    pub kept: Output,
    /// What was written in place of it, where the command was not reached.
    pub before_the_command: Option<Vec<u8>>,
}

/// Listens until the end; with `preamble` the output begins with [`BEGIN`].
pub(super) async fn until_the_end(
    engine: &Docker,
    id: &str,
    job: &Job<'_>,
    mut output: Pin<Box<dyn Stream<Item = Result<LogOutput, EngineError>> + Send>>,
    mut collector: Collector,
    preamble: bool,
) -> Result<Watched, Error> {
    let limits = &job.spec.limits;
    let begin = Instant::now();
    let mut before = preamble.then(Vec::new);
    let mut stopped = None;
    let mut over = false;
    let mut wait = engine.wait_container(id, None::<WaitContainerOptions>);
    let wall = sleep_until(begin + limits.wall);
    let idle = sleep_until(begin + limits.idle);
    let grace = sleep_until(begin);
    tokio::pin!(wall, idle, grace);
    let mut reading = true;
    while reading || !over {
        let running = stopped.is_none() && !over;
        let stop = tokio::select! {
            biased;
            () = job.cancel.cancelled(), if running => Some(End::Cancelled),
            () = &mut wall, if running => Some(End::TimedOut(TimeLimit::Wall)),
            () = &mut idle, if running => Some(End::TimedOut(TimeLimit::Idle)),
            // A code other than 0 is an error here; how it ended is asked for afterwards.
            _ = wait.next(), if !over => {
                over = true;
                grace.as_mut().reset(Instant::now() + GRACE);
                None
            }
            () = &mut grace, if !running => break,
            part = output.next(), if reading => match part {
                Some(Ok(part)) => {
                    idle.as_mut().reset(Instant::now() + limits.idle);
                    hear(part.as_ref(), &mut before, &mut collector)?;
                    (running && collector.total() > limits.output).then_some(End::OutputLimit)
                }
                Some(Err(_)) | None => {
                    reading = false;
                    None
                }
            },
        };
        if let Some(end) = stop {
            stopped = Some(end);
            grace.as_mut().reset(Instant::now() + GRACE);
            let killed = engine
                .kill_container(id, None::<KillContainerOptions>)
                .await;
            // It may have ended by itself in the meantime.
            if let Err(err) = killed
                && !matches!(super::status(&err), Some(404 | 409))
            {
                return Err(trouble("ending the container", &err));
            }
        }
    }
    Ok(Watched {
        wall: begin.elapsed(),
        output: Said {
            kept: collector.finish(limits),
            // A tree that could not be copied in time is not the command's failure either, but a
            // caller who has cancelled does not want to hear of it.
            before_the_command: before.filter(|_| stopped != Some(End::Cancelled)),
        },
        ended: stopped.map_or(Ended::ByItself, Ended::Stopped),
    })
}

/// Adds output to what is kept, from the mark on.
fn hear(part: &[u8], before: &mut Option<Vec<u8>>, collector: &mut Collector) -> Result<(), Error> {
    let Some(held) = before else {
        return collector.add(part);
    };
    held.extend(part);
    let at = held
        .windows(BEGIN_BYTES.len())
        .position(|window| window == BEGIN_BYTES);
    if let Some(at) = at {
        let rest = held.split_off(at + BEGIN_BYTES.len());
        *before = None;
        return collector.add(&rest);
    }
    Ok(())
}
