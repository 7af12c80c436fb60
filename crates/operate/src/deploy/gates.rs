//! What must hold before anything is begun. Every gate is tried and said, whether it holds or not.

use std::fs;
use std::path::Path;

use hub_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::Standing;
use super::approval::Approval;
use super::outside::{Backup, Budget};
use crate::release::Release;

/// An operator's demands.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Verifier key of those who release, as `name+hash+key`. Without it unsigned releases are taken, which is said.
    pub trust: Option<String>,
    /// Whether a release must come with its SBOM.
    pub sbom: bool,
    /// MiB that must be free where the state is.
    pub free_mib: u64,
    /// MiB of memory that must be available on this host: both colours run at once.
    pub memory_mib: u64,
    /// Whether a release must come with a scan of its dependencies that found nothing.
    pub scan: bool,
    /// Whether the migrations to come must be known, and found by the linter to expand only.
    pub migrations: bool,
    /// Who must have agreed.
    pub approval: Option<Approval>,
    /// How old the newest backup may be, and when one was last proven.
    pub backup: Option<Backup>,
    /// What must be left of the error budget.
    pub budget: Option<Budget>,
    /// Times in which nothing is deployed.
    pub freeze: Vec<Freeze>,
}

/// From the first instant to before the second, RFC 3339.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    pub from: Timestamp,
    pub until: Timestamp,
    pub why: String,
}

/// One gate and how it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub gate: &'static str,
    pub holds: bool,
    pub said: String,
}

impl Gates {
    /// What is wrong with the demands themselves.
    pub fn faults(&self) -> Vec<String> {
        let approval = self.approval.as_ref().map(Approval::faults);
        let backup = self.backup.as_ref().map(Backup::faults);
        let both = approval.into_iter().chain(backup);
        both.flatten().collect()
    }

    /// All gates, those that ask others included; in the order in which people read them.
    pub async fn check(
        &self,
        release: &Release,
        standing: &[Standing; 2],
        state: &Path,
        now: Timestamp,
    ) -> Vec<Check> {
        let mut checks = self.of_release(release, now);
        checks.extend(self.of_place(standing, state));
        checks.extend(self.of_others(release, now).await);
        checks
    }

    /// Those that a change of the database alone must pass: nothing is started for it, but it changes what runs.
    pub async fn check_migration(&self, release: &Release, now: Timestamp) -> Vec<Check> {
        let mut checks = self.of_release(release, now);
        checks.extend(self.of_others(release, now).await);
        checks
    }

    fn of_release(&self, release: &Release, now: Timestamp) -> Vec<Check> {
        vec![
            self.signature(release),
            self.materials(release),
            self.scan(release),
            self.thaw(now),
        ]
    }

    fn of_place(&self, standing: &[Standing; 2], state: &Path) -> Vec<Check> {
        vec![self.room(state), self.memory(), health(standing)]
    }

    async fn of_others(&self, release: &Release, now: Timestamp) -> Vec<Check> {
        let mut checks = Vec::new();
        if let Some(approval) = &self.approval {
            checks.push(approval.check(&release.dir, now));
        }
        if let Some(backup) = &self.backup {
            checks.extend(backup.check(now).await);
        }
        if let Some(budget) = &self.budget {
            checks.push(budget.check().await);
        }
        checks
    }

    fn signature(&self, release: &Release) -> Check {
        let said = match (release.signed, &self.trust) {
            (true, _) => "signed by the trusted key, every file as it was released",
            (false, None) => "not asked for: set gates.trust; every file as its manifest says",
            (false, Some(_)) => "not signed by the trusted key",
        };
        Check {
            gate: "signature",
            holds: release.signed || self.trust.is_none(),
            said: said.to_owned(),
        }
    }

    fn materials(&self, release: &Release) -> Check {
        let said = if release.has_sbom {
            "its SBOM is there"
        } else {
            "it has no SBOM"
        };
        Check {
            gate: "sbom",
            holds: release.has_sbom || !self.sbom,
            said: said.to_owned(),
        }
    }

    fn scan(&self, release: &Release) -> Check {
        let (found, said) = match release.advisories() {
            Ok(Some(0)) => (
                true,
                "the scan of its dependencies found nothing".to_owned(),
            ),
            Ok(Some(count)) => (
                false,
                format!("{count} of its dependencies are known to be vulnerable"),
            ),
            Ok(None) => (false, "it has no scan of its dependencies".to_owned()),
            Err(error) => (false, error.to_string()),
        };
        Check {
            gate: "vulnerabilities",
            holds: found || !self.scan,
            said,
        }
    }

