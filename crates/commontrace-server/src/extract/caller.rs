//! Who calls: one extractor per level of access, resolved before the body is read.
//!
//! Refusals come in the order 401, 403, 429, so that a request that is not allowed costs no token.

use std::marker::PhantomData;
use std::ops::Deref;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response, StatusCode};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use commontrace_store::{Account, Store};

use super::client::{refuse_key, take};
use super::headers::sent_key;
use crate::app::{App, ServerSettings};
use crate::error::ApiError;
use crate::limiter::{Class, Subject};
use crate::middleware::wal_position::{self, Writing};
use crate::openapi::{problem_responses, require_api_key};

/// Anybody: no key is asked for and nothing is counted.
#[derive(Debug, Clone, Copy)]
pub struct Anyone;

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self)
    }
}

impl OperationInput for Anyone {}

/// Any account, without counting the request.
pub type Keyed = Caller<level::Keyed>;
/// Any account, for one read token.
pub type Reader = Caller<level::Reader>;
/// Any account, for one write token.
pub type Writer = Caller<level::Writer>;
/// Any account that records a session, for a token of their own kind.
pub type Recorder = Caller<level::Recorder>;
/// Any account that reports about itself, for a token of their own kind.
pub type Reporter = Caller<level::Reporter>;
/// An account that may vote, for one write token: where publishing is gated, one with an e-mail
/// address.
pub type Voter = Caller<level::Voter>;
/// An account that may publish, for one write token: where publishing is gated, one with an e-mail
/// address that was let in.
pub type Contributor = Caller<level::Contributor>;
/// A moderator, for one read token.
pub type ModeratorReader = Caller<level::ModeratorReader>;
/// A moderator, for one write token.
pub type ModeratorWriter = Caller<level::ModeratorWriter>;

/// The account behind the request's key, at the level of access that `L` asks for.
#[derive(Debug)]
pub struct Caller<L> {
    account: Account,
    store: Store,
    level: PhantomData<L>,
}

impl<L> Caller<L> {
    /// Returns the store as it is for this account. Who comes to read may read from a replica that
    /// has what the account has written; who comes to write reads and writes on the primary.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl<L> Deref for Caller<L> {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

/// A level of access.
pub trait Level {
    /// What one request costs.
    const COSTS: Option<Class>;
    /// What the account needs beyond a valid key, or 403.
    const NEEDS: Need = Need::Nothing;
}

/// What an account needs beyond a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing more.
    Nothing,
    /// An e-mail address, where publishing is gated.
    Email,
    /// An e-mail address and an invitation, where publishing is gated.
    Invitation,
    /// To be a moderator.
    Moderator,
}

impl Need {
    fn check(self, account: &Account, settings: &ServerSettings) -> Result<(), ApiError> {
        let gated = !settings.open_publishing;
        match self {
            Self::Moderator if !account.is_moderator => {
                Err(ApiError::forbidden("only a moderator may do this"))
            }
            Self::Email | Self::Invitation if gated && account.email.is_none() => {
                Err(ApiError::forbidden(
                    "this server asks for an account with an e-mail address; \
                     register one with POST /api/v1/keys",
                ))
            }
            Self::Invitation if gated && !account.can_contribute => Err(ApiError::forbidden(
                "this server lets invited accounts publish, and this account is not one yet",
            )),
            _ => Ok(()),
        }
    }
}

/// The levels behind [`Reader`](super::Reader) and its like.
pub mod level {
    use super::{Class, Level, Need};

    macro_rules! levels {
        ($($name:ident: $costs:expr, $needs:expr;)*) => {$(
            #[doc = concat!("The level of [`", stringify!($name), "`](super::", stringify!($name), ").")]
            #[derive(Debug)]
            pub enum $name {}

            impl Level for $name {
                const COSTS: Option<Class> = $costs;
                const NEEDS: Need = $needs;
            }
        )*};
    }

    levels! {
        Keyed: None, Need::Nothing;
        Reader: Some(Class::Read), Need::Nothing;
        Writer: Some(Class::Write), Need::Nothing;
        Recorder: Some(Class::Record), Need::Nothing;
        Reporter: Some(Class::Report), Need::Nothing;
        Voter: Some(Class::Write), Need::Email;
        Contributor: Some(Class::Write), Need::Invitation;
        ModeratorReader: Some(Class::Read), Need::Moderator;
        ModeratorWriter: Some(Class::Write), Need::Moderator;
    }
}

impl<L: Level> FromRequestParts<App> for Caller<L> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let account = authenticate(parts, app).await?;
        L::NEEDS.check(&account, &app.settings)?;
        let reads = L::COSTS == Some(Class::Read);
        let token = async {
            match L::COSTS {
                Some(class) => take(app, parts, Subject::Account(account.id), class).await,
                None => Ok(()),
            }
        };
        let written = async {
            let shared = app.write_positions.as_ref().filter(|_| reads)?;
            shared.find(account.id).await
        };
        let (token, written) = tokio::join!(token, written);
        token?;
        let store = if reads {
            let seen = wal_position::seen(&parts.headers).max(written);
            app.store.for_reads_of(account.id, seen)
        } else {
            let store = app.store.for_writes_of(account.id);
            let writing = Writing {
                account: account.id,
                store: store.clone(),
                shared: app.write_positions.clone(),
            };
            wal_position::note(&parts.extensions, writing);
            store
        };
        Ok(Self {
            account,
            store,
            level: PhantomData,
        })
    }
}

