//! Puts together what examines sessions: a sandbox, a model if one is configured, and a key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commontrace_judge::endpoint::{Endpoint, Kind, Remote, Settings};
use commontrace_judge::judge::{Asking, Prices};
use commontrace_judge::sign::SigningKey;
use commontrace_sandbox::{Launcher, Wanted, toolchain_binds};
use commontrace_server::clock::Clock;
use commontrace_server::error::chain;
use commontrace_server::ids::Ids;
use commontrace_server::sessions::examine::Examiner;
use commontrace_server::sessions::examiner::SessionExaminer;
use commontrace_verify::sandboxed::SandboxRunner;
use secrecy::SecretString;

use crate::config::{Config, Environment, JudgeProvider};
use crate::failure::Failure;
use crate::start;

/// Where repositories and results are kept that can be made again, below the data directory.
const FOLDER: &str = "verify";
/// Where programs are that everybody has, for a service that is started without a `PATH`.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Builds the examiner of this process, and removes what those before it have left.
pub async fn examiner(config: &Config, env: &Environment) -> Result<Arc<dyn Examiner>, Failure> {
    let folder = config.storage.data_dir.join(FOLDER);
    if folder.is_dir() {
        match commontrace_verify::reap(&folder) {
            Ok(0) => {}
            Ok(left) => tracing::info!("removed what {left} interrupted verifications have left"),
            Err(err) => tracing::warn!("cannot tidy up {}: {err}", folder.display()),
        }
    }
    let (isolation, socket) = isolation(config, env)?;
    if let Err(err) = commontrace_sandbox::reap_containers(&isolation, socket.as_deref()).await {
        // It may be there later; until then whatever is examined says so.
        tracing::warn!("sessions' tests cannot be run: {}", chain(&err));
    }
    Ok(Arc::new(SessionExaminer {
        endpoint: endpoint(config)?,
        asking: asking(config)?,
        keeps_logs: true,
        ..verifier(config, env, folder)?
    }))
}

/// Builds one that runs tests, judges without a model and writes nothing to the store. What it fetches and finds is kept in this folder.
pub fn verifier(
    config: &Config,
    env: &Environment,
    folder: PathBuf,
) -> Result<SessionExaminer, Failure> {
    let sessions = &config.sessions;
    let path = env.get("PATH").filter(|path| !path.is_empty());
    let path = path.map_or(USUAL_PATH, |path| path);
    let home = env.get("HOME").map(PathBuf::from);
    let toolchains = toolchain_binds(path.as_ref(), home.as_deref());
    let (isolation, socket) = isolation(config, env)?;
    let runner = SandboxRunner::new(Launcher::this_program(), isolation, toolchains)
        .with_engine_socket(socket);
    Ok(SessionExaminer {
        runner: Box::new(runner),
        folder,
        home,
        protocols: sessions.verify_protocols.0.clone(),
        setup_network: sessions.verify_setup_network,
        keeps_logs: false,
        endpoint: None,
        asking: Asking::default(),
        key: signing_key(config)?,
        clock: Clock::System,
        ids: Ids::Random,
    })
}

/// What contains tests, and the socket of its engine where the environment names one.
fn isolation(config: &Config, env: &Environment) -> Result<(Wanted, Option<PathBuf>), Failure> {
    let sessions = &config.sessions;
    let wanted = sessions
        .verify_isolation
        .wanted(sessions.verify_image.as_deref())
        .ok_or_else(|| {
            Failure::new("COMMONTRACE_VERIFY_ISOLATION names an engine of containers, and no image")
                .hint("set COMMONTRACE_VERIFY_IMAGE to an image that the engine has")
        })?;
    let socket = env
        .get("DOCKER_HOST")
        .and_then(|host| host.strip_prefix("unix://"))
        .map(PathBuf::from);
    Ok((wanted, socket))
}

/// Returns the key that verdicts are signed with here, which is made if there is none.
pub fn signing_key(config: &Config) -> Result<SigningKey, Failure> {
    let data = &config.storage.data_dir;
    start::create_private(data)?;
    SigningKey::load_or_create(data, &Ids::Random.random_bytes())
        .map_err(|err| Failure::new(chain(&err)))
}

/// How often a model is asked, and at which prices.
fn asking(config: &Config) -> Result<Asking, Failure> {
    let sessions = &config.sessions;
    let prices = match (sessions.judge_price_input, sessions.judge_price_output) {
        (Some(input), Some(output)) => Some(Prices {
            input: input.0,
            output: output.0,
        }),
        (None, None) => None,
        _ => {
            return Err(Failure::new(
                "of JUDGE_PRICE_INPUT and JUDGE_PRICE_OUTPUT only one is set",
            )
            .hint("set both, or none and the cost of a verdict stays unknown"));
        }
    };
    Ok(Asking {
        samples: sessions.judge_samples.get() as usize,
        prices,
        ..Asking::default()
    })
}

fn endpoint(config: &Config) -> Result<Option<Box<dyn Endpoint>>, Failure> {
    let sessions = &config.sessions;
    let (kind, default) = match sessions.judge_provider {
        JudgeProvider::None => return Ok(None),
        JudgeProvider::OpenAi => (Kind::OpenAi, "https://api.openai.com/v1"),
        JudgeProvider::Anthropic => (Kind::Anthropic, "https://api.anthropic.com"),
        JudgeProvider::Ollama => (Kind::Ollama, "http://127.0.0.1:11434"),
    };
    let base = sessions
        .judge_base_url
        .as_ref()
        .map_or(default, |url| url.as_str());
    let model = sessions.judge_model.as_deref().unwrap_or_default();
    let mut settings = Settings::new(kind, base, model);
    settings.timeout = Duration::from_secs(sessions.judge_timeout_seconds.get().into());
    settings.api_key = sessions
        .judge_api_key
        .as_ref()
        .map(|key| SecretString::from(key.expose().to_owned()));
    let remote = Remote::new(settings, start::http_client_builder()).map_err(|err| {
        Failure::new(chain(&err)).hint("see JUDGE_PROVIDER, JUDGE_BASE_URL and JUDGE_MODEL")
    })?;
    Ok(Some(Box::new(remote)))
}
