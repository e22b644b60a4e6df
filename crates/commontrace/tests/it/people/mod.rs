//! What a person meets at the command line, and what leaves their machine.

mod contributing;
mod finding;
mod hostile;
mod joining;
mod outbox;
mod pty;
mod sending;

use std::path::Path;

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::client::Client;
use crate::place::Place;
use crate::server::Server;

/// A token of the kind that people paste; no service knows it.
const PASTED: &str = "ghp_aB3dE6gH9kLmN2pQ5sTvW8xYzA1cF4iJ7oR0";

/// A server, somebody who uses it, and a machine of somebody else who shares its commons.
struct Shared {
    server: Server,
    /// Another account there.
    other: Client,
    /// The account of this machine there.
    own: Client,
    place: Place,
    _behind: Place,
}

impl Shared {
    async fn new() -> Self {
        let behind = Place::new();
        let server = behind.serve().await;
        let place = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
        let url = format!("http://{}", server.address);
        place.run(&["remote", "add", &url]).await.ok();
        let own = server.anyone().with_key(&key(&place));
        Self {
            other: server.user().await,
            own,
            server,
            place,
            _behind: behind,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Lets this machine publish without asking, as a person wrote it into the settings file.
    fn publishes_always(&self) {
        publish(&self.place, "always");
    }

    /// The titles of the traces with this tag on the server.
    async fn titles(&self, tag: &str) -> Vec<String> {
        let page = self
            .other
            .get(&format!("/api/v1/traces?tag={tag}&limit=100"))
            .await
            .ok();
        let traces = page["traces"].as_array().unwrap().iter();
        let mut titles: Vec<String> = traces
            .map(|trace| trace["title"].as_str().unwrap().to_owned())
            .collect();
        titles.sort();
        titles
    }
}

/// The settings file.
fn settings(place: &Place) -> String {
    std::fs::read_to_string(place.path(".config/commontrace/config.toml")).unwrap()
}

/// The key that the settings file holds.
fn key(place: &Place) -> String {
    let settings = settings(place);
    let (_, rest) = settings.split_once("api_key = \"").expect("a key");
    rest.split('"').next().unwrap().to_owned()
}

/// Says in the settings file when to publish.
fn publish(place: &Place, when: &str) {
    place.settings(&format!("{}publish = \"{when}\"\n", settings(place)));
    private(&place.path(".config/commontrace/config.toml"));
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

/// A machine that shares the commons of a server that records what it gets.
fn using(server: &MockServer) -> Place {
    let place = Place::new().with("COMMONTRACE_IMPORT_SEEDS", "false");
    place.settings(&format!(
        "[remote]\napi_base_url = \"{}\"\napi_key = \"the-key-of-this-machine\"\n",
        server.uri()
    ));
    private(&place.path(".config/commontrace/config.toml"));
    place
}

/// A server that answers every request so.
async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

/// Where no server is: a port that was free a moment ago.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A form that `contribute` reads.
fn form(title: &str) -> String {
    format!(
        "Title: {title}\nTags: gadgets\n\n===== Problem\n{title}: the gadget says `cannot lock the frob` since version 2.\n\
         ===== Solution\nThe lock of a crashed run is left. Remove it with `rm .frob/lock`, then start again.\n"
    )
}

/// What was written down as sent, oldest first.
async fn sent(place: &Place) -> Vec<Value> {
    let log = place.run(&["log", "--json"]).await;
    log.stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect()
}

/// Every file below a directory.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

/// What a server answers that takes a contribution.
fn taken() -> ResponseTemplate {
    let id = "00000000-0000-4000-8000-000000000001";
    ResponseTemplate::new(202)
        .set_body_json(json!({ "id": id, "status": "pending", "message": "" }))
}
