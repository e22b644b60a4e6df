//! `[server]`: where the server listens and how it answers.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Url;

use crate::config::setting::{Fallback::*, settings};
use crate::config::value::{Secret, Value};

settings! {
    /// Where the server listens and how it answers.
    pub struct ServerSettings in "server" {
        /// Address and port to listen on
        pub listen: SocketAddr {
            env: "COMMONTRACE_LISTEN",
            default: Text("127.0.0.1:8000"),
            common: true,
        }
        /// Name of this service, as the API description and the pages show it
        pub app_name: String {
            env: "APP_NAME",
            default: Text("CommonTrace"),
            common: false,
        }
        /// Request header that carries the API key
        pub api_key_header_name: HeaderName {
            env: "API_KEY_HEADER_NAME",
            default: Text("X-API-Key"),
            common: false,
        }
        /// Secret mixed into the stored hashes of API keys; changing it invalidates every key
        pub api_key_pepper: Option<Secret> {
            env: "API_KEY_PEPPER",
            default: Unset,
            common: false,
        }
        /// Web origins whose pages may call the API, separated by commas, or `*` for any
        pub cors_origins: Option<CorsOrigins> {
            env: "COMMONTRACE_CORS_ORIGINS",
            default: Unset,
            common: false,
        }
        /// Whether requests without a key, from programs on this machine, act for the local user; only
        /// where the server listens on this machine alone
        pub single_user: bool {
            env: "COMMONTRACE_SINGLE_USER",
            default: Text("false"),
            common: false,
        }
        /// Addresses and networks of the proxies in front, separated by commas; only they are believed
        /// when they say whom they forward for
        pub trusted_proxies: Option<TrustedProxies> {
            env: "TRUSTED_PROXIES",
            default: Unset,
            common: false,
        }
        /// Seconds that the server goes on after SIGTERM without being ready, so that a balancer
        /// notices in time
        pub shutdown_drain_seconds: u32 {
            env: "COMMONTRACE_SHUTDOWN_DRAIN_SECONDS",
            default: Text("0"),
            common: false,
        }
        /// Seconds that a stopping server gives to the requests it has accepted
        pub shutdown_grace_seconds: u32 {
            env: "COMMONTRACE_SHUTDOWN_GRACE_SECONDS",
            // Container runtimes commonly kill after 10 seconds.
            default: Text("8"),
            common: false,
        }
    }
}

/// The name of an HTTP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    /// Returns the name as given; header names are compared without regard to case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for HeaderName {
    const KIND: &'static str = "NAME";
    const ACCEPTS: &'static str = "the name of a header, such as X-API-Key";

    fn parse(text: &str) -> Option<Self> {
        // `token` of RFC 9110, section 5.6.2.
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (!text.is_empty() && text.bytes().all(token)).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// The networks of trusted proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl Value for TrustedProxies {
    const KIND: &'static str = "NETWORKS";
    const ACCEPTS: &'static str =
        "addresses and networks such as 10.0.0.7, 10.0.0.0/8 or fd00::/8 separated by commas";

    fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(|item| network(item.trim()))
            .collect::<Option<_>>()
            .map(Self)
    }

    fn show(&self) -> String {
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        networks.join(",")
    }
}

/// A network, or an address as the network of itself.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(network) => Some(network.trunc()),
        Err(_) => text
            .parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical().into()),
    }
}

/// Which web pages may call the API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Those of any origin.
    Any,
    /// Those of these origins, each as a browser sends it: scheme, host, and port unless it is the
    /// scheme's own.
    List(Vec<String>),
}

impl Value for CorsOrigins {
    const KIND: &'static str = "ORIGINS";
    const ACCEPTS: &'static str =
        "`*`, or origins such as https://app.example.com separated by commas";

    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        text.split(',')
            .map(|item| origin(item.trim()))
            .collect::<Option<_>>()
            .map(Self::List)
    }

    fn show(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::List(origins) => origins.join(","),
        }
    }
}

/// An origin in the spelling that browsers send.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    bare.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_spelt_as_browsers_send_them() {
        let shown = |text| CorsOrigins::parse(text).map(|origins| origins.show());
        assert_eq!(shown(" * ").as_deref(), Some("*"));
        assert_eq!(
            shown("HTTPS://App.Example.com:443/, http://localhost:3000").as_deref(),
            Some("https://app.example.com,http://localhost:3000")
        );
        for text in [
            "app.example.com",
            "https://a/path",
            "https://a,",
            "null",
            "*,https://a",
            "file:///x",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let shown = |text| TrustedProxies::parse(text).map(|proxies| proxies.show());
        assert_eq!(
            shown("10.0.0.7, 192.168.3.9/16,fd00::/8,::1").as_deref(),
            Some("10.0.0.7/32,192.168.0.0/16,fd00::/8,::1/128")
        );
        for text in [
            "",
            "*",
            "10.0.0.0/33",
            "proxy.example.com",
            "10.0.0.7,",
            "10.0.0.7:80",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_name_is_one_token() {
        assert!(HeaderName::parse("X-Commons_Key.2").is_some());
        for text in ["", "X API Key", "X-Key:", "Schlüssel", "X\n"] {
            assert!(HeaderName::parse(text).is_none(), "{text:?}");
        }
    }
}
