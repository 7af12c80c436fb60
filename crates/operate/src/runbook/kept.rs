//! Where runbooks are found: those in the program, and a folder that takes their place.

use std::fs;
use std::path::Path;

use super::{Fault, Runbook};
use crate::error::{Error, fault};

include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// One runbook, or what is wrong with it.
pub type Found = (String, Result<Runbook, Vec<Fault>>);

/// Those of `folder`, or those in the program, by name.
///
/// # Errors
/// [`Error::File`], [`Error::Lost`] if there is none.
pub fn all(folder: Option<&Path>) -> Result<Vec<Found>, Error> {
    let Some(folder) = folder else {
        let kept = KEPT
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Runbook::parse(name, text)));
        return Ok(kept.collect());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .map_err(fault(folder, "read"))?
        .flatten()
    {
        let path = entry.path();
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let is_book = path.extension().is_some_and(|ending| ending == "md") && name != "README";
        if is_book {
            let text = fs::read_to_string(&path).map_err(fault(&path, "read"))?;
            found.push((name.to_owned(), Runbook::parse(name, &text)));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    if found.is_empty() {
        return Err(Error::Lost(format!(
            "a runbook (.md) in {}",
            folder.display()
        )));
    }
    Ok(found)
}

/// One by its name, with or without `-runbook`.
///
/// # Errors
/// As [`all`]; [`Error::Lost`] says which there are; [`Error::Configuration`] with every fault.
pub fn find(folder: Option<&Path>, name: &str) -> Result<Runbook, Error> {
    let all = all(folder)?;
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let bare = name.trim_end_matches(".md").trim_end_matches("-runbook");
    let found = all
        .into_iter()
        .find(|(one, _)| one.trim_end_matches("-runbook") == bare);
    let Some((name, book)) = found else {
        return Err(Error::Lost(format!(
            "a runbook `{name}` (there are {})",
            names.join(", ")
        )));
    };
    book.map_err(|faults| Error::Configuration {
        path: format!("{name}.md").into(),
        what: said(&faults),
    })
}

fn said(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| format!("line {}: {}", fault.line, fault.what))
        .collect();
    lines.join("; ")
}
