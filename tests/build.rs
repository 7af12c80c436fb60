//! A test for each runbook: whoever adds one has it rehearsed without another edit.

use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let folder = root.join("../operations/runbooks");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".md")
            && name != "README"
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let mut code = String::new();
    for name in names {
        writeln!(code, "rehearsed!({}, {name:?});", name.replace('-', "_"))?;
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("runbooks.rs"), code)?;
    Ok(())
}
