//! The tools, answered by the store on this machine and by a server, over pipes and over HTTP: the same to
//! the agent.

use commontrace_store::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use super::agent::{Agent, WITH_INITIALIZE, first_id};
use super::caller::Caller;
use crate::client::a_trace;
use crate::place::Place;
use crate::server::Server;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Local,
    Remote,
    /// The server itself, which the host calls.
    Http,
}
use self::By::{Http, Local, Remote};

/// How the agent is connected.
enum Connected {
    Pipes(Box<Agent>),
    Http(Caller),
}

impl Connected {
    async fn told(&mut self, tool: &str, arguments: Value) -> String {
        match self {
            Self::Pipes(agent) => agent.told(tool, arguments).await,
            Self::Http(caller) => caller.told(tool, arguments).await,
        }
    }

    async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        match self {
            Self::Pipes(agent) => agent.refused(tool, arguments).await,
            Self::Http(caller) => caller.refused(tool, arguments).await,
        }
    }
}

/// A commons, and where an agent finds it.
struct Commons {
    place: Place,
    server: Option<Server>,
    /// The server's own.
    _behind: Option<Place>,
    caller: Option<Caller>,
}

impl Commons {
    async fn answered(by: By) -> Self {
        Self::on(Engine::Sqlite, by).await
    }

    async fn on(engine: Engine, by: By) -> Self {
        let place = Place::on(engine).await;
        match by {
            Local => Self {
                place,
                server: None,
                _behind: None,
                caller: None,
            },
            Http => {
                let server = place.serve().await;
                let caller = Caller::new(&server.user().await, WITH_INITIALIZE);
                Self {
                    place,
                    server: Some(server),
                    _behind: None,
                    caller: Some(caller),
                }
            }
            Remote => {
                let server = place.serve().await;
                let key = server.user().await.key;
                let agents = Place::new()
                    .with("COMMONTRACE_IMPORT_SEEDS", "false")
                    .with(
                        "COMMONTRACE_API_BASE_URL",
                        &format!("http://{}", server.address),
                    )
                    .with("COMMONTRACE_API_KEY", &key);
                Self {
                    place: agents,
                    server: Some(server),
                    _behind: Some(place),
                    caller: None,
                }
            }
        }
    }

    async fn agent(&self) -> Connected {
        match &self.caller {
            Some(caller) => Connected::Http(caller.clone()),
            None => Connected::Pipes(Box::new(Agent::connect(&self.place).await)),
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_is_contributed_is_found_and_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Local, Remote, Http)] by: By,
) {
    let commons = Commons::on(engine, by).await;
    let mut agent = commons.agent().await;
    let mut given = a_trace("frobnicator refuses to start with exit code 77");
    given["context"] = json!({ "os": "linux" });
    given["agent_model"] = json!("a-model");
    given["review_after"] = json!("2020-01-01T00:00:00Z");
    given["metadata_json"] = json!({ "ticket": 7 });
    let told = agent.told("contribute_trace", given).await;
    assert!(told.starts_with("Trace contributed (ID: "), "{told}");
    let id = first_id(&told);

    let query =
        json!({ "query": "frobnicator exit code 77", "limit": 3, "context": { "os": "linux" } });
    let told = agent.told("search_traces", query).await;
    assert!(
        told.starts_with("Found ") && told.contains(" for \"frobnicator exit code 77\":\n\n1. "),
        "{told}"
    );
    assert!(told.contains(&format!("\n   ID: {id}")), "{told}");
    assert!(
        told.contains("\n   Tags: docker, postgresql\n   Context: "),
        "{told}"
    );
    assert!(told.contains("(score: "), "{told}");

    let told = agent.told("get_trace", json!({ "trace_id": id })).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "frobnicator refuses to start with exit code 77");
    assert_eq!(
        lines[1],
        "Status: pending | Trust: 0.0 | Tags: docker, postgresql"
    );
    assert_eq!(lines[2], format!("ID: {id}"));
    assert!(
        lines[3].starts_with("By: ") && lines[3].contains(" with a-model"),
        "{told}"
    );
    assert!(
        told.contains("Note: its date of review has passed"),
        "{told}"
    );
    assert!(
        told.contains("\nSolution:\nGive the service a healthcheck"),
        "{told}"
    );
    drop(commons.server);
}

