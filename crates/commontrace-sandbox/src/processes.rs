//! Reads what `/proc` tells about processes.

use std::fs;

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The process.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// Processor time of it and of its children that have ended and were waited for, in ticks.
    pub cpu_ticks: u64,
    /// Its threads.
    pub threads: u64,
    /// When it was started, in ticks since the machine was.
    pub started: u64,
}

/// All processes.
pub(crate) fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What is known of a process, if there is one.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Names a process so that no later one has the same name: its namespace, number and time of start.
pub(crate) fn owner(pid: i32) -> Option<String> {
    Some(format!("{}-{pid}-{}", namespace()?, stat(pid)?.started))
}

/// Whether the process of this name has ended. Of processes that are numbered elsewhere nothing is known.
pub(crate) fn is_gone(name: &str) -> bool {
    let mut parts = name.split('-');
    let here = parts
        .next()
        .is_some_and(|part| namespace().is_some_and(|own| own == part));
    let pid = parts.next().and_then(|part| part.parse().ok());
    here && pid.is_some_and(|pid| owner(pid).is_none_or(|owner| owner != name))
}

fn namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(
        link.to_str()?
            .trim_start_matches("pid:[")
            .trim_end_matches(']')
            .to_owned(),
    )
}

fn parse(line: &str) -> Option<Stat> {
    let pid = line.split(' ').next()?.parse().ok()?;
    // The name comes second, in brackets, and can hold anything.
    let rest = line.get(line.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at - 3)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(14)? + number(15)? + number(16)? + number(17)?,
        threads: number(20)?,
        started: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_field() {
        let line = "7 (a) (b c) S 3 7 7 0 -1 4194560 0 0 0 0 11 22 33 44 20 0 5 0 999 1 2";
        let expected = Stat {
            pid: 7,
            parent: 3,
            cpu_ticks: 110,
            threads: 5,
            started: 999,
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn this_process_is_known() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().any(|pid| pid == own));
        assert_eq!(stat(own).unwrap().pid, own);
    }

    #[test]
    fn a_process_has_one_name_for_as_long_as_it_lives() {
        let own = i32::try_from(std::process::id()).unwrap();
        let name = owner(own).unwrap();
        assert_eq!(owner(own).unwrap(), name);
        assert!(!is_gone(&name));
        assert!(
            is_gone(&format!("{name}0")),
            "another process had the number before"
        );
        assert!(!is_gone(&format!("0{name}")), "another namespace");
        assert_eq!(owner(i32::MAX), None);
    }
}
