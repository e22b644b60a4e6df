//! The scaled-out deployment on one machine: PostgreSQL with a streaming standby, Redis, an
//! embedding endpoint, two nodes and a worker, each a process of its own that can be killed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use commontrace_testkit::{Cluster, RedisServer};
use tokio::time::sleep;

use crate::capacity::Source;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::metrics;
use crate::server::{Embedding, Launch, Server, ServerArgs};

/// How many nodes serve.
const NODES: usize = 2;
/// Length of the vectors.
const DIMENSIONS: usize = 64;
/// How long everything may take to be as before, once the fault is put right.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long vectors may take: what a worker that was killed had taken is free again after a minute.
const EMBEDDING: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

const WITHOUT_ITS_VECTOR: &str = "
    SELECT count(*)::text FROM traces AS trace
    WHERE 1 <> (SELECT count(*) FROM embeddings AS vector WHERE vector.trace_id = trace.id)";

/// Everything that runs.
#[derive(Debug)]
pub struct Deployment {
    // In the order to end them: servers first, then what they need.
    /// The processes that answer requests.
    pub nodes: Vec<Server>,
    /// The process that embeds.
    pub worker: Server,
    /// What turns text into vectors.
    pub endpoint: Endpoint,
    /// Limits and vectors of queries.
    pub redis: RedisServer,
    /// The truth, and a copy to read from.
    pub cluster: Cluster,
    node_launches: Vec<Launch>,
    worker_launch: Launch,
}

impl Deployment {
    /// Starts everything; the cluster keeps its data in `disk`, if there is one.
    pub async fn start(args: &ServerArgs, disk: Option<&Path>) -> Result<Self> {
        let cluster = match disk {
            Some(disk) => Cluster::start_in(disk).await,
            None => Cluster::start().await,
        };
        let redis = RedisServer::start().await;
        let endpoint = Endpoint::start(Source::new(0, DIMENSIONS), Duration::ZERO, 0).await?;
        let args = ServerArgs {
            database_url: Some(cluster.primary.url()),
            ..args.clone()
        };
        let launch = |arguments: &[&str]| -> Result<Launch> {
            let mut launch = Launch::new(&args, Embedding::None, false)?.with_arguments(arguments);
            launch.set("DATABASE_READ_URL", cluster.standby.url());
            launch.set("REDIS_URL", redis.url());
            for (name, value) in endpoint.settings() {
                launch.set(name, value);
            }
            Ok(launch)
        };
        let node_launches = (0..NODES)
            .map(|_| launch(&["serve", "--no-worker"]))
            .collect::<Result<Vec<_>>>()?;
        let worker_launch = launch(&["worker"])?;
        let mut nodes = Vec::new();
        for launch in &node_launches {
            nodes.push(launch.start().await?);
        }
        let worker = worker_launch.start().await?;
        Ok(Self {
            nodes,
            worker,
            endpoint,
            redis,
            cluster,
            node_launches,
            worker_launch,
        })
    }

    /// Starts the node that is gone. The next one takes its turn, so that each is gone at times.
    pub async fn start_node_again(&mut self) -> Result<()> {
        self.nodes[0] = self.node_launches[0].start().await?;
        self.nodes.rotate_left(1);
        self.node_launches.rotate_left(1);
        Ok(())
    }

    /// Starts the worker again.
    pub async fn start_worker_again(&mut self) -> Result<()> {
        self.worker = self.worker_launch.start().await?;
        Ok(())
    }

    /// Waits until every server of ours says that it is well, without starting any.
    pub async fn recovered(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let mut unwell = None;
            for server in self.nodes.iter_mut().chain([&mut self.worker]) {
                if let Some(status) = server.ended()? {
                    bail!("a server of ours has ended by itself, {status}");
                }
                let mut client = Client::new(server.target());
                match client.get("/health/ready").await {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => unwell = Some(answer.text()),
                    Err(err) => unwell = Some(format!("{err:#}")),
                }
            }
            match unwell {
                None => return Ok(begun.elapsed()),
                Some(why) if begun.elapsed() > RECOVERY => {
                    bail!("not well again within {RECOVERY:?}: {why}")
                }
                Some(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Waits until every trace has its vector, and returns how many have not exactly one.
    pub async fn embedded(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let wrong = self.cluster.primary.ask(WITHOUT_ITS_VECTOR).await;
            let wrong: usize = wrong.parse().context("a count is a number")?;
            if wrong == 0 || begun.elapsed() > EMBEDDING {
                return Ok(wrong);
            }
            // It reads all traces, so not too often.
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns how often a node answered with this status since it started, over all nodes.
    pub async fn answered(&self, status: &str) -> Result<f64> {
        let mut sum = 0.0;
        for node in &self.nodes {
            let text = Client::new(node.target()).metrics().await?;
            let lines = text.lines().filter(|line| line.contains(status));
            let lines = lines.collect::<Vec<_>>().join("\n");
            sum += metrics::value(&lines, "commontrace_http_requests_total").unwrap_or(0.0);
        }
        Ok(sum)
    }

    /// Stops everything of ours in order.
    pub async fn stop(self) -> Result<()> {
        for server in self.nodes.into_iter().chain([self.worker]) {
            server.stop().await?;
        }
        Ok(())
    }
}
