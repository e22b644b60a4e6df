//! Paths as agents record them, absolute, and as events name them, from the root of the repository.

/// At most this many folders are taken for roots.
const MOST: usize = 16;

/// The longest path of a root, in bytes.
const LONGEST: usize = 4096;

/// The folders that a session was started in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots {
    folders: Vec<String>,
}

impl Roots {
    /// Notes a folder; whether it is a root that was not known, and not a folder within one.
    pub(crate) fn add(&mut self, folder: &str) -> bool {
        let folder = folder.trim_end_matches(['/', '\\']);
        let is_known = self
            .folders
            .iter()
            .any(|root| within(folder, root).is_some());
        if is_known || folder.is_empty() || folder.len() > LONGEST || self.folders.len() >= MOST {
            return false;
        }
        self.folders.push(folder.to_owned());
        true
    }

    /// The path from the root that it lies in, or the path as it is; `.` is the root itself.
    pub(crate) fn relative(&self, path: &str) -> String {
        // The longest way wins: a root may lie within one that was noted later.
        let shortest_root = self
            .folders
            .iter()
            .filter_map(|root| within(path, root))
            .max_by_key(|rest| rest.len());
        let relative = shortest_root.unwrap_or(path);
        let relative = relative.strip_prefix("./").unwrap_or(relative);
        if relative.is_empty() {
            ".".to_owned()
        } else if relative.contains('\\') && shortest_root.is_some() {
            relative.replace('\\', "/")
        } else {
            relative.to_owned()
        }
    }

    /// The folder of a command, if it is not the root.
    pub(crate) fn folder(&self, folder: Option<&str>) -> Option<String> {
        let folder = self.relative(folder?.trim_end_matches(['/', '\\']));
        (folder != "." && !folder.is_empty()).then_some(folder)
    }
}

/// What follows `root` in `path`, if it lies there.
fn within<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(root)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.starts_with(['/', '\\'])
        .then(|| rest.trim_start_matches(['/', '\\']))
}

/// The last part of a path.
pub(crate) fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_root() {
        let mut roots = Roots::default();
        assert!(roots.add("/home/[user]/src/app"));
        assert!(!roots.add("/home/[user]/src/app/sub"));
        assert!(roots.add(r"C:\work\app"));
        for (path, expected) in [
            ("/home/[user]/src/app/src/main.rs", "src/main.rs"),
            ("/home/[user]/src/app", "."),
            ("/home/[user]/src/apple", "/home/[user]/src/apple"),
            ("./x", "x"),
            (r"C:\work\app\src\main.rs", "src/main.rs"),
            ("/etc/hosts", "/etc/hosts"),
        ] {
            assert_eq!(roots.relative(path), expected);
        }
        assert_eq!(roots.folder(Some("/home/[user]/src/app/")), None);
        assert_eq!(
            roots.folder(Some("/home/[user]/src/app/sub")),
            Some("sub".to_owned())
        );
    }
}
