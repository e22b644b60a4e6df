//! Counts that ranking needs: read by searches, added up from what writers have noted.

use std::collections::HashMap;

use futures_util::FutureExt;
use sqlx::AssertSqlSafe;

use super::snapshot::{SNAPSHOT, Snapshot};
use crate::pool::on_postgres;
use crate::tx::Tx;
use crate::{Result, Store};

/// Distinguishes this lock from those of others on the same database.
const KEY: i64 = 0x636f_6d6d_6f6e_7303;
/// Notes that are added up in one transaction.
const FOLD: i64 = 2000;

/// Begins the name of the row that says what was seen.
const SEEN: &str = "seen/";

/// What is counted of all documents, and of those with certain terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Documents.
    pub documents: u64,
    /// The sum of their lengths.
    pub length: u64,
    /// Vectors of the model that was asked for.
    pub vectors: u64,
    /// How many documents have each of the terms that were asked for; none where a term is absent.
    pub with: HashMap<i32, u64>,
    /// What of the database was seen.
    pub snapshot: Option<Snapshot>,
}

impl Store {
    /// Returns the counts of all documents and of these terms, and how many vectors a model has.
    /// They lag a little behind what is written.
    pub async fn search_statistics(&self, terms: &[i32], model: Option<i32>) -> Result<Statistics> {
        let vectors = model.map(vectors_of);
        let mut names = vec!["documents", "length"];
        names.extend(vectors.as_deref());
        let rows: Vec<(Option<String>, Option<i32>, i64)> =
            on_postgres!(self, |db| sqlx::query_as(AssertSqlSafe(format!(
                "SELECT NULL AS name, term, documents AS total FROM search_terms
             WHERE term = ANY ((SELECT $1)::INTEGER[])
             UNION ALL
             SELECT name, NULL, total FROM search_totals WHERE name = ANY ((SELECT $2)::TEXT[])
             UNION ALL
             SELECT $3 || {SNAPSHOT}, NULL, 0"
            )))
            .bind(terms)
            .bind(&names)
            .bind(SEEN)
            .fetch_all(db)
            .await)?;
        let mut found = Statistics::default();
        for (name, term, total) in rows {
            // A note of something that is gone may be added up before that of its coming.
            let total = u64::try_from(total).unwrap_or(0);
            match (name.as_deref(), term) {
                (_, Some(term)) if total > 0 => {
                    found.with.insert(term, total);
                }
                (_, Some(_)) => {}
                (Some("documents"), _) => found.documents = total,
                (Some("length"), _) => found.length = total,
                (Some(name), _) => match name.strip_prefix(SEEN) {
                    Some(seen) => found.snapshot = Some(Snapshot::of(seen)),
                    None => found.vectors = total,
                },
                (None, None) => {}
            }
        }
        Ok(found)
    }

    /// Adds up what writers have noted. Of several processes one does; the others go on at once, or
    /// if they `wait`, when what was noted before is counted.
    pub async fn fold_search_changes(&self, wait: bool) -> Result<()> {
        while self.write(move |tx| fold(tx, wait).boxed()).await? >= FOLD {}
        Ok(())
    }
}

fn vectors_of(model: i32) -> String {
    format!("vectors/{model}")
}

/// Adds up a limited number of notes and returns how many.
async fn fold(tx: &mut Tx<'_>, wait: bool) -> Result<i64> {
    let Tx::Postgres(db, Some(_)) = tx else {
        return Ok(0);
    };
    if wait {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(KEY)
            .execute(&mut **db)
            .await?;
    } else {
        let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(KEY)
            .fetch_one(&mut **db)
            .await?;
        if !alone {
            return Ok(0);
        }
    }
    Ok(sqlx::query_scalar(
        "WITH taken AS (
             DELETE FROM search_changes WHERE id IN (
                 SELECT id FROM search_changes ORDER BY id LIMIT $1)
             RETURNING sign, length, terms, model),
         by_term AS (
             INSERT INTO search_terms (term, documents)
             SELECT term, SUM(sign) FROM taken, UNNEST(terms) AS term
             GROUP BY term HAVING SUM(sign) <> 0
             ON CONFLICT (term) DO UPDATE SET
                 documents = search_terms.documents + excluded.documents),
         in_total AS (
             INSERT INTO search_totals (name, total)
             SELECT name, SUM(change) FROM (
                 SELECT 'documents' AS name, sign AS change FROM taken WHERE terms IS NOT NULL
                 UNION ALL
                 SELECT 'length', sign * length::BIGINT FROM taken WHERE terms IS NOT NULL
                 UNION ALL
                 SELECT 'vectors/' || model, sign FROM taken WHERE model IS NOT NULL) AS changes
             GROUP BY name
             ON CONFLICT (name) DO UPDATE SET total = search_totals.total + excluded.total)
         SELECT COUNT(*) FROM taken",
    )
    .bind(FOLD)
    .fetch_one(&mut **db)
    .await?)
}
