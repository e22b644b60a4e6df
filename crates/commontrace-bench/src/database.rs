//! Databases of a measurement's own, on the PostgreSQL server that it was given.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Makes an empty database with this name on the server of `url`, in place of an earlier one, and
/// returns its address.
pub async fn fresh(url: &str, name: &str) -> Result<String> {
    remove(url, name).await?;
    execute(url, format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
    beside(url, name)
}

/// Removes it.
pub async fn remove(url: &str, name: &str) -> Result<()> {
    execute(url, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

/// Returns the address of another database on the server of `url`.
fn beside(url: &str, name: &str) -> Result<String> {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = address
        .rsplit_once('/')
        .context("--database-url names no database")?;
    Ok(format!("{server}/{name}?{options}"))
}

async fn execute(url: &str, sql: String) -> Result<()> {
    // The driver's errors do not repeat the address.
    let mut db = PgConnection::connect(url)
        .await
        .context("cannot connect to the server of --database-url")?;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut db)
        .await
        .context("cannot make a database of its own on the server of --database-url")?;
    Ok(db.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_the_same_server() {
        for (url, expected) in [
            (
                "postgres://a:b@h:5/d",
                "postgres://a:b@h:5/commontrace_bench_x?",
            ),
            (
                "postgres://a@h/d?host=/tmp",
                "postgres://a@h/commontrace_bench_x?host=/tmp",
            ),
        ] {
            assert_eq!(beside(url, "commontrace_bench_x").unwrap(), expected);
        }
    }
}