#[rstest]
#[tokio::test]
async fn others_traces_are_voted_on_and_amended(#[values(Local, Remote, Http)] by: By) {
    let commons = Commons::answered(by).await;
    let mut agent = commons.agent().await;
    // A starter trace, by nobody who asks here.
    let found = agent
        .told(
            "search_traces",
            json!({ "query": "error: externally-managed-environment" }),
        )
        .await;
    let id = first_id(&found);
    let vote = json!({ "trace_id": id, "vote_type": "up", "feedback_text": "worked" });
    let told = agent.told("vote_trace", vote.clone()).await;
    assert!(
        told.starts_with(&format!("Vote recorded: upvote on trace {id}.")),
        "{told}"
    );
    let down = json!({ "trace_id": id, "vote_type": "down" });
    let told = agent.refused("vote_trace", down).await;
    assert!(
        told.starts_with("[CommonTrace error] ") && told.contains("feedback_tag"),
        "{told}"
    );
    let better = json!({ "trace_id": id, "improved_solution": "Install the program with `pipx install NAME`: it makes an environment for each program and leaves the system's Python alone.", "explanation": "pipx needs no environment made by hand, and the program is on the PATH at once." });
    let told = agent.told("amend_trace", better).await;
    assert!(
        first_id(&told) != id && told.contains(&format!("for trace {id}.")),
        "{told}"
    );
    let nowhere = json!({ "trace_id": "00000000-0000-4000-8000-000000000000" });
    let told = agent.refused("get_trace", nowhere).await;
    assert!(told.contains("(HTTP 404)"), "{told}");
    drop(commons.server);
}

#[rstest]
#[tokio::test]
async fn what_came_of_a_trace_is_reported_by_who_has_read_it(
    #[values(Local, Remote, Http)] by: By,
) {
    let commons = Commons::answered(by).await;
    let mut agent = commons.agent().await;
    let query = json!({ "query": "error: externally-managed-environment" });
    let id = first_id(&agent.told("search_traces", query.clone()).await);
    let report = json!({
        "trace_id": id, "outcome": "worked_with_changes",
        "context": { "os": "linux", "language": "python" }, "note": "needed pipx",
    });
    let told = agent.refused("report_outcome", report.clone()).await;
    assert!(
        told.starts_with("[CommonTrace error] ") && told.contains("read it first with get_trace,"),
        "{told}"
    );
    let read = json!({ "trace_id": id });
    let told = agent.told("get_trace", read.clone()).await;
    assert!(!told.contains("Outcomes:"), "{told}");
    let told = agent.told("report_outcome", report).await;
    assert_eq!(
        told,
        format!(
            "Outcome recorded: worked_with_changes for trace {id}. It is validated with 1 worked with changes."
        )
    );
    let better = json!({
        "trace_id": id, "outcome": "worked", "context": { "os": "linux", "language": "python" },
    });
    let told = agent.told("report_outcome", better).await;
    assert!(told.contains("in place of your last from there"), "{told}");
    let told = agent.told("get_trace", read).await;
    assert!(
        told.contains("\nOutcomes: 1 worked\n  language python, os linux: 1 worked\n"),
        "{told}"
    );
    let told = agent.told("search_traces", query).await;
    assert!(told.contains("\n   Outcomes: 1 worked\n"), "{told}");
    let unknown = json!({ "trace_id": id, "outcome": "liked" });
    let told = agent.refused("report_outcome", unknown).await;
    assert!(
        told.contains("unknown variant `liked`") && told.contains("not_relevant"),
        "{told}"
    );
    drop(commons.server);
}

