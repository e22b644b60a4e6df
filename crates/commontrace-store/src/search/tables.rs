//! The table of vectors, which needs an extension and so cannot be part of a migration that has to
//! succeed.

use sqlx::PgConnection;

use crate::Result;
use crate::postgres::result_code;

/// Distinguishes this lock from those of others on the same database.
const KEY: i64 = 0x636f_6d6d_6f6e_7302;
/// The first version with scans that go on until a filter has let enough through.
const NEEDED: (u32, u32) = (0, 8);

/// Creates the extension and the table of vectors if they are not there. Returns why there is none
/// to search in, in words for the log.
pub(crate) async fn ensure(db: &mut PgConnection) -> Result<Option<String>> {
    let mut reason = missing_extension(db).await?;
    if reason.is_none() {
        reason = hidden_extension(db).await?;
    }
    if reason.is_some() {
        return Ok(reason);
    }
    let there = "SELECT to_regclass('search_vectors') IS NOT NULL";
    if sqlx::query_scalar(there).fetch_one(&mut *db).await? {
        return Ok(None);
    }
    // Of several nodes that start at once one creates it and the others find it there.
    lock(db).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS search_vectors (
             trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
             model INTEGER NOT NULL REFERENCES search_models (id) ON DELETE CASCADE,
             -- The revision of the trace that was embedded.
             revision BIGINT NOT NULL,
             -- Of length one. Kept in the row, because a search reads many.
             embedding HALFVEC NOT NULL,
             PRIMARY KEY (trace_id, model)
         ) WITH (toast_tuple_target = 8160);
         CREATE OR REPLACE TRIGGER search_note_vector AFTER INSERT OR DELETE ON search_vectors
             FOR EACH ROW EXECUTE FUNCTION search_note_vector();
         COMMIT",
    )
    .execute(&mut *db)
    .await?;
    Ok(None)
}

/// Begins a transaction that one process at a time gets on with.
async fn lock(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(&mut *db).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(KEY)
        .execute(&mut *db)
        .await
        .map(drop)
}

/// Creates the extension if it is not there, and returns why it cannot be used.
async fn missing_extension(db: &mut PgConnection) -> Result<Option<String>> {
    let installed = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
    let mut version: Option<String> = sqlx::query_scalar(installed)
        .fetch_optional(&mut *db)
        .await?;
    if version.is_none() {
        if let Err(err) = create_extension(db).await {
            let refused = matches!(&err, sqlx::Error::Database(_));
            let code = result_code(&err).unwrap_or_default().into_owned();
            sqlx::raw_sql("ROLLBACK").execute(&mut *db).await?;
            return match code.as_str() {
                "42501" => Ok(Some(
                    "this role may not create the extension `vector`; let a superuser run `CREATE EXTENSION vector`"
                        .to_owned(),
                )),
                _ if refused => Ok(Some(format!("the extension `vector` cannot be created: {err}"))),
                _ => Err(err.into()),
            };
        }
        version = sqlx::query_scalar(installed)
            .fetch_optional(&mut *db)
            .await?;
    }
    let version = version.unwrap_or_default();
    Ok((!is_recent(&version)).then(|| {
        format!(
            "pgvector is installed in version {version}, and {}.{} is needed; `ALTER EXTENSION vector UPDATE`",
            NEEDED.0, NEEDED.1
        )
    }))
}

/// Returns why the extension's types cannot be named though it is there.
async fn hidden_extension(db: &mut PgConnection) -> Result<Option<String>> {
    let schema: Option<String> = sqlx::query_scalar(
        "SELECT extnamespace::REGNAMESPACE::TEXT FROM pg_extension
         WHERE extname = 'vector' AND to_regtype('halfvec') IS NULL",
    )
    .fetch_optional(db)
    .await?;
    Ok(schema.map(|schema| {
        format!(
            "pgvector is in the schema `{schema}`, which the role's search_path lacks; `ALTER ROLE name SET search_path = public, {schema}`"
        )
    }))
}

async fn create_extension(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    lock(db).await?;
    sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS vector; COMMIT")
        .execute(&mut *db)
        .await?;
    Ok(())
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= NEEDED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_recent("0.8.5") && is_recent("0.10.0") && is_recent("1.0"));
        assert!(!is_recent("0.7.4") && !is_recent("") && !is_recent("x"));
    }
}
