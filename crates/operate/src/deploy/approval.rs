//! Approvals: who agreed that a release may go to a target. Each is a signed note beside the release, bound to its manifest,
//! to the target and to a time; a changed release has none.
//!
//! Who may approve, under which role and with which key, is the operator's word in `deploy.toml`, never the note's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_base::{HumanDuration, Timestamp};
use hub_ledger::{Signer, VerifierKey, note};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Check;
use crate::error::Error;
use crate::release::MANIFEST;

/// The folder in a release's folder.
pub const FOLDER: &str = "approvals";
const FORM: &str = "security-hub-approval 1";
/// A note is a few lines; what is longer is none.
const MOST: u64 = 8 * 1024;
/// An approver's clock may be this far ahead.
const SKEW: Duration = Duration::from_mins(5);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// What the target is called in approvals: an approval for staging is none for production.
    pub target: String,
    /// People who must have agreed; 2 is four-eyes.
    #[serde(default = "four_eyes")]
    pub needed: usize,
    /// Roles of which each must be among them.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How long an approval holds.
    #[serde(default = "a_day")]
    pub valid: HumanDuration,
    /// Where approvals are looked for besides the release's own folder, such as a share that approvers can write to.
    pub folder: Option<PathBuf>,
    pub approvers: Vec<Approver>,
}

/// Somebody who may agree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    pub role: String,
    /// `name+hash+key`, as `hubctl release key FILE --named NAME` prints it. The name is the person's.
    pub key: String,
}

const fn four_eyes() -> usize {
    2
}

const fn a_day() -> HumanDuration {
    HumanDuration(Duration::from_hours(24))
}

impl Approval {
    /// Paths are relative to the file they stand in.
    pub(crate) fn rebase(&mut self, base: &Path) {
        self.folder = self.folder.take().map(|path| base.join(path));
    }

    /// What is wrong with it: a gate that nobody could pass, or that one person could.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        for approver in &self.approvers {
            match VerifierKey::parse(&approver.key) {
                Err(error) => faults.push(format!("gates.approval.approvers: {error}")),
                Ok(key) if !names.insert(key.name().to_owned()) => {
                    faults.push(format!(
                        "gates.approval.approvers: {} is in it twice",
                        key.name()
                    ));
                }
                Ok(_) => {}
            }
        }
        if self.needed == 0 || self.needed > self.approvers.len() {
            faults.push(format!(
                "gates.approval.needed: must be from 1 to the {} approvers",
                self.approvers.len()
            ));
        }
        for role in &self.roles {
            if !self.approvers.iter().any(|approver| approver.role == *role) {
                faults.push(format!(
                    "gates.approval.roles: no approver has the role {role}"
                ));
            }
        }
        faults
    }

    /// Who agreed, and whether they are enough.
    pub(super) fn check(&self, release: &Path, now: Timestamp) -> Check {
        let mut agreed = self.agreed(release, now);
        // One key under two names is one person, who cannot agree with themselves.
        let mut keys = BTreeSet::new();
        agreed.retain(|approver| keys.insert(approver.key.trim().splitn(3, '+').nth(2)));
        let mut who: Vec<String> = Vec::new();
        let mut roles = BTreeSet::new();
        for approver in &agreed {
            let name = approver.key.split('+').next().unwrap_or_default();
            who.push(format!("{name} ({})", approver.role));
            roles.insert(approver.role.as_str());
        }
        let lacking: Vec<&str> = self
            .roles
            .iter()
            .map(String::as_str)
            .filter(|role| !roles.contains(role))
            .collect();
        let mut said = format!(
            "{} of {} agreed for {}: {}",
            who.len(),
            self.needed,
            self.target,
            if who.is_empty() {
                "nobody".to_owned()
            } else {
                who.join(", ")
            }
        );
        if !lacking.is_empty() {
            said = format!("{said}; still needed: {}", lacking.join(", "));
        }
        Check {
            gate: "approval",
            holds: agreed.len() >= self.needed && lacking.is_empty(),
            said,
        }
    }

    /// The approvers with a good note, each once.
    fn agreed(&self, release: &Path, now: Timestamp) -> Vec<&Approver> {
        let Ok(manifest) = digest(release) else {
            return Vec::new();
        };
        let mut notes = texts(&release.join(FOLDER));
        notes.extend(self.folder.iter().flat_map(|folder| texts(folder)));
        let has_agreed = |approver: &&Approver| {
            VerifierKey::parse(&approver.key).is_ok_and(|key| {
                notes.iter().any(|text| {
                    note::open(text, &key)
                        .ok()
                        .is_some_and(|body| self.holds(body, &manifest, now))
                })
            })
        };
        self.approvers.iter().filter(has_agreed).collect()
    }

    fn holds(&self, body: &str, manifest: &str, now: Timestamp) -> bool {
        let at: Option<Timestamp> = body
            .lines()
            .find_map(|line| line.strip_prefix("at "))
            .and_then(|at| at.parse().ok());
        let Some(at) = at else { return false };
        let is_fresh = now.since(at) <= self.valid.0 && at.since(now) <= SKEW;
        is_fresh && body.trim_end() == text(manifest, &self.target, at).trim_end()
    }
}

fn text(manifest: &str, target: &str, at: Timestamp) -> String {
    format!("{FORM}\nrelease {manifest}\ntarget {target}\nat {at}\n")
}

fn digest(release: &Path) -> std::io::Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(
        release.join(MANIFEST),
    )?)))
}

/// Every note in the folder; what cannot be read agrees to nothing.
fn texts(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let is_fit = fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= MOST);
        is_fit.then(|| fs::read_to_string(path).ok()).flatten()
    };
    entries
        .flatten()
        .filter_map(|entry| read(entry.path()))
        .collect()
}

