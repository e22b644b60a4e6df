//! Finds toolchains that are installed outside of `/usr`, so that a sandbox can show them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::spec::Bind;

/// What a command needs to find the toolchains of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toolchains {
    /// Folders to show, all of them read-only.
    pub binds: Vec<Bind>,
    /// Variables: `PATH`, and what the toolchains' own programs look for.
    pub env: Vec<(OsString, OsString)>,
}

/// Folders of a home that hold programs and no credentials: a version manager's folder on `PATH`, and
/// what its programs need beside it.
const MANAGED: &[(&str, &[&str])] = &[
    (".cargo", &["bin", "registry", "git"]),
    (
        ".pyenv",
        &[
            "bin",
            "libexec",
            "plugins",
            "shims",
            "versions",
            "version",
            "pyenv.d",
            "completions",
        ],
    ),
    (
        ".rbenv",
        &[
            "bin", "libexec", "plugins", "shims", "versions", "version", "rbenv.d",
        ],
    ),
    (".nvm", &["versions"]),
    (".volta", &["bin", "tools"]),
    (".asdf", &["bin", "shims", "installs", "plugins", "lib"]),
    (".local/share/mise", &["shims", "installs"]),
    (".sdkman", &["candidates"]),
    (".bun", &["bin"]),
    (".deno", &["bin"]),
    ("go", &["bin", "pkg/mod"]),
];

/// Variables that say where a manager's folder is, since `HOME` is another one inside.
const VARIABLES: &[(&str, &str)] = &[
    (".cargo", "CARGO_HOME"),
    (".rustup", "RUSTUP_HOME"),
    (".pyenv", "PYENV_ROOT"),
    (".rbenv", "RBENV_ROOT"),
    (".volta", "VOLTA_HOME"),
    ("go", "GOPATH"),
];

/// What the system shows anyway.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/nix/store"];

/// Where every folder is a package.
const PACKAGES: &str = "/opt";

/// The toolchains that are on this `PATH`, which is the host's: Rust by rustup, Python by pyenv, Node
/// by nvm or volta, packages in `/opt`, and other folders of programs by themselves.
///
/// Of a home, only folders that are known to hold programs are shown; credentials, histories and
/// settings, such as `~/.cargo/credentials.toml`, never are.
pub fn toolchain_binds(path: &OsStr, home: Option<&Path>) -> Toolchains {
    let mut found = Toolchains::default();
    let mut shown_path = Vec::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        if !folder.is_dir() || shown_path.contains(&folder) {
            continue;
        }
        if !SYSTEM.iter().any(|system| folder.starts_with(system))
            && !show(&mut found, &folder, home)
        {
            continue;
        }
        shown_path.push(folder);
    }
    if let Ok(path) = std::env::join_paths(shown_path) {
        found.env.push(("PATH".into(), path));
    }
    found
}

/// Whether a folder of programs is shown now.
fn show(found: &mut Toolchains, folder: &Path, home: Option<&Path>) -> bool {
    let hides = |path: &Path| path.starts_with(folder);
    let reserved = ["/src", "/proc", "/dev"]
        .iter()
        .any(|path| folder.starts_with(path));
    if reserved || home.is_some_and(hides) || ["/tmp", "/etc"].map(Path::new).into_iter().any(hides)
    {
        return false;
    }
    let Some(home) = home.filter(|home| folder.starts_with(home) && *home != Path::new("/")) else {
        // `/opt/go/bin` needs what is beside it; elsewhere there could be anything beside it.
        let whole = folder
            .strip_prefix(PACKAGES)
            .ok()
            .and_then(|rest| rest.components().next());
        match whole {
            Some(package) => bind(found, &Path::new(PACKAGES).join(package)),
            None => bind(found, folder),
        }
        return true;
    };
    let managed = MANAGED
        .iter()
        .find(|(name, _)| folder.starts_with(home.join(name)));
    let Some((name, parts)) = managed else {
        return false;
    };
    let root = home.join(name);
    for part in *parts {
        bind(found, &root.join(part));
    }
    variable(found, name, &root);
    if *name == ".cargo" {
        let rustup = home.join(".rustup");
        ["toolchains", "update-hashes", "settings.toml"]
            .iter()
            .for_each(|part| bind(found, &rustup.join(part)));
        variable(found, ".rustup", &rustup);
    }
    true
}

fn bind(found: &mut Toolchains, path: &Path) {
    let bind = Bind::read_only(PathBuf::from(path));
    if path.exists() && !found.binds.contains(&bind) {
        found.binds.push(bind);
    }
}

fn variable(found: &mut Toolchains, name: &str, root: &Path) {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        let value = (OsString::from(variable), root.into());
        if !found.env.contains(&value) {
            found.env.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_toolchain_is_shown_and_credentials_are_not() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for folder in [
            ".cargo/bin",
            ".cargo/registry",
            ".rustup/toolchains",
            ".ssh",
            ".local/bin",
        ] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        fs::write(home.join(".cargo/credentials.toml"), "token").unwrap();
        let path = std::env::join_paths([
            home.join(".cargo/bin"),
            home.join(".local/bin"),
            home.join("missing"),
            "/usr/bin".into(),
        ]);
        let found = toolchain_binds(&path.unwrap(), Some(home));
        let shown: Vec<_> = found
            .binds
            .iter()
            .map(|bind| bind.host.strip_prefix(home).unwrap())
            .collect();
        assert_eq!(
            shown,
            [".cargo/bin", ".cargo/registry", ".rustup/toolchains"].map(Path::new)
        );
        assert!(
            found
                .binds
                .iter()
                .all(|bind| !bind.writable && bind.host == bind.inside)
        );
        let value = |name: &str| {
            found
                .env
                .iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(value("CARGO_HOME"), home.join(".cargo").into_os_string());
        assert_eq!(value("RUSTUP_HOME"), home.join(".rustup").into_os_string());
        let expected = std::env::join_paths([home.join(".cargo/bin"), "/usr/bin".into()]).unwrap();
        assert_eq!(value("PATH"), expected);
    }

    #[test]
    fn what_holds_homes_or_is_the_sandboxs_own_is_not_shown() {
        let path = "/:/home:/home/ada:/home/ada/x:/tmp:/dev/shm:/etc:/proc:.";
        let found = toolchain_binds(path.as_ref(), Some(Path::new("/home/ada")));
        assert_eq!(found.binds, []);
    }

    #[test]
    fn a_folder_that_is_nobodys_shows_only_itself() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("app/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(root.path().join("app/.env"), "secret").unwrap();
        let found = toolchain_binds(bin.as_os_str(), Some(Path::new("/home/nobody")));
        assert_eq!(found.binds, [Bind::read_only(bin)]);
    }
}
