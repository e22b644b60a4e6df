//! Where things are on this machine: the user's home, this program, and the programs of hosts.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::wiring::{NAME, is_own_program};
use crate::config::Environment;
use crate::failure::Failure;

/// The user's home and what the environment says of the places in it.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    env: Environment,
}

impl Home {
    /// Finds it.
    pub fn of(env: &Environment) -> Result<Self, Failure> {
        let dir = env.get("HOME").map(PathBuf::from);
        let dir = dir.filter(|dir| dir.is_absolute()).ok_or_else(|| {
            Failure::new("the home directory is unknown: HOME is not set to an absolute path").hint(
                "hosts keep their settings there; run it as the user whose agents are to be set up",
            )
        })?;
        let found = std::fs::metadata(&dir).map_err(|err| Failure::unreadable(&dir, &err))?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Failure::new(format!(
                "the home directory {} belongs to another user",
                dir.display()
            ))
            .hint("run it as that user: files written by another one could not be read or changed by them"));
        }
        let env = env.clone();
        Ok(Self { dir, env })
    }

    /// A path below the home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The home directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory that a variable names, else the one of this name below the home directory.
    pub fn named_by(&self, variable: &str, below: &str) -> PathBuf {
        self.variable(variable).unwrap_or_else(|| self.path(below))
    }

    /// An absolute path in a variable.
    pub fn variable(&self, name: &str) -> Option<PathBuf> {
        let path = self.env.get(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    }

    /// Finds a program on the PATH.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.env.get("PATH")?;
        std::env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|file| is_program(file))
    }

    /// The path by which hosts are to start this program: the one on the PATH or in the usual places that leads
    /// here, because that one stays when the program is updated; else where it lies.
    pub fn this_program(&self) -> Result<String, Failure> {
        let lies = std::env::current_exe()
            .ok()
            .filter(|path| path.exists())
            .ok_or_else(|| {
                Failure::new("cannot find out where this program lies").hint(
                    "it was moved or replaced while it ran, perhaps; start it again by its path",
                )
            })?;
        let here = |path: &PathBuf| {
            is_program(path) && path.canonicalize().ok() == lies.canonicalize().ok()
        };
        let usual = [".local/bin", ".cargo/bin"].map(|dir| self.path(dir).join(NAME));
        let stable = self.program(NAME).into_iter().chain(usual).find(here);
        let path = stable.unwrap_or(lies);
        // By its name ours is told from what others have in hosts' files, by this run and by later ones.
        if !is_own_program(&path) {
            return Err(Failure::new(format!(
                "this program is named {}, and would not be known again in hosts' files",
                path.display()
            ))
            .hint(format!(
                "name it {NAME}, as in ~/.local/bin/{NAME}, and run setup from there"
            )));
        }
        let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
        text.map(str::to_owned).ok_or_else(|| {
            Failure::new(format!(
                "the path {} cannot be written into settings",
                path.display()
            ))
            .hint("move the program to a path of ordinary characters, such as ~/.local/bin")
        })
    }

    /// Says so if this program lies where it will not stay.
    pub fn passing(&self, program: &str) -> Option<String> {
        let path = Path::new(program);
        let temporary = self.variable("TMPDIR").into_iter();
        let temporary = temporary.chain(["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from));
        let folder = path.parent().and_then(Path::file_name);
        let is_built = path.iter().any(|part| part == "target")
            || folder.is_some_and(|name| name == "debug" || name == "release");
        let is_passing = is_built || temporary.into_iter().any(|dir| path.starts_with(dir));
        is_passing.then(|| {
            format!(
                "{program} lies where builds and temporary files go, and hosts will not find it when it is gone: \
                 copy it to ~/.local/bin/{NAME} and run setup from there"
            )
        })
    }

    /// A path as people write it.
    pub fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.dir) {
            Ok(rest) => format!("~/{}", rest.display()),
            Err(_) => path.display().to_string(),
        }
    }
}

fn is_program(path: &Path) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
