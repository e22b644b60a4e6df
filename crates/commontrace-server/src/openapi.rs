//! The description of the API, generated from the routes themselves, and the pages that show it.

mod complete;
mod links;
mod pages;

use aide::axum::ApiRouter;
use aide::generate::GenContext;
use aide::openapi::{
    ApiKeyLocation, MediaType, OpenApi, Operation, Response, SchemaObject, SecurityScheme,
    StatusCode,
};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::Router;
use schemars::JsonSchema;
use serde_json::Value;

use crate::app::ServerSettings;
use crate::error::ProblemBody;
pub use pages::routes as pages;

/// The name of the security scheme; answers with 401 name it too.
pub const SECURITY_SCHEME: &str = "APIKey";
const PATH_SCHEMAS: &str = "x-path-schemas";

/// Separates the routes from their description and completes it.
pub fn describe<S>(routes: ApiRouter<S>, settings: &ServerSettings) -> (Router<S>, Value)
where
    S: Clone + Send + Sync + 'static,
{
    let mut api = OpenApi::default();
    let key = SecurityScheme::ApiKey {
        location: ApiKeyLocation::Header,
        name: settings.api_key_header.clone(),
        description: Some("A key from POST /api/v1/keys.".into()),
        extensions: Default::default(),
    };
    let router = routes.finish_api_with(&mut api, |api| {
        api.title(&settings.app_name)
            .version(env!("CARGO_PKG_VERSION"))
            .summary("A shared memory of solved problems for coding agents")
            .security_scheme(SECURITY_SCHEME, key)
    });
    let mut document = serde_json::to_value(&api).expect("a description has only string keys");
    complete::complete(&mut document);
    (router, document)
}

/// Returns the documentation of an answer with a problem. Its description follows from its status.
pub fn problem_response(ctx: &mut GenContext) -> Response {
    problem_response_of::<ProblemBody>(ctx)
}

/// Does the same for an answer with another body.
pub fn problem_response_of<T: JsonSchema>(ctx: &mut GenContext) -> Response {
    let schema = SchemaObject {
        json_schema: ctx.schema.subschema_for::<T>(),
        example: None,
        external_docs: None,
    };
    let content = MediaType {
        schema: Some(schema),
        ..MediaType::default()
    };
    Response {
        content: [("application/problem+json".to_owned(), content)]
            .into_iter()
            .collect(),
        ..Response::default()
    }
}

/// Returns the documentation of answers with problems, one for each status.
pub fn problem_responses(
    ctx: &mut GenContext,
    statuses: &[u16],
) -> Vec<(Option<StatusCode>, Response)> {
    let response = problem_response(ctx);
    let document = |&code| (Some(StatusCode::Code(code)), response.clone());
    statuses.iter().map(document).collect()
}

/// Documents that the operation needs an API key.
pub fn require_api_key(operation: &mut Operation) {
    let requirement = [(SECURITY_SCHEME.to_owned(), Vec::new())]
        .into_iter()
        .collect();
    operation.security.push(requirement);
}

/// Documents path parameters. A struct names them; for other types the names are in the route,
/// which is not known here, so the schemas are kept until [`describe`] joins them.
pub fn note_path_schema<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation) {
    let schema = ctx.schema.subschema_for::<T>();
    let resolved = ctx.resolve_schema(&schema);
    if resolved.get("properties").is_some() {
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Path);
        add_parameters(ctx, operation, parameters);
        return;
    }
    let schemas = match resolved.get("prefixItems").and_then(Value::as_array) {
        Some(of_tuple) => of_tuple.clone(),
        None => vec![schema.to_value()],
    };
    operation
        .extensions
        .insert(PATH_SCHEMAS.into(), schemas.into());
}

#[cfg(test)]
mod tests {
    use aide::axum::routing::{get_with, post_with};
    use commontrace_core::{AmendmentId, TraceId};
    use insta::assert_json_snapshot;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::app::App;
    use crate::error::{ApiError, ApiResult};
    use crate::extract::{Anyone, Contributor, Json, Path, Query, Reader};

