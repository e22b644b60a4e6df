//! Runs a command in a container of Docker or Podman, over the socket of the engine.
//!
//! Containers carry the name of the program that has started them. Those of a program that is gone are
//! removed when the next one starts.

mod container;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, InspectContainerOptions,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};

use self::watch::{Ended, Watched};
use crate::Error;
use crate::outcome::{Backend, By, End, Enforcement, Isolation, Layer, Outcome, TimeLimit, Usage};
use crate::output::Collector;
use crate::processes::owner;
use crate::run::Job;
use crate::spec::{TreeMode, Wanted};

/// The label of all containers; its value is the program that has started one.
const LABEL: &str = "commontrace.sandbox";
/// Seconds that the engine has for an answer.
const TIMEOUT: u64 = 60;

/// Runs the command of a job in a container.
pub(crate) async fn run(job: &Job<'_>, backend: Backend, image: &str) -> Result<Outcome, Error> {
    let engine = connect(backend, job.spec.engine_socket.as_deref()).await?;
    reap(&engine).await;
    known_image(&engine, image).await?;
    let body = container::describe(job, backend, image)?;
    let created = engine
        .create_container(None::<CreateContainerOptions>, body)
        .await;
    let id = created
        .map_err(|err| trouble("making the container", &err))?
        .id;
    let done = run_container(&engine, &id, job, backend).await;
    remove(&engine, &id).await;
    done
}

async fn run_container(
    engine: &Docker,
    id: &str,
    job: &Job<'_>,
    backend: Backend,
) -> Result<Outcome, Error> {
    let limits = &job.spec.limits;
    let collector = Collector::new(job.log, limits)?;
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = engine.attach_container(id, Some(options)).await;
    let output = attached
        .map_err(|err| trouble("listening to the container", &err))?
        .output;
    let started = engine
        .start_container(id, None::<StartContainerOptions>)
        .await;
    started.map_err(|err| cannot_start(job, &err))?;
    let preamble = matches!(job.spec.tree_mode, TreeMode::Overlay { .. });
    let watched = watch::until_the_end(engine, id, job, output, collector, preamble).await?;
    let Watched {
        ended,
        output,
        wall,
    } = watched;
    let inspected = engine
        .inspect_container(id, None::<InspectContainerOptions>)
        .await;
    let state = inspected
        .map_err(|err| trouble("asking how it ended", &err))?
        .state;
    let state = state.unwrap_or_default();
    if let Some(said) = output.before_the_command {
        let reason = String::from_utf8_lossy(&said).trim().to_owned();
        let what = "copying the tree (the image needs `sh` and `cp`)".into();
        return Err(Error::Launch { what, reason });
    }
    let code = i32::try_from(state.exit_code.unwrap_or(-1)).unwrap_or(-1);
    if matches!(ended, Ended::ByItself)
        && let Some(err) = not_runnable(job, code, &output.kept.text())
    {
        return Err(err);
    }
    let end = match ended {
        Ended::Stopped(end) => end,
        Ended::ByItself if state.oom_killed == Some(true) => End::OutOfMemory,
        Ended::ByItself if code == 128 + libc::SIGXCPU => End::TimedOut(TimeLimit::Cpu),
        Ended::ByItself if code == 128 + libc::SIGXFSZ => End::FileTooLarge,
        Ended::ByItself => End::Exited(code),
    };
    let disk = match job.spec.tree_mode {
        TreeMode::ReadWrite => By::Rlimit,
        TreeMode::Overlay { .. } | TreeMode::ReadOnly => By::Filesystem,
    };
    Ok(Outcome {
        end,
        output: output.kept,
        usage: Usage {
            wall,
            cpu: None,
            peak_memory: None,
        },
        isolation: Isolation {
            backend,
            layers: vec![Layer::Container],
            network: job.spec.network,
            enforcement: Enforcement {
                memory: By::Engine,
                processes: By::Engine,
                cpu: By::Rlimit,
                disk,
            },
        },
    })
}

/// Removes what programs that are gone have left in an engine. Nothing to do for what is no engine.
///
/// # Errors
/// If the engine does not answer.
pub async fn reap_containers(wanted: &Wanted, socket: Option<&Path>) -> Result<(), Error> {
    if let Some((backend, _)) = engine_of(wanted) {
        reap(&connect(backend, socket).await?).await;
    }
    Ok(())
}

/// Returns what identifies the content of the image that is wanted, if an engine is.
///
/// # Errors
/// If the engine does not answer or has no such image.
pub async fn image_id(wanted: &Wanted, socket: Option<&Path>) -> Result<Option<String>, Error> {
    let Some((backend, image)) = engine_of(wanted) else {
        return Ok(None);
    };
    let engine = connect(backend, socket).await?;
    Ok(known_image(&engine, image).await?.id)
}

