//! The PostgreSQL server: its version, pgvector, and whether it has been given enough to work with.

use commontrace_server::error::chain;
use commontrace_store::{Condition, Store};

use super::Finding::{self, Fine, Weak, Wrong};
use crate::config::Config;

/// The version that the tests run against.
const TESTED: i64 = 16;
/// Connections of a node beside its pool: one that watches a replica, one that hears of jobs, one at
/// the start and while it prepares what is searched.
const BESIDE_POOL: i64 = 3;
const MEBIBYTE: i64 = 1024 * 1024;

/// Looks at the server; nothing to say with an embedded engine.
pub async fn server(store: &Store, config: &Config) -> Vec<(&'static str, Finding)> {
    let condition = match store.condition().await {
        Ok(Some(condition)) => condition,
        Ok(None) => return Vec::new(),
        Err(err) => return vec![("postgresql", Wrong(chain(&err)))],
    };
    let pool = i64::from(config.storage.database_pool_size.get());
    vec![
        ("postgresql", version(&condition)),
        ("pgvector", pgvector(&condition)),
        ("connections", connections(&condition, pool)),
        ("shared_buffers", shared_buffers(&condition)),
        ("maintenance_work_mem", maintenance_work_mem(&condition)),
    ]
}

fn version(found: &Condition) -> Finding {
    let Condition { version, major, .. } = found;
    if *major < TESTED {
        return Weak(format!(
            "version {version}; it may do, but tests run on {TESTED} only: upgrade the server"
        ));
    }
    Fine(format!("version {version}"))
}

fn pgvector(found: &Condition) -> Finding {
    let available = found.vector_available.as_deref();
    let Some(installed) = &found.vector else {
        return Weak(match available {
            Some(available) => format!(
                "the extension is not in this database; a superuser adds it with `CREATE EXTENSION vector`, \
                 which is version {available} here"
            ),
            None => "the server does not have it; install pgvector 0.8 or later there (Debian's package is \
                     postgresql-16-pgvector), then `CREATE EXTENSION vector` in this database"
                .to_owned(),
        });
    };
    let lacks = match release(installed) {
        (0, ..7) => "halfvec, which halves the index",
        (0, 7) => {
            "iterative scans, without which a search with a rare tag finds less than there is"
        }
        _ => return Fine(format!("version {installed}")),
    };
    let remedy = match available {
        Some(available) if release(available) > release(installed) => {
            format!("update to {available} with `ALTER EXTENSION vector UPDATE`")
        }
        _ => "install 0.8 or later on the server, then `ALTER EXTENSION vector UPDATE`".to_owned(),
    };
    Weak(format!("version {installed} has no {lacks}; {remedy}"))
}

/// Reads `0.8.1` as far as it matters. What is no version counts as a very old one.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn connections(found: &Condition, pool: i64) -> Finding {
    let Condition {
        connections_allowed: allowed,
        connections_open: open,
        ..
    } = found;
    let node = pool + BESIDE_POOL;
    if node > *allowed {
        return Wrong(format!(
            "a node wants up to {node} (DATABASE_POOL_SIZE is {pool}) and the server lets this program have \
             {allowed}: raise max_connections, or the limit of the database or the role, or lower \
             DATABASE_POOL_SIZE"
        ));
    }
    let is = format!("{open} open of {allowed}, a node wants up to {node}");
    if open + node > *allowed {
        return Weak(format!(
            "{is}, so another one may not get them all: raise max_connections or lower DATABASE_POOL_SIZE"
        ));
    }
    Fine(format!(
        "{is}: there is room for {} nodes and workers at most",
        allowed / node
    ))
}

fn shared_buffers(found: &Condition) -> Finding {
    let (buffers, indexes) = (found.shared_buffers, found.indexes);
    let is = format!(
        "{}, the indexes take {}",
        mebibytes(buffers),
        mebibytes(indexes)
    );
    if indexes > buffers {
        return Weak(format!(
            "{is}, so searches wait for the disk or the system's cache: set shared_buffers to {} or more, \
             a quarter of the server's memory if it is its own",
            mebibytes(indexes.saturating_add(indexes / 4))
        ));
    }
    Fine(is)
}

