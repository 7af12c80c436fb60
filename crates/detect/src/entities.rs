//! Who and what an event is about, read from OCSF's fields; the same for all rules.

use hub_events::Event;

use crate::finding::{Entity, EntityKind};
use crate::rules::Rule;
use crate::view::HUB;

/// Everybody whom the event names, each once.
pub(crate) fn of(event: &Event) -> Vec<Entity> {
    let mut out = Vec::with_capacity(4);
    let mut add = |kind: EntityKind, uid: &str, name: Option<&str>| {
        if let Some(value) = event.text(uid).filter(|value| !value.is_empty()) {
            let name = name.and_then(|path| event.text(path)).map(clean);
            let entity = Entity {
                kind,
                value: clean(value),
                name,
            };
            if !out.iter().any(|known: &Entity| known.is_same(&entity)) {
                out.push(entity);
            }
        }
    };
    add(EntityKind::Address, "src_endpoint.ip", None);
    if event.source.product == HUB {
        // Whom an administrator changes does not act, and must not be taken for the one who does.
        let is_changed_by_another = event.text("metadata.log_name") == Some("admin")
            && event.text("actor.user.uid").is_some();
        if !is_changed_by_another {
            add(EntityKind::User, "user.uid", Some("user.name"));
        }
        match event.text("actor.user.type") {
            Some("Service") => {
                add(
                    EntityKind::ApiKey,
                    "actor.user.credential_uid",
                    Some("actor.user.name"),
                );
            }
            Some("User") => add(EntityKind::User, "actor.user.uid", Some("actor.user.name")),
            _ => {}
        }
        add(EntityKind::Session, "session.uid", None);
        add(EntityKind::Session, "actor.session.uid", None);
        if event.text("resource.type") == Some("api_key") {
            add(EntityKind::ApiKey, "resource.uid", Some("resource.name"));
        }
    } else {
        // Foreign accounts are nobody here: they must never be mistaken for users of the hub.
        for path in [
            "actor.user.uid",
            "actor.user.credential_uid",
            "unmapped.userIdentity.arn",
        ] {
            add(EntityKind::CloudIdentity, path, Some("actor.user.name"));
        }
        for path in ["device.hostname", "dst_endpoint.hostname"] {
            add(EntityKind::Host, path, None);
        }
    }
    out
}

/// Text from outside as it may be stored: bounded, and without NUL, which PostgreSQL refuses.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(300).collect()
}

/// What a finding of `rule` is about, among `entities`.
pub(crate) fn primary(rule: &Rule, entities: &[Entity], product: &str) -> Entity {
    if let Some(campaign) = &rule.hub.campaign {
        return Entity::new(EntityKind::Campaign, campaign.clone());
    }
    let of_kind = |kind: EntityKind| entities.iter().find(|entity| entity.kind == kind).cloned();
    if let Some(entity) = rule.hub.primary.and_then(of_kind) {
        return entity;
    }
    let order = if product == "aws" {
        [
            EntityKind::CloudIdentity,
            EntityKind::Address,
            EntityKind::User,
            EntityKind::ApiKey,
            EntityKind::Host,
        ]
    } else {
        [
            EntityKind::User,
            EntityKind::ApiKey,
            EntityKind::Address,
            EntityKind::CloudIdentity,
            EntityKind::Host,
        ]
    };
    order
        .into_iter()
        .find_map(of_kind)
        // An event that names nobody still stands for its source.
        .unwrap_or_else(|| Entity::new(EntityKind::Host, product))
}
