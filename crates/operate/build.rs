//! Lists the runbooks that come with the program, so that a new file under `operations/runbooks` needs no edit here.

use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let folder = root.join("../../operations/runbooks").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        let is_book = path.extension().is_some_and(|ending| ending == "md");
        is_book && path.file_stem().is_some_and(|name| name != "README")
    });
    files.sort();
    let mut code = String::from(
        "/// The runbooks that come with the program: name and text.\npub const KEPT: &[(&str, &str)] = &[\n",
    );
    for path in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        // The text itself: with a path in it, the same source would build differently elsewhere.
        let text = std::fs::read_to_string(path)?;
        writeln!(code, "    ({name:?}, {text:?}),")?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("runbooks.rs"), code)?;
    Ok(())
}
