//! `[remote]`: the server whose commons this machine's programs use.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::setting::{Fallback::*, settings};
use crate::config::source::{Source, Values};
use crate::config::value::{Secret, Value};

settings! {
    /// The server whose commons this machine's programs use.
    pub struct RemoteSettings in "remote" {
        /// Address of the server that agents are connected to; else the store on this machine
        pub api_base_url: Option<BaseUrl> {
            env: "COMMONTRACE_API_BASE_URL",
            default: Unset,
            common: true,
        }
        /// API key for that server
        pub api_key: Option<Secret> {
            env: "COMMONTRACE_API_KEY",
            default: Unset,
            common: true,
        }
        /// Where searches go: network (this machine and that server), local, or off (hooks do not search; what you
        /// ask for stays on this machine)
        pub search: SearchScope {
            env: "COMMONTRACE_SEARCH",
            default: Text("network"),
            common: false,
        }
        /// Whether traces may be published on that server: never, ask, or always (--yes is accepted)
        pub publish: Publish {
            env: "COMMONTRACE_PUBLISH",
            default: Text("ask"),
            common: false,
        }
        /// Send nothing to that server; contributions wait
        pub offline: bool {
            env: "COMMONTRACE_OFFLINE",
            default: Text("false"),
            common: true,
        }
    }
}

impl RemoteSettings {
    /// Takes agreement to everything from the user's own settings file alone: an agent gives itself flags and variables,
    /// and files that they name. Says so, if it does.
    pub(crate) fn bind_consent(&mut self, values: &Values, is_named_file: bool) -> Option<String> {
        let is_given = match &values.entry("publish").source {
            Source::Environment(_) | Source::Flag(_) => true,
            Source::File(_) => is_named_file,
            Source::Default => false,
        };
        if self.publish != Publish::Always || !is_given {
            return None;
        }
        self.publish = Publish::Ask;
        Some(
            "publish = \"always\" from a flag, from the environment, or from a file that either names, counts as ask: only the \
             user's own settings file can agree to everything"
                .to_owned(),
        )
    }

    /// Keeps a key in the settings file from a server that the file does not name: whoever changes the
    /// address otherwise must bring its key. Says so, if it does. `in_file` is the address in the file.
    pub(crate) fn bind_key(&mut self, values: &Values, in_file: Option<&str>) -> Option<String> {
        let named = self.api_base_url.as_ref()?;
        let is_kept = self.api_key.is_some()
            && matches!(values.entry("api_key").source, Source::File(_))
            && !matches!(values.entry("api_base_url").source, Source::File(_));
        let own = in_file.and_then(BaseUrl::parse);
        if !is_kept || own.is_some_and(|own| own.is_at(named)) {
            return None;
        }
        self.api_key = None;
        Some(format!(
            "the API key in the settings file is not sent to {}, which the file does not name; \
             COMMONTRACE_API_KEY is",
            named.show()
        ))
    }
}

/// Where searches go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchScope {
    /// Nowhere by themselves; asked for, to the store on this machine.
    Off,
    /// To the store on this machine.
    Local,
    /// There and to the server.
    Network,
}

impl Value for SearchScope {
    const KIND: &'static str = "WHERE";
    const ACCEPTS: &'static str = "off, local or network";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "local" => Some(Self::Local),
            "network" => Some(Self::Network),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::Network => "network",
        }
        .to_owned()
    }
}

/// Whether traces may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// No.
    Never,
    /// After a person has seen the text and agreed.
    Ask,
    /// A person has agreed to all.
    Always,
}

impl Value for Publish {
    const KIND: &'static str = "WHEN";
    const ACCEPTS: &'static str = "never, ask or always";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self::Never),
            "ask" => Some(Self::Ask),
            "always" => Some(Self::Always),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Never => "never",
            Self::Ask => "ask",
            Self::Always => "always",
        }
        .to_owned()
    }
}

/// The address of a server that keys may be sent to: encrypted, or on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Returns the address of this path, which begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }

    /// Returns the server's scheme, host and port, for messages.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns the same address without scheme, host and port.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.0.path().trim_end_matches('/'))
    }

    /// Reads an address that keys may be sent to; nothing if it is none.
    pub fn of(text: &str) -> Option<Self> {
        <Self as Value>::parse(text)
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns whether both are the same server.
    pub fn is_at(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// Returns whether the server is on this machine.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

impl Value for BaseUrl {
    const KIND: &'static str = "URL";
    const ACCEPTS: &'static str = "an address that begins with https://, or with http:// if it is on this machine, \
        without user, password, query or fragment";
    const MAY_SHOW: bool = false;

    fn parse(text: &str) -> Option<Self> {
        let url = <Url as Value>::parse(text)?;
        (url.scheme() == "https" || is_loopback(&url)).then_some(Self(url))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_encrypted_or_not_at_all() {
        for text in [
            "https://commons.example",
            "https://commons.example/sub/",
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[::1]:8000",
        ] {
            assert!(BaseUrl::parse(text).is_some(), "{text}");
        }
        for text in [
            "http://commons.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "https://ada:pw@commons.example",
            "ftp://localhost",
            "commons.example",
        ] {
            assert!(BaseUrl::parse(text).is_none(), "{text}");
        }
        let below = BaseUrl::parse("https://commons.example/sub/").expect("acceptable");
        assert_eq!(
            below.join("/api/v1/tags"),
            "https://commons.example/sub/api/v1/tags"
        );
    }
}
