//! A look at a PostgreSQL server for an operator: what it is, and what it has been given to work
//! with.

use chrono::{DateTime, Utc};

use crate::pool::Pool;
use crate::{Result, Store};

/// What a look at the PostgreSQL server found. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Condition {
    /// Its version, such as `16.4 (Debian 16.4-1)`.
    pub version: String,
    /// Its major version.
    pub major: i64,
    /// The version of the extension `vector` in this database, if it is there.
    pub vector: Option<String>,
    /// The version that could be installed or updated to, if the server has any.
    pub vector_available: Option<String>,
    /// Memory that caches tables and indexes.
    pub shared_buffers: i64,
    /// What the indexes of this schema take on the disk.
    pub indexes: i64,
    /// Memory that building one index may use.
    pub maintenance_work_mem: i64,
    /// Connections that the server, the database and the role let this program have, all processes
    /// together.
    pub connections_allowed: i64,
    /// Connections open now, those of this process and of other programs included.
    pub connections_open: i64,
    /// How many vectors the largest index of them has.
    pub vectors: i64,
    /// The length of each of those.
    pub dimensions: i64,
}

impl Condition {
    /// Bytes of one vector's place in a graph of `m = 16` while it is built, without the vector
    /// itself. Measured with pgvector 0.8.5: 707 and 708 bytes for vectors and halfvecs of 64 and 384.
    const PLACE_IN_GRAPH: i64 = 710;

    /// Returns the memory that building the largest HNSW index takes, of halfvecs as ours are. With less
    /// than this it takes many times as long.
    pub fn graph(&self) -> i64 {
        let vector = self.dimensions.saturating_mul(2) + 8;
        self.vectors.saturating_mul(vector + Self::PLACE_IN_GRAPH)
    }
}

const LOOK: &str = "
    SELECT current_setting('server_version') AS version,
           current_setting('server_version_num')::bigint / 10000 AS major,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')
               AS vector_available,
           pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,
           (SELECT COALESCE(SUM(pg_relation_size(index.indexrelid)), 0)::bigint
            FROM pg_index index
            JOIN pg_class indexed ON indexed.oid = index.indrelid
            JOIN pg_namespace schema ON schema.oid = indexed.relnamespace
            WHERE schema.nspname = current_schema()) AS indexes,
           pg_size_bytes(current_setting('maintenance_work_mem')) AS maintenance_work_mem,
           LEAST(
               current_setting('max_connections')::bigint
                   - current_setting('superuser_reserved_connections')::bigint
                   - COALESCE(current_setting('reserved_connections', true)::bigint, 0),
               (SELECT NULLIF(datconnlimit, -1) FROM pg_database
                WHERE datname = current_database()),
               (SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
           )::bigint AS connections_allowed,
           (SELECT COALESCE(SUM(numbackends), 0)::bigint FROM pg_stat_database)
               AS connections_open,
           COALESCE(largest.vectors, 0) AS vectors,
           COALESCE(largest.dimensions, 0) AS dimensions
    FROM (SELECT 1) AS always
    LEFT JOIN (
        SELECT COUNT(*) AS vectors, dimensions FROM embeddings
        GROUP BY model_id, model_version, dimensions
        ORDER BY COUNT(*) * (dimensions + 180) DESC LIMIT 1
    ) AS largest ON true";

impl Store {
    /// Looks at the server that is written to; none with an embedded engine. Counts the vectors, so
    /// no request handler asks for it.
    pub async fn condition(&self) -> Result<Option<Condition>> {
        let Pool::Postgres(server) = &self.pool else {
            return Ok(None);
        };
        Ok(Some(sqlx::query_as(LOOK).fetch_one(server).await?))
    }

    /// Returns what time it is on the server that is written to; none with an embedded engine.
    pub async fn server_time(&self) -> Result<Option<DateTime<Utc>>> {
        let Pool::Postgres(server) = &self.pool else {
            return Ok(None);
        };
        let time = sqlx::query_scalar("SELECT clock_timestamp()");
        Ok(Some(time.fetch_one(server).await?))
    }
}
