//! Reads back what a run has left: the folder for reports, which a stranger's tests have written to, and
//! the output.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::plan::Instrumented;
use crate::report::{MAX_REPORT_BYTES, Parsed, merge, parse_files, text};
use crate::runner::End;

const MAX_FILES: usize = 2_000;
const MAX_DEPTH: usize = 8;
/// All reports of one run together.
const MAX_TOTAL_BYTES: u64 = 4 * MAX_REPORT_BYTES;

/// What was in the folder.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// The content of the files, in the order of their names.
    pub(crate) files: Vec<Vec<u8>>,
    /// Why something was left out. Then the reports are not whole.
    pub(crate) refused: Vec<String>,
}

/// Reads every file in the folder and in folders below it. Links, devices and what is too large are
/// refused.
pub(crate) fn reports(folder: &Path) -> Reports {
    let mut reports = Reports::default();
    let mut total = 0_u64;
    read_folder(folder, 0, &mut total, &mut reports);
    reports
}

fn read_folder(folder: &Path, depth: usize, total: &mut u64, reports: &mut Reports) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        reports
            .refused
            .push("a folder of reports cannot be read".into());
        return;
    };
    let mut paths: Vec<_> = entries
        .flatten()
        .take(MAX_FILES + 1)
        .map(|e| e.path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = crate::report::prefix(&name, 100);
        let Ok(kind) = path.symlink_metadata().map(|metadata| metadata.file_type()) else {
            continue;
        };
        if reports.files.len() >= MAX_FILES || *total >= MAX_TOTAL_BYTES {
            reports.refused.push("there are too many reports".into());
            return;
        }
        if kind.is_dir() && depth < MAX_DEPTH {
            read_folder(&path, depth + 1, total, reports);
        } else if kind.is_file() {
            match read_file(&path) {
                Ok(bytes) => {
                    *total += bytes.len() as u64;
                    reports.files.push(bytes);
                }
                Err(why) => reports.refused.push(format!("the report `{name}` {why}")),
            }
        } else {
            reports
                .refused
                .push(format!("the report `{name}` is not a file"));
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| format!("cannot be opened: {error}"))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("is not a file".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_REPORT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_REPORT_BYTES {
        return Err(format!("is larger than {} MB", MAX_REPORT_BYTES >> 20));
    }
    Ok(bytes)
}

/// Results: from reports if there are any, and from the output for what writes none.
pub(crate) fn results(
    files: &[Vec<u8>],
    output: &[u8],
    end: End,
    command: &Instrumented,
) -> Parsed {
    let report = parse_files(files.iter().map(Vec::as_slice));
    let has_report = !report.is_empty() || !report.complete;
    if !command.text_tools.is_empty() || (!has_report && !command.report_expected) {
        let tools = if has_report || command.report_expected {
            &command.text_tools
        } else {
            &command.tools
        };
        let text = text::parse(tools, output);
        return merge(
            [report, text]
                .into_iter()
                .filter(|p| !p.is_empty() || !p.complete)
                .collect(),
        );
    }
    // A run that was stopped may not have come to writing its report.
    if !has_report && end == End::TimedOut {
        return text::parse(&command.tools, output);
    }
    report
}

/// Takes the tree's own place out of ids: some tools name tests by absolute paths.
pub(crate) fn relative(parsed: &mut Parsed, tree: &Path) {
    let root = format!("{}/", tree.display());
    let cut = |id: &mut String| {
        if id.contains(&root) {
            *id = id.replace(&root, "");
        }
    };
    for result in &mut parsed.results {
        cut(&mut result.id);
    }
    parsed.flaky.iter_mut().for_each(cut);
    parsed
        .results
        .sort_by(|a, b| (&a.id, b.outcome).cmp(&(&b.id, a.outcome)));
    parsed.results.dedup_by(|b, a| a.id == b.id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_their_names_and_links_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, content) in [("c", "3"), ("a", "1"), ("b/x", "2")] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let found = reports(folder.path());
        assert_eq!(found.files, [b"1", b"2", b"3"]);
        assert!(found.refused.is_empty());
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("d")).unwrap();
        rustix::fs::mknodat(
            CWD,
            folder.path().join("e"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let found = reports(folder.path());
        assert_eq!((found.files.len(), found.refused.len()), (3, 2));
    }
}
