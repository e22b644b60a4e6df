//! PostgreSQL's binary `COPY`: the rows of a batch as the server stores them, without a statement
//! for each.
//!
//! The format is that of the manual's page on `COPY`: a signature, then for each row the number of
//! its fields and each field's length and bytes, in network order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Batch;
use crate::search::{self, Derived, HalfVec};
use crate::{Result, Texts, embeddings};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// From 1970 to 2000, where PostgreSQL's time begins, in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// Stores the traces of a batch, their tags and their vectors.
pub(super) async fn batch(db: &mut PgConnection, batch: &Batch) -> Result<()> {
    let mut traces = Rows::new(18);
    let mut tags = Rows::new(3);
    let mut vectors = Rows::new(7);
    for trace in &batch.traces {
        let id = trace.id.0;
        traces
            .row()
            .uuid(id)
            .uuid(batch.owner.0)
            .bytes(trace.title.as_bytes())
            .bytes(trace.context_text.as_bytes())
            .bytes(trace.solution_text.as_bytes())
            .json(&serde_json::json!(trace.tags).to_string())
            .json("{}")
            .bytes(&[u8::from(false)])
            .bytes(b"validated")
            .bytes(&1f64.to_be_bytes());
        for number in [0, 0, 0, 1, 0] {
            traces.number(number);
        }
        for _ in 0..3 {
            traces.time(batch.now);
        }
        for tag in &trace.tags {
            tags.row().uuid(id).bytes(tag.as_bytes()).time(batch.now);
        }
        vectors
            .row()
            .uuid(id)
            .bytes(batch.model.id.as_bytes())
            .bytes(batch.model.version.as_bytes())
            .number(batch.model.dimensions as i64)
            .number(1)
            .bytes(&embeddings::to_bytes(&trace.vector))
            .time(batch.now);
    }
    let columns = "traces (id, contributor_id, title, context_text, solution_text, tags, context, \
                   is_seed, status, trust_score, up_votes, down_votes, retrieval_count, revision, \
                   flag_count, created_at, updated_at, changed_at)";
    traces.send(db, columns).await?;
    tags.send(db, "trace_tags (trace_id, tag, created_at)")
        .await?;
    let columns = "embeddings (trace_id, model_id, model_version, dimensions, revision, vector, \
                   created_at)";
    vectors.send(db, columns).await
}

/// Makes what the traces of a batch are found by.
pub(super) async fn derived(db: &mut PgConnection, derived: Derived, batch: &Batch) -> Result<()> {
    let model = search::number(db, &batch.model).await?;
    let mut documents = Rows::new(6);
    let mut vectors = Rows::new(4);
    for trace in &batch.traces {
        let id = trace.id.0;
        if let Some(make) = derived.make {
            let document = (make.make)(Texts {
                title: &trace.title,
                context_text: &trace.context_text,
                solution_text: &trace.solution_text,
                tags: &trace.tags,
            });
            documents
                .row()
                .uuid(id)
                .number(1)
                .bytes(&make.version.to_be_bytes())
                .bytes(
                    &i32::try_from(document.length)
                        .unwrap_or(i32::MAX)
                        .to_be_bytes(),
                )
                .integers(&document.terms)
                .bytes(&document.postings);
        }
        if let Some(vector) = HalfVec::new(&trace.vector) {
            let mut bytes = Vec::new();
            vector.write(&mut bytes);
            vectors
                .row()
                .uuid(id)
                .bytes(&model.to_be_bytes())
                .number(1)
                .bytes(&bytes);
        }
    }
    let columns = "search_documents (trace_id, revision, version, length, terms, postings)";
    documents.send(db, columns).await?;
    let columns = "search_vectors (trace_id, model, revision, embedding)";
    vectors.send(db, columns).await
}

/// Rows of one table in the format of `COPY`.
struct Rows {
    fields: i16,
    bytes: Vec<u8>,
}

impl Rows {
    fn new(fields: i16) -> Self {
        let mut bytes = SIGNATURE.to_vec();
        // No flags, and no extension of the header.
        bytes.extend([0; 8]);
        Self { fields, bytes }
    }

    fn row(&mut self) -> &mut Self {
        self.bytes.extend(self.fields.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).expect("a text or vector has less than 2 GiB");
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes);
        self
    }

    fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.bytes(id.as_bytes())
    }

    fn number(&mut self, number: i64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    /// An array: its dimensions, no absent elements, the type `integer`, length and lower bound.
    fn integers(&mut self, integers: &[i32]) -> &mut Self {
        /// The number that PostgreSQL knows the type by.
        const INTEGER: i32 = 23;
        let count = i32::try_from(integers.len()).expect("a document has fewer terms than bytes");
        let mut bytes = Vec::with_capacity(20 + integers.len() * 8);
        for number in [1, 0, INTEGER, count, 1] {
            bytes.extend(number.to_be_bytes());
        }
        for integer in integers {
            bytes.extend(4_i32.to_be_bytes());
            bytes.extend(integer.to_be_bytes());
        }
        self.bytes(&bytes)
    }

    fn time(&mut self, time: DateTime<Utc>) -> &mut Self {
        self.number(time.timestamp_micros() - EPOCH_MICROS)
    }

    fn json(&mut self, json: &str) -> &mut Self {
        let mut bytes = vec![JSONB_VERSION];
        bytes.extend(json.as_bytes());
        self.bytes(&bytes)
    }

    /// Sends the rows to `table`, named with its columns.
    async fn send(mut self, db: &mut PgConnection, table: &str) -> Result<()> {
        self.bytes.extend((-1i16).to_be_bytes());
        let statement = format!("COPY {table} FROM STDIN WITH (FORMAT binary)");
        let mut copy = db.copy_in_raw(&statement).await?;
        copy.send(self.bytes).await?;
        copy.finish().await?;
        Ok(())
    }
}
