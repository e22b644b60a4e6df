//! `commontrace admin jobs`: the queue, and another try for what was given up.

use chrono::{DateTime, SecondsFormat, Utc};
use commontrace_core::JobId;
use commontrace_server::clock::Clock;
use commontrace_store::{JobState, QueuedJob, Store};
use serde_json::{Value, json};

use super::admin::id;
use super::say;
use crate::failure::Failure;

/// What to show of the queue, or what to try again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show only jobs that wait, are with a worker, or were given up
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Show at most this many jobs, the longest due first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Try the job with this ID again, which was given up; with --all every one that was
    #[arg(
        long, value_name = "ID", num_args = 0..=1, value_parser = id::<JobId>,
        conflicts_with_all = ["state", "limit"],
    )]
    retry: Option<Option<JobId>>,
    /// With --retry: every job that was given up
    #[arg(long, requires = "retry")]
    all: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    Waiting,
    Leased,
    Dead,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Leased => Self::Leased,
            State::Dead => Self::Dead,
        }
    }
}

/// Shows the queue or changes it.
pub async fn run(store: &Store, args: Args) -> Result<(), Failure> {
    let now = Clock::System.now();
    match (args.retry, args.all) {
        (None, _) => show(store, &args, now).await,
        (Some(None), true) => retry(store, None, args.json, now).await,
        (Some(Some(job)), false) => retry(store, Some(job), args.json, now).await,
        (Some(None), false) => Err(Failure::new("which job is to be tried again?")
            .hint("name it, as in `--retry ID`, or say `--retry --all`")),
        (Some(Some(job)), true) => Err(Failure::new(format!(
            "either the job {job} is to be tried again or all are"
        ))
        .hint("leave the id or --all out")),
    }
}

async fn retry(
    store: &Store,
    job: Option<JobId>,
    json: bool,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let retried = store.retry_dead_jobs(job, now).await?;
    if let Some(job) = job
        && retried == 0
    {
        return Err(
            Failure::new(format!("no job that was given up has the id {job}"))
                .hint("`commontrace admin jobs --state dead` lists them"),
        );
    }
    store.announce_jobs().await?;
    if json {
        say(json!({ "retried": retried }));
    } else {
        let jobs = if retried == 1 { "job is" } else { "jobs are" };
        say(format_args!("{retried} {jobs} tried again"));
    }
    Ok(())
}

async fn show(store: &Store, args: &Args, now: DateTime<Utc>) -> Result<(), Failure> {
    let counts = store.job_counts(now).await?;
    let jobs = store
        .jobs(args.state.map(JobState::from), args.limit, now)
        .await?;
    let count = |state| -> i64 {
        let in_state = counts.iter().filter(|count| count.state == state);
        in_state.map(|count| count.jobs).sum()
    };
    if args.json {
        let mut object: serde_json::Map<_, _> = JobState::ALL
            .map(|state| (state.to_string(), count(state).into()))
            .into_iter()
            .collect();
        object.insert("jobs".to_owned(), jobs.iter().map(as_json).collect());
        say(Value::Object(object));
        return Ok(());
    }
    let counted = JobState::ALL.map(|state| format!("{} {state}", count(state)));
    say(counted.join(", "));
    for job in &jobs {
        say(line(job));
    }
    Ok(())
}

fn line(job: &QueuedJob) -> String {
    let QueuedJob {
        id,
        subject_id,
        state,
        attempts,
        queue,
        ..
    } = job;
    let due = time(job.run_at);
    let error = match &job.last_error {
        // It may repeat what an endpoint said, and that is not for a terminal to obey.
        Some(error) => format!("\n    {}", error.replace(char::is_control, " ")),
        None => String::new(),
    };
    format!("{id}  {state:<7}  attempt {attempts}  {due}  trace {subject_id}  {queue}{error}")
}

fn as_json(job: &QueuedJob) -> Value {
    json!({
        "id": job.id,
        "queue": job.queue,
        "subject_id": job.subject_id,
        "state": job.state.as_str(),
        "attempts": job.attempts,
        "run_at": time(job.run_at),
        "leased_until": job.leased_until.map(time),
        "last_error": job.last_error,
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
