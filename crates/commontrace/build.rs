//! Lists the starter traces, so that the binary carries them without naming each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
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
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script where to write so"
    )]
    let out = env::var_os("OUT_DIR").expect("cargo sets it for build scripts");
    fs::write(PathBuf::from(out).join("seeds.rs"), code)
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
