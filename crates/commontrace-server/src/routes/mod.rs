//! All routes, grouped by who calls them.

mod amendments;
mod cursor;
mod evidence;
pub(crate) mod health;
mod kept;
mod keys;
mod moderation;
mod outcomes;
mod reputation;
mod runs;
mod search;
mod sessions;
mod tags;
mod telemetry;
mod traces;
mod votes;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use aide::transform::TransformOperation as Op;

use axum::Json as JsonBody;
use commontrace_api::sessions::{RunAccepted, SessionBody};

use crate::app::{App, ServerSettings};
use crate::error::{ApiError, WrongParts};
use crate::middleware::Limits;

/// Every route of the API, with its limits.
pub fn router(settings: &ServerSettings) -> ApiRouter<App> {
    let others = ApiRouter::new()
        .merge(moderators())
        .merge(clients())
        .merge(operators());
    let usual = Limits::usual(settings);
    // In the order in which they are described.
    usual
        .around_described(accounts().merge(commons()))
        .merge(Limits::recording(settings).around_described(sessions()))
        .merge(Limits::finalizing(settings).around_described(finalizing()))
        .merge(usual.around_described(others))
}

fn accounts() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/api/v1/keys",
            post_with(keys::register, |op| {
                doc(op, "Keys", "Register and get an API key").response::<409, ApiError>()
            }),
        )
        .api_route(
            "/api/v1/keys/verify",
            get_with(keys::verify, |op| doc(op, "Keys", "Check an API key")),
        )
        .api_route(
            "/api/v1/keys/rotate",
            post_with(keys::rotate, |op| {
                doc(op, "Keys", "Replace an API key by a new one")
            }),
        )
        .api_route(
            "/api/v1/keys/current",
            delete_with(keys::revoke, |op| {
                doc(op, "Keys", "Revoke the API key in use")
            }),
        )
}

