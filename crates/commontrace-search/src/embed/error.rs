//! What can go wrong while embedding a text, and whether trying again can help.

use std::sync::Arc;

/// Says why a text was not embedded.
///
/// Cloneable, because one failed request fails every text of its batch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EmbedError {
    /// The word table of the local model cannot be read any more.
    #[error("cannot read the weights of the embedding model: {0}")]
    Weights(#[source] Arc<std::io::Error>),
    /// The local encoder ended before it answered, as at shutdown.
    #[error("the embedding worker stopped before it answered")]
    Stopped,
    /// The endpoint could not be reached, broke off or did not answer in time.
    #[error("cannot reach the embedding endpoint {endpoint}: {reason}")]
    Unreachable {
        /// The address asked, without credentials.
        endpoint: String,
        /// What the HTTP client says.
        reason: String,
    },
    /// The endpoint is overloaded or faulty for now: 408, 429 or 5xx.
    #[error("the embedding endpoint is unavailable (HTTP {status}): {message}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// The start of its explanation.
        message: String,
    },
    /// The endpoint does not let us in or does not know the model: the settings are wrong.
    #[error(
        "the embedding endpoint denied access (HTTP {status}): {message}; check the base URL, \
         the API key and the model name"
    )]
    Denied {
        /// The HTTP status: 401, 403 or 404.
        status: u16,
        /// The start of its explanation.
        message: String,
    },
    /// The endpoint refuses this request or this text, and will do so again.
    #[error("the embedding endpoint refused the request (HTTP {status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The start of its explanation.
        message: String,
    },
    /// The text is too long for the model even when cut.
    #[error("the text is too long for the embedding model: {message}")]
    TooLong {
        /// The start of the endpoint's explanation.
        message: String,
    },
    /// The endpoint's vectors have another length than the settings say.
    #[error(
        "the embedding endpoint gives vectors of {found} dimensions, expected {expected}; set the \
         embedding dimensions to {found}"
    )]
    WrongDimensions {
        /// The length of its vectors.
        found: usize,
        /// The length in the settings.
        expected: usize,
    },
    /// The answer is not what the protocol promises.
    #[error("the embedding endpoint gave an unusable answer: {0}")]
    BadAnswer(String),
}

impl EmbedError {
    /// Whether the text itself is at fault and would fail again, so that retrying is pointless.
    ///
    /// Wrong settings are not: once they are put right, the same text succeeds. Nor is an answer that
    /// makes no sense: a gateway gives one when what is behind it is away.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TooLong { .. } => true,
            Self::Weights(_)
            | Self::Stopped
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Denied { .. }
            | Self::WrongDimensions { .. }
            | Self::BadAnswer(_) => false,
        }
    }
}
