//! Runs one command for this crate's own tests, as the user who starts it: the spec comes in over
//! standard input, as JSON in a line, the outcome or the error goes out. When standard input closes,
//! the command is cancelled. In production `commontrace` is launcher and supervisor itself.

use std::io::{BufRead as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use commontrace_sandbox::{CancellationToken, Error, Launcher, Spec};

fn main() -> ExitCode {
    if let Some(code) = commontrace_sandbox::launched() {
        return code;
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let (spec, log): (Spec, PathBuf) = match read.map(|_| serde_json::from_str(&line)) {
        Ok(Ok(request)) => request,
        _ => return ExitCode::FAILURE,
    };
    let program = std::env::args_os().next().unwrap_or_default().into();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    let answer = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let closed = cancel.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            closed.cancel();
        });
        let outcome = commontrace_sandbox::run(&spec, &Launcher { program }, &log, &cancel).await;
        outcome.map_err(|err: Error| (err.code(), err.to_string()))
    });
    match serde_json::to_writer(std::io::stdout(), &answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