/// Finds the account of the request's key. Asked of the primary each time: on every node, a new key
/// is good at once, and a revoked one is refused from the next request on.
async fn authenticate(parts: &Parts, app: &App) -> Result<Account, ApiError> {
    let header = &app.settings.api_key_header;
    let Some(key) = sent_key(&parts.headers, header) else {
        let only = app
            .settings
            .single_user
            .filter(|_| is_local(&parts.headers));
        let account = match only {
            Some(id) => app.store.account(id).await?,
            None => None,
        };
        return account.ok_or_else(|| ApiError::not_authenticated(header));
    };
    let hash = app.api_keys.hash(key);
    match app.store.account_by_key(&hash).await? {
        Some(account) => Ok(account),
        None => Err(refuse_key(app, parts).await),
    }
}

/// Returns whether a request comes from a program on this machine, as far as its headers tell: not through
/// a proxy, not from a page of another site, and not under a name that somebody lets point here.
fn is_local(headers: &HeaderMap) -> bool {
    if is_forwarded(headers) {
        return false;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let own = match headers.get(ORIGIN) {
        None => true,
        Some(_) => text(ORIGIN)
            .and_then(|origin| origin.strip_prefix("http://"))
            .is_some_and(is_this_machine),
    };
    own && text(HOST).is_some_and(is_this_machine)
}

/// Returns whether a request came through a proxy, as far as its headers tell.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    forwarded.into_iter().any(|name| headers.contains_key(name))
}

/// Returns whether `host`, with or without a port, is a name that always means this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

impl<L: Level> OperationInput for Caller<L> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        require_api_key(operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<StatusCode>, Response)> {
        // 429 also answers too many unknown keys, so even an uncounted request can meet it.
        match L::NEEDS {
            Need::Nothing => problem_responses(ctx, &[401, 429]),
            _ => problem_responses(ctx, &[401, 403, 429]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use axum::http::Request;
    use axum::routing::post as route;

    use super::*;
    use crate::extract::{Json, Registrant};
    use crate::middleware;
    use crate::testing::{Answer, account, app, send};

    struct Door {
        app: App,
        router: Router,
        _store: tempfile::TempDir,
    }

    async fn door(change: impl FnOnce(&mut ServerSettings)) -> Door {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        let (app, dir) = app(settings).await;
        let routes = Router::new()
            .route("/keyed", route(async |_: Keyed| "in"))
            .route("/read", route(async |_: Reader| "in"))
            .route(
                "/write",
                route(async |_: Writer, _: Json<Vec<String>>| "in"),
            )
            .route("/vote", route(async |_: Voter| "in"))
            .route("/contribute", route(async |_: Contributor| "in"))
            .route("/moderate", route(async |_: ModeratorWriter| "in"))
            .route("/register", route(async |_: Registrant| "in"))
            .with_state(app.clone());
        Door {
            router: middleware::wrap(routes, &app.settings, &app.ids),
            app,
            _store: dir,
        }
    }

    impl Door {
        async fn knock(&self, path: &str, key: &str) -> Answer {
            self.knock_from("192.0.2.1", path, key).await
        }

        async fn knock_from(&self, address: &str, path: &str, key: &str) -> Answer {
            let mut request = Request::post(path);
            if !key.is_empty() {
                request = request.header("x-api-key", key);
            }
            let ip: IpAddr = address.parse().unwrap();
            let peer = ConnectInfo(SocketAddr::from((ip, 4711)));
            send(
                &self.router,
                request.extension(peer).body(Body::empty()).unwrap(),
            )
            .await
        }
    }

    #[tokio::test]
    async fn without_a_key_or_with_a_wrong_one_nobody_gets_in() {
        let door = door(|_| ()).await;
        let answer = door.knock("/keyed", "").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), "APIKey");
        assert_eq!(
            answer.detail(),
            "Not authenticated: send your API key in the X-API-Key header"
        );
        let answer = door.knock("/keyed", "wrong").await;
        assert_eq!(
            (answer.status.as_u16(), answer.detail().as_str()),
            (401, "Invalid API key")
        );
        let key = account(&door.app, |_| ()).await;
        assert_eq!(door.knock("/keyed", &key).await.body, "in");
    }

    #[tokio::test]
    async fn a_stranger_is_refused_before_the_body_is_looked_at() {
        let door = door(|_| ()).await;
        assert_eq!(door.knock("/write", "wrong").await.status, 401);
        let key = account(&door.app, |_| ()).await;
        assert_eq!(door.knock("/write", &key).await.status, 422);
    }

