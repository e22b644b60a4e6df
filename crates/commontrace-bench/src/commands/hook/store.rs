//! The store of a person who has worked for a while: many traces of other people, among them those that solve the
//! recorded failures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::document::{NewTrace, to_trace};
use crate::import;
use crate::report::note;
use crate::server::{Embedding, Launch, ServerArgs};
use crate::sets;

/// Which trace solves which failure, in a folder with a filled store.
const FIXES: &str = "fixes.json";
/// The store's file in a data directory.
const DATABASE: &str = "commontrace.db";

/// A filled store, copied for this measurement.
#[derive(Debug)]
pub struct Filled {
    folder: TempDir,
    /// The ids of the traces, by the failures that they solve.
    pub fixes: BTreeMap<String, String>,
}

impl Filled {
    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for everything else.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Contributes `traces` documents of the sets and the traces that solve something, or takes what an earlier run left in
/// `keep`; what is contributed now is left there.
pub async fn filled(
    server: &ServerArgs,
    sets: &Path,
    traces: usize,
    fixes: &BTreeMap<String, NewTrace>,
    keep: Option<&Path>,
) -> Result<Filled> {
    let folder = TempDir::with_prefix_in("bench-hook-", server.folder()?)
        .context("cannot make a folder for the store")?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let kept = keep.filter(|kept| kept.join(FIXES).is_file());
    let ids = match kept {
        Some(kept) => {
            copy(kept, &data)?;
            let text = std::fs::read_to_string(kept.join(FIXES))?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} is of no use", kept.join(FIXES).display()))?
        }
        None => {
            let ids = fill(server, sets, traces, fixes, &data).await?;
            if let Some(keep) = keep {
                std::fs::create_dir_all(keep)?;
                copy(&data, keep)?;
                std::fs::write(keep.join(FIXES), serde_json::to_vec(&ids)?)?;
            }
            ids
        }
    };
    Ok(Filled { folder, fixes: ids })
}

async fn fill(
    server: &ServerArgs,
    sets: &Path,
    traces: usize,
    fixes: &BTreeMap<String, NewTrace>,
    data: &Path,
) -> Result<BTreeMap<String, String>> {
    // Hooks go by words: vectors would only take time. Starter traces answer some of the commands that nothing is to
    // answer here.
    let launch = Launch::new(server, server.embedding.unwrap_or(Embedding::None), false)?;
    let running = launch.start().await?;
    let mut documents = documents(sets, traces)?;
    note(format_args!(
        "contributing {} traces and {} solutions",
        documents.len(),
        fixes.len()
    ));
    documents.extend(fixes.values().cloned());
    let imported = import::import(running.target(), &documents).await?;
    import::embedded(running.target()).await?;
    running.stop().await?;
    let ids = &imported.ids[documents.len() - fixes.len()..];
    let ids = fixes.keys().zip(ids).map(|(case, id)| {
        let id = id
            .clone()
            .with_context(|| format!("the trace for `{case}` was refused"))?;
        Ok((case.clone(), id))
    });
    let ids = ids.collect::<Result<_>>()?;
    copy(&launch.data_dir()?, data)?;
    Ok(ids)
}

/// Takes as many documents as are asked for, evenly from all sets and from each set's beginning to its end.
fn documents(root: &Path, traces: usize) -> Result<Vec<NewTrace>> {
    let mut corpora = Vec::new();
    for folder in sets::find(root, &[])? {
        corpora.push(sets::read(&folder)?.corpus);
    }
    corpora.sort_by_key(Vec::len);
    let mut taken = Vec::with_capacity(traces);
    let sets = corpora.len();
    for (at, corpus) in corpora.iter().enumerate() {
        // What a small set lacks comes from the larger ones.
        let share = (traces - taken.len()) / (sets - at);
        let share = share.min(corpus.len());
        let chosen = (0..share).map(|number| &corpus[number * corpus.len() / share]);
        taken.extend(chosen.map(|document| to_trace(document).0));
    }
    if taken.len() < traces {
        bail!(
            "{} holds only {} documents; ask for fewer --traces",
            root.display(),
            taken.len()
        );
    }
    Ok(taken)
}

/// Copies the store's file and those that belong to it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for ending in ["", "-wal"] {
        let name = format!("{DATABASE}{ending}");
        let file = from.join(&name);
        if file.exists() {
            std::fs::copy(&file, to.join(&name))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    Ok(())
}
