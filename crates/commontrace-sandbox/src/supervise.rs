//! Runs a launcher: tells it what to do, reads what the command writes, and ends everything when a
//! limit is reached.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::cgroup::Cgroup;
use crate::limits::Limits;
use crate::outcome::{End, Layer, Output, TimeLimit, Usage};
use crate::output::Collector;
use crate::plan::{Failure, Message, Plan, Status};

/// How long setting up may take, on a machine with much else to do.
const SETUP: Duration = Duration::from_secs(60);
/// How often the control group is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long the launcher has for ending everything.
const GRACE: Duration = Duration::from_secs(10);

/// What came of a command.
pub(crate) struct Run {
    /// How it ended.
    pub end: End,
    /// What it wrote.
    pub output: Output,
    /// What it used up.
    pub usage: Usage,
    /// What its own process was contained by.
    pub layers: Vec<Layer>,
}

/// Why there was no command.
pub(crate) enum Trouble {
    /// The launcher has said why.
    Failed(Failure),
    /// The launcher was gone without a word; this is what stands in the output.
    Silent(ExitStatus, Output),
    /// The supervisor itself had a problem.
    Error(Error),
}

impl From<Error> for Trouble {
    fn from(err: Error) -> Self {
        Self::Error(err)
    }
}

/// What has happened so far.
#[derive(Default)]
struct Seen {
    started: Option<Vec<Layer>>,
    failed: Option<Failure>,
    ended: Option<(Status, bool)>,
    stopped: Option<End>,
    cpu: Option<Duration>,
    peak_memory: Option<u64>,
}

/// Runs the launcher with a plan until nothing is left of the command.
pub(crate) async fn supervise(
    launcher: Command,
    plan: &Plan,
    limits: &Limits,
    cgroup: Option<&Cgroup>,
    collector: Collector,
    cancel: &CancellationToken,
) -> Result<Run, Trouble> {
    let begin = Instant::now();
    let (mut child, control, output) = spawn(launcher).map_err(trouble("starting the launcher"))?;
    if let (Some(cgroup), Some(pid)) = (cgroup, child.id()) {
        cgroup
            .add(pid)
            .map_err(trouble("entering the control group"))?;
    }
    let mut supervisor = Supervisor {
        limits,
        cgroup,
        cancel,
        begin,
        collector,
        seen: Seen::default(),
    };
    supervisor.run(&mut child, control, output, plan).await?;
    let status = child
        .wait()
        .await
        .map_err(trouble("waiting for the launcher"))?;
    supervisor.finish(status)
}

fn trouble(what: &'static str) -> impl Fn(io::Error) -> Trouble {
    move |err| {
        Trouble::Error(Error::Launch {
            what: what.into(),
            reason: err.to_string(),
        })
    }
}

fn spawn(mut launcher: Command) -> io::Result<(Child, UnixStream, pipe::Receiver)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (reader, writer) = io::pipe()?;
    launcher
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // The command, which holds the other ends, is gone at the end of this function.
    let child = tokio::process::Command::from(launcher)
        .kill_on_drop(true)
        .spawn()?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok((child, UnixStream::from_std(ours)?, output))
}

struct Supervisor<'a> {
    limits: &'a Limits,
    cgroup: Option<&'a Cgroup>,
    cancel: &'a CancellationToken,
    begin: Instant,
    collector: Collector,
    seen: Seen,
}

