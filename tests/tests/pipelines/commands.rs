//! What the pipelines ask of `hubctl` exists, whatever the documents tell people to call exists, and the deploy files that are
//! shipped are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{GITLAB, JENKINS, WORKFLOWS, read, root};

#[test]
fn every_hubctl_command_exists() {
    let mut texts = vec![read("Makefile")];
    for folder in [
        "scripts/pipeline",
        "scripts/ci",
        "infrastructure/scripts/deployment",
        "infrastructure/scripts/maintenance",
        "infrastructure/scripts/security",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    texts.extend([read(GITLAB), read(JENKINS)]);
    texts.extend(WORKFLOWS.map(|name| read(&format!(".github/workflows/{name}.yml"))));
    let mut calls: BTreeSet<String> = BTreeSet::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let code = line.trim_start();
        if code.starts_with(['#', '/']) || line.contains("##") {
            continue;
        }
        let Some((before, rest)) = line.split_once("hubctl ") else {
            continue;
        };
        // A path or a package's name, not a call.
        if before.ends_with(['/', '-']) || before.ends_with("-p ") {
            continue;
        }
        let words = rest
            .split_whitespace()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
        calls.insert(words.collect::<Vec<_>>().join(" "));
    }
    assert!(calls.len() >= 5, "{calls:?}");
    let hubctl = hubctl();
    for call in calls.iter().filter(|call| !call.is_empty()) {
        let help = Command::new(&hubctl)
            .args(call.split(' '))
            .arg("--help")
            .output()
            .unwrap();
        assert!(help.status.success(), "`hubctl {call}` does not exist");
    }
}

pub(super) fn hubctl() -> PathBuf {
    if let Some(path) = std::env::var_os("HUBCTL_BIN") {
        return path.into();
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "hubctl"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(built.status.success());
    let text = String::from_utf8(built.stdout).unwrap();
    let path = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["executable"].as_str().map(PathBuf::from))
        .next_back();
    path.expect("cargo built no hubctl")
}

#[test]
fn the_shipped_deploy_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let hubctl = hubctl();
    let key = |name: &str| {
        let path = folder.path().join(format!("{name}.key"));
        let made = Command::new(&hubctl)
            .args(["release", "key"])
            .arg(path)
            .args(["--named", name])
            .output();
        String::from_utf8(made.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    for name in ["development", "staging", "production"] {
        let text = read(&format!("infrastructure/deploy/{name}.example.toml"));
        let read_it = |text: &str| {
            let path = folder.path().join("deploy.toml");
            std::fs::write(
                &path,
                text.replace(
                    "/var/lib/security-hub-deploy",
                    &folder.path().display().to_string(),
                ),
            )
            .unwrap();
            let told = Command::new(&hubctl)
                .arg("status")
                .env("HUB_DEPLOY_CONFIG", path)
                .env("KUBECONFIG", folder.path().join("none"))
                .env_remove("KUBERNETES_SERVICE_HOST")
                .output()
                .unwrap();
            String::from_utf8(told.stderr).unwrap()
        };
        let filled = text
            .replace("<key that seals releases>", &key("releases"))
            .replace("<key of ada>", &key("ada"))
            .replace("<key of ben>", &key("ben"));
        assert!(!filled.contains('<'), "{filled}");
        // It gets as far as the cluster, or the token for it, which are not there.
        let said = read_it(&filled);
        let is_read = said.contains("metrics-token") || said.contains("the cluster:");
        assert!(is_read, "{name}: {said}");
        let broken = read_it(&filled.replace("bake =", "baek ="));
        assert!(broken.contains("baek"), "{broken}");
    }
}

/// Every text that tells people what to call: documents, and all of infrastructure/ and operations/. The change log tells of
/// what once was.
pub(super) fn told(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.')
                && !["target", "vendor", "schemas", "node_modules"].contains(&&*name)
            {
                told(&path, found);
            }
        } else if name.ends_with(".md") && name != "CHANGELOG.md"
            || ["infrastructure", "operations"]
                .iter()
                .any(|place| path.starts_with(root().join(place)))
        {
            found.push(path);
        }
    }
}

