//! `commontrace log`: everything that was sent from this machine, byte for byte.

use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use commontrace_core::text::clean;

use super::terminal::{Style, Terminal};
use crate::commands::{complain, say};
use crate::commons::remote;
use crate::commons::sent::{Sent, SentLog};
use crate::config::{Config, Environment};
use crate::failure::Failure;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what was sent since then: a date (2026-11-20), a time (2026-11-20T12:00:00Z), or how long ago (90m, 2h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Print the lines of the log as they are, JSON each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

fn since(text: &str) -> Result<Since, &'static str> {
    if let Ok(time) = text.parse() {
        return Ok(Since::At(time));
    }
    if let Some(time) = text
        .parse::<NaiveDate>()
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0))
    {
        return Ok(Since::At(time.and_utc()));
    }
    let ago = text
        .split_at_checked(text.len().saturating_sub(1))
        .and_then(|(number, unit)| {
            let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
            match unit {
                "m" => TimeDelta::try_minutes(number),
                "h" => TimeDelta::try_hours(number),
                "d" => TimeDelta::try_days(number),
                _ => None,
            }
        });
    ago.map(Since::Ago)
        .ok_or("expected a date (2026-11-20), a time (2026-11-20T12:00:00Z), or how long ago (90m, 2h, 3d)")
}

/// Prints the log; exit code 1 if nothing was sent.
pub fn run(config: &Config, args: &Args, env: &Environment) -> Result<ExitCode, Failure> {
    let log = SentLog::in_dir(&config.storage.data_dir);
    let begin = match args.since {
        None => None,
        Some(Since::At(time)) => Some(time),
        Some(Since::Ago(time)) => remote::now().checked_sub_signed(time),
    };
    let terminal = Terminal::of(env);
    let mut count = 0;
    let read = log.read(|sent, line| {
        if begin.is_some_and(|begin| sent.time < begin) {
            return;
        }
        count += 1;
        if args.json {
            say(line);
        } else {
            print(&sent, &terminal);
        }
    });
    read.map_err(|err| {
        Failure::new(format!("cannot read {}: {err}", log.path().display())).code(Failure::AWAY)
    })?;
    if count == 0 {
        complain("nothing was sent from here");
    }
    Ok(ExitCode::from(u8::from(count == 0)))
}

fn print(sent: &Sent, terminal: &Terminal) {
    let head = format!(
        "{} {} {}{}",
        sent.time.format("%Y-%m-%d %H:%M:%S"),
        sent.method,
        sent.host,
        sent.path
    );
    let replaced: Vec<String> = sent
        .redactions
        .iter()
        .map(|(rule, count)| format!("{count} {rule}"))
        .collect();
    let replaced = match &replaced[..] {
        [] => String::new(),
        rules => format!(", replaced: {}", rules.join(", ")),
    };
    say(terminal.styled(Style::Strong, &clean(&head)));
    say(terminal.styled(
        Style::Faint,
        &clean(&format!("  by {}{replaced}", sent.command)),
    ));
    if let Some(body) = &sent.body {
        say(format_args!("  {}", clean(body)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_as_a_date_or_how_long_ago() {
        let day = "2026-11-20T00:00:00Z".parse().expect("a time");
        assert_eq!(since("2026-11-20"), Ok(Since::At(day)));
        assert_eq!(since("2026-11-20T00:00:00Z"), Ok(Since::At(day)));
        assert_eq!(since("90m"), Ok(Since::Ago(TimeDelta::minutes(90))));
        for text in [
            "",
            "m",
            "yesterday",
            "-3d",
            "3 d",
            "9999999999999999999d",
            "ä",
        ] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
