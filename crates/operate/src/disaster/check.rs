//! Whether a scenario makes sense, beyond its grammar: all that is wrong, each with its line.

use super::scenario::{Claim, Fault, From, Injection, Part, Probe, Scenario, Step, To};

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

pub(super) fn faults(scenario: &Scenario, file: &str, text: &str) -> Vec<Fault> {
    let mut checker = Checker {
        file,
        text,
        faults: Vec::new(),
    };
    checker.outside(scenario);
    checker.damage(scenario);
    checker.way_back(scenario);
    checker.parts(scenario);
    checker.faults
}

impl Checker<'_> {
    /// A fault under a key of the first level.
    fn fault(&mut self, key: &str, what: impl AsRef<str>) {
        let start = format!("{key}:");
        let line = self.text.lines().position(|line| line.starts_with(&start));
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: line.map_or(0, |line| line + 1),
            what: format!("{key}: {}", what.as_ref()),
        });
    }

    fn outside(&mut self, scenario: &Scenario) {
        let stem = self.file.rsplit('/').next().unwrap_or_default();
        let stem = stem.strip_suffix(".yaml").unwrap_or(stem);
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if scenario.name != stem || stem.is_empty() || !stem.bytes().all(fits) {
            self.fault(
                "name",
                format!("must be `{stem}`, as the file is named, in small letters, digits and `-`"),
            );
        }
        if scenario.title.trim().is_empty() || scenario.title.chars().count() > 100 {
            self.fault("title", "must have 1 to 100 characters");
        }
        if scenario.objective.rto.0.is_zero() {
            self.fault(
                "objective",
                "an rto of nothing is met by nobody; an rpo of 0s says that no write is lost",
            );
        }
        if !(1..=3600).contains(&scenario.installation.archive_timeout.0.as_secs()) {
            self.fault("installation", "archive_timeout must be from 1s to 1h");
        }
        if !(1..=100_000).contains(&scenario.load.writes) {
            self.fault("load", "writes must be from 1 to 100000");
        }
    }

    fn damage(&mut self, scenario: &Scenario) {
        if scenario.inject.is_empty() {
            self.fault("inject", "nothing happens");
        }
        if scenario.detect.by.is_empty() || scenario.detect.within.0.is_zero() {
            self.fault("detect", "nobody would notice");
        }
        for injection in &scenario.inject {
            let names: &[&String] = match injection {
                Injection::DropTable { table } => &[table],
                Injection::OverwriteBlocks { table, blocks } => {
                    if *blocks == 0 {
                        self.fault("inject", "blocks must be at least 1");
                    }
                    &[table]
                }
                Injection::MigrateBadly { table, column } => &[table, column],
                _ => &[],
            };
            for name in names {
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                if name.is_empty() || name.len() > 63 || !name.bytes().all(fits) {
                    self.fault(
                        "inject",
                        format!("`{name}` is no name of a table or column"),
                    );
                }
            }
            if matches!(injection, Injection::Encrypt { what } if what.is_empty()) {
                self.fault("inject", "encrypt: what is empty");
            }
        }
    }

    /// The order of the steps: nothing is restored under a hub that runs, and a hub runs in the end.
    fn way_back(&mut self, scenario: &Scenario) {
        let killed = |injection: &Injection| matches!(injection, Injection::LoseRegion {});
        let mut runs = !scenario.inject.iter().any(killed);
        for step in &scenario.recover {
            match step {
                Step::StopHub {} | Step::Isolate {} => runs = false,
                Step::StartHub {} => runs = true,
                Step::Restore { .. } | Step::RestoreKeys {} if runs => {
                    self.fault("recover", "something is restored under a hub that runs: stop_hub or isolate comes first");
                }
                _ => {}
            }
            if let Step::Restore {
                to: To::LastProven, ..
            } = step
                && !scenario.detect.by.contains(&Probe::LedgerVerify)
            {
                self.fault(
                    "recover",
                    "to: last_proven needs ledger_verify under detect",
                );
            }
        }
        if scenario.recover.is_empty() {
            self.fault("recover", "nobody does anything");
        }
        if !runs {
            self.fault("recover", "no hub runs in the end: start_hub comes last");
        }
        for (claim, word) in [
            (Claim::Answers, "answers"),
            (Claim::Ledgers, "ledgers"),
            (Claim::Writes, "writes"),
        ] {
            if !scenario.prove.contains(&claim) {
                self.fault(
                    "prove",
                    format!("a recovery without `{word}` is not proven"),
                );
            }
        }
    }

    /// What a scenario speaks of must be there.
    fn parts(&mut self, scenario: &Scenario) {
        let redis = scenario.detect.by.contains(&Probe::Redis)
            || scenario.prove.contains(&Claim::RedisIsBack)
            || scenario.inject.contains(&Injection::KillRedis {})
            || scenario.recover.contains(&Step::StartRedis {});
        if redis && !scenario.installation.redis {
            self.fault(
                "installation",
                "redis: true is missing: the scenario speaks of one",
            );
        }
        let alters = |one: &Injection| matches!(one, Injection::AlterEntry { .. });
        if scenario.prove.contains(&Claim::EntryIsBack) && !scenario.inject.iter().any(alters) {
            self.fault("prove", "entry_is_back: no entry is altered");
        }
        let reaches = |one: &Injection| matches!(one, Injection::Encrypt { what } if what.contains(&Part::SecondRepository));
        let kept = scenario.installation.write_once;
        if scenario.prove.contains(&Claim::KeptUnharmed)
            && !(kept && scenario.inject.iter().any(reaches))
        {
            self.fault(
                "prove",
                "kept_unharmed needs write_once: true and an attack on second_repository",
            );
        }
        let again = scenario.recover.iter().any(|step| {
            matches!(
                step,
                Step::Restore {
                    from: From::SecondRepository,
                    ..
                }
            )
        });
        if again && scenario.prove.contains(&Claim::BackedUp) && kept {
            self.fault(
                "prove",
                "backed_up: what is written once takes no backup while it is attacked",
            );
        }
    }
}