#[rstest]
#[tokio::test]
async fn tags_are_counted_and_narrowed_down(#[values(Local, Remote, Http)] by: By) {
    let commons = Commons::answered(by).await;
    let mut agent = commons.agent().await;
    let told = agent.told("list_tags", json!({})).await;
    let (count, list) = told.split_once(" tags").expect("a count");
    assert!(count.parse::<usize>().unwrap() > 10, "{told}");
    let list: Vec<&str> = list
        .lines()
        .nth(1)
        .expect("a second line")
        .split(", ")
        .collect();
    assert!(list.is_sorted(), "{list:?}");
    let told = agent.told("list_tags", json!({ "prefix": "dock" })).await;
    assert!(
        told.contains("beginning with `dock`:\n") && told.contains("docker"),
        "{told}"
    );
    assert_eq!(
        agent
            .told("list_tags", json!({ "prefix": "no such" }))
            .await,
        "0 tags: tags have only letters, digits, `.`, `_` and `-`."
    );
    drop(commons.server);
}

#[rstest]
#[tokio::test]
async fn an_answer_without_results_is_no_error_and_ten_results_are_short(
    #[values(Local, Remote, Http)] by: By,
) {
    let commons = Commons::answered(by).await;
    let mut agent = commons.agent().await;
    let told = agent
        .told("search_traces", json!({ "query": "zxqv wbrtl qqpfz" }))
        .await;
    assert!(
        told.starts_with("No traces found for \"zxqv wbrtl qqpfz\"."),
        "{told}"
    );
    let many: Vec<String> = (0..15).map(|number| format!("tag{number}")).collect();
    let told = agent
        .told("search_traces", json!({ "query": "docker", "tags": many }))
        .await;
    assert!(told.starts_with("No traces found"), "{told}");
    let told = agent
        .told(
            "search_traces",
            json!({ "tags": ["docker"], "limit": 1000 }),
        )
        .await;
    assert!(told.starts_with("Found "), "{told}");
    let told = agent
        .told("search_traces", json!({ "tags": ["python"] }))
        .await;
    assert!(
        told.starts_with("Found 10 results") && told.chars().count() < 5_000,
        "{told}"
    );
    drop(commons.server);
}

#[rstest]
#[tokio::test]
async fn a_secret_is_replaced_and_its_contributor_told(#[values(Local, Remote, Http)] by: By) {
    let commons = Commons::answered(by).await;
    let mut agent = commons.agent().await;
    let token = format!("ghp_{}", "aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0");
    let mut given = a_trace("push is refused with remote: Invalid username or token");
    given["context_text"] = json!(format!(
        "git push https://ada:{token}@github.com/x/y fails: remote: Invalid username or token"
    ));
    let told = agent.told("contribute_trace", given).await;
    assert!(told.contains("replaced by"), "{told}");
    let told = agent
        .told("get_trace", json!({ "trace_id": first_id(&told) }))
        .await;
    assert!(
        !told.contains(&token) && told.contains("[redacted:"),
        "{told}"
    );
    drop(commons.server);
}

#[tokio::test]
async fn two_agents_and_a_server_share_the_store_of_this_machine() {
    let place = Place::new();
    let server = place.serve().await;
    let user = server.user().await;
    let (mut ada, mut bob) = (Agent::connect(&place).await, Agent::connect(&place).await);
    let by_ada = first_id(
        &ada.told("contribute_trace", a_trace("gizmo one breaks at noon"))
            .await,
    );
    let by_bob = first_id(
        &bob.told("contribute_trace", a_trace("gizmo two breaks at noon"))
            .await,
    );
    let by_user = user.contributes("gizmo three breaks at noon").await;
    for id in [&by_ada, &by_bob, &by_user] {
        for agent in [&mut ada, &mut bob] {
            agent.told("get_trace", json!({ "trace_id": id })).await;
        }
    }
    crate::client::until("the server finds what the agents wrote", async || {
        let found = user.finds("gizmo breaks at noon").await;
        found.contains(&by_ada) && found.contains(&by_bob)
    })
    .await;
    for agent in [ada, bob] {
        assert_eq!(agent.leave().await.0, Some(0));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_told_with_the_cause_and_tried_again() {
    let place = Place::new();
    let in_the_way = place.write("data", "a file");
    let mut agent = Agent::connect(&place).await;
    let told = agent.refused("list_tags", json!({})).await;
    assert!(
        told.starts_with("[CommonTrace unavailable] The store on this machine cannot be opened: ")
            && told.contains(&in_the_way.display().to_string()),
        "{told}"
    );
    std::fs::remove_file(in_the_way).unwrap();
    agent.told("list_tags", json!({})).await;
}
