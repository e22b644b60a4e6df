//! `commontrace sessions finalize`: finds out what a session is worth, in this process.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use commontrace_api::sessions::FinalizeQuery;
use commontrace_core::{RunId, SessionKey};
use commontrace_server::App;
use commontrace_server::lifecycle::Lifecycle;
use commontrace_server::sessions::evidence::{evidence, results};
use commontrace_server::sessions::request;
use commontrace_server::worker::runs;
use commontrace_store::{NewRun, Run, RunState, StartRun};
use commontrace_verify::git::Protocol;
use serde_json::{Map, Value, json};

use super::{Owner, events};
use crate::commands::{complain, interruption, say};
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::{examiner, start};

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Which session, and what takes the place of what it says of its repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session's id, as `sessions list` shows it
    id: String,
    /// The repository, by its address or path
    #[arg(long, value_name = "URL|PATH")]
    repo: Option<String>,
    /// The commit with the bug
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
    /// The commit with the fix
    #[arg(long, value_name = "COMMIT", conflicts_with = "edits")]
    commit: Option<String>,
    /// Take the session's own edits for the fix
    #[arg(long)]
    edits: bool,
    /// The command that runs the tests
    #[arg(long, value_name = "COMMAND")]
    test_command: Option<String>,
    /// The command that sets up dependencies
    #[arg(long, value_name = "COMMAND")]
    setup: Option<String>,
    /// A folder whose files, tests by somebody else, are put over the repository's
    #[arg(long, value_name = "FOLDER")]
    tests: Option<PathBuf>,
    /// How often the tests run before the fix, and how often after it; 3 without it
    #[arg(long, value_name = "N")]
    repeats: Option<u8>,
    /// Print the signed verdict as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    owner: Owner,
}

/// Runs the tests, judges, and says what came of it. Fails unless the fix is verified.
pub async fn run(mut config: Config, env: Environment, args: Args) -> Result<(), Failure> {
    let body = body(&args, &env)?.to_string();
    let query = FinalizeQuery {
        wait: None,
        repeats: None,
        fix: None,
    };
    let asked = request::read(Some(&body), &query)
        .map_err(|err| Failure::new(format!("this cannot be asked for: {}", err.cause())))?;
    // Whoever types a path here can read what is there.
    if !config.sessions.verify_protocols.0.contains(&Protocol::File) {
        config.sessions.verify_protocols.0.push(Protocol::File);
    }
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let session = events::find(&store, user, &args.id).await?;
    let examiner = examiner::examiner(&config, &env).await?;
    let lifecycle = Lifecycle::default();
    let app = start::app(
        &config,
        store.clone(),
        None,
        None,
        Some(examiner.clone()),
        lifecycle,
    )
    .await?;
    let new = NewRun {
        id: app.ids.id(),
        request: json!(asked.request).to_string(),
        files: asked.files,
        idempotency: None,
    };
    let started = store.start_run(user, args.id, new, app.clock.now()).await?;
    let (StartRun::Started(run) | StartRun::Active(run)) = started else {
        return Err(Failure::new("the account has no room for another run")
            .hint("`commontrace sessions prune` makes room"));
    };
    let mut interrupted = pin!(interruption()?);
    let mut asked_to_end = false;
    let work = async {
        // Another run may wait for longer; where a server's workers share the store, one of them may take it.
        while !look(&app, session.key, run.id).await?.state.is_final() {
            if !runs::step(&app, &examiner).await? {
                tokio::time::sleep(LOOK).await;
            }
        }
        look(&app, session.key, run.id).await
    };
    let mut work = pin!(work);
    let mut shown = String::new();
    let run = loop {
        tokio::select! {
            done = &mut work => break done?,
            () = &mut interrupted, if !asked_to_end => {
                asked_to_end = true;
                store.cancel_run(session.key, run.id, app.clock.now()).await?;
            }
            () = tokio::time::sleep(LOOK) => {
                let stage = stage(&look(&app, session.key, run.id).await?);
                if stage != shown {
                    complain(&stage);
                    shown = stage;
                }
            }
        }
    };
    store.close().await;
    tell(&run, args.json)
}

async fn look(app: &App, session: SessionKey, run: RunId) -> Result<Run, Failure> {
    let run = app.store.run(session, run).await?;
    run.ok_or_else(|| Failure::new("the session was deleted meanwhile"))
}