/// Writes an approval beside the release, or into another folder; returns its place.
///
/// # Errors
/// [`Error::Release`] if there is no manifest or the target's name is unfit, [`Error::File`].
pub fn approve(
    release: &Path,
    target: &str,
    signer: &dyn Signer,
    now: Timestamp,
    into: Option<&Path>,
) -> Result<PathBuf, Error> {
    let fault = |what: String| Error::Release {
        dir: release.to_owned(),
        what,
    };
    if target.is_empty() || target.contains(char::is_whitespace) {
        return Err(fault(format!("`{target}` is no fit name of a target")));
    }
    let manifest = digest(release)
        .map_err(|error| fault(format!("its {MANIFEST} cannot be read: {error}")))?;
    let signed = note::sign(&text(&manifest, target, now), signer)
        .map_err(|error| fault(error.to_string()))?;
    let folder = into.map_or_else(|| release.join(FOLDER), Path::to_path_buf);
    let short = manifest.get(..12).unwrap_or_default();
    let path = folder.join(format!("{target}-{short}-{}.note", signer.name()));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, signed))
        .map_err(|source| Error::File {
            path: path.clone(),
            verb: "written",
            source,
        })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use hub_base::{ManualClock, SystemClock};
    use hub_vault::{KeyRing, NoteSigner};

    use super::*;

    fn signer(name: &str) -> NoteSigner {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::load_or_create_releaser(&folder.path().join("key"), &SystemClock);
        NoteSigner::releases(&ring.unwrap(), name).unwrap()
    }

    fn approver(signer: &NoteSigner, role: &str) -> Approver {
        Approver {
            role: role.to_owned(),
            key: VerifierKey::of(signer).unwrap().to_string(),
        }
    }

    #[test]
    fn two_people_must_agree_to_this_release_for_this_target_in_time() {
        let release = tempfile::tempdir().unwrap();
        let dir = release.path();
        fs::write(dir.join(MANIFEST), "one").unwrap();
        let (ada, ben, eve) = (signer("ada"), signer("ben"), signer("eve"));
        let approval = Approval {
            target: "production".to_owned(),
            needed: 2,
            roles: vec!["security".to_owned()],
            valid: a_day(),
            folder: None,
            approvers: vec![approver(&ada, "sre"), approver(&ben, "security")],
        };
        assert_eq!(approval.faults(), Vec::<String>::new());
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let holds = |at| approval.check(dir, at).holds;
        assert!(!holds(now));
        // The same person twice, somebody unknown, and another target are not enough.
        approve(dir, "production", &ada, now, None).unwrap();
        approve(dir, "production", &eve, now, None).unwrap();
        approve(dir, "staging", &ben, now, None).unwrap();
        let again = approve(dir, "production", &ada, now, Some(&dir.join("elsewhere"))).unwrap();
        fs::copy(again, dir.join("approvals/again.note")).unwrap();
        let check = approval.check(dir, now);
        assert!(!check.holds);
        assert!(
            check.said.contains("1 of 2") && check.said.contains("still needed: security"),
            "{}",
            check.said
        );
        let elsewhere = dir.join("share");
        approve(dir, "production", &ben, now, Some(&elsewhere)).unwrap();
        assert!(!holds(now), "nobody looks there");
        let approval = Approval {
            folder: Some(elsewhere),
            ..approval
        };
        let holds = |at| approval.check(dir, at).holds;
        assert!(holds(now));
        let clock = ManualClock::at(now);
        clock.advance(Duration::from_hours(25));
        assert!(!holds(hub_base::Clock::now(&clock)), "it is too old");
        fs::write(dir.join(MANIFEST), "two").unwrap();
        assert!(!holds(now), "it is another release");
    }

    #[test]
    fn a_gate_that_nobody_can_pass_is_a_fault() {
        let ada = signer("ada");
        let approval = Approval {
            target: "production".to_owned(),
            needed: 3,
            roles: vec!["security".to_owned()],
            valid: a_day(),
            folder: None,
            approvers: vec![approver(&ada, "sre"), approver(&ada, "sre")],
        };
        let faults = approval.faults().join("\n");
        for part in [
            "ada is in it twice",
            "from 1 to the 2",
            "no approver has the role security",
        ] {
            assert!(faults.contains(part), "{faults}");
        }
    }

    /// The same key by another name.
    struct Alias<'a>(&'a NoteSigner);

    impl hub_ledger::Signer for Alias<'_> {
        fn name(&self) -> &'static str {
            "ben"
        }

        fn public_key(&self) -> [u8; 32] {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, hub_ledger::Error> {
            self.0.sign(message)
        }
    }

    #[test]
    fn one_key_under_two_names_is_one_person() {
        let release = tempfile::tempdir().unwrap();
        fs::write(release.path().join(MANIFEST), "one").unwrap();
        let ada = signer("ada");
        let alias = Approver {
            role: "security".to_owned(),
            key: VerifierKey::of(&Alias(&ada)).unwrap().to_string(),
        };
        let approval = Approval {
            target: "production".to_owned(),
            needed: 2,
            roles: Vec::new(),
            valid: a_day(),
            folder: None,
            approvers: vec![approver(&ada, "sre"), alias],
        };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        approve(release.path(), "production", &ada, now, None).unwrap();
        approve(release.path(), "production", &Alias(&ada), now, None).unwrap();
        let check = approval.check(release.path(), now);
        assert!(
            !check.holds && check.said.contains("1 of 2"),
            "{}",
            check.said
        );
    }
}
