//! What every handler is handed: the store, the clock and the rest of the server's parts.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use commontrace_core::UserId;
use commontrace_core::token_bucket::Limit;
use commontrace_store::Store;
use ipnet::IpNet;
use tokio::sync::Notify;

use crate::api_key::ApiKeys;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::lifecycle::Lifecycle;
use crate::limiter::{Class, Limiter};
use crate::metrics::Metrics;
use crate::reads::Reads;
use crate::search::Search;
use crate::sessions::examine::Examiner;
use crate::shared::WritePositions;
use crate::store_check::StoreCheck;
use crate::usage::Usage;

/// Reports an account may make about itself in a minute. Clients make a few a day.
const REPORTS_PER_MINUTE: u32 = 60;

/// The parts of the server; cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The truth.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Identifiers and randomness.
    pub ids: Ids,
    /// Makes and hashes API keys.
    pub api_keys: ApiKeys,
    /// Who may ask how often.
    pub limiter: Limiter,
    /// The recorder behind `/metrics`.
    pub metrics: Metrics,
    /// Whether the server is ready, and whether it was told to stop.
    pub lifecycle: Lifecycle,
    /// Finds traces.
    pub search: Search,
    /// Counts openings of traces.
    pub usage: Usage,
    /// Notes who has opened which trace.
    pub reads: Reads,
    /// Up to where accounts have written through other nodes, where nodes share that.
    pub write_positions: Option<WritePositions>,
    /// Runs tests and judges sessions, where this process does that.
    pub examiner: Option<Arc<dyn Examiner>>,
    /// Says that a session waits to be examined.
    pub runs_due: Notify,
    /// Whether the store can be read and written.
    pub store_check: StoreCheck,
    /// What the operator decided.
    pub settings: ServerSettings,
}

impl Parts {
    /// Joins these parts with those that begin empty: limits and the lifecycle of one process.
    pub fn new(
        store: Store,
        clock: Clock,
        ids: Ids,
        api_keys: ApiKeys,
        search: Search,
        settings: ServerSettings,
    ) -> Self {
        Self {
            store,
            clock,
            ids,
            api_keys,
            search,
            settings,
            limiter: Limiter::in_memory(),
            metrics: Metrics::install(),
            lifecycle: Lifecycle::default(),
            usage: Usage::default(),
            reads: Reads::default(),
            write_positions: None,
            examiner: None,
            runs_due: Notify::new(),
            store_check: StoreCheck::default(),
        }
    }
}

impl App {
    /// Joins the parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What the operator decides about the HTTP side and the work behind it.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Name of the service in its description.
    pub app_name: String,
    /// Header that carries the API key.
    pub api_key_header: String,
    /// The account of whoever sends no key, where the server is one person's: requests from this machine
    /// act for it.
    pub single_user: Option<UserId>,
    /// Whether any account may publish, or only one with an e-mail address that was let in.
    pub open_publishing: bool,
    /// Largest request body, in bytes.
    pub body_limit_bytes: usize,
    /// Longest time a handler may take.
    pub request_timeout: Duration,
    /// Longest time to wait for a session's verdict before its place is told instead.
    pub finalize_wait: Duration,
    /// Sessions that are examined at a time.
    pub parallel_runs: usize,
    /// Networks of the proxies that are believed when they say whom they forward for.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Origins whose pages may call the API; `*` for all, none to send no CORS headers.
    pub cors_origins: Vec<String>,
    /// Reads an account may make in a minute.
    pub read_per_minute: u32,
    /// Writes an account may make in a minute.
    pub write_per_minute: u32,
    /// Requests that record a session that an account may make in a minute.
    pub record_per_minute: u32,
    /// Largest body of a request that records a session, in bytes.
    pub session_body_limit_bytes: usize,
    /// Registrations an address may make in an hour.
    pub register_per_hour: u32,
    /// Requests with unknown keys an address may make in a minute before it is told to wait.
    pub failed_keys_per_minute: u32,
    /// Independent flags that hide a trace.
    pub flags_to_hide: u32,
    /// Accounts more that confirm a trace than that do not, for it to be validated.
    pub validation_threshold: u32,
    /// Time between two looks for jobs that nobody announced.
    pub worker_poll: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            app_name: "CommonTrace".into(),
            api_key_header: "X-API-Key".into(),
            single_user: None,
            open_publishing: true,
            body_limit_bytes: 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            finalize_wait: Duration::from_secs(60),
            parallel_runs: 1,
            trusted_proxies: Arc::default(),
            cors_origins: Vec::new(),
            read_per_minute: 60,
            write_per_minute: 20,
            record_per_minute: 600,
            session_body_limit_bytes: 10 * 1024 * 1024,
            register_per_hour: 30,
            failed_keys_per_minute: 30,
            flags_to_hide: 3,
            validation_threshold: 2,
            worker_poll: Duration::from_secs(2),
        }
    }
}

impl ServerSettings {
    /// Returns the limit of a class of requests.
    pub fn limit(&self, class: Class) -> Limit {
        match class {
            Class::Read => Limit::per_minute(self.read_per_minute),
            Class::Write => Limit::per_minute(self.write_per_minute),
            Class::Record => Limit::per_minute(self.record_per_minute),
            Class::Report => Limit::per_minute(REPORTS_PER_MINUTE),
            Class::Register => Limit::per_hour(self.register_per_hour),
            Class::FailedKey => Limit::per_minute(self.failed_keys_per_minute),
        }
    }
}
