//! Roles: the built-in ones, those of a tenant's own making, and who holds which.

pub(crate) mod repo;

use std::collections::BTreeSet;

use hub_base::{TenantId, UserId};
use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Tx, WriteTx};

use crate::action::Action;
use crate::authorizer::Authorizer;
use crate::error::Error;

/// A role and what it permits: the hub's actions, and for roles of a tenant's own also its application's permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub permissions: BTreeSet<String>,
    pub built_in: bool,
}

/// The roles that every tenant has.
const BUILT_IN: &[&str] = &["operator", "owner", "admin", "analyst", "auditor", "member"];

/// Roles that somebody must hold.
const KEPT: &[&str] = &["owner", "operator"];

/// What a built-in role permits; `None` for any other name.
pub fn built_in(name: &str) -> Option<BTreeSet<String>> {
    let wanted: fn(&str) -> bool = match name {
        "operator" => |_| true,
        "owner" => |action| {
            !action.starts_with("tenants.")
                && !["operations.record", "cleanup.run", "health.read"].contains(&action)
        },
        "admin" => |action| {
            ["users.", "roles.", "sessions.", "api_keys.", "locations."]
                .iter()
                .any(|p| action.starts_with(p))
                || ["self", "access.evaluate", "ledger.read"].contains(&action)
        },
        "analyst" => |action| {
            ["events.", "findings.", "incidents."]
                .iter()
                .any(|p| action.starts_with(p))
                || [
                    "self",
                    "access.evaluate",
                    "ledger.read",
                    "blocks.read",
                    "users.read",
                    "protected.read",
                    "locations.read",
                ]
                .contains(&action)
        },
        "auditor" => |action| {
            (action.rsplit('.').next() == Some("read")
                && !action.starts_with("tenants.")
                && action != "health.read")
                || action == "self"
        },
        "member" => |action| ["self", "access.evaluate"].contains(&action),
        _ => return None,
    };
    Some(
        Action::ALL
            .iter()
            .map(|a| a.name())
            .filter(|name| wanted(name))
            .map(str::to_owned)
            .collect(),
    )
}

/// Every role of the tenant, built-in ones first.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(cx: &Cx) -> Result<Vec<Role>, Error> {
    let mut tx = cx.read().await?;
    let mut roles: Vec<Role> = BUILT_IN
        .iter()
        .filter(|name| **name != "operator" || cx.tenant() == TenantId::SYSTEM)
        .filter_map(|name| {
            let permissions = built_in(name)?;
            Some(Role {
                name: (*name).to_owned(),
                permissions,
                built_in: true,
            })
        })
        .collect();
    let own = repo::list(&mut tx).await?;
    roles.extend(own.into_iter().map(|(name, permissions)| Role {
        name,
        permissions,
        built_in: false,
    }));
    Ok(roles)
}

/// Defines or redefines a role of the tenant's own.
///
/// # Errors
/// [`Error::BuiltIn`], [`Error::Invalid`] for a permission that is no permission, [`Error::Beyond`] for one of the hub's
/// actions that the caller lacks, be it given or taken away.
pub async fn define(
    cx: &Cx,
    authorizer: &Authorizer,
    name: &str,
    permissions: BTreeSet<String>,
) -> Result<Role, Error> {
    if built_in(name).is_some() {
        return Err(Error::BuiltIn(name.to_owned()));
    }
    if !is_name(name) {
        return Err(Error::unfit_name());
    }
    for permission in &permissions {
        check_form(permission)?;
    }
    let held = authorizer.permissions(&cx.principal).await?;
    let mut tx = cx.write().await?;
    let before = repo::by_name(&mut tx, name).await?.unwrap_or_default();
    beyond(
        &held,
        permissions
            .symmetric_difference(&before)
            .filter(|p| is_ours(p)),
    )?;
    repo::put(&mut tx, name, &permissions).await?;
    let list: Vec<String> = permissions.iter().cloned().collect();
    let act = Act::new("role.update", Class::EntityManagement, 3, "admin")
        .on(Subject::new("role", name).named(name))
        .with("unmapped.permissions", list);
    tx.commit(act).await?;
    authorizer.forget(cx.tenant());
    Ok(Role {
        name: name.to_owned(),
        permissions,
        built_in: false,
    })
}

