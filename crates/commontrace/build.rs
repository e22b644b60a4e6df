//! Lists the starter traces, so that the binary carries them without naming each.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Not `env!`: this program outlives a move of the repository that the target directory was in.
    let seeds = Path::new(&cargo_says("CARGO_MANIFEST_DIR"))
        .join("../../seeds")
        .canonicalize()?;
    println!("cargo:rerun-if-changed={}", seeds.display());
    let mut files = Vec::new();
    collect(&seeds, &mut files)?;
    files.sort();
    let mut code = String::from("pub const SEEDS: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file
            .strip_prefix(&seeds)
            .expect("it was found there")
            .display()
            .to_string();
        println!("cargo:rerun-if-changed={}", file.display());
        writeln!(
            code,
            "    ({name:?}, include_str!({:?})),",
            file.display().to_string()
        )
        .expect("writing to a string cannot fail");
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(cargo_says("OUT_DIR")).join("seeds.rs"), code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to read and write so"
)]
fn cargo_says(variable: &str) -> OsString {
    env::var_os(variable).expect("cargo sets it for build scripts")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}
