//! What a measurement has to say: tables for a terminal or for `docs/benchmarks.md`, figures as
//! JSON, and what did not hold.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

/// How to print a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Text,
    /// Tables as in `docs/benchmarks.md`.
    Markdown,
    /// One object.
    Json,
}

/// The outcome of one subcommand.
#[derive(Debug)]
pub struct Report {
    /// Tables in the order to show them.
    pub tables: Vec<Table>,
    /// The same figures and more, for programs.
    pub figures: Value,
    /// What had to hold and did not, one sentence each; the exit code is 1 if there is any.
    pub failures: Vec<String>,
}

/// Rows of cells under a header.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows.
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as the header.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        debug_assert_eq!(row.len(), self.header.len(), "{row:?}");
        self.rows.push(row);
    }

    fn widths(&self) -> Vec<usize> {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        (0..self.header.len())
            .map(|column| {
                lines()
                    .map(|line| line[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }

    /// Numbers are easier to compare when they end at the same place.
    fn is_numeric(&self, column: usize) -> bool {
        self.rows
            .iter()
            .all(|row| row[column].starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    }

    fn to_text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for line in std::iter::once(&self.header).chain(&self.rows) {
            let mut row = String::new();
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                if self.is_numeric(column) {
                    write!(row, "{cell:>width$}  ").expect("writing to a string cannot fail");
                } else {
                    write!(row, "{cell:<width$}  ").expect("writing to a string cannot fail");
                }
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<_> = (0..self.header.len())
            .map(|column| {
                if self.is_numeric(column) {
                    "---:"
                } else {
                    "---"
                }
                .to_owned()
            })
            .collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{}{rows}", line(&self.header), line(&rule))
    }
}

impl Report {
    /// Returns the report in this format. `setting` says what was measured and on what machine,
    /// `command` how.
    pub fn render(&self, format: Format, setting: &str, command: &str) -> String {
        let tables = |render: fn(&Table) -> String| {
            self.tables
                .iter()
                .map(render)
                .collect::<Vec<_>>()
                .join("\n")
        };
        match format {
            Format::Text => format!("{setting}\n\n{}", tables(Table::to_text)),
            Format::Markdown => {
                format!("{setting}; `{command}`:\n\n{}", tables(Table::to_markdown))
            }
            Format::Json => {
                let report = json!({
                    "setting": setting, "command": command, "figures": self.figures,
                    "failures": self.failures,
                });
                format!("{report:#}\n")
            }
        }
    }

    /// Prints it. A reader that went away is no failure.
    pub fn print(&self, format: Format, setting: &str, command: &str) -> io::Result<()> {
        match io::stdout().write_all(self.render(format, setting, command).as_bytes()) {
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

/// Returns `met` or `short` beside a goal, for a table's last column.
pub fn verdict(goal: &str, met: bool) -> String {
    format!("{goal}: {}", if met { "met" } else { "short" })
}

/// Prints a line about the progress to standard error.
#[expect(clippy::print_stderr, reason = "the one place that tells what goes on")]
pub fn note(line: std::fmt::Arguments<'_>) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut table = Table::new(&["set", "queries"]);
        table.row(["cosqa", "500"]);
        table.row(["x", "7"]);
        Report {
            tables: vec![table],
            figures: json!({"n": 1}),
            failures: Vec::new(),
        }
    }

    #[test]
    fn tables_line_up_as_text_and_become_markdown() {
        let text = report().render(Format::Text, "2 cores", "bench eval");
        assert_eq!(
            text,
            "2 cores\n\nset    queries\ncosqa      500\nx            7\n"
        );
        let markdown = report().render(Format::Markdown, "2 cores", "bench eval");
        assert_eq!(
            markdown,
            "2 cores; `bench eval`:\n\n| set | queries |\n| --- | ---: |\n| cosqa | 500 |\n| x | 7 |\n"
        );
    }

    #[test]
    fn json_is_one_object() {
        let json = report().render(Format::Json, "2 cores", "bench eval");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["figures"]["n"], 1);
    }
}
