//! The words of a trace, kept in step with its text.

use commontrace_core::TraceId;
use sqlx::PgConnection;

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
    let Tx::Postgres(db, Some(Derived { make: Some(make) })) = tx else {
        return Ok(());
    };
    put(db, id, revision, make.version, &(make.make)(texts)).await
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
    let Tx::Postgres(db, Some(_)) = tx else {
        return Ok(());
    };
    for table in [
        "DELETE FROM search_documents WHERE trace_id = $1",
        "DELETE FROM search_vectors WHERE trace_id = $1",
    ] {
        sqlx::query(table).bind(id).execute(&mut **db).await?;
    }
    Ok(())
}