fn engine_of(wanted: &Wanted) -> Option<(Backend, &str)> {
    match wanted {
        Wanted::Docker { image } => Some((Backend::Docker, image)),
        Wanted::Podman { image } => Some((Backend::Podman, image)),
        Wanted::Auto | Wanted::Embedded | Wanted::Bubblewrap | Wanted::None => None,
    }
}

async fn known_image(engine: &Docker, image: &str) -> Result<ImageInspect, Error> {
    let known = engine.inspect_image(image).await;
    known.map_err(|err| match status(&err) {
        Some(404) => Error::ImageMissing {
            image: image.to_owned(),
        },
        _ => trouble("looking for the image", &err),
    })
}

/// What answers at the usual socket.
pub(crate) async fn version(backend: Backend) -> Result<String, Error> {
    let engine = connect(backend, None).await?;
    let found = engine
        .version()
        .await
        .map_err(|err| trouble("asking for the version", &err))?;
    Ok(format!(
        "version {}, for images that are there",
        found.version.unwrap_or_default()
    ))
}

/// Finds the engine and makes sure that it answers.
async fn connect(backend: Backend, socket: Option<&Path>) -> Result<Docker, Error> {
    let candidates = match socket {
        Some(socket) => vec![socket.to_owned()],
        None => sockets(backend),
    };
    let Some(socket) = candidates.iter().find(|path| path.exists()) else {
        let tried: Vec<_> = candidates
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Error::Unavailable {
            reason: format!("no socket of {backend} is at {}", tried.join(" or ")),
            hint: "start the engine, or use the embedded backend".into(),
        });
    };
    let unavailable = |err: &EngineError| Error::Unavailable {
        reason: format!("{backend} does not answer at `{}`: {err}", socket.display()),
        hint: "see whether the engine runs and this user may use its socket".into(),
    };
    let engine = Docker::connect_with_unix(
        &socket.to_string_lossy(),
        TIMEOUT,
        bollard::API_DEFAULT_VERSION,
    );
    // Older engines do not know the newest version of the interface.
    let engine = engine
        .map_err(|err| unavailable(&err))?
        .negotiate_version()
        .await;
    engine.map_err(|err| unavailable(&err))
}

fn sockets(backend: Backend) -> Vec<PathBuf> {
    let user = format!("/run/user/{}", rustix::process::getuid().as_raw());
    match backend {
        Backend::Podman => {
            vec![
                format!("{user}/podman/podman.sock").into(),
                "/run/podman/podman.sock".into(),
            ]
        }
        _ => vec![
            "/var/run/docker.sock".into(),
            format!("{user}/docker.sock").into(),
        ],
    }
}

/// Removes, once in the life of this program, the containers of programs that are gone.
async fn reap(engine: &Docker) {
    static REAPED: AtomicBool = AtomicBool::new(false);
    if REAPED.swap(true, Ordering::Relaxed) {
        return;
    }
    let filters = std::collections::HashMap::from([("label", vec![LABEL])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    for found in engine
        .list_containers(Some(options))
        .await
        .unwrap_or_default()
    {
        let label = found.labels.and_then(|mut labels| labels.remove(LABEL));
        if let (Some(id), Some(label)) = (found.id, label)
            && crate::processes::is_gone(&label)
        {
            remove(engine, &id).await;
        }
    }
}

async fn remove(engine: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    // What cannot be removed now is by a later program.
    let _ = engine.remove_container(id, Some(options)).await;
}

/// What the container's first process or the shell says in place of the command if there is no such
/// program; a command that says so itself gains nothing by it.
fn not_runnable(job: &Job<'_>, code: i32, said: &str) -> Option<Error> {
    let alone =
        said.lines().count() == 1 && (said.starts_with("[FATAL tini") || said.starts_with("sh: "));
    (alone && matches!(code, 126 | 127)).then(|| Error::NotRunnable {
        program: program(job),
        reason: said.trim().to_owned(),
        missing: code == 127,
    })
}

fn program(job: &Job<'_>) -> String {
    job.spec
        .command
        .first()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The engine says what is wrong with a program only in words.
fn cannot_start(job: &Job<'_>, err: &EngineError) -> Error {
    let said = err.to_string();
    let missing = ["executable file not found", "no such file or directory"]
        .iter()
        .any(|words| said.contains(words));
    if missing || said.contains("permission denied") {
        return Error::NotRunnable {
            program: program(job),
            reason: said,
            missing,
        };
    }
    trouble("starting the container", err)
}

fn trouble(what: &str, err: &EngineError) -> Error {
    Error::Launch {
        what: what.into(),
        reason: err.to_string(),
    }
}

fn status(err: &EngineError) -> Option<u16> {
    match err {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What this program's containers are labelled with.
fn label() -> Option<String> {
    owner(i32::try_from(std::process::id()).ok()?)
}
