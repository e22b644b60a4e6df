//! Examining sessions: as many at a time as the operator allows, each under a lease that says that its worker is still there.
//!
//! A run that its worker did not end is taken up by another one as soon as the lease is over, and goes on
//! from what was kept of it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use commontrace_store::{ClaimedRun, Result, RunEnd, RunHold, RunState, Store};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::upkeep::pause;
use crate::app::App;
use crate::error::chain;
use crate::sessions::evidence::{evidence, finding};
use crate::sessions::examine::{Examiner, Stage, Subject, Watch};
use crate::sessions::present::Kept;

/// How long a lease lasts that is not renewed, and so how long a dead worker's run waits.
const LEASE: Duration = Duration::from_secs(20);
/// How often a lease is renewed, and how soon a worker notices that a run is not wanted any more.
const RENEW: Duration = Duration::from_secs(2);

/// Examines sessions until the server stops. Without an examiner there is nothing to do.
pub async fn run(app: App) {
    let Some(examiner) = app.examiner.clone() else {
        return;
    };
    let mut at_once = JoinSet::new();
    for _ in 0..app.settings.parallel_runs {
        at_once.spawn(work_off(app.clone(), Arc::clone(&examiner)));
    }
    at_once.join_all().await;
}

async fn work_off(app: App, examiner: Arc<dyn Examiner>) {
    while !app.lifecycle.is_stopping() {
        match step(&app, &examiner).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = app.runs_due.notified() => {}
                    _ = pause(&app, app.settings.worker_poll) => {}
                }
            }
            Err(err) => {
                tracing::warn!(error = %chain(&err), "examining sessions pauses: {err}");
                pause(&app, super::batch::PAUSE).await;
            }
        }
    }
}

/// Examines the session that has waited longest; false if none waits.
pub async fn step(app: &App, examiner: &Arc<dyn Examiner>) -> Result<bool> {
    let lease = app.ids.uuid();
    let claimed = app.store.claim_run(lease, LEASE, app.clock.now()).await?;
    let Some(claimed) = claimed else {
        return Ok(false);
    };
    carry_out(app, examiner, &claimed, lease).await?;
    Ok(true)
}

/// Why a run ends before its examination does.
enum Leave {
    NotWanted,
    Lost,
    Stopping,
}

async fn carry_out(
    app: &App,
    examiner: &Arc<dyn Examiner>,
    claimed: &ClaimedRun,
    lease: Uuid,
) -> Result<()> {
    let (stage, watched) = watch::channel(Stage {
        state: RunState::Preparing,
        detail: Value::Null,
    });
    let watch = Watch {
        stage,
        cancel: CancellationToken::new(),
    };
    let work = AssertUnwindSafe(examine(app, examiner, claimed, lease, &watch)).catch_unwind();
    let mut work = pin!(work);
    let leave = tokio::select! {
        end = &mut work => {
            let end = end.unwrap_or_else(|_| {
                Ok(Some(RunEnd::Failed("examining it failed by a bug; the log has more".to_owned())))
            });
            if let Some(end) = end? {
                finish(app, claimed, lease, end).await?;
            }
            return Ok(());
        }
        leave = keep(app, claimed, lease, watched) => leave,
    };
    watch.cancel.cancel();
    // It ends its processes and removes what it has made before it returns.
    let _ = work.await;
    match leave {
        Leave::NotWanted => finish(app, claimed, lease, RunEnd::Cancelled).await?,
        Leave::Stopping => app.store.return_run(claimed.id, lease).await?,
        Leave::Lost => {}
    }
    Ok(())
}

/// Ends a run, and lets searches know of the traces whose standing its verdict changed.
async fn finish(app: &App, claimed: &ClaimedRun, lease: Uuid, end: RunEnd) -> Result<()> {
    let threshold = app.settings.validation_threshold;
    let now = app.clock.now();
    let changed = app
        .store
        .finish_run(claimed.id, lease, end, threshold, now)
        .await?;
    for trace in changed.unwrap_or_default() {
        app.search.refresh(&app.store, trace).await;
    }
    Ok(())
}

/// Keeps the lease and writes down where the run is, until it has to be left.
async fn keep(
    app: &App,
    claimed: &ClaimedRun,
    lease: Uuid,
    mut watched: watch::Receiver<Stage>,
) -> Leave {
    let mut state = RunState::Preparing;
    loop {
        tokio::select! {
            () = tokio::time::sleep(RENEW) => {}
            changed = watched.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = app.lifecycle.stopped() => return Leave::Stopping,
        }
        let stage = watched.borrow_and_update().clone();
        let kept = async {
            if stage.state != state {
                app.store
                    .advance_run(claimed.id, lease, stage.state, None)
                    .await?;
            }
            let detail = (!stage.detail.is_null()).then(|| stage.detail.to_string());
            app.store
                .renew_run(claimed.id, lease, LEASE, detail, app.clock.now())
                .await
        };
        match kept.await {
            Ok(RunHold::Held) => state = stage.state,
            Ok(RunHold::CancelRequested) => return Leave::NotWanted,
            Ok(RunHold::Lost) => return Leave::Lost,
            // The lease lasts a while; the store may be back by then.
            Err(err) => tracing::debug!(error = %chain(&err), "a lease was not renewed: {err}"),
        }
    }
}

/// Examines a session; nothing if the lease was lost meanwhile.
async fn examine(
    app: &App,
    examiner: &Arc<dyn Examiner>,
    claimed: &ClaimedRun,
    lease: Uuid,
    watch: &Watch,
) -> Result<Option<RunEnd>> {
    let failed = |reason: &str| Ok(Some(RunEnd::Failed(reason.to_owned())));
    let Some(subject) = subject(&app.store, claimed).await? else {
        return failed("the session is gone");
    };
    let kept = claimed.verification.as_deref().map(serde_json::from_str);
    let verification: Value = match kept {
        Some(Ok(verification)) => verification,
        _ => match examiner.verify(&subject, watch).await {
            Ok(verification) => verification,
            Err(reason) => return failed(&reason),
        },
    };
    let kept = Some(verification.to_string());
    let held = app
        .store
        .advance_run(claimed.id, lease, RunState::Judging, kept)
        .await?;
    if !held {
        return Ok(None);
    }
    watch.enter(RunState::Judging, json!({}));
    let verdict = match examiner.judge(&subject, &verification, watch).await {
        Ok(verdict) => verdict,
        Err(reason) => return failed(&reason),
    };
    let wording = examiner.word(&subject, watch).await;
    Ok(Some(RunEnd::Done {
        finding: finding(&evidence(&verdict["verdict"])),
        verdict: verdict.to_string(),
        wording: wording.map(|wording| json!(wording).to_string()),
    }))
}

async fn subject(store: &Store, claimed: &ClaimedRun) -> Result<Option<Subject>> {
    let Some(row) = store.session_by_key(claimed.session_key).await? else {
        return Ok(None);
    };
    let (Ok(kept), Ok(request)) = (
        Kept::parse(&row.header),
        serde_json::from_str(&claimed.request),
    ) else {
        return Ok(None);
    };
    Ok(Some(Subject::new(
        store.clone(),
        claimed.session_key,
        claimed.events_through,
        kept.session,
        request,
    )))
}