/// Whether a text can be the name of a role: a letter, then letters, digits, `_` and `-`. The table demands the same.
fn is_name(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits)
}

/// A permission is one of the hub's, or an application's own: words of letters, digits, `_`, `-`, joined by dots.
fn check_form(permission: &str) -> Result<(), Error> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    let fits =
        permission.len() <= 128 && permission.contains('.') && permission.split('.').all(word);
    if fits || Action::parse(permission).is_some() {
        return Ok(());
    }
    let field = "permissions".to_owned();
    let why = format!(
        "holds `{permission}`: expected lower-case words joined by dots, such as `document.read`"
    );
    Err(Error::Invalid { field, why })
}

/// Whether a permission is one of the hub's own; an application's permissions are handed out freely.
fn is_ours(permission: &str) -> bool {
    Action::parse(permission).is_some()
}

/// Refuses what the caller does not hold.
fn beyond<'a>(
    held: &BTreeSet<String>,
    wanted: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    match wanted
        .into_iter()
        .find(|permission| !held.contains(*permission))
    {
        Some(missing) => Err(Error::Beyond(missing.clone())),
        None => Ok(()),
    }
}

/// Refuses scopes of an API key that its maker does not hold, and texts that are no action.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Beyond`].
pub async fn check_scopes(
    cx: &Cx,
    authorizer: &Authorizer,
    scopes: &[String],
) -> Result<(), Error> {
    if let Some(unknown) = scopes.iter().find(|scope| Action::parse(scope).is_none()) {
        let why = format!("holds `{unknown}`, which is no permission of the hub");
        return Err(Error::Invalid {
            field: "scopes".into(),
            why,
        });
    }
    beyond(&authorizer.permissions(&cx.principal).await?, scopes)
}

/// Gives a person exactly these roles.
///
/// # Errors
/// [`Error::UnknownRole`], [`Error::UnknownUser`], [`Error::Beyond`] if a role, given or taken, permits what the caller lacks,
/// [`Error::Last`] if it takes a role that somebody must hold from the last who does.
pub async fn assign(
    cx: &Cx,
    authorizer: &Authorizer,
    user: UserId,
    name: &str,
    roles: &BTreeSet<String>,
) -> Result<(), Error> {
    // Before the transaction: no one waits for a second connection while holding one.
    let held = authorizer.permissions(&cx.principal).await?;
    let mut tx = cx.write().await?;
    assign_in(&mut tx, &held, user, name, roles).await?;
    tx.commit_progress().await?;
    authorizer.forget(cx.tenant());
    Ok(())
}

/// Gives roles within a transaction and records the act; `held` is what the caller may do. Whoever commits has the
/// tenant's grants forgotten, as [`Authorizer::apply`] does.
///
/// # Errors
/// As [`assign`].
pub async fn assign_in(
    tx: &mut WriteTx,
    held: &BTreeSet<String>,
    user: UserId,
    name: &str,
    roles: &BTreeSet<String>,
) -> Result<(), Error> {
    if let Some(unfit) = roles.iter().find(|role| !is_name(role)) {
        return Err(Error::UnknownRole(unfit.chars().take(64).collect()));
    }
    let tenant = tx.tenant();
    let before: BTreeSet<String> = repo::of(tx, user).await?.into_iter().collect();
    let mut touched = BTreeSet::new();
    for role in roles.union(&before) {
        let permissions = permissions_of(tx, tenant, role).await?;
        if roles.contains(role) && permissions.is_none() {
            return Err(Error::UnknownRole(role.clone()));
        }
        touched.extend(
            permissions
                .unwrap_or_default()
                .into_iter()
                .filter(|p| is_ours(p)),
        );
    }
    beyond(held, &touched)?;
    for role in KEPT {
        let is_taken = before.contains(*role) && !roles.contains(*role);
        if is_taken && repo::holders(tx, role).await? == [user] {
            return Err(Error::Last(role));
        }
    }
    record(tx, user, name, roles).await?;
    Ok(())
}

