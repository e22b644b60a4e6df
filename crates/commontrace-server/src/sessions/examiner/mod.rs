//! Examines sessions: runs their tests in a sandbox, judges what was said and done, and signs what comes
//! of it.

mod logs;
pub(crate) mod material;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use commontrace_api::sessions::FixSource;
use commontrace_judge::deterministic::Reason;
use commontrace_judge::endpoint::Endpoint;
use commontrace_judge::facts::Facts;
use commontrace_judge::judge::{Asking, Case, World, judge};
use commontrace_judge::judged::Judged;
use commontrace_judge::pack::{Limits as PackLimits, Pack};
use commontrace_judge::sign::{SigningKey, sign};
use commontrace_judge::verdict::{About, Fix, Verification, VerificationStatus, qa_results};
use commontrace_judge::words::{Wording, word};
use commontrace_judge::{checks, deterministic};
use commontrace_store::RunState;
use commontrace_verify::git::Protocol;
use commontrace_verify::logs::Logs;
use commontrace_verify::progress::Progress;
use commontrace_verify::setup::Setup;
use commontrace_verify::verify::{Change, Context, Tests};
use commontrace_verify::{Reason as VerifyReason, Request, Runner, Status, Verdict, verify};
use serde::Deserialize as _;
use serde_json::{Value, json};

use self::logs::SessionLogs;
use self::material::Material;
use super::examine::{Examiner, Subject, Watch};
use crate::clock::Clock;
use crate::error::chain;
use crate::ids::Ids;

/// Why an address that was redacted when it was recorded leads nowhere.
const REDACTED_ADDRESS: &str = "; what is redacted in its address is stored nowhere: use an address without a \
     password, and `~/` for the home of the user who runs this";
/// How long fetching a repository may take.
const FETCH: Duration = Duration::from_secs(10 * 60);

/// What examining needs.
pub struct SessionExaminer {
    /// Runs commands contained.
    pub runner: Box<dyn Runner>,
    /// A folder for repositories and results that can be made again.
    pub folder: PathBuf,
    /// How repositories may be fetched.
    pub protocols: Vec<Protocol>,
    /// The folder that `~/` at the beginning of a repository's path stands for. What holds the name of a user
    /// is not stored, so such a path is the way to say where a repository in a home folder is.
    pub home: Option<PathBuf>,
    /// Whether dependencies may be fetched from the network. Tests never use it.
    pub setup_network: bool,
    /// Whether the outputs of tests are kept with the session.
    pub keeps_logs: bool,
    /// The model that judges, if there is one.
    pub endpoint: Option<Box<dyn Endpoint>>,
    /// How often it is asked, and what it costs.
    pub asking: Asking,
    /// What verdicts are signed with.
    pub key: SigningKey,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub ids: Ids,
}