impl Supervisor<'_> {
    /// Goes on until the launcher's ends of the socket and of the output are closed.
    async fn run(
        &mut self,
        child: &mut Child,
        control: UnixStream,
        mut output: pipe::Receiver,
        plan: &Plan,
    ) -> Result<(), Trouble> {
        let (said, mut tell) = control.into_split();
        let mut said = BufReader::new(said);
        let mut line = serde_json::to_vec(plan).map_err(|err| trouble("planning")(err.into()))?;
        line.push(b'\n');
        // A launcher that is gone already is noticed by its silence.
        let _ = tell.write_all(&line).await;
        let mut tell = Some(tell);

        let wall = sleep_until(self.begin + SETUP);
        let idle = sleep_until(self.begin + SETUP);
        let grace = sleep_until(self.begin);
        tokio::pin!(wall, idle, grace);
        let mut tick = tokio::time::interval(TICK);
        let mut message = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        let (mut listening, mut reading) = (true, true);
        while listening || reading {
            let running = self.seen.stopped.is_none() && listening;
            tokio::select! {
                biased;
                got = said.read_until(b'\n', &mut message), if listening => {
                    listening = matches!(got, Ok(1..));
                    if self.hear(&message) {
                        self.begin = Instant::now();
                        wall.as_mut().reset(self.begin + self.limits.wall);
                        idle.as_mut().reset(self.begin + self.limits.idle);
                    }
                    message.clear();
                }
                () = self.cancel.cancelled(), if running => self.seen.stopped = Some(End::Cancelled),
                () = &mut wall, if running => {
                    self.seen.stopped = Some(End::TimedOut(TimeLimit::Wall));
                }
                () = &mut idle, if running => {
                    self.seen.stopped = Some(End::TimedOut(TimeLimit::Idle));
                }
                _ = tick.tick(), if running && self.cgroup.is_some() => {
                    self.seen.stopped = self.over_a_limit_of_the_group();
                }
                () = &mut grace, if !running => {
                    let _ = child.start_kill();
                    break;
                }
                got = output.read(&mut buffer), if reading => {
                    let count = got.unwrap_or(0);
                    reading = count > 0;
                    idle.as_mut().reset(Instant::now() + self.limits.idle);
                    if self.seen.stopped != Some(End::OutputLimit) {
                        self.collector.add(&buffer[..count])?;
                    }
                    if running && self.collector.total() > self.limits.output {
                        self.seen.stopped = Some(End::OutputLimit);
                    }
                }
            }
            // Closing this direction is the request to end everything. Once the launcher is gone,
            // whatever still holds the output is out of reach, and must not hold this up.
            if (self.seen.stopped.is_some() || !listening) && tell.take().is_some() {
                grace.as_mut().reset(Instant::now() + GRACE);
            }
        }
        Ok(())
    }

    /// The kernel ends one process that needs too much memory; what is left could wait for it forever.
    fn over_a_limit_of_the_group(&self) -> Option<End> {
        let group = self.cgroup?;
        if group.ended_for_memory() > 0 {
            return Some(End::OutOfMemory);
        }
        let over = group.cpu().is_some_and(|used| used > self.limits.cpu);
        over.then_some(End::TimedOut(TimeLimit::Cpu))
    }

    /// Takes note of what the launcher says, and returns whether it is that the command runs now.
    fn hear(&mut self, line: &[u8]) -> bool {
        match serde_json::from_slice(line) {
            Ok(Message::Started { layers }) => {
                self.seen.started = Some(layers);
                return true;
            }
            Ok(Message::Failed(failure)) => self.seen.failed = Some(failure),
            Ok(Message::Ended {
                status,
                disk_full,
                peak_memory,
                cpu,
            }) => {
                self.seen.cpu = Some(cpu);
                self.seen.ended = Some((status, disk_full));
                self.seen.peak_memory = peak_memory;
            }
            Ok(Message::Gone { cpu, largest }) => {
                let counted = self.seen.cpu.get_or_insert_default();
                *counted = cpu.max(*counted);
                let seen = self.seen.peak_memory.get_or_insert(0);
                *seen = (*seen).max(largest);
            }
            Err(_) => {}
        }
        false
    }

    fn finish(self, status: ExitStatus) -> Result<Run, Trouble> {
        let usage = Usage {
            wall: self.begin.elapsed(),
            cpu: self.cgroup.and_then(Cgroup::cpu).or(self.seen.cpu),
            peak_memory: self
                .cgroup
                .and_then(Cgroup::peak_memory)
                .or(self.seen.peak_memory),
        };
        let output = self.collector.finish(self.limits);
        if let Some(failure) = self.seen.failed {
            return Err(Trouble::Failed(failure));
        }
        let layers = match (self.seen.started, self.seen.stopped) {
            (Some(layers), _) => layers,
            (None, Some(End::Cancelled)) => Vec::new(),
            (None, Some(_)) => {
                let reason = format!("it took longer than {SETUP:?}");
                return Err(Error::Launch {
                    what: "starting the command".into(),
                    reason,
                }
                .into());
            }
            (None, None) => return Err(Trouble::Silent(status, output)),
        };
        let end = match (self.seen.ended, self.seen.stopped) {
            _ if self
                .cgroup
                .is_some_and(|group| group.ended_for_memory() > 0) =>
            {
                End::OutOfMemory
            }
            (Some((status, disk_full)), _) => {
                let no_process = self
                    .cgroup
                    .is_some_and(|group| group.refused_processes() > 0);
                end(status, disk_full, no_process)
            }
            (None, Some(stopped)) => stopped,
            (None, None) => return Err(Trouble::Silent(status, output)),
        };
        Ok(Run {
            end,
            output,
            usage,
            layers,
        })
    }
}

/// A command that copes with a full disk, or was done just before it reached a limit, has succeeded.
fn end(status: Status, disk_full: bool, no_process: bool) -> End {
    match status {
        Status::Exited(0) => End::Exited(0),
        Status::OverMemory => End::OutOfMemory,
        Status::OverCpu | Status::Signalled(libc::SIGXCPU) => End::TimedOut(TimeLimit::Cpu),
        Status::OverProcesses => End::TooManyProcesses,
        Status::Signalled(libc::SIGXFSZ) => End::FileTooLarge,
        Status::Exited(_) | Status::Signalled(_) if disk_full => End::DiskFull,
        Status::Exited(_) | Status::Signalled(_) if no_process => End::TooManyProcesses,
        Status::Exited(code) => End::Exited(code),
        Status::Signalled(signal) => End::Signalled(signal),
    }
}
