//! Where Redis is, with or without its password.

use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo as _};
use url::Url;

/// What stands in the place of a password.
const HIDDEN: &str = "***";

/// The address of a Redis. Shown and formatted without its password.
#[derive(Clone)]
pub struct RedisAddress {
    client: Client,
    shown: String,
}

impl RedisAddress {
    /// Reads `redis://USER:PASSWORD@HOST:PORT/DATABASE`, or `rediss://` for TLS; all but the host may
    /// be left out.
    pub fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        let (scheme, rest) = text.split_once("://")?;
        // After an unescaped `/`, `?` or `#` in the password the rest of it would count as the path,
        // and be shown.
        let authority = rest.split(['/', '?', '#']).next()?;
        let plain = matches!(scheme, "redis" | "rediss")
            && authority.matches('@').count() == rest.matches('@').count()
            && url.query().is_none()
            && url.fragment().is_none();
        let info = text.into_connection_info().ok()?;
        if !plain || info.redis_settings().db() < 0 {
            return None;
        }
        // A command is sent at once, whatever answers are still on their way.
        let tcp = TcpSettings::default().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).ok()?;
        if url.password().is_some() {
            url.set_password(Some(HIDDEN)).ok()?;
        }
        Some(Self {
            client,
            shown: url.to_string(),
        })
    }

    /// Returns what connects there.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        RedisAddress::parse(text).map(|address| format!("{address:?}"))
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, expected) in [
            ("redis://:hunter2@cache:6379/1", "redis://:***@cache:6379/1"),
            ("rediss://ada:hunter2@cache", "rediss://ada:***@cache"),
            ("redis://ada:hun%2Fter2@[::1]/", "redis://ada:***@[::1]/"),
            ("redis://ada@cache", "redis://ada@cache"),
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "",
            "cache:6379",
            "redis:cache",
            "redis://",
            "redis://:12/34@cache",
            "redis://:12?34@cache",
            "redis://:12#34@cache",
            "redis://cache/commons",
            "redis://cache/-1",
            "redis://cache:70000",
            "redis://cache?password=hunter2",
            "rediss://cache/#insecure",
            "http://cache:6379",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
