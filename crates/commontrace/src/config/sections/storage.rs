//! `[storage]`: where data is kept.

use std::fmt;
use std::path::PathBuf;

use commontrace_server::shared::RedisAddress;
use url::Url;

use super::user_path;
use crate::config::setting::{Fallback::*, settings};
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
