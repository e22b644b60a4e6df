//! `[storage]`: where data is kept.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use commontrace_server::shared::RedisAddress;
use url::Url;

use super::user_path;
use crate::config::error::{ConfigError, Refused};
use crate::config::setting::{Fallback::*, settings};
use crate::config::source::Values;
use crate::config::value::Value;

settings! {
    /// Where data is kept.
    pub struct StorageSettings in "storage" {
        /// Directory of the database file and of everything derived from it
        pub data_dir: PathBuf {
            env: "COMMONTRACE_DATA_DIR",
            default: From(|known| user_path(known.env, "XDG_DATA_HOME", ".local/share", "")),
            common: true,
        }
        /// Address: postgres://USER:PASSWORD@HOST/NAME or sqlite:PATH; else a file in the data
        /// directory
        pub database_url: Option<DatabaseUrl> {
            env: "DATABASE_URL",
            default: Unset,
            common: true,
        }
        /// Redis that nodes share limits and query vectors through: redis://USER:PASSWORD@HOST/0;
        /// else each keeps its own
        pub redis_url: Option<RedisAddress> {
            env: "REDIS_URL",
            default: Unset,
            common: false,
        }
        /// Address of a streaming replica of DATABASE_URL; searches and reads go there
        pub database_read_url: Option<DatabaseUrl> {
            env: "DATABASE_READ_URL",
            default: Unset,
            common: false,
        }
        /// Seconds that the replica may be behind; beyond them reads go to the primary
        pub database_read_max_lag_seconds: NonZeroU32 {
            env: "DATABASE_READ_MAX_LAG_SECONDS",
            default: Text("10"),
            common: false,
        }
        /// Connections to PostgreSQL at most, to the primary and to the replica each
        pub database_pool_size: NonZeroU32 {
            env: "DATABASE_POOL_SIZE",
            default: Text("10"),
            common: false,
        }
        /// Connections that stay open when there is nothing to do
        pub database_pool_min_size: u32 {
            env: "DATABASE_POOL_MIN_SIZE",
            default: Text("1"),
            common: false,
        }
        /// Seconds that a request waits for a free connection before it is answered with 503
        pub database_acquire_timeout_seconds: NonZeroU32 {
            env: "DATABASE_ACQUIRE_TIMEOUT_SECONDS",
            default: Text("2"),
            common: false,
        }
        /// Seconds that a statement of the server may take, 0 for no limit
        pub database_statement_timeout_seconds: u32 {
            env: "DATABASE_STATEMENT_TIMEOUT_SECONDS",
            default: Text("10"),
            common: false,
        }
        /// Seconds that a statement of the server waits for a lock, 0 for no limit
        pub database_lock_timeout_seconds: u32 {
            env: "DATABASE_LOCK_TIMEOUT_SECONDS",
            default: Text("3"),
            common: false,
        }
    }
}

const NO_PRIMARY: &str =
    "a replica needs its primary: set DATABASE_URL to the PostgreSQL server that it follows";
const NO_SERVER: &str = "a replica is a PostgreSQL server: begin with postgres://";

impl StorageSettings {
    /// Refuses values that are fine alone and wrong together.
    pub(crate) fn check(&self, values: &Values) -> Result<(), ConfigError> {
        let is_server = |url: &DatabaseUrl| url.0.starts_with("postgres");
        let Some(replica) = &self.database_read_url else {
            return Ok(());
        };
        let fault = if !is_server(replica) {
            NO_SERVER
        } else if !self.database_url.as_ref().is_some_and(is_server) {
            NO_PRIMARY
        } else {
            return Ok(());
        };
        Err(ConfigError::Refused(vec![Refused::together(
            values.entry("database_read_url"),
            fault,
        )]))
    }
}

impl Value for RedisAddress {
    const KIND: &'static str = "URL";
    const ACCEPTS: &'static str = "redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS \
        (special characters in the password as %XX)";
    const MAY_SHOW: bool = false;

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The address of a database. Shown and formatted without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Returns the whole address, password included, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

/// What stands in the place of a password.
const HIDDEN: &str = "***";

impl Value for DatabaseUrl {
    const KIND: &'static str = "URL";
    const ACCEPTS: &'static str = "sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME \
        (special characters in the password as %XX)";
    const MAY_SHOW: bool = false;

    fn parse(text: &str) -> Option<Self> {
        let usable = match text.split_once(':')? {
            ("sqlite", rest) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                !path.is_empty() && !path.contains([':', '?'])
            }
            ("postgres" | "postgresql", rest) => {
                // After an unescaped `/`, `?` or `#` in the password the rest of it would count as
                // the path, and be shown.
                let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
                Url::parse(text).is_ok_and(|url| url.fragment().is_none())
                    && authority.matches('@').count() == rest.matches('@').count()
            }
            _ => false,
        };
        usable.then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        let Ok(mut url) = Url::parse(&self.0) else {
            return HIDDEN.to_owned();
        };
        if url.scheme() == "sqlite" {
            return self.0.clone();
        }
        if url.password().is_some() {
            url.set_password(Some(HIDDEN)).unwrap_or_default();
        }
        // The driver takes a password from the query too.
        let Some(query) = url.query() else {
            return url.to_string();
        };
        let hide = |pair: &str| match pair.split_once('=') {
            Some((key, _)) if key.contains("pass") || key.contains('%') => {
                format!("{key}={HIDDEN}")
            }
            Some(_) => pair.to_owned(),
            None => HIDDEN.to_owned(),
        };
        let query: Vec<String> = query.split('&').map(hide).collect();
        url.set_query(Some(&query.join("&")));
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        DatabaseUrl::parse(text).map(|url| url.show())
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, expected) in [
            (
                "postgres://ada:hunter2@db:5432/commons",
                "postgres://ada:***@db:5432/commons",
            ),
            ("postgresql://ada@db/commons", "postgresql://ada@db/commons"),
            (
                "postgres://ada:hun%40ter2@db/c?sslmode=require",
                "postgres://ada:***@db/c?sslmode=require",
            ),
            (
                "postgres://db/c?user=ada&password=hunter2",
                "postgres://db/c?user=ada&password=***",
            ),
            (
                "postgres://db/c?password=hun&ter2",
                "postgres://db/c?password=***&***",
            ),
            (
                "postgres://db/c?p%61ssword=hunter2",
                "postgres://db/c?p%61ssword=***",
            ),
            (
                "postgres://postgres@localhost/postgres?host=/tmp/x",
                "postgres://postgres@localhost/postgres?host=/tmp/x",
            ),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
            assert_eq!(
                format!("{:?}", DatabaseUrl::parse(text)),
                format!("Some({expected})")
            );
        }
    }

    #[test]
    fn a_password_that_breaks_the_address_is_refused_rather_than_half_shown() {
        for text in [
            "postgres://u:12/34@h/db",
            "postgres://u:12?34@h/db",
            "postgres://u:12#34@h/db",
            "postgres://u:a/b@h/db",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn sqlite_is_a_path_and_other_engines_are_refused() {
        assert_eq!(
            shown("sqlite:/var/lib/c.db").as_deref(),
            Some("sqlite:/var/lib/c.db")
        );
        assert_eq!(shown("sqlite://c.db").as_deref(), Some("sqlite://c.db"));
        for text in [
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:x.db?mode=ro",
            "mysql://h/db",
            "postgres:h/db",
            "/var/lib/c.db",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
