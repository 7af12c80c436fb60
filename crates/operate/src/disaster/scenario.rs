//! Scenario files: which disaster, how it is noticed, how it is recovered from, what proves it, and what it may cost.
//! Data, not code: what each word does stands in [`super::inject`], [`super::detect`], [`super::recover`], [`super::prove`].

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hub_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check;
use crate::error::{Error, fault};

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$((concat!($name, ".yaml"), include_str!(concat!("../../../../content/disasters/", $name, ".yaml")))),*]
    };
}

/// The built-in scenarios: file name and text, in the order in which they are run.
pub const BUILT_IN: &[(&str, &str)] = built_in! {
    "database-host-lost" "data-directory-corrupted" "table-dropped" "ransomware" "region-lost" "bad-migration"
    "key-provider-lost" "redis-lost" "ledger-tampered"
};

/// A whole scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// As the file is named, without its ending.
    pub name: String,
    pub title: String,
    /// What happens, and how somebody gets out of it, for people.
    pub story: String,
    pub objective: Objective,
    #[serde(default)]
    pub installation: Wanted,
    #[serde(default)]
    pub load: Load,
    pub inject: Vec<Injection>,
    pub detect: Detect,
    pub recover: Vec<Step>,
    pub prove: Vec<Claim>,
}

/// What the disaster may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// From the damage until everything is proven.
    pub rto: HumanDuration,
    /// How much time's worth of acknowledged writes may be lost.
    pub rpo: HumanDuration,
}

/// The installation that is made for it: a hub with its private database, two tenants, and a repository in each of two
/// regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// The longest time that a written log waits to be archived.
    pub archive_timeout: HumanDuration,
    /// What arrives in the second repository can be neither changed nor removed.
    pub write_once: bool,
    /// A Redis beside the hub.
    pub redis: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            archive_timeout: HumanDuration(Duration::from_secs(2)),
            write_once: false,
            redis: false,
        }
    }
}

/// The writes before, during and after it, one after the other for each tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// How many must be acknowledged before the damage is done.
    pub writes: usize,
    /// Between two of a tenant's.
    pub pause: HumanDuration,
    /// Whether a segment of the log that holds some of them must have been archived by then, in its own time.
    pub archived: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            writes: 40,
            pause: HumanDuration(Duration::from_millis(50)),
            archived: true,
        }
    }
}

/// One kind of damage; each is done for real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Injection {
    /// The database's processes are killed and its directory is removed.
    LoseDatabase {},
    /// Blocks of a table's file are overwritten, past the server.
    OverwriteBlocks { table: String, blocks: u32 },
    /// A superuser drops a table, with what hangs on it.
    DropTable { table: String },
    /// Every file of a part is encrypted in its place, as far as that can be done.
    Encrypt { what: Vec<Part> },
    /// Everything in the first region is gone: processes, database, keys, repository.
    LoseRegion {},
    /// A migration takes away a column that every program here reads.
    MigrateBadly { table: String, column: String },
    /// The key ring is gone, and the hub is started again without it.
    LoseKeys {},
    /// Redis is killed.
    KillRedis {},
    /// A superuser rewrites an entry of the first tenant's ledger.
    AlterEntry { entry: u32 },
}

/// A part of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    DataDirectory,
    FirstRepository,
    SecondRepository,
}

/// How it is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The longest that it may go unnoticed.
    pub within: HumanDuration,
    /// What is asked, in this order, again and again; before the damage each of them must find nothing.
    pub by: Vec<Probe>,
}

/// What an operator has to notice it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `GET /health`: `hubctl health` with a key.
    Health,
    /// Somebody signs in, as an uptime check does.
    SignIn,
    /// The next incremental backup, which checks each page that it copies.
    Backup,
    /// `hubctl backup verify`.
    BackupVerify,
    /// `hubctl ledger export` and `hubctl ledger verify` with the published key.
    LedgerVerify,
    /// Redis answers a `PING` to whoever shows its password.
    Redis,
}

