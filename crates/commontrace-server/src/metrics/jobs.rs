//! The queue of jobs, as metrics.

use std::time::Duration;

use commontrace_store::JobState;
use metrics::{counter, describe_counter, describe_gauge, gauge};

const JOBS: &str = "commontrace_jobs";
const OLDEST: &str = "commontrace_jobs_oldest_waiting_seconds";
const ATTEMPTS: &str = "commontrace_job_attempts_total";
const FAILURES: &str = "commontrace_job_failures_total";
const LISTENING: &str = "commontrace_worker_listening";

pub(super) fn describe() {
    describe_gauge!(
        JOBS,
        "Jobs in the queue of each model, by state; the dead ones were given up."
    );
    describe_gauge!(
        OLDEST,
        "How long the job that has been due longest has been waiting for a worker."
    );
    describe_counter!(ATTEMPTS, "Jobs that this process has begun.");
    describe_counter!(
        FAILURES,
        "Jobs that failed in this process, by whether they are tried again or given up."
    );
    describe_gauge!(
        LISTENING,
        "1 while this process hears of new jobs, 0 while it only looks for them."
    );
}

/// Sets how many jobs of a queue are in a state.
pub fn jobs(queue: &str, state: JobState, count: i64) {
    gauge!(JOBS, "queue" => queue.to_owned(), "state" => state.as_str()).set(count as f64);
}

/// Sets how long the first job of a queue has been waiting; zero if none is.
pub fn oldest_waiting_job(queue: &str, age: Duration) {
    gauge!(OLDEST, "queue" => queue.to_owned()).set(age.as_secs_f64());
}

/// Counts jobs of a queue that are begun.
pub fn job_attempts(queue: &str, jobs: usize) {
    counter!(ATTEMPTS, "queue" => queue.to_owned()).increment(jobs as u64);
    // There from the start, so that the first failure is seen as a rise.
    for outcome in ["dead", "retry"] {
        counter!(FAILURES, "queue" => queue.to_owned(), "outcome" => outcome).increment(0);
    }
}

/// Counts a job of a queue that failed, and will be tried again or not.
pub fn job_failed(queue: &str, given_up: bool) {
    let outcome = if given_up { "dead" } else { "retry" };
    counter!(FAILURES, "queue" => queue.to_owned(), "outcome" => outcome).increment(1);
}

/// Sets whether this process hears of new jobs at once.
pub fn worker_listening(listening: bool) {
    gauge!(LISTENING).set(f64::from(u8::from(listening)));
}
