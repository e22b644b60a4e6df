//! What `deploy/` says about the program is true of it.

use std::collections::BTreeSet;
use std::path::Path;

use commontrace_testkit::{Cluster, RedisServer};

use crate::place::Place;
use crate::provider::Provider;

fn repository_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Our metrics, and those of the process, that a text names.
fn named_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("commontrace_") || word.starts_with("process_"))
        .collect()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_metrics_that_a_server_has() {
    let (cluster, redis) = (Cluster::start().await, RedisServer::start().await);
    let provider = Provider::start().await;
    let place = provider
        .of(Place::new())
        .with("DATABASE_URL", &cluster.primary.url())
        .with("DATABASE_READ_URL", &cluster.standby.url())
        .with("REDIS_URL", &redis.url());
    let server = place.serve().await;
    let user = server.user().await;
    user.search("a search with a query to embed").await;
    user.until_embedded().await;
    let metrics = user.get("/metrics").await.text;
    let there: BTreeSet<_> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for file in [
        "deploy/prometheus/alerts.yml",
        "deploy/grafana/dashboards/commontrace.json",
    ] {
        let text = repository_file(file);
        let asked = named_in(&text);
        assert!(asked.len() > 3, "{file} asks for {asked:?} only");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{file}: no server has {missing:?}");
    }
}