    fn memory(&self) -> Check {
        let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemAvailable:"))?;
            let kib: u64 = line.trim().split(' ').next()?.parse().ok()?;
            Some(kib / 1024)
        });
        Check {
            gate: "memory",
            holds: self.memory_mib == 0 || available >= Some(self.memory_mib),
            said: available.map_or_else(
                || "this system does not tell".to_owned(),
                |mib| format!("{mib} MiB available, {} asked for", self.memory_mib),
            ),
        }
    }

    fn thaw(&self, now: Timestamp) -> Check {
        // Nobody knows when it was meant. It holds up what passes gates, and no way back.
        if let Some(turned) = self.freeze.iter().find(|one| one.until <= one.from) {
            let (from, until) = (turned.from, turned.until);
            return Check {
                gate: "freeze",
                holds: false,
                said: format!("from {from} until {until} is no time: mend [[gates.freeze]]"),
            };
        }
        let frozen = self
            .freeze
            .iter()
            .find(|freeze| freeze.from <= now && now < freeze.until);
        Check {
            gate: "freeze",
            holds: frozen.is_none(),
            said: frozen.map_or_else(
                || "no freeze is on".to_owned(),
                |freeze| format!("frozen until {}: {}", freeze.until, freeze.why),
            ),
        }
    }

    fn room(&self, state: &Path) -> Check {
        let free = nix::sys::statvfs::statvfs(state)
            .map(|fs| fs.blocks_available().saturating_mul(fs.fragment_size()) / (1024 * 1024));
        Check {
            gate: "disk",
            holds: free.is_ok_and(|free| free >= self.free_mib),
            said: match free {
                Ok(free) => format!("{free} MiB free, {} asked for", self.free_mib),
                Err(errno) => format!("{} cannot be looked at: {}", state.display(), errno.desc()),
            },
        }
    }
}

/// Whoever has the traffic must be well: a deploy is no cure, and there would be no way back.
fn health(standing: &[Standing; 2]) -> Check {
    let live = standing
        .iter()
        .find(|colour| colour.release.is_some() && colour.is_up);
    let runs = standing.iter().any(|colour| colour.release.is_some());
    let said = match (live, runs) {
        (Some(live), _) => format!(
            "{} is well, with {} % of the traffic",
            live.colour, live.share
        ),
        (None, true) => "what runs is not well: the load balancer gives it nothing".to_owned(),
        (None, false) => "nothing runs yet: a first deploy".to_owned(),
    };
    Check {
        gate: "health",
        holds: live.is_some() || !runs,
        said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Colour;

    fn release(signed: bool, has_sbom: bool) -> Release {
        Release {
            dir: "/r".into(),
            version: "1".to_owned(),
            commit: "c".to_owned(),
            built: "b".to_owned(),
            digest: "0".repeat(64),
            image: None,
            has_server: true,
            has_scan: false,
            has_lint: false,
            signed,
            has_sbom,
        }
    }

    fn standing(runs: bool, is_up: bool) -> [Standing; 2] {
        [(Colour::Blue, runs, is_up), (Colour::Green, false, false)].map(|(colour, runs, is_up)| {
            Standing {
                colour,
                release: runs.then(|| "/r".to_owned()),
                share: if is_up { 100 } else { 0 },
                is_up,
            }
        })
    }

    fn failing(gates: &Gates, release: &Release, standing: &[Standing; 2]) -> Vec<&'static str> {
        let now = "2026-12-24T12:00:00Z".parse().unwrap();
        let mut checks = gates.of_release(release, now);
        checks.extend(gates.of_place(standing, Path::new("/")));
        assert_eq!(checks.len(), 7);
        let failing = checks.into_iter().filter(|check| !check.holds);
        failing.map(|check| check.gate).collect()
    }

    #[test]
    fn each_gate_can_fail() {
        let well = standing(true, true);
        let none: Vec<&str> = Vec::new();
        assert_eq!(
            failing(&Gates::default(), &release(false, false), &well),
            none
        );
        assert_eq!(
            failing(
                &Gates::default(),
                &release(false, false),
                &standing(false, false)
            ),
            none
        );
        let strict = Gates {
            trust: Some("key".to_owned()),
            sbom: true,
            free_mib: u64::MAX,
            memory_mib: u64::MAX,
            scan: true,
            freeze: vec![Freeze {
                from: "2026-12-20T00:00:00Z".parse().unwrap(),
                until: "2027-01-02T00:00:00Z".parse().unwrap(),
                why: "holidays".to_owned(),
            }],
            ..Gates::default()
        };
        let turned = Gates {
            freeze: strict
                .freeze
                .iter()
                .map(|one| Freeze {
                    from: one.until,
                    until: one.from,
                    why: one.why.clone(),
                })
                .collect(),
            ..Gates::default()
        };
        let said = turned.thaw("2026-11-01T00:00:00Z".parse().unwrap());
        assert!(!said.holds && said.said.contains("is no time"), "{said:?}");
        assert_eq!(
            failing(&strict, &release(false, false), &standing(true, false)),
            [
                "signature",
                "sbom",
                "vulnerabilities",
                "freeze",
                "disk",
                "memory",
                "health"
            ]
        );
    }
}
