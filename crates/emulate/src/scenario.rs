//! Scenario files: who is there, what they do, and which attacks are mixed in.

use std::net::Ipv4Addr;

use hub_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The scenario that is built in.
pub const BUILT_IN: (&str, &str) = (
    "content/scenarios/market-day.yaml",
    include_str!("../../../content/scenarios/market-day.yaml"),
);

/// A whole scenario.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub description: String,
    /// Makes every choice repeatable.
    pub seed: u64,
    pub tenant: TenantSpec,
    /// How long people work while the attacks go on.
    pub duration: HumanDuration,
    pub places: Vec<Place>,
    pub population: Population,
    pub attacks: Vec<AttackSpec>,
}

#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// A number is put behind it if the slug is taken.
    pub slug: String,
    pub name: String,
}

/// A network and where it is. People and attackers get loopback addresses from it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub name: String,
    /// The second octet of `127.X.0.0/16`.
    pub octet: u8,
    pub country: String,
    pub city: String,
    pub latitude: f64,
    pub longitude: f64,
    /// Whether the tenant has told the hub about it, and as what: `office`, `vpn`, `mobile`, `other`; empty if not.
    #[serde(default)]
    pub known_as: String,
    #[serde(default)]
    pub trusted: bool,
}

impl Place {
    pub fn network(&self) -> String {
        format!("127.{}.0.0/16", self.octet)
    }

    /// The n-th address of the place.
    pub fn address(&self, n: usize) -> Ipv4Addr {
        let n = n + 1;
        Ipv4Addr::new(127, self.octet, (n / 250) as u8, (n % 250 + 1) as u8)
    }
}

#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Population {
    pub users: usize,
    /// Names of places where people work, taken in turn.
    pub homes: Vec<String>,
    /// Programs with API keys that read now and then.
    pub programs: usize,
    /// People who ask for a new password.
    pub forgetful: usize,
    /// How often the clumsy one mistypes before getting it right.
    pub mistypes: usize,
    /// Where the traveller signs in from, with the device they always use.
    pub traveller_at: String,
    /// Records that the nightly batch reads with its own key from its own address.
    pub batch_reads: usize,
    /// The mean pause between two things a person does.
    pub pause: HumanDuration,
}

/// One attack: its label of truth and how it goes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackSpec {
    pub id: String,
    /// ATT&CK technique ids; the first is the one it is listed under.
    pub techniques: Vec<String>,
    pub title: String,
    /// When it begins, from the start of the working time.
    pub start: HumanDuration,
    /// Where the attacker's addresses lie.
    pub from: String,
    #[serde(default = "one")]
    pub addresses: usize,
    /// How many requests it makes in all, unless it is over before.
    pub attempts: usize,
    pub pause: HumanDuration,
    pub kind: AttackKind,
}

const fn one() -> usize {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// A few passwords on many people, from one address.
    PasswordSpraying,
    /// Many passwords on one person, from one address.
    BruteForce,
    /// Leaked pairs of names and passwords, few from each of many addresses; some are right.
    CredentialStuffing,
    /// The right password from far away, then reading.
    AccountTakeover,
    /// A stolen session cookie on another device.
    SessionReplay,
    /// A person of few rights tries what only administrators may.
    PrivilegeEscalation,
    /// A stolen API key, used from elsewhere to read everything.
    ApiKeyAbuse,
    /// An administrator's password, used to make a key and raise an accomplice.
    AccountManipulation,
}

impl Scenario {
    /// Reads and checks a scenario; `file` is for messages.
    ///
    /// # Errors
    /// [`Error::Scenario`] with the place of a fault in the text, [`Error::Content`] for what does not fit together.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let scenario: Self = serde_yaml_ng::from_str(text).map_err(|error| {
            let at = error.location();
            Error::Scenario {
                file: file.to_owned(),
                line: at.as_ref().map_or(0, serde_yaml_ng::Location::line),
                column: at.as_ref().map_or(0, serde_yaml_ng::Location::column),
                what: without_place(&error.to_string()),
            }
        })?;
        scenario.check().map_err(|what| Error::Content {
            file: file.to_owned(),
            what,
        })?;
        Ok(scenario)
    }

    /// The built-in scenario.
    ///
    /// # Errors
    /// As [`Scenario::parse`]; a test holds that it has none.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(BUILT_IN.0, BUILT_IN.1)
    }

    fn check(&self) -> Result<(), String> {
        let mut octets: Vec<u8> = self.places.iter().map(|place| place.octet).collect();
        octets.sort_unstable();
        octets.dedup();
        if octets.len() != self.places.len() {
            return Err("each place needs an octet of its own".to_owned());
        }
        let named = self
            .population
            .homes
            .iter()
            .chain([&self.population.traveller_at]);
        for name in named.chain(self.attacks.iter().map(|attack| &attack.from)) {
            self.place(name)
                .ok_or_else(|| format!("no place is named `{name}`"))?;
        }
        if self.population.homes.is_empty() {
            return Err("`population.homes` is empty".to_owned());
        }
        if self.population.users < 40 {
            return Err(
                "`population.users` must be at least 40: attacks need people to aim at".to_owned(),
            );
        }
        for attack in &self.attacks {
            if attack.techniques.is_empty() || attack.addresses == 0 || attack.attempts == 0 {
                return Err(format!(
                    "attack `{}` needs techniques, addresses and attempts",
                    attack.id
                ));
            }
            if self
                .attacks
                .iter()
                .filter(|other| other.id == attack.id)
                .count()
                > 1
            {
                return Err(format!("two attacks are called `{}`", attack.id));
            }
        }
        Ok(())
    }

    pub fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }
}

/// A message of the YAML reader without the place at its end, which is told apart.
fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message.get(..end).unwrap_or(message).to_owned()
}

/// The JSON Schema of scenario files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Scenario).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenario_is_sound() {
        let scenario = Scenario::built_in().unwrap();
        assert!(scenario.population.users >= 300);
        assert_eq!(scenario.attacks.len(), 8);
    }

    #[test]
    fn faults_name_their_place() {
        let text = BUILT_IN.1.replace("seed:", "sede:");
        let error = Scenario::parse("mine.yaml", &text).unwrap_err().to_string();
        assert!(
            error.contains("mine.yaml, line") && error.contains("sede"),
            "{error}"
        );
        let text = BUILT_IN.1.replace("from: hosting", "from: nowhere");
        let error = Scenario::parse("mine.yaml", &text).unwrap_err().to_string();
        assert!(error.contains("no place is named `nowhere`"), "{error}");
    }
}