/// Refuses to let the caller do something to a person who may do more than they: an administrator does not lock out an
/// owner.
///
/// # Errors
/// [`Error::Outranked`] with a permission that only the person has.
pub async fn check_rank(cx: &Cx, authorizer: &Authorizer, person: UserId) -> Result<(), Error> {
    if cx.principal.user() == Some(person) {
        return Ok(());
    }
    let held = authorizer.permissions(&cx.principal).await?;
    let theirs = authorizer.grants(cx.tenant(), person).await?;
    let missing = theirs
        .permissions
        .iter()
        .find(|permission| is_ours(permission) && !held.contains(*permission));
    missing.map_or(Ok(()), |missing| Err(Error::Outranked(missing.clone())))
}

/// Gives roles within a transaction without asking what the caller holds: for the first owner and the first operator.
///
/// # Errors
/// [`hub_store::Error`].
pub async fn grant_in(
    tx: &mut WriteTx,
    user: UserId,
    name: &str,
    roles: &BTreeSet<String>,
) -> Result<(), hub_store::Error> {
    record(tx, user, name, roles).await
}

async fn record(
    tx: &mut WriteTx,
    user: UserId,
    name: &str,
    roles: &BTreeSet<String>,
) -> Result<(), hub_store::Error> {
    repo::set(tx, user, roles).await?;
    let list: Vec<String> = roles.iter().cloned().collect();
    let act = Act::new("role.assign", Class::UserAccessManagement, 1, "admin")
        .on(Subject::new("user", user).named(name))
        .with("unmapped.roles", list);
    tx.record(act).await?;
    Ok(())
}

async fn permissions_of(
    tx: &mut Tx,
    tenant: TenantId,
    role: &str,
) -> Result<Option<BTreeSet<String>>, hub_store::Error> {
    if role == "operator" && tenant != TenantId::SYSTEM {
        return Ok(None);
    }
    match built_in(role) {
        Some(permissions) => Ok(Some(permissions)),
        None => repo::by_name(tx, role).await,
    }
}

/// The roles that a person holds, sorted, and the sum of what they permit.
pub(crate) async fn held(
    tx: &mut Tx,
    user: UserId,
) -> Result<(Vec<String>, BTreeSet<String>), hub_store::Error> {
    let tenant = tx.tenant();
    let roles = repo::of(tx, user).await?;
    let mut permissions = BTreeSet::new();
    for role in &roles {
        permissions.extend(permissions_of(tx, tenant, role).await?.unwrap_or_default());
    }
    Ok((roles, permissions))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The committed picture of who may do what: a change of a built-in role shows in review.
    #[test]
    fn the_matrix_of_built_in_roles() {
        let mut matrix = format!("{:<18}", "");
        for role in BUILT_IN {
            write!(matrix, "{role:<10}").unwrap();
        }
        for action in Action::ALL {
            write!(matrix, "\n{:<18}", action.name()).unwrap();
            for role in BUILT_IN {
                let yes = built_in(role).unwrap().contains(action.name());
                write!(matrix, "{:<10}", if yes { "yes" } else { "." }).unwrap();
            }
        }
        let matrix: Vec<&str> = matrix.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(matrix.join("\n"));
    }

    #[test]
    fn roles_have_names() {
        for fit in ["a", "soc-lead", "tier_2", &"x".repeat(63)] {
            assert!(is_name(fit), "{fit}");
        }
        for unfit in ["", "2nd", "SOC", "a b", "a\0", "é", "-a", &"x".repeat(64)] {
            assert!(!is_name(unfit), "{unfit}");
        }
    }

    #[test]
    fn permissions_of_applications_have_a_form() {
        for fit in ["document.read", "a-b.c_d.e1", "self"] {
            check_form(fit).unwrap();
        }
        for unfit in ["", "read", "Document.read", "a..b", "a.b!", ".a"] {
            assert!(check_form(unfit).is_err(), "{unfit}");
        }
    }
}
