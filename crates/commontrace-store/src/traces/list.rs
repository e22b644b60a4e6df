//! Listing traces, newest first, a page at a time.

use chrono::{DateTime, Utc};
use commontrace_core::{TraceId, UserId};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::read::{Trace, select_trace};
use crate::pool::on_pool;
use crate::{Result, Store};

/// The last trace of a page; the next page begins behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When that trace was created.
    pub created_at: DateTime<Utc>,
    /// Its id, which orders traces of the same moment.
    pub id: TraceId,
}

/// Which traces to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only this account's, which includes its hidden ones.
    pub contributor: Option<UserId>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only starter traces, or only others.
    pub seed: Option<bool>,
}

impl Store {
    /// Lists traces newest first, at most `limit`, beginning behind `after`.
    pub async fn list_traces(
        &self,
        filter: &ListFilter,
        after: Option<Cursor>,
        limit: i64,
    ) -> Result<Vec<Trace>> {
        Ok(on_pool!(self, |db| {
            statement(filter, after, limit)
                .build_query_as()
                .fetch_all(db)
                .await
        })?)
    }
}

/// Writes the statement for either engine, so that an index gives the order in each case.
fn statement<'a, DB: Database>(
    filter: &'a ListFilter,
    after: Option<Cursor>,
    limit: i64,
) -> QueryBuilder<DB>
where
    &'a str: Encode<'a, DB> + Type<DB>,
    i64: Encode<'a, DB> + Type<DB>,
    DateTime<Utc>: Encode<'a, DB> + Type<DB>,
    TraceId: Encode<'a, DB> + Type<DB>,
    UserId: Encode<'a, DB> + Type<DB>,
{
    let mut query = QueryBuilder::new(select_trace!(""));
    if let Some(tag) = &filter.tag {
        query.push("JOIN trace_tags g ON g.trace_id = t.id AND g.tag = ");
        query.push_bind(tag.as_str());
    }
    // A trace's tags repeat when it was created, so that they are in order by themselves. One
    // account's traces are fewer than a tag's.
    let (created_at, id) = if filter.tag.is_some() && filter.contributor.is_none() {
        ("g.created_at", "g.trace_id")
    } else {
        ("t.created_at", "t.id")
    };
    match filter.contributor {
        Some(contributor) => {
            query.push(" WHERE t.contributor_id = ");
            query.push_bind(contributor);
        }
        None => {
            query.push(" WHERE t.hidden_at IS NULL");
        }
    }
    match filter.seed {
        Some(true) => {
            query.push(" AND t.is_seed");
        }
        Some(false) => {
            query.push(" AND NOT t.is_seed");
        }
        None => {}
    }
    if let Some(after) = after {
        query.push(format_args!(" AND ({created_at}, {id}) < ("));
        query.push_bind(after.created_at);
        query.push(", ");
        query.push_bind(after.id);
        query.push(")");
    }
    query.push(format_args!(
        " ORDER BY {created_at} DESC, {id} DESC LIMIT "
    ));
    query.push_bind(limit);
    query
}

#[cfg(test)]
mod tests {
    use sqlx::Sqlite;
    use uuid::Uuid;

    use super::*;
    use crate::plan::assert_indexed;

    #[tokio::test]
    async fn every_list_comes_out_of_an_index_in_its_order() {
        let somebody = Some(UserId(Uuid::nil()));
        let tag = Some("rust".to_owned());
        let cursor = Cursor {
            created_at: DateTime::UNIX_EPOCH,
            id: TraceId(Uuid::nil()),
        };
        for (contributor, tag, seed) in [
            (None, None, None),
            (somebody, None, None),
            (None, tag.clone(), None),
            (None, None, Some(true)),
            (None, None, Some(false)),
            (somebody, tag.clone(), None),
            (somebody, None, Some(true)),
            (None, tag, Some(true)),
        ] {
            let filter = ListFilter {
                contributor,
                tag,
                seed,
            };
            for after in [None, Some(cursor)] {
                let statement: QueryBuilder<Sqlite> = statement(&filter, after, 20);
                assert_indexed(statement.sql().as_str()).await;
            }
        }
    }
}
