//! The page that explains `deploy.toml` (infrastructure/deploy/README.md): what stands there is read, and no key is missing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::commands::hubctl;
use super::read;

/// The page's blocks of TOML.
fn blocks() -> Vec<String> {
    let page = read("infrastructure/deploy/README.md");
    let parts = page.split("```toml\n").skip(1);
    let blocks = parts.map(|part| part.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// Section by section: its header as it is written, and its keys, those that are commented out too.
fn sections(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut found: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            let header = line.split('#').next().unwrap().trim();
            found.push((header.to_owned(), BTreeSet::new()));
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && let Some((_, keys)) = found.last_mut()
        {
            keys.insert(key.to_owned());
        }
    }
    found
}

/// What `hubctl` says of such a file.
fn said(folder: &Path, text: &str) -> String {
    let path = folder.join("deploy.toml");
    std::fs::write(&path, text).unwrap();
    let told = Command::new(hubctl())
        .arg("status")
        .env("HUB_DEPLOY_CONFIG", path)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output();
    String::from_utf8(told.unwrap().stderr).unwrap()
}

/// The page as two files: for a host (processes, then compose) and for a cluster.
fn files(folder: &Path) -> Vec<String> {
    let key = |name: &str| {
        let made = Command::new(hubctl())
            .args(["release", "key"])
            .arg(folder.join(format!("{name}.key")))
            .args(["--named", name])
            .output();
        let key = String::from_utf8(made.unwrap().stdout).unwrap();
        key.trim().to_owned()
    };
    let blocks: Vec<String> = blocks()
        .into_iter()
        .map(|block| {
            block
                .replace("<key that seals releases>", &key("releases"))
                .replace("<key of ada>", &key("ada"))
                .replace("<key of ben>", &key("ben"))
                .replace(
                    "/var/lib/security-hub-deploy",
                    &folder.display().to_string(),
                )
        })
        .collect();
    let [local, compose, kubernetes, rest @ ..] = blocks.as_slice() else {
        panic!("{} blocks", blocks.len());
    };
    let is_own =
        |line: &&str| !line.starts_with("config = ") && !line.starts_with("environment = ");
    let composed: Vec<&str> = local.lines().filter(is_own).collect();
    let rest = rest.concat();
    vec![
        format!("{local}\n{rest}"),
        format!("{}\n{compose}\n{rest}", composed.join("\n")),
        format!("{kubernetes}\n{rest}"),
    ]
}

#[test]
fn the_page_of_deploy_toml_is_read_and_names_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut explained = BTreeSet::new();
    for text in files(folder.path()) {
        // It is read, and gets as far as a target that is not there.
        let good = said(folder.path(), &text);
        assert!(
            !good.contains("deploy.toml") && !good.contains("panicked"),
            "{good}\n{text}"
        );
        for (header, keys) in sections(&text) {
            let unknown = text.replacen(&header, &format!("{header}\nnobody_knows_this = 1 #"), 1);
            let refused = said(folder.path(), &unknown);
            let (_, expected) = refused
                .split_once("unknown field `nobody_knows_this`, expected ")
                .unwrap_or_else(|| panic!("{header}: {refused}"));
            let line = expected.lines().next().unwrap();
            let there: BTreeSet<String> = line
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect();
            assert!(!there.is_empty(), "{header}: {refused}");
            // A key that is a section stands there as one; a host's two files go without what the other one has.
            let name = header.trim_matches(['[', ']']);
            let other = if name == "local" {
                &["compose", "config", "environment"][..]
            } else {
                &[]
            };
            let is_explained = |key: &String| {
                keys.contains(key)
                    || other.contains(&key.as_str())
                    || text.contains(&format!("[{name}.{key}]"))
            };
            let missing: Vec<&String> = there.iter().filter(|key| !is_explained(key)).collect();
            assert!(missing.is_empty(), "{header} does not explain {missing:?}");
            explained.insert(header);
        }
    }
    assert_eq!(explained.len(), 15, "{explained:?}");
}
