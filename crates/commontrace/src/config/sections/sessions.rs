//! `[sessions]`: how recorded sessions are examined.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use commontrace_sandbox::Wanted;
use commontrace_verify::git::Protocol;
use url::Url;

use crate::config::setting::{Fallback::*, Known, settings};
use crate::config::value::{Secret, Value};

settings! {
    /// How recorded sessions are examined.
    pub struct SessionSettings in "sessions" {
        /// How repositories may be fetched to run their tests: https, ssh and file, separated by
        /// commas, or none. With file, whoever has a key can have tests run in any repository that the
        /// server can read
        pub verify_protocols: Protocols {
            env: "COMMONTRACE_VERIFY_PROTOCOLS",
            default: From(|known| Ok(default_protocols(known).to_owned())),
            common: false,
        }
        /// What contains tests: auto, embedded, bubblewrap, docker or podman (with an image), or none
        /// (only where all who have a key may run anything on this machine)
        pub verify_isolation: Isolation {
            env: "COMMONTRACE_VERIFY_ISOLATION",
            default: Text("auto"),
            common: false,
        }
        /// The image that Docker or Podman runs tests in. It has to be there already, with a shell and what
        /// the tests need
        pub verify_image: Option<String> {
            env: "COMMONTRACE_VERIFY_IMAGE",
            default: Unset,
            common: false,
        }
        /// Whether dependencies of a repository may be fetched from the network; tests never use it
        pub verify_setup_network: bool {
            env: "COMMONTRACE_VERIFY_SETUP_NETWORK",
            default: Text("false"),
            common: false,
        }
        /// How many sessions a worker examines at a time; each runs tests with up to two processors
        pub verify_parallel: NonZeroU32 {
            env: "COMMONTRACE_VERIFY_PARALLEL",
            default: Text("1"),
            common: false,
        }
        /// Seconds that a request waits for a verdict before it is told where to look for it
        pub finalize_wait_seconds: u32 {
            env: "COMMONTRACE_FINALIZE_WAIT_SECONDS",
            default: Text("60"),
            common: false,
        }
        /// What the model that judges reasoning speaks: none, openai, anthropic or ollama
        pub judge_provider: JudgeProvider {
            env: "JUDGE_PROVIDER",
            default: Text("none"),
            common: false,
        }
        /// Base address of the model that judges
        pub judge_base_url: Option<Url> {
            env: "JUDGE_BASE_URL",
            default: Unset,
            common: false,
        }
        /// Name of the model that judges
        pub judge_model: Option<String> {
            env: "JUDGE_MODEL",
            default: Unset,
            common: false,
        }
        /// Key for the model that judges; better given by the environment, as other users can see flags
        pub judge_api_key: Option<Secret> {
            env: "JUDGE_API_KEY",
            default: Unset,
            common: false,
        }
        /// Longest time that the model that judges may take for an answer, in seconds
        pub judge_timeout_seconds: NonZeroU32 {
            env: "JUDGE_TIMEOUT_SECONDS",
            default: Text("180"),
            common: false,
        }
        /// How often the model that judges is asked about a session, and as often with the reasoning
        /// removed
        pub judge_samples: NonZeroU32 {
            env: "JUDGE_SAMPLES",
            default: Text("3"),
            common: false,
        }
        /// What a million tokens cost that the model that judges reads, to be kept as the cost of a verdict
        pub judge_price_input: Option<Price> {
            env: "JUDGE_PRICE_INPUT",
            default: Unset,
            common: false,
        }
        /// What a million tokens cost that it writes, in the same currency
        pub judge_price_output: Option<Price> {
            env: "JUDGE_PRICE_OUTPUT",
            default: Unset,
            common: false,
        }
    }
}

/// Strangers who reach a server do not get to run their tests on it unless its operator says so.
fn default_protocols(known: &Known<'_>) -> &'static str {
    let listen = known.text("listen").parse::<SocketAddr>();
    if listen.is_ok_and(|address| address.ip().is_loopback()) {
        "https"
    } else {
        "none"
    }
}

/// How repositories may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocols(pub Vec<Protocol>);

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("https", Protocol::Https),
    ("ssh", Protocol::Ssh),
    ("file", Protocol::File),
];

impl Value for Protocols {
    const KIND: &'static str = "PROTOCOLS";
    const ACCEPTS: &'static str = "some of https, ssh and file, separated by commas, or none";

    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self(Vec::new()));
        }
        let find = |name: &str| {
            let known = PROTOCOLS.iter().find(|(known, _)| *known == name.trim());
            known.map(|(_, protocol)| *protocol)
        };
        text.split(',').map(find).collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> String {
        let name = |wanted: &Protocol| {
            let known = PROTOCOLS.iter().find(|(_, protocol)| protocol == wanted);
            known.map_or("", |(name, _)| name)
        };
        match &self.0[..] {
            [] => "none".to_owned(),
            some => some.iter().map(name).collect::<Vec<_>>().join(","),
        }
    }
}

/// What contains tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// What works here.
    Auto,
    /// Namespaces entered by this program.
    Embedded,
    /// The program `bwrap`.
    Bubblewrap,
    /// A container of Docker.
    Docker,
    /// A container of Podman.
    Podman,
    /// Nothing.
    None,
}

impl Isolation {
    /// Returns it in the sandbox's words; nothing if it needs an image and there is none.
    pub fn wanted(self, image: Option<&str>) -> Option<Wanted> {
        let image = || image.filter(|image| !image.is_empty()).map(str::to_owned);
        Some(match self {
            Self::Auto => Wanted::Auto,
            Self::Embedded => Wanted::Embedded,
            Self::Bubblewrap => Wanted::Bubblewrap,
            Self::Docker => Wanted::Docker { image: image()? },
            Self::Podman => Wanted::Podman { image: image()? },
            Self::None => Wanted::None,
        })
    }
}

impl Value for Isolation {
    const KIND: &'static str = "ISOLATION";
    const ACCEPTS: &'static str = "auto, embedded, bubblewrap, docker, podman or none";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "embedded" => Some(Self::Embedded),
            "bubblewrap" => Some(Self::Bubblewrap),
            "docker" => Some(Self::Docker),
            "podman" => Some(Self::Podman),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::Embedded => "embedded",
            Self::Bubblewrap => "bubblewrap",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::None => "none",
        }
        .to_owned()
    }
}

/// An amount of money in a currency that its owner knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price(pub f64);

impl Value for Price {
    const KIND: &'static str = "AMOUNT";
    const ACCEPTS: &'static str = "a number that is 0 or more, such as 2.5";

    fn parse(text: &str) -> Option<Self> {
        let amount: f64 = text.parse().ok()?;
        (amount.is_finite() && amount >= 0.0).then_some(Self(amount))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// What the model that judges speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgeProvider {
    /// There is none.
    None,
    /// `/chat/completions`.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
    /// `/api/chat`.
    Ollama,
}

impl Value for JudgeProvider {
    const KIND: &'static str = "PROVIDER";
    const ACCEPTS: &'static str = "none, openai, anthropic or ollama";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "openai" => Some(Self::OpenAi),
            "anthropic" => Some(Self::Anthropic),
            "ollama" => Some(Self::Ollama),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "none",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
        .to_owned()
    }
}
