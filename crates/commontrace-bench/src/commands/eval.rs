//! `eval`: imports evaluation sets into fresh stores through the API, asks their queries over
//! HTTP, and judges the answers.
//!
//! An answer that abstains counts as one without results: a query of a set always has an answer
//! in it. With `--hold-out N` the relevant documents of every Nth query are left out of the
//! corpus; whatever query then has none left is counted apart, and there abstaining is right.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::api::Found;
use crate::client::{Client, Target};
use crate::database;
use crate::document::to_trace;
use crate::import::{self, Imported, progress_bar};
use crate::report::{Report, Table, note, verdict};
use crate::scoring::{ALL, DEPTH, Means, Tally, measure};
use crate::server::{Embedding, ServerArgs, Subject};
use crate::sets::{self, EvaluationSet, Query};
use crate::stats::{Latencies, per_second, rounded};

/// nDCG@10 to reach over all queries of a set.
const GOALS: [(&str, f64); 3] = [
    ("cosqa", 0.57),
    ("stackeval-qa", 0.85),
    ("diagnostics", 0.87),
];

/// The database in which a set is kept on PostgreSQL.
const DATABASE: &str = "commontrace_bench_eval";

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A set, or a folder of sets
    folder: PathBuf,
    /// Only this set; may be repeated
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
    /// Results to ask for; the measures look at ten
    #[arg(long, default_value_t = DEPTH, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=50))]
    k: usize,
    /// Write each set's ranked lists to NAME.tsv here: query, rank and document, by tabs
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Ask everything this often; every answer must stay the same
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    passes: u32,
    /// Leave out of the corpus what answers every Nth query
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    hold_out: Option<u32>,
    /// On the server of `--database-url`, each set gets a database of its own
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What one set gave.
#[derive(Debug)]
struct Outcome {
    set: String,
    imported: Imported,
    adapted: usize,
    /// From the first request until every trace had its vector, if they get any.
    embedded_after: Option<Duration>,
    answerable: Tally,
    unanswerable: Tally,
    first: Latencies,
    repeated: Latencies,
    degraded: usize,
    changed: usize,
}

