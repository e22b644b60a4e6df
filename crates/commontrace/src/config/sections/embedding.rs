//! `[embedding]`: what turns text into vectors.

use std::num::NonZeroU32;
use std::path::PathBuf;

use url::Url;

use super::user_path;
use crate::config::error::{ConfigError, Refused};
use crate::config::setting::{Fallback::*, Known, settings};
use crate::config::source::Values;
use crate::config::value::{Secret, Value};

/// The model that runs inside the process.
const LOCAL_MODEL: &str = "all-MiniLM-L6-v2";
const LOCAL_DIMENSIONS: u32 = 384;
const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

settings! {
    /// What turns text into vectors.
    pub struct EmbeddingSettings in "embedding" {
        /// Where vectors come from: local (a model inside the process), openai (any endpoint of
        /// that kind) or none
        pub embedding_provider: Provider {
            env: "EMBEDDING_PROVIDER",
            default: Text("local"),
            common: true,
        }
        /// Directory with the files of the local model
        pub model_dir: PathBuf {
            env: "COMMONTRACE_MODEL_DIR",
            default: From(default_model_dir),
            common: false,
        }
        /// Name of the model
        pub embedding_model: Option<String> {
            env: "EMBEDDING_MODEL",
            default: From(|known| Ok(default_model(known).to_owned())),
            common: false,
        }
        /// Length of the model's vectors
        pub embedding_dimensions: Option<NonZeroU32> {
            env: "EMBEDDING_DIMENSIONS",
            default: From(|known| Ok(default_dimensions(known).to_owned())),
            common: false,
        }
        /// Key for the endpoint; better given by the environment, as other users can see flags
        pub openai_api_key: Option<Secret> {
            env: "OPENAI_API_KEY",
            default: Unset,
            common: false,
        }
        /// Base address of the endpoint
        pub openai_base_url: Url {
            env: "OPENAI_BASE_URL",
            default: Text(OPENAI_BASE_URL),
            common: false,
        }
    }
}

/// The user's cache, or the data directory for a service without a home.
fn default_model_dir(known: &Known<'_>) -> Result<String, &'static str> {
    let files = format!("models/{LOCAL_MODEL}");
    user_path(known.env, "XDG_CACHE_HOME", ".cache", &files).or_else(|why| {
        match known.text("data_dir") {
            "" => Err(why),
            dir => Ok(format!("{dir}/{files}")),
        }
    })
}

fn default_model(known: &Known<'_>) -> &'static str {
    match Provider::parse(known.text("embedding_provider")) {
        Some(Provider::Local) => LOCAL_MODEL,
        Some(Provider::OpenAi) => "text-embedding-3-small",
        Some(Provider::None) | None => "",
    }
}

/// The full length of the vectors of well-known models; of others nothing is assumed.
fn default_dimensions(known: &Known<'_>) -> &'static str {
    match (
        Provider::parse(known.text("embedding_provider")),
        known.text("embedding_model"),
    ) {
        (Some(Provider::Local), _) => "384",
        (Some(Provider::OpenAi), "text-embedding-3-small" | "text-embedding-ada-002") => "1536",
        (Some(Provider::OpenAi), "text-embedding-3-large") => "3072",
        _ => "",
    }
}

/// Where vectors come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The model inside the process.
    Local,
    /// An endpoint that speaks OpenAI's protocol.
    OpenAi,
    /// Nowhere: search goes by words.
    None,
}

impl Value for Provider {
    const KIND: &'static str = "PROVIDER";
    const ACCEPTS: &'static str = "local, openai or none";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "local" => Some(Self::Local),
            "openai" => Some(Self::OpenAi),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Local => "local",
            Self::OpenAi => "openai",
            Self::None => "none",
        }
        .to_owned()
    }
}

/// The chosen source of vectors with what it needs.
#[derive(Debug, Clone)]
pub enum Embedder {
    /// The model inside the process.
    Local {
        /// Directory of its files.
        model_dir: PathBuf,
    },
    /// An endpoint that speaks OpenAI's protocol.
    OpenAi {
        /// Sent as a bearer token, if there is one.
        api_key: Option<Secret>,
        /// What `/embeddings` is appended to.
        base_url: Url,
        /// Name of the model.
        model: String,
        /// Length of the vectors.
        dimensions: u32,
    },
    /// None: search goes by words.
    None,
}

impl EmbeddingSettings {
    /// Returns the chosen source of vectors with what it needs.
    pub fn embedder(&self) -> Embedder {
        match self.embedding_provider {
            Provider::Local => Embedder::Local {
                model_dir: self.model_dir.clone(),
            },
            Provider::OpenAi => Embedder::OpenAi {
                api_key: self.openai_api_key.clone(),
                base_url: self.openai_base_url.clone(),
                model: self
                    .embedding_model
                    .clone()
                    .expect("`check` refuses this provider without a model"),
                dimensions: self
                    .embedding_dimensions
                    .expect("`check` refuses this provider without a length")
                    .get(),
            },
            Provider::None => Embedder::None,
        }
    }

    /// Refuses values that are fine alone and wrong together.
    pub(crate) fn check(&self, values: &Values) -> Result<(), ConfigError> {
        let local = self.embedding_provider == Provider::Local;
        let remote = self.embedding_provider == Provider::OpenAi;
        let foreign_model = self.embedding_model.as_deref() != Some(LOCAL_MODEL);
        let openai_itself = self.openai_base_url.as_str() == OPENAI_BASE_URL;
        let faults = [
            (local && foreign_model, "embedding_model", FOREIGN_MODEL),
            (
                remote && openai_itself && self.openai_api_key.is_none(),
                "openai_api_key",
                NO_KEY,
            ),
            (
                remote && self.embedding_model.is_none(),
                "embedding_model",
                NO_MODEL,
            ),
            (
                remote && self.embedding_dimensions.is_none(),
                "embedding_dimensions",
                NO_LENGTH,
            ),
        ];
        let refused: Vec<Refused> = faults
            .into_iter()
            .filter(|(at_fault, ..)| *at_fault)
            .map(|(_, setting, why)| Refused::together(values.entry(setting), why))
            .collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Refused(refused))
        }
    }

    /// Says what has no effect. Older deployments give the length for a model they no longer use,
    /// so it is no error.
    pub(crate) fn notice(&self) -> Option<String> {
        let given = self.embedding_dimensions.map(NonZeroU32::get);
        let differs = self.embedding_provider == Provider::Local && given != Some(LOCAL_DIMENSIONS);
        differs.then(|| {
            format!(
                "EMBEDDING_DIMENSIONS has no effect: \
                 the local model's vectors have {LOCAL_DIMENSIONS} dimensions"
            )
        })
    }
}

const FOREIGN_MODEL: &str =
    "the local model is all-MiniLM-L6-v2; another needs EMBEDDING_PROVIDER=openai";
const NO_KEY: &str =
    "OpenAI asks for a key: set OPENAI_API_KEY, or OPENAI_BASE_URL to another endpoint";
const NO_MODEL: &str =
    "the endpoint needs a model: leave EMBEDDING_MODEL out for text-embedding-3-small";
const NO_LENGTH: &str =
    "the length of this model's vectors is not known here: set EMBEDDING_DIMENSIONS";