/// The commands in a text: what stands in backticks, in a document's fenced lines, and in a comment's backticks.
fn commands(text: &str, is_document: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut prose = String::new();
    let mut fenced = false;
    for line in text.lines() {
        // What a document itself says is missing.
        let line = line.split("Not here yet").next().unwrap_or(line);
        let trimmed = line.trim_start();
        if is_document && trimmed.starts_with("```") {
            fenced = !fenced;
        } else if is_document && (fenced || line.starts_with("    ")) {
            found.push(trimmed.split(" # ").next().unwrap_or("").to_owned());
        } else if is_document {
            prose.push_str(line);
            prose.push(' ');
        } else if let Some(comment) = trimmed
            .strip_prefix('#')
            .or_else(|| trimmed.strip_prefix("//"))
        {
            prose.push_str(comment.trim_start_matches(['#', '/']));
            prose.push(' ');
        } else {
            // A comment ends here; what it left open is no command.
            if prose.matches('`').count() % 2 == 1 {
                prose.push('`');
            }
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    found
}

/// `a{b,c}d` as `abd`, `acd`.
fn expanded(word: &str) -> Vec<String> {
    let inner = word.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    inner.map_or_else(
        || vec![word.to_owned()],
        |(before, inside, after)| {
            inside
                .split(',')
                .map(|part| format!("{before}{part}{after}"))
                .collect()
        },
    )
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// What is known to exist, and asked of `hubctl` as it is needed.
struct Known<'a> {
    verbs: BTreeSet<&'a str>,
    help: Help,
}

impl Known<'_> {
    /// What a command asks for that is not there: make verbs, scripts with their first word, `hubctl` with its words and flags.
    fn missing(&mut self, command: &str, beside: &Path) -> Vec<String> {
        let mut faults = Vec::new();
        let mut words = command.split_whitespace().peekable();
        let mut before = "";
        while let Some(word) = words.next() {
            let is_call = before.is_empty()
                || before.contains('=')
                || ["sudo", "exec", "|", "&&", "then", "run"].contains(&before);
            before = word;
            match word {
                "make" if is_call => faults.extend(self.verbs(&mut words)),
                "hubctl" if is_call => faults.extend(self.hubctl(&mut words)),
                _ if word.contains("scripts/") => faults.extend(script(word, &mut words, beside)),
                _ => {}
            }
        }
        faults
    }

    fn verbs(&self, words: &mut Words<'_>) -> Vec<String> {
        let is_verb =
            |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains('=');
        let mut faults = Vec::new();
        while let Some(written) = words.next_if(is_verb) {
            let absent = expanded(written)
                .into_iter()
                .filter(|verb| !verb.contains('…') && !self.verbs.contains(verb.as_str()));
            faults.extend(absent.map(|verb| format!("`make {verb}`")));
        }
        faults
    }

    fn hubctl(&mut self, words: &mut Words<'_>) -> Vec<String> {
        let is_word = |word: &&str| {
            !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        };
        let mut call = Vec::new();
        // What every command understands may stand before its name.
        while let Some(option) =
            words.next_if(|word| ["--json", "--url", "--token-file"].contains(word))
        {
            if option != "--json" {
                words.next();
            }
        }
        while let Some(word) = words.next_if(is_word) {
            call.push(word);
        }
        let call = call.join(" ");
        let flags: Vec<&str> = words
            .take_while(|next| !["|", "&&", "||", ";", "then", "or"].contains(next))
            .filter(|next| next.starts_with("--"))
            .map(|flag| flag.split('=').next().unwrap_or(flag))
            .map(|flag| flag.trim_end_matches([',', ';', '.']))
            .collect();
        let Some(page) = self.help.of(&call) else {
            return vec![format!("`hubctl {call}`")];
        };
        flags
            .iter()
            .filter(|flag| !page.contains(**flag))
            .map(|flag| format!("`hubctl {call} {flag}`"))
            .collect()
    }
}

/// A script's path, from the root or from where it is told of, and the word after it, which the script must know.
fn script(word: &str, words: &mut Words<'_>, beside: &Path) -> Vec<String> {
    let path = word.rsplit("/blob/main/").next().unwrap_or(word);
    let path = path.trim_matches(|c| "\"'().,:;…".contains(c));
    // Somebody else's to fill in.
    if path.contains(['$', '*', '<', '[']) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for path in expanded(path) {
        let places = [root().join(&path), beside.join(&path)];
        let Some(there) = places.iter().find(|path| path.exists()) else {
            faults.push(format!("`{path}`"));
            continue;
        };
        let argument = words
            .peek()
            .filter(|next| there.is_file() && next.chars().all(|c| c.is_ascii_lowercase()));
        let text = std::fs::read_to_string(there).unwrap_or_default();
        let mut known = text.split(|c: char| !c.is_ascii_lowercase());
        if let Some(argument) = argument.filter(|argument| !known.any(|word| word == **argument)) {
            faults.push(format!("`{path} {argument}`"));
        }
    }
    faults
}

/// What `hubctl … --help` prints, asked once each; nothing where there is no such command.
struct Help {
    hubctl: PathBuf,
    pages: BTreeMap<String, Option<String>>,
}

impl Help {
    fn of(&mut self, call: &str) -> Option<&str> {
        let hubctl = &self.hubctl;
        let page = self.pages.entry(call.to_owned()).or_insert_with(|| {
            let words = call.split(' ').filter(|word| !word.is_empty());
            let said = Command::new(hubctl)
                .args(words)
                .arg("--help")
                .output()
                .unwrap();
            said.status
                .success()
                .then(|| String::from_utf8(said.stdout).unwrap())
        });
        page.as_deref()
    }
}

#[test]
fn every_command_that_people_are_told_exists() {
    let makefile = read("Makefile");
    let verbs: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let help = Help {
        hubctl: hubctl(),
        pages: BTreeMap::new(),
    };
    let mut known = Known { verbs, help };
    // It notices.
    let planted = "Call `make no-such`, `make verify-{kubernetes,nothing}`, `scripts/no-such.sh`, `scripts/ci/images.sh eat`, \
                   `hubctl migrate run`, `hubctl --token-file FILE deploy --release DIR --no-such`; not `make check` or `scripts/ci`.";
    let seen: Vec<String> = commands(planted, true)
        .iter()
        .flat_map(|command| known.missing(command, &root()))
        .collect();
    assert_eq!(
        seen,
        [
            "`make no-such`",
            "`make verify-nothing`",
            "`scripts/no-such.sh`",
            "`scripts/ci/images.sh eat`",
            "`hubctl migrate run`",
            "`hubctl deploy --no-such`"
        ]
    );
    let mut files = Vec::new();
    told(&root(), &mut files);
    let (mut faults, mut calls) = (Vec::new(), 0);
    for path in &files {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let is_document = path.extension().is_some_and(|kind| kind == "md");
        for command in commands(&text, is_document) {
            calls += usize::from(
                ["make ", "scripts/", "hubctl "]
                    .iter()
                    .any(|word| command.contains(word)),
            );
            let beside = path.parent().unwrap();
            let absent = known.missing(&command, beside);
            let shown = path
                .strip_prefix(root())
                .unwrap_or(path)
                .display()
                .to_string();
            faults.extend(
                absent
                    .into_iter()
                    .map(|what| format!("{shown}: {what} does not exist")),
            );
        }
    }
    assert!(calls > 80, "only {calls} calls were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
