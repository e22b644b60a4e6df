//! `/mcp`: the tools for agents, by the Model Context Protocol over HTTP.
//!
//! A tool's call is a request to the API of this server, made inside the process with the key and the
//! origin of the request that it came in. So whatever holds for the API holds for tools: who may do what, how
//! often, how long it may take, and what is logged and counted.

mod door;
mod forward;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;

use self::forward::Forward;
use crate::app::App;
use crate::error::ApiResult;
use crate::extract::receive_body;
use crate::middleware::Limits;

/// How much longer than a request to the API the call of a tool may take, so that who asks reads the API's
/// answer.
const ON_TOP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct Mcp {
    app: App,
    api: Router,
}

/// Returns the route. `api` answers the tools' requests, with all its layers.
pub fn routes(app: &App, api: Router) -> Router {
    let usual = Limits::usual(&app.settings);
    let limits = Limits {
        time: usual.time + ON_TOP,
        ..usual
    };
    let mcp = Mcp {
        app: app.clone(),
        api,
    };
    limits.around(Router::new().route("/mcp", post(answer)).with_state(mcp))
}

async fn answer(State(mcp): State<Mcp>, request: Request) -> ApiResult<Response> {
    let (head, body) = request.into_parts();
    door::check(&head, &mcp.app.settings)?;
    let body = receive_body(body).await?;
    let header = &mcp.app.settings.api_key_header;
    let forward = Forward::new(mcp.api, header, &head);
    let request = Request::from_parts(head, body);
    let response = commontrace_mcp::http::answer(forward, mcp.app.clock.now(), request).await;
    Ok(response.map(Body::new))
}
