//! Releases: the key that signs them, the manifest, its check.

use std::path::PathBuf;

use clap::Subcommand;
use hub_base::{Clock as _, SystemClock, Timestamp};
use hub_ledger::VerifierKey;
use hub_operate::deploy::approval;
use hub_operate::release::{self, Facts, Release as Opened};
use hub_vault::{KeyRing, NoteSigner};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The name in the signature line.
const SIGNER: &str = "security-hub-release";

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Make the key that signs releases (or read it), and print the verifier key to trust.
    Key {
        /// Where it is kept; readable by you only.
        file: PathBuf,
        /// Whose key it is: of those who seal releases, or an approver's name.
        #[arg(long, value_name = "NAME", default_value = SIGNER)]
        named: String,
    },
    /// Agree that a release may go to a target: writes your signed approval beside it.
    Approve {
        dir: PathBuf,
        /// What deploy.toml calls the target, such as `production`.
        #[arg(long = "for", value_name = "TARGET")]
        target: String,
        /// Another folder for it than the release's own, such as the one that deploy.toml names.
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
        /// Your name, as deploy.toml has it.
        #[arg(long, value_name = "NAME")]
        named: String,
        /// File with your key, as `release key FILE --named NAME` made it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Write and sign the manifest of a folder that holds `security-hub` (and its SBOM, and what else belongs to it).
    Seal {
        dir: PathBuf,
        #[arg(long, value_name = "VERSION")]
        named: String,
        /// The commit it was built from.
        #[arg(long)]
        commit: String,
        /// When that was committed (`git log -1 --format=%cI`), RFC 3339: the lead time is counted from it. Without it, now.
        #[arg(long, value_name = "TIME")]
        committed: Option<Timestamp>,
        /// File with the signing key, as `release key` made it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Check a release: its signature, and each file's digest.
    Check {
        dir: PathBuf,
        /// Verifier key to trust, as `name+hash+key`.
        #[arg(long, value_name = "VERIFIER")]
        trust: Option<String>,
    },
}

impl Release {
    pub(crate) fn run(self, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Key { file, named } => {
                let signer = signer(&file, &named)?;
                let key =
                    VerifierKey::of(&signer).map_err(|error| Failure::new(Exit::Bug, error))?;
                if output.json {
                    output.document(&json!({"verifier": key.to_string()}))?;
                } else {
                    output.line(&key.to_string())?;
                }
                Ok(Exit::Done)
            }
            Self::Seal {
                dir,
                named,
                commit,
                committed,
                key,
            } => {
                let facts = Facts {
                    version: named,
                    commit,
                    built: committed.unwrap_or_else(|| SystemClock.now()),
                };
                release::seal(&dir, &facts, &signer(&key, SIGNER)?)?;
                said(output, &Opened::open(&dir, None)?, "sealed")
            }
            Self::Approve {
                dir,
                target,
                into,
                named,
                key,
            } => {
                let release = Opened::open(&dir, None)?;
                let signer = signer(&key, &named)?;
                let path =
                    approval::approve(&dir, &target, &signer, SystemClock.now(), into.as_deref())?;
                let name = release.name();
                if output.json {
                    output
                        .document(&json!({"release": name, "target": target, "approval": path}))?;
                } else {
                    let path = path.display();
                    output.line(&format!(
                        "{named} agrees that {name} goes to {target}: {path}"
                    ))?;
                }
                Ok(Exit::Done)
            }
            Self::Check { dir, trust } => {
                let trust = trust.as_deref().map(parse).transpose()?;
                said(output, &Opened::open(&dir, trust.as_ref())?, "good")
            }
        }
    }
}

/// The key to trust, from its text.
pub(crate) fn parse(text: &str) -> Result<VerifierKey, Failure> {
    VerifierKey::parse(text).map_err(|error| Failure::new(Exit::Usage, error))
}

fn signer(file: &std::path::Path, named: &str) -> Result<NoteSigner, Failure> {
    let ring = KeyRing::load_or_create_releaser(file, &SystemClock);
    ring.and_then(|ring| NoteSigner::releases(&ring, named))
        .map_err(|error| Failure::new(Exit::Usage, error))
}

fn said(output: &Output, release: &Opened, word: &str) -> Result<Exit, Failure> {
    if output.json {
        output.document(release)?;
    } else {
        let signed = if release.signed {
            "signed"
        } else {
            "signature not checked"
        };
        output.line(&format!("{word}: {} ({signed})", release.name()))?;
    }
    Ok(Exit::Done)
}
