//! What clients report about themselves. Repeated reports replace each other.

use axum::extract::State;
use commontrace_api::telemetry::{Accepted, Install, Triggers};
use commontrace_store as store;
use serde_json::Value;

use crate::app::App;
use crate::error::ApiResult;
use crate::extract::{Json, Reporter, Writer};
use crate::intake::Redactor;
use crate::respond::{Created, NoContent};

const OK: Created<Accepted> = Created(Accepted { status: "ok" });

/// Notes where a client is installed.
pub async fn install(
    State(app): State<App>,
    caller: Reporter,
    Json(body): Json<Install>,
) -> ApiResult<Created<Accepted>> {
    let mut redactor = Redactor::default();
    let install = store::Install {
        platform: redactor.optional("platform", body.platform.as_deref()),
        skill_version: redactor.optional("skill_version", body.skill_version.as_deref()),
        install_source: redactor.optional("install_source", body.install_source.as_deref()),
    };
    caller
        .store()
        .report_install(caller.id, install, app.clock.now())
        .await?;
    Ok(OK)
}

/// Notes that a client is in use. Its body says nothing and is not read.
pub async fn ping(State(app): State<App>, caller: Reporter) -> ApiResult<NoContent> {
    caller
        .store()
        .report_ping(caller.id, app.clock.now())
        .await?;
    Ok(NoContent)
}

/// Notes what a session's triggers did.
pub async fn triggers(
    State(app): State<App>,
    caller: Writer,
    Json(body): Json<Triggers>,
) -> ApiResult<Created<Accepted>> {
    let mut redactor = Redactor::default();
    let report = store::TriggerReport {
        session_id: redactor.text("session_id", &body.session_id),
        trigger_stats: Value::Object(
            redactor.object("trigger_stats", body.trigger_stats.into_map()),
        ),
        searches_fired: body.searches_fired.map(commontrace_api::Bounded::value),
        traces_consumed: body.traces_consumed.map(commontrace_api::Bounded::value),
        resolutions_total: body.resolutions_total.map(commontrace_api::Bounded::value),
        resolutions_assisted: body
            .resolutions_assisted
            .map(commontrace_api::Bounded::value),
    };
    caller
        .store()
        .report_triggers(caller.id, report, app.clock.now())
        .await?;
    Ok(OK)
}