fn maintenance_work_mem(found: &Condition) -> Finding {
    let (given, needed) = (found.maintenance_work_mem, found.graph());
    let Condition {
        vectors,
        dimensions,
        ..
    } = found;
    if *vectors == 0 {
        return Fine(format!("{}, no vectors yet", mebibytes(given)));
    }
    let is = format!(
        "{}, an index of the {vectors} vectors of {dimensions} dimensions is built in up to {}",
        mebibytes(given),
        mebibytes(needed)
    );
    if needed > given {
        return Weak(format!(
            "{is}; with less it takes many times as long. A node takes up to 1024 MB by itself; a restore or \
             a REINDEX goes by the setting: `ALTER SYSTEM SET maintenance_work_mem = '{}'` if the server has \
             the memory, then `SELECT pg_reload_conf()`",
            mebibytes(needed).replace(' ', "")
        ));
    }
    Fine(is)
}

/// Writes bytes as PostgreSQL's settings have them, rounded up.
fn mebibytes(bytes: i64) -> String {
    format!("{} MB", (bytes.saturating_add(MEBIBYTE - 1)) / MEBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Condition {
        Condition {
            version: "16.4".into(),
            major: 16,
            vector: Some("0.8.0".into()),
            vector_available: Some("0.8.0".into()),
            shared_buffers: 512 * MEBIBYTE,
            indexes: 100 * MEBIBYTE,
            maintenance_work_mem: 64 * MEBIBYTE,
            connections_allowed: 97,
            connections_open: 13,
            vectors: 1000,
            dimensions: 384,
        }
    }

    #[track_caller]
    fn weak(finding: Finding, expected: &[&str]) {
        let Weak(text) = finding else {
            panic!("it is not weak")
        };
        for part in expected {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }

    #[test]
    fn a_server_with_enough_of_everything_is_fine() {
        let well = well();
        for finding in [
            version(&well),
            pgvector(&well),
            connections(&well, 10),
            shared_buffers(&well),
            maintenance_work_mem(&well),
        ] {
            assert!(matches!(finding, Fine(_)));
        }
    }

    #[test]
    fn an_old_server_works_and_is_named() {
        let old = Condition {
            version: "14.12".into(),
            major: 14,
            ..well()
        };
        weak(version(&old), &["14.12", "16"]);
    }

    #[test]
    fn an_old_or_missing_pgvector_is_named_with_the_statement_that_mends_it() {
        let with = |installed: Option<&str>, available: Option<&str>| {
            pgvector(&Condition {
                vector: installed.map(Into::into),
                vector_available: available.map(Into::into),
                ..well()
            })
        };
        weak(with(None, None), &["install pgvector 0.8"]);
        weak(
            with(None, Some("0.8.1")),
            &["CREATE EXTENSION vector", "0.8.1"],
        );
        let update = "ALTER EXTENSION vector UPDATE";
        weak(
            with(Some("0.6.2"), Some("0.6.2")),
            &["halfvec", "install 0.8"],
        );
        weak(
            with(Some("0.7.4"), Some("0.8.1")),
            &["iterative", "update to 0.8.1", update],
        );
        assert!(matches!(with(Some("0.10.0"), None), Fine(_)));
        assert!(matches!(with(Some("1.0.0"), None), Fine(_)));
    }

    #[test]
    fn a_pool_that_the_server_cannot_serve_is_wrong_and_a_crowded_server_is_weak() {
        let Wrong(text) = connections(&well(), 100) else {
            panic!("it is not wrong")
        };
        assert!(text.contains("DATABASE_POOL_SIZE is 100"), "{text}");
        let crowded = Condition {
            connections_open: 90,
            ..well()
        };
        weak(
            connections(&crowded, 10),
            &["90 open of 97", "max_connections"],
        );
    }

    #[test]
    fn memory_that_is_too_small_is_named_with_what_would_do() {
        let large = Condition {
            indexes: 800 * MEBIBYTE,
            vectors: 100_000,
            dimensions: 1536,
            ..well()
        };
        weak(shared_buffers(&large), &["shared_buffers to 1000 MB"]);
        weak(
            maintenance_work_mem(&large),
            &["100000 vectors of 1536", "maintenance_work_mem = '362MB'"],
        );
    }
}
