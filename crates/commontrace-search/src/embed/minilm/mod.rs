//! sentence-transformers/all-MiniLM-L6-v2 inside this process, on the CPU, without other runtimes.
//!
//! Queries are encoded at once on blocking threads; batches by one background thread of low
//! priority, so that bulk work never makes a search wait. Finding the files is not its business.

mod aligned;
mod background;
mod checkpoint;
mod encoder;
mod linear;
mod simd;
mod wordpiece;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use self::background::Background;
use self::checkpoint::{Checkpoint, CheckpointError};
use self::encoder::{Encoder, Scratch};
use self::simd::Level;
use self::wordpiece::{TokenizerFileError, WordPiece};
use super::model_files::{MODEL_ID, MODEL_VERSION, TOKENIZER_FILE, WEIGHTS_FILE};
use super::{EmbedError, ModelInfo};

pub use self::encoder::{DIMENSIONS, MAX_TOKENS};

/// The loaded model.
#[derive(Debug)]
pub struct MiniLm {
    model: ModelInfo,
    core: Arc<Core>,
    /// As many queries at a time as there are processors; more would only slow each other.
    query_slots: Semaphore,
    background: Background,
}

/// The tokenizer and the encoder, shared by all threads that run them.
#[derive(Debug)]
struct Core {
    tokenizer: WordPiece,
    encoder: Encoder,
    /// Buffers of finished queries, kept for the next ones.
    scratch: Mutex<Vec<Scratch>>,
}

/// Says why the model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The weights are missing or not those of the model.
    #[error("cannot load the embedding weights {}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CheckpointError,
    },
    /// The tokenizer is missing or not that of the model.
    #[error("cannot load the embedding tokenizer {}: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TokenizerFileError,
    },
    /// A file or a thread could not be had.
    #[error("cannot load the embedding model, {what}: {source}")]
    Io {
        /// What was attempted, on what.
        what: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl MiniLm {
    /// Loads the model from a folder with `model.safetensors` and `tokenizer.json`.
    ///
    /// Takes about a tenth of a second and blocks; checks shapes but not the files' hashes, which
    /// is [`model_files::verify`](super::model_files::verify)'s business.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        Self::load_at(folder, Level::detect())
    }

    fn load_at(folder: &Path, level: Level) -> Result<Self, LoadError> {
        let core = Arc::new(Core::load(folder, level)?);
        let background = Background::start(Arc::clone(&core)).map_err(|source| LoadError::Io {
            what: "starting its background thread".to_owned(),
            source,
        })?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let model = ModelInfo {
            id: MODEL_ID.to_owned(),
            version: MODEL_VERSION.to_owned(),
            dimensions: DIMENSIONS,
        };
        Ok(Self {
            model,
            core,
            query_slots: Semaphore::new(processors),
            background,
        })
    }

    /// Returns the model's name and release.
    #[must_use]
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Returns the token ids the encoder sees for a text, at most [`MAX_TOKENS`].
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        self.core.tokens(text)
    }

    /// Encodes one text on the calling thread, which it keeps busy for milliseconds.
    pub fn encode(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.core.encode(text)
    }

    /// Encodes one text on a blocking thread, ahead of batches.
    pub async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        // The semaphore is never closed; without a permit the work would still be right.
        let _slot = self.query_slots.acquire().await;
        let (core, text) = (Arc::clone(&self.core), text.to_owned());
        tokio::task::spawn_blocking(move || core.encode(&text))
            .await
            .unwrap_or(Err(EmbedError::Stopped))
    }

    /// Encodes texts on the background thread; dropping the future abandons what is left.
    pub async fn embed_batch(&self, texts: Vec<String>) -> Vec<Result<Vec<f32>, EmbedError>> {
        self.background.embed(texts).await
    }
}

impl Core {
    fn load(folder: &Path, level: Level) -> Result<Self, LoadError> {
        let path = folder.join(TOKENIZER_FILE);
        let json = std::fs::read(&path).map_err(|source| LoadError::Io {
            what: format!("reading {}", path.display()),
            source,
        })?;
        let tokenizer = WordPiece::from_json(&json, encoder::VOCABULARY as u32)
            .map_err(|source| LoadError::Tokenizer { path, source })?;
        let path = folder.join(WEIGHTS_FILE);
        let encoder = Checkpoint::open(&path)
            .and_then(|checkpoint| Encoder::load(checkpoint, level))
            .map_err(|source| LoadError::Weights { path, source })?;
        Ok(Self {
            tokenizer,
            encoder,
            scratch: Mutex::default(),
        })
    }

    fn tokens(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, MAX_TOKENS)
    }

    fn encode(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let tokens = self.tokens(text);
        let kept = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = kept().pop().unwrap_or_default();
        let vectors = self.encode_tokens(&[&tokens], &mut scratch);
        kept().push(scratch);
        Ok(vectors?.swap_remove(0))
    }

    fn encode_tokens(
        &self,
        texts: &[&[u32]],
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.encoder
            .encode(texts, scratch)
            .map_err(|e| EmbedError::Weights(Arc::new(e)))
    }
}
