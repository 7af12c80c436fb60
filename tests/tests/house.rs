//! The rules of the house: imports go down the floors only; every room has its papers; SQL stays in repositories.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read the house fails"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room's floor. A room may import rooms on lower floors only. `testkit` is for dev-dependencies.
const FLOORS: &[(&str, u8)] = &[
    ("hub-base", 0),
    ("hub-ledger", 1),
    ("hub-events", 1),
    ("hub-telemetry", 1),
    ("hub-store", 2),
    ("hub-vault", 3),
    ("hub-identity", 4),
    ("hub-access", 4),
    ("hub-detect", 4),
    ("hub-respond", 5),
    ("hub-emulate", 5),
    ("hub-operate", 5),
    ("security-hub", 6),
    ("hubctl", 6),
    ("hub-testkit", 9),
    ("hub-benches", 9),
    ("hub-e2e", 9),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// (room, what it imports in its real code)
fn imports() -> BTreeMap<String, Vec<String>> {
    metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let ours = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), ours)
        })
        .collect()
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

#[test]
fn imports_go_down_the_floors_only() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for (room, imported) in imports() {
        let Some(floor) = floors.get(room.as_str()) else {
            faults.push(format!(
                "`{room}` has no floor: add it to FLOORS and to ARCHITECTURE.md"
            ));
            continue;
        };
        for below in imported {
            match floors.get(below.as_str()) {
                Some(9) if *floor < 9 => {
                    faults.push(format!("`{room}` uses `{below}` outside tests"));
                }
                Some(lower) if lower >= floor && *floor < 9 => {
                    faults.push(format!(
                        "`{room}` (floor {floor}) imports `{below}` (floor {lower})"
                    ));
                }
                _ => {}
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_emulator_sees_only_base_and_http() {
    assert_eq!(imports()["hub-emulate"], ["hub-base"]);
}

#[test]
fn every_room_says_what_it_is_and_obeys_the_workspace_lints() {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let room = entry.unwrap().path();
        let name = room.file_name().unwrap().to_string_lossy().into_owned();
        if !room.join("README.md").is_file() {
            faults.push(format!("crates/{name} has no README.md"));
        }
        let manifest = std::fs::read_to_string(room.join("Cargo.toml")).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            faults.push(format!(
                "crates/{name} does not inherit the workspace lints"
            ));
        }
        let entry = ["src/lib.rs", "src/main.rs"]
            .map(|f| room.join(f))
            .into_iter()
            .find(|f| f.is_file());
        let text = std::fs::read_to_string(entry.unwrap()).unwrap();
        if !text.starts_with("//!") {
            faults.push(format!("crates/{name} does not open with what it is for"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn sql_stays_in_the_repositories() {
    let mut rust = Vec::new();
    files(&root().join("crates"), ".rs", &mut rust);
    let mut faults = Vec::new();
    for path in rust {
        let shown = path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let is_store = shown.starts_with("crates/store/") || shown.starts_with("crates/testkit/");
        let is_repo = shown.ends_with("/repo.rs") || shown.contains("/repo/");
        let is_test = shown.contains("/tests/") || shown.ends_with("tests.rs");
        if !is_store && !is_repo && !is_test {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("sqlx::query") {
                faults.push(shown);
            }
        }
    }
    assert!(
        faults.is_empty(),
        "SQL outside a repo.rs:\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_file_of_code_is_too_long_to_read() {
    let mut rust = Vec::new();
    files(&root().join("crates"), ".rs", &mut rust);
    let long: Vec<String> = rust
        .iter()
        .filter(|path| !path.to_string_lossy().contains("/target/"))
        .filter_map(|path| {
            let lines = std::fs::read_to_string(path).unwrap().lines().count();
            (lines > 520)
                .then(|| format!("{lines} {}", path.strip_prefix(root()).unwrap().display()))
        })
        .collect();
    assert!(
        long.is_empty(),
        "find the missing concept in:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_link_in_the_papers_leads_somewhere() {
    let mut papers = Vec::new();
    for folder in ["crates", "content"] {
        files(&root().join(folder), ".md", &mut papers);
    }
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "md") {
            papers.push(path);
        }
    }
    let mut dead = Vec::new();
    for paper in papers {
        let text = std::fs::read_to_string(&paper).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !paper.parent().unwrap().join(target).exists() {
                dead.push(format!(
                    "{} -> {target}",
                    paper.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}