    #[tokio::test]
    async fn a_revoked_key_is_refused_from_the_next_request_on() {
        let door = door(|_| ()).await;
        let key = account(&door.app, |_| ()).await;
        assert_eq!(door.knock("/keyed", &key).await.status, 200);
        let hash = door.app.api_keys.hash(key.as_bytes());
        let owner = door.app.store.account_by_key(&hash).await.unwrap().unwrap();
        let new = door.app.api_keys.hash(b"new").to_vec();
        let now = door.app.clock.now();
        door.app
            .store
            .rotate_key(owner.id, hash.to_vec(), new, now)
            .await
            .unwrap();
        assert_eq!(door.knock("/keyed", &key).await.status, 401);
        assert_eq!(door.knock("/keyed", "new").await.status, 200);
    }

    #[tokio::test]
    async fn sixty_reads_pass_the_next_waits_and_every_answer_says_what_is_left() {
        let door = door(|_| ()).await;
        let key = account(&door.app, |_| ()).await;
        let answer = door.knock("/read", &key).await;
        assert_eq!(answer.header("ratelimit"), r#""read";r=59;t=1"#);
        assert_eq!(answer.header("ratelimit-policy"), r#""read";q=60;w=60"#);
        for _ in 1..60 {
            assert_eq!(door.knock("/read", &key).await.status, 200);
        }
        let answer = door.knock("/read", &key).await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("ratelimit"), r#""read";r=0;t=60"#);
        assert_eq!(answer.detail(), "too many requests; try again in 1 s");
        // Writing, and other accounts, are not affected; uncounted requests say nothing of limits.
        assert_eq!(door.knock("/contribute", &key).await.status, 200);
        let other = account(&door.app, |_| ()).await;
        assert_eq!(door.knock("/read", &other).await.status, 200);
        assert_eq!(door.knock("/keyed", &key).await.header("ratelimit"), "");
        door.app.clock.advance(Duration::from_secs(1));
        assert_eq!(door.knock("/read", &key).await.status, 200);
    }

    #[tokio::test]
    async fn guessing_keys_is_slowed_and_valid_keys_from_the_same_address_still_work() {
        let door = door(|settings| settings.failed_keys_per_minute = 2).await;
        let key = account(&door.app, |_| ()).await;
        assert_eq!(door.knock("/read", "guess 1").await.status, 401);
        assert_eq!(door.knock("/read", "guess 2").await.status, 401);
        let answer = door.knock("/read", "guess 3").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (429, "30")
        );
        assert_eq!(door.knock("/read", &key).await.status, 200);
        assert_eq!(door.knock("/read", "").await.status, 401);
        assert_eq!(
            door.knock_from("192.0.2.2", "/read", "guess 4")
                .await
                .status,
            401
        );
    }

    #[tokio::test]
    async fn registrations_are_counted_per_address() {
        let door = door(|settings| settings.register_per_hour = 1).await;
        assert_eq!(
            door.knock_from("2001:db8::1", "/register", "").await.status,
            200
        );
        let answer = door.knock_from("2001:db8::2", "/register", "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (429, "3600")
        );
        assert_eq!(
            door.knock_from("2001:db8:0:1::1", "/register", "")
                .await
                .status,
            200
        );
    }

    #[tokio::test]
    async fn open_publishing_lets_any_account_publish_and_the_gate_asks_for_email_and_invitation() {
        let open = door(|_| ()).await;
        let anonymous = account(&open.app, |_| ()).await;
        assert_eq!(open.knock("/contribute", &anonymous).await.status, 200);

        let gated = door(|settings| settings.open_publishing = false).await;
        let anonymous = account(&gated.app, |new| new.can_contribute = true).await;
        let known = account(&gated.app, |new| new.email = Some("a@example.com".into())).await;
        let invited = account(&gated.app, |new| {
            new.email = Some("b@example.com".into());
            new.can_contribute = true;
        })
        .await;
        for (key, vote, contribute) in [
            (anonymous, 403, 403),
            (known, 200, 403),
            (invited, 200, 200),
        ] {
            assert_eq!(gated.knock("/vote", &key).await.status, vote);
            assert_eq!(gated.knock("/contribute", &key).await.status, contribute);
        }
    }

    #[tokio::test]
    async fn a_refused_request_costs_no_token() {
        let door = door(|settings| settings.write_per_minute = 1).await;
        let member = account(&door.app, |_| ()).await;
        let moderator = account(&door.app, |new| new.is_moderator = true).await;
        let answer = door.knock("/moderate", &member).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("ratelimit")),
            (403, "")
        );
        assert_eq!(answer.detail(), "only a moderator may do this");
        assert_eq!(door.knock("/contribute", &member).await.status, 200);
        assert_eq!(door.knock("/moderate", &moderator).await.status, 200);
        assert_eq!(door.knock("/moderate", &moderator).await.status, 429);
    }
}
