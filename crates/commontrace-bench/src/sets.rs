//! Reads evaluation sets: a folder with `corpus.jsonl` (id, title, context, solution, tags),
//! `queries.jsonl` (id, text, kind) and `qrels.tsv` (query, document and grade, by tabs).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::document::Document;
use crate::scoring::Relevant;

/// One set.
#[derive(Debug)]
pub struct EvaluationSet {
    /// The folder's name.
    pub name: String,
    /// All documents.
    pub corpus: Vec<Document>,
    /// All queries, each with at least one relevant document.
    pub queries: Vec<Query>,
}

/// One query.
#[derive(Debug)]
pub struct Query {
    /// Its name in the judgements.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// The kind up to its first `:` or `/`.
    pub kind: String,
    /// The documents that answer it.
    pub relevant: Relevant,
}

#[derive(Debug, Deserialize)]
struct QueryLine {
    id: String,
    text: String,
    #[serde(default)]
    kind: String,
}

/// Returns the folders under `root` that hold a set, by name; those in `names`, or all.
pub fn find(root: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let holds_set = |path: &PathBuf| path.join("queries.jsonl").is_file();
    if holds_set(&root.to_owned()) && names.is_empty() {
        return Ok(vec![root.to_owned()]);
    }
    let unreadable = || format!("cannot read {}", root.display());
    let entries = std::fs::read_dir(root).with_context(unreadable)?;
    let paths: Result<Vec<_>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut sets: Vec<_> = paths
        .with_context(unreadable)?
        .into_iter()
        .filter(holds_set)
        .collect();
    sets.sort();
    if let Some(missing) = names.iter().find(|name| !sets.contains(&root.join(name))) {
        bail!("{} holds no set `{missing}`", root.display());
    }
    if sets.is_empty() {
        bail!("{} holds no folder with a queries.jsonl", root.display());
    }
    sets.retain(|set| names.is_empty() || names.iter().any(|name| root.join(name) == *set));
    Ok(sets)
}

/// Reads one set.
pub fn read(folder: &Path) -> Result<EvaluationSet> {
    let corpus = json_lines(&folder.join("corpus.jsonl"))?;
    let lines: Vec<QueryLine> = json_lines(&folder.join("queries.jsonl"))?;
    let path = folder.join("qrels.tsv");
    let mut judgements = parse_judgements(&text(&path)?)
        .with_context(|| format!("{} is no list of judgements", path.display()))?;
    let query = |line: QueryLine| {
        let relevant = judgements.remove(&line.id).with_context(|| {
            format!(
                "{} has no relevant document for query `{}`",
                path.display(),
                line.id
            )
        })?;
        let kind = line
            .kind
            .split([':', '/'])
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Query {
            id: line.id,
            text: line.text,
            kind,
            relevant,
        })
    };
    let queries = lines.into_iter().map(query).collect::<Result<_>>()?;
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    Ok(EvaluationSet {
        name: name.to_string_lossy().into_owned(),
        corpus,
        queries,
    })
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = text(path)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}:{}: not as expected", path.display(), index + 1))
        })
        .collect()
}

fn parse_judgements(text: &str) -> Result<HashMap<String, Relevant>> {
    let mut judgements: HashMap<String, Relevant> = HashMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<_> = line.split('\t').collect();
        let [query, document, grade] = fields[..] else {
            bail!("`{line}` has not three fields");
        };
        let grade: u32 = grade
            .parse()
            .with_context(|| format!("`{line}` has no grade"))?;
        if grade > 0 {
            judgements
                .entry(query.to_owned())
                .or_default()
                .insert(document.to_owned(), grade);
        }
    }
    Ok(judgements)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn set(root: &Path, name: &str, judgements: &str) -> PathBuf {
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("corpus.jsonl"),
            "{\"id\": \"d1\", \"solution\": \"x\"}\n",
        )
        .unwrap();
        let queries = "{\"id\": \"q1\", \"text\": \"why\", \"kind\": \"full:bug/x\"}\n";
        fs::write(folder.join("queries.jsonl"), queries).unwrap();
        fs::write(folder.join("qrels.tsv"), judgements).unwrap();
        folder
    }

    #[test]
    fn a_folder_of_sets_is_found_and_read() {
        let root = tempfile::tempdir().unwrap();
        let b = set(root.path(), "b", "q1\td1\t2\nq1\td2\t0\n");
        let a = set(root.path(), "a", "");
        assert_eq!(find(root.path(), &[]).unwrap(), [a.clone(), b.clone()]);
        assert_eq!(
            find(root.path(), &["b".into()]).unwrap(),
            std::slice::from_ref(&b)
        );
        assert_eq!(find(&b, &[]).unwrap(), std::slice::from_ref(&b));
        assert!(find(root.path(), &["c".into()]).is_err());

        let read_set = read(&b).unwrap();
        assert_eq!(
            (read_set.name.as_str(), read_set.corpus[0].id.as_str()),
            ("b", "d1")
        );
        assert_eq!(read_set.queries[0].kind, "full");
        assert_eq!(
            read_set.queries[0].relevant,
            Relevant::from([("d1".into(), 2)])
        );
        assert!(
            read(&a)
                .unwrap_err()
                .to_string()
                .contains("no relevant document for query `q1`")
        );
    }

    #[test]
    fn broken_judgements_are_named() {
        assert!(parse_judgements("q1\td1\n").is_err());
        assert!(parse_judgements("q1\td1\tgood\n").is_err());
        assert_eq!(parse_judgements("").unwrap().len(), 0);
    }
}