/// One step of the way back; each is what a verb of `hubctl` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Stops the hub in good order, and its database with it.
    StopHub {},
    /// Ends whatever still runs of the first region.
    Isolate {},
    /// `hubctl restore`.
    Restore {
        #[serde(default)]
        from: From,
        #[serde(default)]
        to: To,
    },
    /// `hubctl restore --keys-only`.
    RestoreKeys {},
    StartRedis {},
    StartHub {},
}

/// Where a restore takes it from, and so where to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// In place, from whichever repository has the newest good backup.
    #[default]
    Installation,
    /// On the standby host of the second region, from the repository there and the recovery key alone.
    SecondRepository,
}

/// The point that is gone back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// As far as the archive reaches.
    #[default]
    Latest,
    /// Just before the damage.
    Before,
    /// When the ledger was last verified.
    LastProven,
}

/// What must hold in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The hub is ready and passes the smoke test of a deploy.
    Answers,
    /// Each tenant's ledger verifies against the key and the last checkpoint that were published before.
    Ledgers,
    /// Each tenant's writes are acknowledged and get their place.
    Writes,
    /// People sign in.
    SignsIn,
    /// A token of before the damage is good: the keys are the same ones.
    OldTokens,
    /// The entry that was rewritten says what it said.
    EntryIsBack,
    /// What was written once could not be changed.
    KeptUnharmed,
    /// Backups go on: the next full one is made and every repository is whole.
    BackedUp,
    /// Not one write was refused, from before the damage to the end.
    NoneRefused,
    /// Redis has its users and what was written to it.
    RedisIsBack,
}

/// One thing that is wrong with a scenario, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub file: String,
    /// From 1; 0 if it is not known.
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl Scenario {
    /// # Errors
    /// Every fault with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let scenario: Self = serde_yaml_ng::from_str(text).map_err(|error| {
            vec![Fault {
                file: file.to_owned(),
                line: error.location().map_or(0, |at| at.line()),
                what: error.to_string(),
            }]
        })?;
        let faults = check::faults(&scenario, file, text);
        if faults.is_empty() {
            Ok(scenario)
        } else {
            Err(faults)
        }
    }

    /// What a record of a run is named.
    pub fn subject(&self) -> String {
        format!("{SUBJECT}{}", self.name)
    }
}

/// Begins the subject of a scenario's record: it rehearses a disaster, not the restore of this installation.
pub const SUBJECT: &str = "scenario ";

/// The scenarios in force.
#[derive(Debug, Clone)]
pub struct Scenarios(Vec<Scenario>);

impl Scenarios {
    /// What is built in, with the files of `folder` replacing those of the same name and joining the rest.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be read, [`Error::Scenarios`] with every fault of every file.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut texts: Vec<(String, String)> = BUILT_IN
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        for (file, text) in folder.map(read).transpose()?.unwrap_or_default() {
            match texts.iter_mut().find(|(there, _)| *there == file) {
                Some((_, there)) => *there = text,
                None => texts.push((file, text)),
            }
        }
        let (mut scenarios, mut faults) = (Vec::new(), Vec::new());
        for (file, text) in &texts {
            match Scenario::parse(file, text) {
                Ok(scenario) => scenarios.push(scenario),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() {
            Ok(Self(scenarios))
        } else {
            Err(Error::Scenarios(faults))
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Scenario> {
        self.0.iter()
    }

    /// # Errors
    /// [`Error::UnknownScenario`] with the names that there are.
    pub fn named(&self, name: &str) -> Result<&Scenario, Error> {
        let found = self.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| Error::UnknownScenario {
            name: name.to_owned(),
            known: self
                .iter()
                .map(|scenario| &*scenario.name)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

/// The YAML files of a folder, by name.
fn read(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(fault(folder, "read"))? {
        let path = entry.map_err(fault(folder, "read"))?.path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = std::fs::read_to_string(&path).map_err(fault(&path, "read"))?;
            texts.insert(name.into_owned(), text);
        }
    }
    Ok(texts)
}