impl std::fmt::Debug for SessionExaminer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionExaminer")
            .field("folder", &self.folder)
            .field("protocols", &self.protocols)
            .field("judges", &self.endpoint.is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Examiner for SessionExaminer {
    async fn verify(&self, subject: &Subject, watch: &Watch) -> Result<Value, String> {
        let request = self.request(subject).await?;
        prepare(&self.folder)?;
        let began = self.clock.now();
        let clock = move |now: DateTime<Utc>| (now - began).to_std().unwrap_or_default();
        let clock = || clock(self.clock.now());
        let progress = |progress: Progress| {
            let state = match progress {
                Progress::Fetching | Progress::Preparing | Progress::SettingUp { .. } => {
                    RunState::Preparing
                }
                Progress::Running { .. } | Progress::Deciding => RunState::Running,
            };
            watch.enter(state, json!(progress));
        };
        let logs = SessionLogs {
            store: &subject.store,
            session: subject.key,
            clock: &self.clock,
        };
        let context = Context {
            runner: &*self.runner,
            folder: &self.folder,
            protocols: &self.protocols,
            fetch_limit: FETCH,
            clock: &clock,
            progress: &progress,
            logs: self.keeps_logs.then_some(&logs as &dyn Logs),
            cancel: watch.cancel.clone(),
        };
        let mut verified = verify(&request, &context).await;
        if verified.verdict.reason == VerifyReason::CloneFailed
            && commontrace_redact::has_mark(&request.repository)
        {
            verified.verdict.message.push_str(REDACTED_ADDRESS);
        }
        let mut verification = json!(verified.verdict);
        // It quotes what tests and set-up printed, and tests may be named by it.
        commontrace_redact::redact_json(&mut verification);
        // What was asked for is signed too, so that it can be asked for again.
        verification["request"] = json!(subject.request);
        Ok(verification)
    }

    async fn judge(
        &self,
        subject: &Subject,
        verification: &Value,
        watch: &Watch,
    ) -> Result<Value, String> {
        let verified = known(verification)?;
        let material = Material::read(subject.events()).await?;
        let facts = Facts::read(&material.events, &subject.recorded_test_command);
        let checks = checks::all(&facts);
        let computed = deterministic::levels(&facts, &checks);
        let judged = match &self.endpoint {
            None => Judged::absent(Reason::NotConfigured),
            Some(endpoint) => {
                let models: Vec<&str> = subject.session.model.as_deref().into_iter().collect();
                let pack = |with_reasoning| {
                    let limits = PackLimits::default();
                    Pack::new(&facts, &checks, &models, limits, with_reasoning)
                };
                let (shown, hidden) = (pack(true), pack(false));
                let case = Case {
                    pack: &shown,
                    without_reasoning: &hidden,
                    events_through_seq: Some(subject.events_through),
                };
                let world = World {
                    now: &|| self.clock.now(),
                    random: &|| self.ids.random_bytes(),
                    cancelled: &watch.cancel,
                };
                judge(&**endpoint, &self.asking, case, world).await
            }
        };
        let through = Some(subject.events_through);
        let mut verdict = qa_results(verified, judged, computed, checks, through);
        verdict.about = Some(about(subject));
        let verdict = serde_json::to_value(verdict)
            .map_err(|err| format!("the verdict cannot be written: {err}"))?;
        let signed = sign(&self.key, verdict, material.chain.record());
        serde_json::to_value(signed).map_err(|err| format!("the verdict cannot be written: {err}"))
    }

    async fn word(&self, subject: &Subject, watch: &Watch) -> Option<Wording> {
        let endpoint = self.endpoint.as_deref()?;
        let material = Material::read(subject.events()).await.ok()?;
        let facts = Facts::read(&material.events, &subject.recorded_test_command);
        let checks = checks::all(&facts);
        let pack = Pack::new(&facts, &checks, &[], PackLimits::default(), true);
        let random = || self.ids.random_bytes();
        tokio::select! {
            wording = word(endpoint, &pack, &random) => Some(wording),
            () = watch.cancel.cancelled() => None,
        }
    }
}

impl SessionExaminer {
    async fn request(&self, subject: &Subject) -> Result<Request, String> {
        let repo = &subject.session.repo;
        let by_commit = fix(subject) == Fix::Commit;
        let change = if by_commit {
            Change::Commit(repo.commit_after.clone())
        } else {
            Change::Edits(material::edits(subject).await?)
        };
        let url = self.url(&repo.url);
        let mut request = Request::new(&url, &repo.commit_before, change, &repo.test_command);
        if !by_commit && !repo.commit_after.is_empty() {
            request.fix = Some(repo.commit_after.clone());
            // Weakened tests of its own cannot grade a session where somebody else's are known.
            request.tests = Tests::Commit(repo.commit_after.clone());
        }
        if !subject.request.tests.is_empty() {
            request.tests = Tests::Files(material::tests(subject).await?);
        }
        if let Some(command) = &subject.request.setup {
            request.setup = match command.trim() {
                "" => Setup::None,
                _ => Setup::Command(command.clone()),
            };
        }
        request.expected.clone_from(&subject.request.expected);
        request.runs = subject.request.repeats.into();
        request.setup_network = self.setup_network;
        Ok(request)
    }

    /// A repository's address, with the home folder in its place.
    fn url(&self, url: &str) -> String {
        let below_home = url.strip_prefix("~/");
        let path = below_home.zip(self.home.as_deref());
        let path = path.and_then(|(rest, home)| home.join(rest).to_str().map(str::to_owned));
        path.unwrap_or_else(|| url.to_owned())
    }
}

/// What is taken for the fix.
fn fix(subject: &Subject) -> Fix {
    match subject.request.fix {
        FixSource::Auto if subject.session.repo.commit_after.is_empty() => Fix::Edits,
        FixSource::Auto | FixSource::Commit => Fix::Commit,
        FixSource::Edits => Fix::Edits,
    }
}

/// Which change a verdict on this is about.
fn about(subject: &Subject) -> About {
    let repo = &subject.session.repo;
    About {
        repository: repo.url.clone(),
        commit_before: repo.commit_before.clone(),
        commit_after: repo.commit_after.clone(),
        fix: fix(subject),
    }
}

/// Makes the folder, for its owner alone: what is in it came from somebody's repositories.
fn prepare(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|err| format!("cannot make {}: {}", folder.display(), chain(&err)))
}

/// What the judge needs to know of a verification.
fn known(verification: &Value) -> Result<Verification, String> {
    let verdict = Verdict::deserialize(verification)
        .map_err(|err| format!("what running the tests came to cannot be read: {err}"))?;
    Ok(Verification {
        status: match verdict.status {
            Status::Verified => VerificationStatus::Verified,
            Status::Refuted => VerificationStatus::Refuted,
            Status::NoEvidence => VerificationStatus::NoEvidence,
            Status::Unstable => VerificationStatus::Unstable,
            Status::InvalidRun => VerificationStatus::InvalidRun,
            Status::Infrastructure => VerificationStatus::Infrastructure,
            Status::NotRun => VerificationStatus::NotRun,
        },
        regressed: verdict.counts.pass_to_fail > 0,
        tests_passed: verdict.tests_passed,
        test_exit_code: verdict.test_exit_code.map(i64::from),
        test_output: verdict.test_output_snippet,
        detail: verification.clone(),
    })
}

#[cfg(test)]
mod tests {
    use commontrace_verify::Reason;

    use super::*;

    #[test]
    fn a_verification_that_cannot_be_read_is_no_verification_that_was_not_run() {
        let verdict = json!(Verdict::without_runs(Reason::Oom, "too much"));
        let status = known(&verdict).map(|known| known.status);
        assert_eq!(status, Ok(VerificationStatus::Infrastructure));
        let mut later = verdict;
        later["status"] = json!("verified_by_moonlight");
        assert!(known(&later).is_err_and(|err| err.contains("moonlight")));
        assert!(known(&Value::Null).is_err());
    }
}
