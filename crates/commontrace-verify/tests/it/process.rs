//! A runner that just starts the process: what the tests use where isolation is not the matter.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commontrace_verify::runner::{End, Finished, Folders, Job, Runner, RunnerError};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

/// The exit code by which a command says that its time is over, so that no test has to wait for that.
pub const OUT_OF_TIME: i32 = 75;

/// Starts `sh -c` in a process group of its own, which it ends as a whole.
#[derive(Default)]
pub struct ProcessRunner {
    /// How many commands were run.
    pub runs: AtomicU32,
}

#[async_trait]
impl Runner for ProcessRunner {
    async fn identity(&self) -> String {
        "process".into()
    }

    fn inside(&self, folders: &Folders) -> Folders {
        folders.clone()
    }

    async fn run(
        &self,
        job: &Job<'_>,
        cancel: &CancellationToken,
    ) -> Result<Finished, RunnerError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        // The toolchain that builds these tests, without the proxies of rustup.
        let toolchain = Path::new(env!("CARGO")).parent().unwrap().display();
        let log = std::fs::File::create(job.log).unwrap();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", job.command])
            .current_dir(&job.folders.tree)
            .env_clear()
            .env("PATH", format!("{toolchain}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", &job.folders.scratch)
            .envs(job.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let group = child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let end = tokio::select! {
            status = child.wait() => {
                use std::os::unix::process::ExitStatusExt;
                let status = status.unwrap();
                match (status.code(), status.signal()) {
                    (Some(OUT_OF_TIME), _) => End::TimedOut,
                    (Some(code), _) => End::Exited(code),
                    (None, signal) => End::Signalled(signal.unwrap_or_default()),
                }
            }
            () = cancel.cancelled() => End::Cancelled,
        };
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let mut output = Vec::new();
        let mut log = tokio::fs::File::open(job.log).await.unwrap();
        log.read_to_end(&mut output).await.unwrap();
        let at = output.len().min(4096);
        let (head, tail) = output.split_at(at);
        Ok(Finished {
            end,
            head: head.to_vec(),
            tail: tail.to_vec(),
            omitted: 0,
            isolation: "none".into(),
            duration: Duration::from_millis(1),
        })
    }
}
