//! Changes to the settings file: one key at a time, with everything else in it left as its owner wrote it.

use std::fs::File;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use super::error::ConfigError;
use crate::commons::files;

/// The settings file, kept from being changed by others until it is dropped.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    document: DocumentMut,
    /// The lock is on the directory: the file is replaced by each change.
    _lock: File,
}

impl SettingsFile {
    /// Reads the file, which need not exist, once nobody else is changing it.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let unwritable = |source| ConfigError::Unwritable {
            path: path.to_owned(),
            source,
        };
        // A link is followed, so that it goes on leading to the file.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        files::create_dir(folder).map_err(unwritable)?;
        let lock = File::open(folder).map_err(unwritable)?;
        lock.lock().map_err(unwritable)?;
        let text = match std::fs::read_to_string(&target) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?,
        };
        let document = text
            .parse()
            .map_err(|err: toml_edit::TomlError| ConfigError::NotToml {
                path: path.to_owned(),
                line: err
                    .span()
                    .map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
                message: err.message().to_owned(),
            })?;
        Ok(Self {
            path: target,
            document,
            _lock: lock,
        })
    }

    /// Returns the text of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.document.get(section)?.get(key)?.as_str()
    }

    /// Sets a key, in its section's table.
    pub fn set(&mut self, section: &str, key: &str, text: &str) {
        let table = self
            .document
            .entry(section)
            .or_insert(Item::Table(Table::new()));
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => {
                // What stands around the old value, a comment behind it included.
                let around = old.decor().clone();
                *old = text.into();
                *old.decor_mut() = around;
            }
            None => table[key] = value(text),
        }
    }

    /// Removes a key, and its section with the last one.
    pub fn remove(&mut self, section: &str, key: &str) {
        if let Some(table) = self
            .document
            .get_mut(section)
            .and_then(Item::as_table_like_mut)
        {
            table.remove(key);
            if table.is_empty() {
                self.document.remove(section);
            }
        }
    }

    /// Puts the changed file in the place of the old one, for its owner's eyes alone.
    pub fn save(&self) -> Result<(), ConfigError> {
        let text = self.document.to_string();
        let saved = files::create(&self.path, text.as_bytes(), false);
        saved.map(drop).map_err(|source| ConfigError::Unwritable {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_everything_else_as_it_was_and_closes_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("commontrace/config.toml");
        let mut file = SettingsFile::open(&path).expect("a new one");
        file.set("remote", "api_key", "k");
        file.save().expect("it is written");
        assert_eq!(files::open_to_others(&path), 0);
        assert_eq!(
            files::open_to_others(path.parent().expect("a directory")),
            0
        );
        drop(file);

        let text = "# mine\n[log]\nlog = 'warn' # less\n\n[remote] # ours\napi_key = 'old' # from Ada\n# the end\n";
        std::fs::write(&path, text).expect("it is written");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, open).expect("it is mine");
        let mut file = SettingsFile::open(&path).expect("it is TOML");
        assert_eq!(file.get("remote", "api_key"), Some("old"));
        file.set("remote", "api_key", "new");
        file.set("remote", "api_base_url", "https://commons.example");
        file.save().expect("it is written");
        let changed = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(
            changed,
            "# mine\n[log]\nlog = 'warn' # less\n\n[remote] # ours\napi_key = \"new\" # from Ada\n\
             api_base_url = \"https://commons.example\"\n# the end\n"
        );
        assert_eq!(files::open_to_others(&path), 0);
        file.remove("remote", "api_key");
        file.remove("remote", "api_base_url");
        file.save().expect("it is written");
        let changed = std::fs::read_to_string(&path).expect("it is there");
        assert!(
            changed.starts_with("# mine\n[log]\nlog = 'warn' # less\n"),
            "{changed}"
        );
        assert!(!changed.contains("[remote]"), "{changed}");
    }

    #[test]
    fn a_link_goes_on_leading_to_the_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let (real, link) = (
            folder.path().join("dotfiles.toml"),
            folder.path().join("config.toml"),
        );
        std::fs::write(&real, "").expect("it is written");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let mut file = SettingsFile::open(&link).expect("it opens");
        file.set("log", "log", "warn");
        file.save().expect("it is written");
        assert!(link.is_symlink());
        let text = std::fs::read_to_string(&real).expect("it is there");
        assert_eq!(text, "[log]\nlog = \"warn\"\n");
    }

    #[test]
    fn what_is_no_toml_is_named_by_its_line_and_not_overwritten() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[remote]\napi_key = 'secret\n").expect("it is written");
        let err = SettingsFile::open(&path).expect_err("no TOML").to_string();
        assert!(
            err.contains("config.toml:2: not valid TOML") && !err.contains("secret"),
            "{err}"
        );
    }
}
