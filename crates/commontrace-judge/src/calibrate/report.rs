//! A calibration in words, in the order in which it should be read.

use std::fmt;

use super::{Agreement, LEVELS, Report};

/// Above this share of one level, agreement says little.
const SKEWED: f64 = 0.7;
/// Fewer sessions than this make an interval that says little.
const FEW: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Labels by rule version {}, {} labeller(s)",
            self.rule_version, self.labellers
        )?;
        let own = self.consistency;
        writeln!(
            f,
            "\nThe judge with itself: {} of pairs of samples equal, spread {} on average, {} items judged more than \
             once",
            percent(own.agreement),
            number(own.mean_spread),
            own.items
        )?;
        if own.agreement.is_some_and(|agreement| agreement < 0.8) {
            writeln!(
                f,
                "  It often contradicts itself; what follows cannot be better than that."
            )?;
        }
        writeln!(f, "\nThe judge with people:")?;
        write_agreement(f, &self.overall)?;
        for (dimension, agreement) in &self.dimensions {
            writeln!(f, "\n  {}:", dimension.name())?;
            write_agreement(f, agreement)?;
        }
        if self.labels_without_judgement > 0 {
            writeln!(
                f,
                "\n{} label(s) are of what the judge did not score.",
                self.labels_without_judgement
            )?;
        }
        match &self.people {
            Some(people) => {
                writeln!(
                    f,
                    "\nPeople with each other, the most that a judge can reach:"
                )?;
                write_agreement(f, people)
            }
            None => writeln!(
                f,
                "\nNo two people labelled the same, so that nobody knows how far a judge could agree with them."
            ),
        }
    }
}

fn write_agreement(f: &mut fmt::Formatter<'_>, found: &Agreement) -> fmt::Result {
    writeln!(
        f,
        "    equal {} of {} pairs of {} sessions; always saying the most frequent level would reach {}",
        percent(found.agreement),
        found.pairs,
        found.traces,
        percent(found.base_rate)
    )?;
    writeln!(
        f,
        "    kappa {} {}, with quadratic weights {} {}",
        number(found.kappa),
        interval(found.kappa_interval),
        number(found.weighted_kappa),
        interval(found.weighted_kappa_interval)
    )?;
    if found.pairs > 0 && found.kappa.is_none() {
        writeln!(
            f,
            "    Both say one level only: kappa is not defined, and nothing is shown by the agreement."
        )?;
    } else if found.base_rate.is_some_and(|rate| rate > SKEWED) {
        writeln!(
            f,
            "    One level is so frequent that even blind agreement is high; go by kappa, and label more of the \
             others."
        )?;
    }
    if found.pairs > 0 && found.traces < FEW {
        writeln!(
            f,
            "    Only {} sessions: the intervals are rough.",
            found.traces
        )?;
    }
    if found.pairs > 0 {
        writeln!(f, "    people's level down, the other's across:")?;
        writeln!(f, "          0     1     2     3     4")?;
        for level in 0..LEVELS {
            let row = found.confusion.0[level].map(|count| format!("{count:>6}"));
            writeln!(f, "     {level}{}", row.concat())?;
        }
    }
    Ok(())
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || "(none)".to_owned(),
        |share| format!("{:.0} %", share * 100.0),
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| format!("{value:.2}"))
}

fn interval(bounds: Option<(f64, f64)>) -> String {
    bounds.map_or_else(
        || "(no interval)".to_owned(),
        |(low, high)| format!("({low:.2} to {high:.2})"),
    )
}
