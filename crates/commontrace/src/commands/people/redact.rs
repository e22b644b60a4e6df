//! `commontrace redact`: what would be taken out of a text before it leaves, and what would be sent.

use std::path::PathBuf;

use commontrace_core::text::clean;
use commontrace_redact::{Finding, Kind, Summary};

use super::asked;
use crate::commands::{complain, read_text, say};
use crate::config::Environment;
use crate::failure::Failure;

/// Longest text that is read.
const LONGEST: usize = 16 << 20;

/// Which text.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file; standard input if it is `-` or left out
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Say rule by rule what is taken out and where, and what a search with this text would send
    #[arg(long)]
    explain: bool,
}

/// Prints the text without what is secret or personal. Nothing is sent.
pub fn run(args: &Args, env: &Environment) -> Result<(), Failure> {
    let (_, text) = read_text(&args.file, LONGEST).map_err(|failure| failure.code(2))?;
    // As it is done with everything that leaves.
    let text = clean(&text);
    let redacted = commontrace_redact::redact(&text);
    if !args.explain {
        use std::io::Write as _;
        let _ = std::io::stdout().lock().write_all(redacted.text.as_bytes());
        return Ok(());
    }
    for finding in &redacted.findings {
        say(explained(&text, finding));
    }
    let summary: Summary = redacted.findings.iter().collect();
    let rules: Vec<String> = summary
        .rules()
        .map(|rule| format!("{} {}", rule.count, rule.rule))
        .collect();
    match &rules[..] {
        [] => say("Nothing is taken out."),
        rules => say(format_args!("Taken out: {}.", rules.join(", "))),
    }
    let query = asked::query(&text, env);
    if query.is_empty() {
        complain("a search with it would send nothing");
    } else {
        say("\nA search with it would send:\n");
        say(query);
    }
    Ok(())
}

/// Says where something stands and what stands in its place, without showing it.
fn explained(text: &str, finding: &Finding) -> String {
    let before = &text[..finding.start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let length = text[finding.start..finding.end].chars().count();
    let what = match finding.kind {
        Kind::Secret => "a secret",
        Kind::Email => "an e-mail address",
        Kind::HomePath => "a user's name in a path",
    };
    clean(&format!(
        "line {line}, column {column}: {} ({what}, {length} characters)",
        finding.rule
    ))
    .into_owned()
}
