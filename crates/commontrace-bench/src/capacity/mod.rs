//! The made-up contents of a large store: texts, vectors and ids, all from one seed.

mod text;
mod vectors;

use chrono::{DateTime, Utc};
use commontrace_core::{TraceId, UserId};
use commontrace_store::{BulkTrace, EmbeddingModel};
use uuid::Uuid;

pub use text::{TOPICS, topic};
pub use vectors::Source;

use crate::rng::Rng;

/// The account that all generated traces belong to, and nothing else.
pub const OWNER: UserId = UserId(Uuid::from_u128(0x636f_6d6d_6f6e_4361_9063_6170_6163_6974));
/// Its address, in a domain that nobody can register.
pub const OWNER_EMAIL: &str = "capacity-test@commontrace.invalid";

/// When generated traces were written, for whoever reads them: 2026-01-01.
pub const MADE_AT: DateTime<Utc> = DateTime::from_timestamp_nanos(1_767_225_600 * 1_000_000_000);

/// The part of the seed that ids are made from.
const ID_PART: u64 = 3 << 40;

/// What is generated.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Size {
    /// Traces
    #[arg(long, default_value_t = 100_000)]
    pub traces: usize,
    /// Length of the vectors
    #[arg(long, default_value_t = 1536, value_parser = dimensions)]
    pub dim: usize,
    /// What texts, vectors and ids are made from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn dimensions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(dim) if (1..=4096).contains(&dim) => Ok(dim),
        _ => Err("expected a number from 1 to 4096".to_owned()),
    }
}

impl Size {
    /// Returns the model that the vectors are stored under.
    pub fn model(&self) -> EmbeddingModel {
        EmbeddingModel {
            id: MODEL.to_owned(),
            // What the server notes of every model of an endpoint.
            version: "1".to_owned(),
            dimensions: self.dim,
        }
    }

    /// Returns trace `number`, always the same.
    pub fn trace(&self, source: &Source, number: usize) -> BulkTrace {
        let text = text::trace(self.seed, number);
        BulkTrace {
            id: self.id(number),
            title: text.title,
            context_text: text.context,
            solution_text: text.solution,
            tags: text.tags,
            vector: source.trace(number),
        }
    }

    /// Returns the id of trace `number`.
    pub fn id(&self, number: usize) -> TraceId {
        let mut rng = Rng::part(self.seed, ID_PART + number as u64);
        let bits = u128::from(rng.next()) << 64 | u128::from(rng.next());
        TraceId(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }
}

/// The name of the model that makes the vectors.
pub const MODEL: &str = "made-up";
