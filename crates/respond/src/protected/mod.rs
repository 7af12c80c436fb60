//! What is never contained automatically: break-glass accounts, the operator's own monitoring, keys that must
//! not stop. Checked when an action is applied, not when it is queued.

pub(crate) mod repo;

use std::fmt;
use std::str::FromStr;

use hub_base::{Timestamp, UserId};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Tx};
use ipnet::IpNet;
use uuid::Uuid;

use crate::accounts::repo as accounts;
use crate::actions::Action;
use crate::config::RespondConfig;
use crate::error::Error;
use crate::timeline::actor_name;

/// What kind of thing an entry protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By id or by name.
    User,
    /// An address or a CIDR.
    Address,
    /// By id.
    ApiKey,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::ApiKey => "api_key",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Address, Self::ApiKey]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// An entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProtectedId(Uuid);

impl ProtectedId {
    pub(crate) const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub(crate) const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ProtectedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ProtectedId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// One protected thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// `None` for what the server's configuration protects; that cannot be removed here.
    pub id: Option<ProtectedId>,
    pub kind: Kind,
    pub value: String,
    pub reason: String,
    pub added_by: String,
    /// `None` for what the configuration protects.
    pub added_at: Option<Timestamp>,
}

/// The configuration's entries, then the tenant's, oldest first.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(cx: &Cx, config: &RespondConfig) -> Result<Vec<Protected>, Error> {
    let mut all: Vec<Protected> = config
        .protected_addresses
        .iter()
        .map(|network| Protected {
            id: None,
            kind: Kind::Address,
            value: network.to_string(),
            reason: "the operator's own monitoring".to_owned(),
            added_by: "configuration".to_owned(),
            added_at: None,
        })
        .collect();
    let mut tx = cx.read().await?;
    all.extend(repo::list(&mut tx).await?);
    Ok(all)
}

/// Protects something from now on; what is contained already stays so until it is released.
///
/// # Errors
/// [`Error::Invalid`], [`Error::AlreadyProtected`].
pub async fn add(cx: &Cx, kind: Kind, value: &str, reason: &str) -> Result<Protected, Error> {
    let value = normalise(kind, value)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        return Err(Error::invalid(
            "reason",
            "say why, in at most 500 characters",
        ));
    }
    let mut tx = cx.write().await?;
    let entry = Protected {
        // Made like every id: ordered by the clock's time.
        id: Some(ProtectedId(UserId::new(&**cx.clock()).uuid())),
        kind,
        value,
        reason: reason.to_owned(),
        added_by: actor_name(&cx.principal),
        added_at: Some(tx.now()),
    };
    repo::insert(&mut tx, &entry).await?;
    tx.commit(act("added", &entry)).await?;
    Ok(entry)
}

/// Takes an entry off the list.
///
/// # Errors
/// [`Error::UnknownProtected`].
pub async fn remove(cx: &Cx, id: ProtectedId) -> Result<(), Error> {
    let mut tx = cx.write().await?;
    let Some(entry) = repo::delete(&mut tx, id).await? else {
        return Err(Error::UnknownProtected(id.to_string()));
    };
    tx.commit(act("removed", &entry)).await?;
    Ok(())
}

fn act(change: &str, entry: &Protected) -> Act {
    let uid = entry.id.map(|id| id.to_string()).unwrap_or_default();
    Act::new("protected.update", Class::EntityManagement, 3, "admin")
        .on(Subject::new("protected", uid).named(&entry.value))
        .with("unmapped.protected.change", change)
        .with("unmapped.protected.kind", entry.kind.name())
        .with("unmapped.protected.value", entry.value.as_str())
        .with("unmapped.protected.reason", entry.reason.as_str())
}

fn normalise(kind: Kind, value: &str) -> Result<String, Error> {
    let value = value.trim();
    let not = |what| Error::invalid("value", format!("`{value}` is not {what}"));
    match kind {
        Kind::Address => crate::actions::parse_network(value)
            .map(|network| network.to_string())
            .ok_or_else(|| not("an address or a CIDR")),
        Kind::ApiKey => Uuid::parse_str(value)
            .map(|id| id.to_string())
            .map_err(|_| not("an API key's id")),
        Kind::User if value.is_empty() || value.chars().count() > 128 => {
            Err(not("a user's id or name"))
        }
        Kind::User => {
            Ok(Uuid::parse_str(value).map_or_else(|_| value.to_owned(), |id| id.to_string()))
        }
    }
}

/// Why the action's target must not be contained automatically, if it must not.
pub(crate) async fn guard(
    tx: &mut Tx,
    action: &Action,
    own: &[IpNet],
) -> Result<Option<String>, Error> {
    let target = &action.target;
    if target.kind == "address" {
        let Some(network) = crate::actions::parse_network(&target.value) else {
            return Ok(None);
        };
        if own.iter().any(|mine| overlap(mine, &network)) {
            return Ok(Some("the operator's own monitoring".to_owned()));
        }
        let listed = repo::of_kind(tx, Kind::Address).await?;
        return Ok(listed
            .into_iter()
            .find(|p| {
                p.value
                    .parse::<IpNet>()
                    .is_ok_and(|mine| overlap(&mine, &network))
            })
            .map(|p| p.reason));
    }
    match target.kind.as_str() {
        "api_key" => repo::matching(tx, Kind::ApiKey, &target.value, None).await,
        // A session is protected with its user.
        "user" | "session" => {
            let owner = match Uuid::parse_str(&target.value) {
                Ok(id) => accounts::owner(tx, id).await?,
                Err(_) => None,
            };
            let (id, name) = match owner {
                Some((id, name)) => (id.to_string(), Some(name)),
                None => (target.value.clone(), target.name.clone()),
            };
            repo::matching(tx, Kind::User, &id, name.as_deref()).await
        }
        _ => Ok(None),
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}