fn commons() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/api/v1/traces/search",
            post_with(search::search, |op| {
                doc(op, "Search", "Search by text, tags or both")
            }),
        )
        .api_route(
            "/api/v1/traces",
            post_with(traces::contribute, |op| {
                doc(op, "Traces", "Contribute a trace")
                    .response::<403, ApiError>()
                    .response::<404, ApiError>()
                    .response::<409, ApiError>()
            })
            .get_with(traces::list, |op| {
                doc(op, "Traces", "List traces, newest first")
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}",
            get_with(traces::read, |op| known(op, "Traces", "Read a trace"))
                .patch_with(traces::patch, |op| {
                    known(op, "Traces", "Change an own trace").response::<403, ApiError>()
                })
                .delete_with(traces::delete, |op| {
                    known(op, "Traces", "Delete an own trace").response::<403, ApiError>()
                }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/revisions",
            get_with(traces::revisions, |op| {
                known(
                    op,
                    "Traces",
                    "List what a trace says and said, newest first",
                )
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/evidence",
            get_with(evidence::read, |op| {
                known(op, "Traces", "Read what running tests proved of a trace")
            })
            .put_with(evidence::attach, |op| {
                known(
                    op,
                    "Traces",
                    "Give an own trace the verdict on an own session",
                )
                .response::<403, ApiError>()
                .response::<409, ApiError>()
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/votes",
            post_with(votes::cast, |op| {
                known(op, "Votes", "Vote on somebody else's trace")
                    .response::<403, ApiError>()
                    .response::<409, ApiError>()
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/outcomes",
            post_with(outcomes::report, |op| {
                known(op, "Votes", "Report what came of somebody else's trace")
                    .response::<403, ApiError>()
                    .response::<409, ApiError>()
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/amendments",
            post_with(amendments::propose, |op| {
                known(op, "Amendments", "Propose a better solution")
            })
            .get_with(amendments::list, |op| {
                known(op, "Amendments", "List a trace's amendments, oldest first")
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/amendments/{amendment_id}/accept",
            post_with(amendments::accept, |op| {
                decision(op, "Make an amendment the trace's new revision")
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/amendments/{amendment_id}/reject",
            post_with(amendments::reject, |op| {
                decision(op, "Turn an amendment down")
            }),
        )
        .api_route(
            "/api/v1/traces/{trace_id}/flag",
            post_with(moderation::flag, |op| {
                known(op, "Moderation", "Flag a trace for the moderators")
            }),
        )
        .api_route(
            "/api/v1/tags",
            get_with(tags::list, |op| {
                doc(op, "Tags", "List tags in use, alphabetically")
            }),
        )
        .api_route(
            "/api/v1/reputation/{user_id}",
            get_with(reputation::read, |op| {
                known(op, "Reputation", "Read a contributor's reputation")
            }),
        )
        .api_route(
            "/api/v1/contributors/{user_id}/reputation",
            get_with(reputation::read, |op| {
                known(
                    op,
                    "Reputation",
                    "Read a contributor's reputation (earlier path)",
                )
            }),
        )
}

/// At the root, where clients that record sessions look for them; a trace is a session here.
fn sessions() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/traces",
            post_with(sessions::create, |op| {
                recorded(op, "Record a session")
                    .response::<400, ApiError>()
                    .response::<409, ApiError>()
            })
            .get_with(sessions::list, |op| {
                doc(op, "Sessions", "List own sessions, newest first")
            }),
        )
        .api_route(
            "/traces/{trace_id}",
            get_with(sessions::read, |op| {
                known(op, "Sessions", "Read a session with its events")
            })
            .delete_with(sessions::delete, |op| {
                known(op, "Sessions", "Delete a session")
            }),
        )
        .api_route(
            "/traces/{trace_id}/events",
            post_with(sessions::append, |op| {
                recorded(op, "Append events to a session")
                    .response::<400, ApiError>()
                    .response::<404, ApiError>()
                    .response::<409, ApiError>()
            })
            .get_with(sessions::events, |op| {
                known(
                    op,
                    "Sessions",
                    "List a session's events as they were stored",
                )
            }),
        )
        .api_route(
            "/traces/{trace_id}/events/{seq}/record",
            get_with(kept::record, |op| {
                known(
                    op,
                    "Sessions",
                    "Download the record that an event was made of",
                )
            }),
        )
        .api_route(
            "/traces/{trace_id}/blobs/{sha256}",
            get_with(kept::blob, |op| {
                known(op, "Sessions", "Download a large text or the log of a run")
            }),
        )
        .api_route(
            "/traces/{trace_id}/draft",
            get_with(sessions::draft, |op| {
                known(op, "Sessions", "Draft a trace for the commons")
            }),
        )
        .api_route(
            "/traces/{trace_id}/runs",
            get_with(runs::list, |op| {
                known(op, "Sessions", "List a session's runs, newest first")
            }),
        )
        .api_route(
            "/traces/{trace_id}/runs/{run_id}",
            get_with(runs::read, |op| known(op, "Sessions", "Read a run")),
        )
        .api_route(
            "/traces/{trace_id}/runs/{run_id}/cancel",
            post_with(runs::cancel, |op| {
                known(op, "Sessions", "End a run that has not ended")
            }),
        )
        .api_route(
            "/traces/{trace_id}/runs/{run_id}/progress",
            get_with(runs::progress, |op| {
                known(op, "Sessions", "Follow a run by server-sent events")
            }),
        )
}

/// Apart from the rest of a session's, because it waits for a verdict.
fn finalizing() -> ApiRouter<App> {
    ApiRouter::new().api_route(
        "/traces/{trace_id}/finalize",
        post_with(runs::finalize, |op| {
            recorded(op, "Find out what a session is worth")
                .response::<404, ApiError>()
                .response::<409, ApiError>()
                .response::<200, JsonBody<SessionBody>>()
                .response::<202, JsonBody<RunAccepted>>()
        }),
    )
}

/// Documents an operation whose body is checked place by place.
fn recorded<'a>(op: Op<'a>, summary: &'a str) -> Op<'a> {
    doc(op, "Sessions", summary).response::<422, WrongParts>()
}

fn moderators() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/api/v1/moderation/flagged",
            get_with(moderation::flagged, |op| {
                doc(
                    op,
                    "Moderation",
                    "List flagged and hidden traces, the last flagged first",
                )
            }),
        )
        .api_route(
            "/api/v1/moderation/traces/{trace_id}/restore",
            post_with(moderation::restore, |op| {
                known(op, "Moderation", "Show a trace again and settle its flags")
            }),
        )
        .api_route(
            "/api/v1/moderation/traces/{trace_id}",
            delete_with(moderation::delete, |op| {
                known(op, "Moderation", "Delete a trace")
            }),
        )
}

fn clients() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/api/v1/telemetry/install",
            post_with(telemetry::install, |op| {
                doc(op, "Telemetry", "Report where a client is installed")
            }),
        )
        .api_route(
            "/api/v1/telemetry/ping",
            post_with(telemetry::ping, |op| {
                doc(op, "Telemetry", "Report that a client is in use")
            }),
        )
        .api_route(
            "/api/v1/telemetry/triggers",
            post_with(telemetry::triggers, |op| {
                doc(op, "Telemetry", "Report what a session's triggers did")
            }),
        )
}

fn operators() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/health",
            get_with(health::health, |op| {
                doc(op, "Health", "Read the state of each part")
            }),
        )
        .merge(probes())
}

/// What whoever watches over a worker asks it. There is nothing else to ask.
pub fn worker() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/health",
            get_with(health::worker, |op| {
                doc(op, "Health", "Read the state of each part")
            }),
        )
        .merge(probes())
}

fn probes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/health/live",
            get_with(health::live, |op| {
                doc(op, "Health", "Whether the process runs")
            }),
        )
        .api_route(
            "/health/ready",
            get_with(health::ready, |op| {
                doc(op, "Health", "Whether requests should be sent here")
            }),
        )
        .merge(crate::metrics::routes())
}

fn doc<'a>(op: Op<'a>, tag: &'a str, summary: &'a str) -> Op<'a> {
    op.tag(tag).summary(summary)
}

/// Documents an operation on something that may not be there.
fn known<'a>(op: Op<'a>, tag: &'a str, summary: &'a str) -> Op<'a> {
    doc(op, tag, summary).response::<404, ApiError>()
}

fn decision<'a>(op: Op<'a>, summary: &'a str) -> Op<'a> {
    known(op, "Amendments", summary)
        .response::<403, ApiError>()
        .response::<409, ApiError>()
}
