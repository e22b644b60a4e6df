//! `commontrace judge`: how far the model that judges may be believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use commontrace_core::UserId;
use commontrace_judge::calibrate::{JudgedLevels, calibrate, judged_levels, read_labels};
use commontrace_judge::sign::SignedVerdict;
use commontrace_judge::verdict::QaResults;
use commontrace_server::error::chain;
use commontrace_store::{SessionCursor, SessionFilter, Store};

use super::sessions::Owner;
use super::{complain, say};
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// Sessions that are read at once; their verdicts may be large.
const PAGE: i64 = 50;
/// What intervals are drawn with, so that the same labels and verdicts give the same report.
const SEED: u64 = 1;

/// What to do with the judge.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Compare the levels that the model gave to sessions with those that people gave
    Calibrate(Calibrate),
}

/// What to compare with.
#[derive(Debug, clap::Args)]
pub struct Calibrate {
    /// The labels of people, a JSON object on each line:
    /// {"trace": ID, "dimension": "honesty", "level": 3, "labeller": NAME, "rule_version": "1"}
    labels: PathBuf,
    #[command(flatten)]
    owner: Owner,
    /// Print a JSON list with a report for each version of the rule
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand.
pub async fn run(config: Config, command: Command) -> Result<(), Failure> {
    let Command::Calibrate(args) = command;
    let unusable = |what: String| {
        Failure::new(format!("{}: {what}", args.labels.display()))
            .hint("docs/judging.md shows what a label looks like; labels come from people")
    };
    let file = File::open(&args.labels).map_err(|err| unusable(err.to_string()))?;
    let labels = read_labels(BufReader::new(file)).map_err(|err| unusable(chain(&err)))?;
    if labels.is_empty() {
        return Err(unusable("it holds no labels".to_owned()));
    }
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let judged = judged(&store, user).await?;
    store.close().await;
    if let Some((session, error)) = &judged.first_unreadable {
        complain(&format!(
            "warning: {} verdicts cannot be read and are left out, the first of session {session}: {error}; \
             POST /traces/{session}/finalize has it examined anew",
            judged.unreadable
        ));
    }
    if judged.levels.is_empty() {
        return Err(Failure::new(format!(
            "none of the account's {} sessions has a verdict by a model that can be read",
            judged.sessions
        ))
        .hint(
            "set JUDGE_PROVIDER and JUDGE_MODEL, start the server, and POST /traces/ID/finalize for the sessions \
             that people have labelled; --account names whose sessions they are",
        ));
    }
    if judged.ways.len() > 1 {
        complain(&format!(
            "warning: the sessions were judged in {} ways, which are compared as if they were one: {}",
            judged.ways.len(),
            listed(&judged.ways)
        ));
    }
    let reports = calibrate(&labels, &judged.levels, SEED);
    if args.json {
        let reports = serde_json::to_string_pretty(&reports);
        say(reports.map_err(|err| Failure::new(format!("the report cannot be written: {err}")))?);
    } else {
        let reports: Vec<String> = reports.iter().map(ToString::to_string).collect();
        say(reports.join("\n").trim_end());
    }
    Ok(())
}

/// What the model said of an account's sessions.
#[derive(Debug, Default)]
struct Judgements {
    /// How many sessions there are, judged or not.
    sessions: usize,
    levels: Vec<JudgedLevels>,
    /// How many verdicts are of a shape that this version does not know.
    unreadable: usize,
    /// The session of the first of these, and what is wrong.
    first_unreadable: Option<(String, String)>,
    /// How many sessions each model judged by each version of the rubric.
    ways: BTreeMap<(String, String), usize>,
}

/// Reads the newest verdict of every session.
async fn judged(store: &Store, user: UserId) -> Result<Judgements, Failure> {
    let mut all = Judgements::default();
    let mut after = None;
    loop {
        let page = store
            .list_sessions(user, &SessionFilter::default(), after, PAGE)
            .await?;
        all.sessions += page.len();
        after = page.last().map(|last| SessionCursor {
            created_at: last.created_at,
            key: last.key,
        });
        let is_last = (page.len() as i64) < PAGE;
        for session in page {
            let results = match session.verdict.as_deref().map(results) {
                Some(Ok(results)) => results,
                Some(Err(err)) => {
                    all.unreadable += 1;
                    all.first_unreadable
                        .get_or_insert_with(|| (session.id.clone(), err.to_string()));
                    continue;
                }
                None => continue,
            };
            let judged = &results.judge.judged;
            let levels = judged_levels(&session.id, judged);
            if let (false, Some(asked)) = (levels.is_empty(), &judged.asked) {
                let way = (asked.model.clone(), judged.rubric_version.clone());
                *all.ways.entry(way).or_default() += 1;
            }
            all.levels.extend(levels);
        }
        if is_last {
            return Ok(all);
        }
    }
}

/// What a verdict says.
fn results(signed: &str) -> Result<QaResults, serde_json::Error> {
    serde_json::from_str::<SignedVerdict>(signed)?.results()
}

fn listed(ways: &BTreeMap<(String, String), usize>) -> String {
    let each: Vec<String> = ways
        .iter()
        .map(|((model, version), count)| format!("{count} by {model:?}, rubric {version}"))
        .collect();
    each.join("; ")
}
