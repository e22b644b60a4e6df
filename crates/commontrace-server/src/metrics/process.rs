//! Metrics of the process itself, under the names that Prometheus clients use for them.
//!
//! Read from `/proc` when asked; where there is none, they are left out.

use std::fmt::Write as _;
use std::fs;

/// Ticks in a second of the times in `/proc/self/stat`: fixed by Linux for programs.
const TICKS: f64 = 100.0;
/// Bytes in a page of `/proc/self/statm`, on the machines we build for.
const PAGE: u64 = 4096;

/// Appends the metrics to `text`.
pub fn render(text: &mut String) {
    let metrics = [
        (
            "process_cpu_seconds_total",
            "counter",
            "CPU time used, by the program and by the kernel for it.",
            cpu_seconds(),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory that is held.",
            memory(1),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Addresses that are reserved.",
            memory(0),
        ),
        (
            "process_open_fds",
            "gauge",
            "Files and connections that are open.",
            open_files(),
        ),
        (
            "process_max_fds",
            "gauge",
            "Files and connections that may be open.",
            files_allowed(),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "When the process started, in seconds since 1970.",
            start_time(),
        ),
    ];
    for (name, kind, help, value) in metrics {
        if let Some(value) = value {
            writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            )
            .expect("writing to a string cannot fail");
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(13)? + stat(14)?) / TICKS)
}

/// Seconds since 1970.
fn start_time() -> Option<f64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = after(&machine, "btime ")?.parse().ok()?;
    Some(boot + stat(21)? / TICKS)
}

/// Reads a field of `/proc/self/stat`, counted from zero.
fn stat(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    fields.nth(field - 2)?.parse().ok()
}

/// Returns the first word behind the start of the line that begins so.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(start))?;
    line.split_ascii_whitespace().next()
}

fn memory(field: usize) -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(field)?.parse().ok()?;
    Some((pages * PAGE) as f64)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn files_allowed() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    after(&limits, "Max open files")?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_open_files() {
        let mut text = String::new();
        render(&mut text);
        assert!(memory(1).unwrap() > 500_000.0);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("# TYPE process_"))
                .count(),
            6
        );
    }
}
