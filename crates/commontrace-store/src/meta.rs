//! Facts about the store itself, by name.

use futures_util::FutureExt;

use crate::tx::on_tx;
use crate::{Result, Store};

impl Store {
    /// Returns the value kept under `name`, after keeping `value` if there was none. Of several
    /// processes that ask at once, all get the same answer.
    pub async fn meta_or_insert(&self, name: &'static str, value: String) -> Result<String> {
        self.write(move |tx| {
            async move {
                on_tx!(tx, |db| sqlx::query(
                    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
                )
                .bind(name)
                .bind(&value)
                .execute(db)
                .await
                .map(drop))?;
                Ok(on_tx!(tx, |db| sqlx::query_scalar(
                    "SELECT value FROM meta WHERE name = $1"
                )
                .bind(name)
                .fetch_one(db)
                .await)?)
            }
            .boxed()
        })
        .await
    }
}