/// Evaluates set by set and reports them together.
pub async fn run(args: &Args) -> Result<Report> {
    if let Some(folder) = &args.runs {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut outcomes = Vec::new();
    for folder in sets::find(&args.folder, &args.sets)? {
        let set = sets::read(&folder)?;
        note(format_args!(
            "{}: {} documents, {} queries",
            set.name,
            set.corpus.len(),
            set.queries.len()
        ));
        let mut server = args.server.clone();
        if let Some(url) = &args.server.database_url {
            server.database_url = Some(database::fresh(url, DATABASE).await?);
        }
        let subject = Subject::start(&server, false).await?;
        outcomes.push(Box::pin(evaluate(args, &set, subject.target())).await?);
        subject.stop().await?;
    }
    if let Some(url) = &args.server.database_url {
        database::remove(url, DATABASE).await?;
    }
    Ok(report(args, &outcomes))
}

async fn evaluate(args: &Args, set: &EvaluationSet, target: &Target) -> Result<Outcome> {
    let held_out = held_out(&set.queries, args.hold_out);
    let corpus: Vec<_> = set
        .corpus
        .iter()
        .filter(|d| !held_out.contains(&d.id))
        .collect();
    let (traces, adapted): (Vec<_>, Vec<_>) = corpus.iter().map(|d| to_trace(d)).unzip();
    let begun = Instant::now();
    let imported = import::import(target, &traces).await?;
    import::embedded(target).await?;
    let embeds = args.server.embedding != Some(Embedding::None);
    let embedded_after = embeds.then(|| begun.elapsed());

    let ids = imported.ids.iter().zip(&corpus);
    let documents: HashMap<&str, &str> = ids
        .filter_map(|(id, d)| Some((id.as_deref()?, d.id.as_str())))
        .collect();
    let asked = ask(args, &set.queries, target).await?;
    let lists: Vec<Vec<&str>> = asked
        .answers
        .iter()
        .map(|found| {
            // A trace that is not of this import is wrong wherever it stands.
            found
                .ranked()
                .map(|id| documents.get(id).copied().unwrap_or(id))
                .collect()
        })
        .collect();
    if let Some(folder) = &args.runs {
        write_run(
            &folder.join(format!("{}.tsv", set.name)),
            &set.queries,
            &lists,
        )?;
    }

    let (mut answerable, mut unanswerable) = (Tally::default(), Tally::default());
    for ((query, list), found) in set.queries.iter().zip(&lists).zip(&asked.answers) {
        let has_answer = query.relevant.keys().any(|id| !held_out.contains(id));
        let tally = if has_answer {
            &mut answerable
        } else {
            &mut unanswerable
        };
        tally.add(
            &query.kind,
            measure(list.iter().copied(), &query.relevant),
            found.abstained,
        );
    }
    Ok(Outcome {
        set: set.name.clone(),
        imported,
        adapted: adapted.into_iter().filter(|&adapted| adapted).count(),
        embedded_after,
        answerable,
        unanswerable,
        degraded: asked.answers.iter().filter(|found| found.degraded).count(),
        first: asked.first,
        repeated: asked.repeated,
        changed: asked.changed,
    })
}

/// Returns the documents that answer every `nth` query.
fn held_out(queries: &[Query], nth: Option<u32>) -> HashSet<String> {
    let Some(nth) = nth else {
        return HashSet::new();
    };
    let chosen = queries.iter().step_by(nth as usize);
    chosen
        .flat_map(|query| query.relevant.keys().cloned())
        .collect()
}

/// Answers of the first pass, and how the later ones compare.
#[derive(Debug)]
struct Asked {
    answers: Vec<Found>,
    first: Latencies,
    repeated: Latencies,
    changed: usize,
}

async fn ask(args: &Args, queries: &[Query], target: &Target) -> Result<Asked> {
    let mut client = Client::new(target);
    client.register().await?;
    let progress = progress_bar("asking", queries.len() * args.passes as usize);
    let (mut answers, mut first, mut repeated) = (Vec::<Found>::new(), vec![], vec![]);
    let mut changed = 0;
    for pass in 0..args.passes {
        for (index, query) in queries.iter().enumerate() {
            let answer = client.search(&query.text, args.k).await?;
            let found: Found = answer.json(200)?;
            progress.inc(1);
            if pass == 0 {
                answers.push(found);
                first.push(answer.took);
            } else {
                changed += usize::from(answers[index] != found);
                repeated.push(answer.took);
            }
        }
    }
    progress.finish_and_clear();
    let (first, repeated) = (Latencies::new(first), Latencies::new(repeated));
    Ok(Asked {
        answers,
        first,
        repeated,
        changed,
    })
}

fn write_run(path: &Path, queries: &[Query], lists: &[Vec<&str>]) -> Result<()> {
    let rows = queries.iter().zip(lists).flat_map(|(query, list)| {
        let ranked = list.iter().enumerate();
        ranked.map(|(index, id)| format!("{}\t{}\t{id}\n", query.id, index + 1))
    });
    std::fs::write(path, rows.collect::<String>())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn report(args: &Args, outcomes: &[Outcome]) -> Report {
    let mut quality = Table::new(&[
        "set",
        "kind",
        "queries",
        "nDCG@10",
        "Recall@10",
        "MRR@10",
        "abstained",
        "goal nDCG@10",
    ]);
    let mut work = Table::new(&[
        "set",
        "stored",
        "refused",
        "adapted",
        "redacted",
        "import/s",
        "embedded/s",
        "search p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
    ]);
    let mut unanswerable = Table::new(&["set", "kind", "queries without an answer", "abstained"]);
    let (mut figures, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let set = &outcome.set;
        for (kind, means) in outcome.answerable.means() {
            quality.row(quality_row(set, kind, means));
        }
        for (kind, means) in outcome.unanswerable.means() {
            let abstained = format!("{:.3}", means.abstained);
            unanswerable.row([
                set.clone(),
                kind.to_owned(),
                means.queries.to_string(),
                abstained,
            ]);
        }
        work.row(work_row(outcome));
        if outcome.imported.refused() > 0 {
            note(format_args!(
                "{set}: refused {}, among them\n  {}",
                outcome.imported.refused(),
                outcome.imported.refusals.join("\n  ")
            ));
        }
        if outcome.changed > 0 {
            failures.push(format!(
                "{set}: {} answers differ from those of the first pass",
                outcome.changed
            ));
        }
        if outcome.degraded > 0 && args.server.embedding != Some(Embedding::None) {
            failures.push(format!(
                "{set}: {} searches went by words alone",
                outcome.degraded
            ));
        }
        figures.push(figures_of(outcome));
    }
    let mut tables = vec![quality, work];
    if args.hold_out.is_some() {
        tables.push(unanswerable);
    }
    let figures = json!({
        "k": args.k, "passes": args.passes, "hold_out": args.hold_out, "sets": figures,
    });
    Report {
        tables,
        figures,
        failures,
    }
}

fn goal(set: &str) -> Option<f64> {
    GOALS
        .iter()
        .find(|(name, _)| *name == set)
        .map(|(_, goal)| *goal)
}

fn quality_row(set: &str, kind: &str, means: Means) -> Vec<String> {
    let goal = goal(set).filter(|_| kind == ALL);
    let verdict = goal.map(|goal| verdict(&goal.to_string(), means.measures.ndcg >= goal));
    let measures = [
        means.measures.ndcg,
        means.measures.recall,
        means.measures.mrr,
    ];
    let mut row = vec![set.to_owned(), kind.to_owned(), means.queries.to_string()];
    row.extend(measures.map(|measure| format!("{measure:.4}")));
    row.extend([
        format!("{:.3}", means.abstained),
        verdict.unwrap_or_default(),
    ]);
    row
}

fn work_row(outcome: &Outcome) -> Vec<String> {
    let imported = &outcome.imported;
    let counts = [
        imported.stored(),
        imported.refused(),
        outcome.adapted,
        imported.redacted,
    ];
    let import_rate = per_second(imported.stored(), imported.took);
    let rates = [Some(import_rate), embedding_rate(outcome)];
    let mut row = vec![outcome.set.clone()];
    row.extend(counts.map(|count| count.to_string()));
    row.extend(rates.map(|rate| rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"))));
    row.extend(outcome.first.cells());
    row
}

fn embedding_rate(outcome: &Outcome) -> Option<f64> {
    let after = outcome.embedded_after?;
    Some(per_second(outcome.imported.stored(), after))
}

fn figures_of(outcome: &Outcome) -> Value {
    let imported = &outcome.imported;
    let kinds = |tally: &Tally| -> Value {
        let entry = |(kind, means): (&str, Means)| {
            let measures = means.measures;
            let value = json!({
                "queries": means.queries, "ndcg_10": rounded(measures.ndcg, 4),
                "recall_10": rounded(measures.recall, 4), "mrr_10": rounded(measures.mrr, 4),
                "abstained": rounded(means.abstained, 4),
            });
            (kind.to_owned(), value)
        };
        Value::Object(tally.means().into_iter().map(entry).collect())
    };
    json!({
        "set": outcome.set, "goal_ndcg_10": goal(&outcome.set),
        "answerable": kinds(&outcome.answerable), "unanswerable": kinds(&outcome.unanswerable),
        "stored": imported.stored(), "refused": imported.refused(), "adapted": outcome.adapted,
        "redacted": imported.redacted, "refusals": imported.refusals,
        "import_per_second": rounded(per_second(imported.stored(), imported.took), 1),
        "contribute_latency": imported.latencies.to_json(),
        "embedded_per_second": embedding_rate(outcome).map(|rate| rounded(rate, 1)),
        "search_latency": outcome.first.to_json(),
        "repeated_search_latency": outcome.repeated.to_json(),
        "degraded": outcome.degraded, "answers_changed": outcome.changed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::Relevant;

    fn query(id: &str, document: &str) -> Query {
        let relevant = Relevant::from([(document.to_owned(), 1)]);
        Query {
            id: id.into(),
            text: "why".into(),
            kind: "k".into(),
            relevant,
        }
    }

    #[test]
    fn every_nth_querys_answers_are_held_out() {
        let queries = [query("a", "1"), query("b", "2"), query("c", "3")];
        assert_eq!(
            held_out(&queries, Some(2)),
            HashSet::from(["1".into(), "3".into()])
        );
        assert_eq!(held_out(&queries, None), HashSet::new());
    }

    #[test]
    fn a_run_lists_query_rank_and_document() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tsv");
        let queries = [query("a", "1"), query("b", "2")];
        write_run(&path, &queries, &[vec!["1", "2"], vec![]]).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a\t1\t1\na\t2\t2\n");
    }
}
