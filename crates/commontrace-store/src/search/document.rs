//! The words of a trace, kept in step with its text.

use commontrace_core::TraceId;
use sqlx::{PgConnection, SqliteConnection};

use super::{Derived, SearchDocument, Texts};
use crate::tx::Tx;
use crate::{Result, Trace};

/// Makes the document of a trace that was written in this transaction. Without tables to search in
/// there is nothing to do, and without rules the next server's background work does it.
pub(crate) async fn put_document(
    tx: &mut Tx<'_>,
    id: TraceId,
    revision: i64,
    texts: Texts<'_>,
) -> Result<()> {
    match tx {
        Tx::Postgres(db, Some(Derived { make: Some(make) })) => {
            put(db, id, revision, make.version, &(make.make)(texts)).await
        }
        Tx::Sqlite(db, Derived { make: Some(make) }) => {
            put_in_file(db, id, revision, make.version, &(make.make)(texts)).await
        }
        _ => Ok(()),
    }
}

/// Stores a document in place of what the trace had.
pub(super) async fn put(
    db: &mut PgConnection,
    id: TraceId,
    revision: i64,
    version: i32,
    document: &SearchDocument,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO search_documents (trace_id, revision, version, length, terms, postings)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (trace_id) DO UPDATE SET
             revision = excluded.revision, version = excluded.version, length = excluded.length,
             terms = excluded.terms, postings = excluded.postings",
    )
    .bind(id)
    .bind(revision)
    .bind(version)
    .bind(i32::try_from(document.length).unwrap_or(i32::MAX))
    .bind(&document.terms)
    .bind(&document.postings)
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// Stores a document in place of what the trace had, on SQLite.
pub(super) async fn put_in_file(
    db: &mut SqliteConnection,
    id: TraceId,
    revision: i64,
    version: i32,
    document: &SearchDocument,
) -> Result<()> {
    let doc: i64 = sqlx::query_scalar(
        "INSERT INTO search_documents (trace_id, revision, version, length, postings)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (trace_id) DO UPDATE SET
             revision = excluded.revision, version = excluded.version, length = excluded.length,
             postings = excluded.postings
         RETURNING doc",
    )
    .bind(id)
    .bind(revision)
    .bind(version)
    .bind(i64::from(document.length))
    .bind(&document.postings)
    .fetch_one(&mut *db)
    .await?;
    let terms: Vec<String> = document.terms.iter().map(|&term| in_file(term)).collect();
    sqlx::query("INSERT OR REPLACE INTO search_terms (rowid, terms) VALUES ($1, $2)")
        .bind(doc)
        .bind(terms.join(" "))
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Returns a term's number as the table of terms has it on SQLite: as a word.
fn in_file(term: i32) -> String {
    format!("{term:08x}")
}

/// Makes the document of a trace, unless it is hidden.
pub(crate) async fn put_document_of(tx: &mut Tx<'_>, trace: &Trace) -> Result<()> {
    if trace.hidden_at.is_some() {
        return Ok(());
    }
    let texts = Texts {
        title: &trace.title,
        context_text: &trace.context_text,
        solution_text: &trace.solution_text,
        tags: &trace.tags,
    };
    put_document(tx, trace.id, trace.revision, texts).await
}

/// Removes all that a trace is found by, because it is hidden now.
pub(crate) async fn drop_document(tx: &mut Tx<'_>, id: TraceId) -> Result<()> {
    let db = match tx {
        Tx::Postgres(db, Some(_)) => db,
        Tx::Postgres(_, None) => return Ok(()),
        Tx::Sqlite(db, _) => {
            let gone = sqlx::query("DELETE FROM search_documents WHERE trace_id = $1").bind(id);
            gone.execute(&mut **db).await?;
            return Ok(());
        }
    };
    for table in [
        "DELETE FROM search_documents WHERE trace_id = $1",
        "DELETE FROM search_vectors WHERE trace_id = $1",
    ] {
        sqlx::query(table).bind(id).execute(&mut **db).await?;
    }
    Ok(())
}