    /// A vote.
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Vote {
        up: bool,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Filter {
        /// How many.
        #[expect(dead_code, reason = "only its documentation is looked at")]
        limit: Option<u8>,
    }

    fn document() -> Value {
        let list =
            async |_: Reader, _: Query<Filter>| -> ApiResult<Json<Vec<Vote>>> { Ok(Json(vec![])) };
        let cast = async |_: Contributor,
                          _: Path<TraceId>,
                          Json(vote): Json<Vote>|
               -> ApiResult<Json<Vote>> { Ok(Json(vote)) };
        let accept = async |_: Anyone, _: Path<(TraceId, AmendmentId)>| -> ApiResult<Json<bool>> {
            Ok(Json(true))
        };
        let routes: ApiRouter<App> = ApiRouter::new()
            .api_route(
                "/votes",
                get_with(list, |op| op.id("list_votes").summary("Votes")),
            )
            .api_route(
                "/traces/{id}/votes",
                post_with(cast, |op| {
                    op.response::<201, Json<Vote>>().response::<409, ApiError>()
                }),
            )
            .api_route(
                "/traces/{id}/amendments/{amendment}",
                post_with(accept, |op| op),
            );
        let settings = ServerSettings {
            api_key_header: "X-Key".into(),
            ..ServerSettings::default()
        };
        describe(routes, &settings).1
    }

    /// Status and description of every answer.
    fn answers(operation: &Value) -> Vec<String> {
        let responses = operation["responses"].as_object().unwrap();
        let answer = |(status, response): (&String, &Value)| {
            let types: Vec<_> = response["content"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            format!(
                "{status} {}: {}",
                types.join(" or "),
                response["description"].as_str().unwrap()
            )
        };
        let mut all: Vec<_> = responses.iter().map(answer).collect();
        all.sort();
        all
    }

    #[test]
    fn an_operation_lists_every_answer_its_signature_can_give() {
        let cast = &document()["paths"]["/traces/{id}/votes"]["post"];
        assert_json_snapshot!(answers(cast), @r#"
        [
          "200 application/json: A vote.",
          "201 application/json: A vote.",
          "401 application/problem+json: Not authenticated, or: Invalid API key.",
          "403 application/problem+json: Forbidden.",
          "404 application/problem+json: Not found.",
          "408 application/problem+json: Request took too long to arrive.",
          "409 application/problem+json: Conflict.",
          "413 application/problem+json: Body too large, or: No room left.",
          "415 application/problem+json: Body is compressed.",
          "422 application/problem+json: Invalid request.",
          "429 application/problem+json: Too many requests.",
          "500 application/problem+json: Internal error.",
          "503 application/problem+json: Temporarily unavailable, or: Outcome unknown, or: Answer took too long."
        ]
        "#);
        let list = &document()["paths"]["/votes"]["get"];
        assert_json_snapshot!(answers(list), @r#"
        [
          "200 application/json: Success.",
          "401 application/problem+json: Not authenticated, or: Invalid API key.",
          "422 application/problem+json: Invalid request.",
          "429 application/problem+json: Too many requests.",
          "500 application/problem+json: Internal error.",
          "503 application/problem+json: Temporarily unavailable, or: Outcome unknown, or: Answer took too long."
        ]
        "#);
    }

    #[test]
    fn the_key_is_asked_for_where_the_signature_asks_for_it() {
        let document = document();
        assert_json_snapshot!(document["components"]["securitySchemes"], @r#"
        {
          "APIKey": {
            "description": "A key from POST /api/v1/keys.",
            "in": "header",
            "name": "X-Key",
            "type": "apiKey"
          }
        }
        "#);
        let key = serde_json::json!([{ "APIKey": [] }]);
        assert_eq!(document["paths"]["/votes"]["get"]["security"], key);
        let open = &document["paths"]["/traces/{id}/amendments/{amendment}"]["post"];
        assert_eq!(open.get("security"), None);
    }

    #[test]
    fn path_and_query_parameters_are_named_and_typed() {
        let document = document();
        let accept = &document["paths"]["/traces/{id}/amendments/{amendment}"]["post"];
        assert_json_snapshot!(accept["parameters"], @r##"
        [
          {
            "in": "path",
            "name": "id",
            "required": true,
            "schema": {
              "$ref": "#/components/schemas/TraceId"
            }
          },
          {
            "in": "path",
            "name": "amendment",
            "required": true,
            "schema": {
              "$ref": "#/components/schemas/AmendmentId"
            }
          }
        ]
        "##);
        assert_eq!(
            document["components"]["schemas"]["TraceId"]["format"],
            "uuid"
        );
        assert_json_snapshot!(document["paths"]["/votes"]["get"]["parameters"], @r#"
        [
          {
            "description": "How many.",
            "in": "query",
            "name": "limit",
            "schema": {
              "description": "How many.",
              "format": "uint8",
              "maximum": 255,
              "minimum": 0,
              "type": "integer"
            },
            "style": "form"
          }
        ]
        "#);
        assert_eq!(accept["operationId"], "post_traces_id_amendments_amendment");
        assert_eq!(accept.get(PATH_SCHEMAS), None);
    }

    #[test]
    fn an_answer_to_wait_says_how_long() {
        let document = document();
        let responses = &document["paths"]["/votes"]["get"]["responses"];
        assert!(responses["429"]["headers"]["Retry-After"].is_object());
        assert!(responses["422"].get("headers").is_none());
    }
}