/// Where a run is, in a line.
fn stage(run: &Run) -> String {
    let state = run.state.name();
    let detail = run.progress.as_deref().map(serde_json::from_str::<Value>);
    let Some(Ok(detail)) = detail else {
        return state.to_owned();
    };
    match (
        run.state,
        detail["side"].as_str(),
        &detail["run"],
        &detail["of"],
    ) {
        (RunState::Running, Some(side), Value::Number(run), Value::Number(of)) => {
            format!("{state}: tests of the {side}, {run} of {of}")
        }
        _ => state.to_owned(),
    }
}

fn tell(run: &Run, as_json: bool) -> Result<(), Failure> {
    let Some(signed) = run
        .verdict
        .as_deref()
        .filter(|_| run.state == RunState::Done)
    else {
        return Err(match &run.error {
            Some(error) => Failure::new(error),
            None => Failure::new("the run was ended before it had a verdict"),
        });
    };
    let found = evidence(&results(signed).map_err(events::failure)?);
    if as_json {
        say(signed);
    } else {
        say(format_args!("{}\nrun: {}", found.summary, run.id));
    }
    if found.status == "verified" {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "the fix is not verified: {}",
            found.status
        )))
    }
}

/// The request in the words of the API.
fn body(args: &Args, env: &Environment) -> Result<Value, Failure> {
    let mut repo = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            repo.insert(name.to_owned(), value.into());
        }
    };
    let place = args.repo.as_deref();
    put("url", place.map(|place| address(place, env)).transpose()?);
    put("commit_before", commit(args.base.as_deref(), place)?);
    put("commit_after", commit(args.commit.as_deref(), place)?);
    put("test_command", args.test_command.clone());
    let mut body = json!({ "repo": repo });
    if let Some(setup) = &args.setup {
        body["setup"] = json!(setup);
    }
    if let Some(repeats) = args.repeats {
        body["repeats"] = json!(repeats);
    }
    if args.edits {
        body["fix"] = json!("edits");
    } else if args.commit.is_some() {
        body["fix"] = json!("commit");
    }
    if let Some(folder) = &args.tests {
        let mut files = Vec::new();
        collect(folder, folder, &mut files)?;
        body["tests"] = Value::Array(files);
    }
    Ok(body)
}

/// Whether a place is on this machine, and no address.
fn is_path(place: &str) -> bool {
    !place.contains("://") && (!place.contains(':') || Path::new(place).exists())
}

/// The id of a commit: in a repository on this machine it may have any name that git knows.
fn commit(name: Option<&str>, place: Option<&str>) -> Result<Option<String>, Failure> {
    let (Some(name), Some(place)) = (name, place.filter(|place| is_path(place))) else {
        return Ok(name.map(str::to_owned));
    };
    let found = std::process::Command::new("git")
        .arg("-C")
        .arg(place)
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
        .arg(format!("{name}^{{commit}}"))
        .output()
        .map_err(|err| Failure::new(format!("cannot run git: {err}")).hint("install git"))?;
    if !found.status.success() {
        return Err(Failure::new(format!("{place} has no commit `{name}`"))
            .hint("`git log` shows the commits"));
    }
    Ok(Some(
        String::from_utf8_lossy(&found.stdout).trim().to_owned(),
    ))
}

/// An address as it is, a path in full, and one in the home folder without the user's name, which would
/// not be stored.
fn address(place: &str, env: &Environment) -> Result<String, Failure> {
    if !is_path(place) {
        return Ok(place.to_owned());
    }
    let path =
        std::fs::canonicalize(place).map_err(|err| Failure::unreadable(Path::new(place), &err))?;
    let home = env
        .get("HOME")
        .and_then(|home| std::fs::canonicalize(home).ok());
    let below = home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_path_buf));
    let path = match below {
        Some(below) => Path::new("~").join(below),
        None => path,
    };
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("{} is no UTF-8", path.display())))
}

/// Reads the files below a folder, in the order of their names.
fn collect(root: &Path, folder: &Path, files: &mut Vec<Value>) -> Result<(), Failure> {
    let unreadable = |path: &Path, err: &std::io::Error| Failure::unreadable(path, err);
    let entries = std::fs::read_dir(folder).map_err(|err| unreadable(folder, &err))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|err| unreadable(folder, &err))?.path());
    }
    paths.sort();
    for path in paths {
        let kind = std::fs::symlink_metadata(&path).map_err(|err| unreadable(&path, &err))?;
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let content = std::fs::read_to_string(&path).map_err(|err| unreadable(&path, &err))?;
            let place = path.strip_prefix(root).unwrap_or(&path);
            files.push(json!({"path": place, "content": content}));
        }
    }
    Ok(())
}
