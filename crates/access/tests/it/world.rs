//! A tenant, its people, and who asks.

use std::collections::BTreeSet;

use hub_access::{Authorizer, roles};
use hub_base::{Actor, ApiKeyId, Principal, SessionId, TenantId, UserId};
use hub_events::{Act, Class, Subject};
use hub_store::Cx;
use hub_testkit::TestDb;

use crate::repo;

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) tenant: TenantId,
    pub(crate) authorizer: Authorizer,
}

pub(crate) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = hub_testkit::database().await;
        let tenant = hub_testkit::tenant(&db.store(), "acme").await;
        let authorizer = Authorizer::new(db.store()).unwrap();
        Self {
            db,
            tenant,
            authorizer,
        }
    }

    /// The hub at work in the tenant.
    pub(crate) fn hub(&self) -> Cx {
        Cx::system(self.db.store(), self.tenant, "test")
    }

    /// A person of the tenant with these roles.
    pub(crate) async fn person(&self, name: &str, roles: &[&str]) -> Cx {
        self.person_of(self.tenant, name, roles).await
    }

    pub(crate) async fn person_of(&self, tenant: TenantId, name: &str, roles: &[&str]) -> Cx {
        let store = self.db.store();
        let user = UserId::new(&**store.clock());
        let mut tx = Cx::system(store.clone(), tenant, "test")
            .write()
            .await
            .unwrap();
        repo::insert_user(&mut tx, user, name).await.unwrap();
        roles::grant_in(&mut tx, user, name, &set(roles))
            .await
            .unwrap();
        let act = Act::new("user.create", Class::AccountChange, 1, "admin")
            .on(Subject::new("user", user));
        tx.commit(act).await.unwrap();
        let actor = Actor::User {
            user,
            session: SessionId::new(&**store.clock()),
            username: name.to_owned(),
            authenticated_at: store.clock().now(),
        };
        Cx::new(
            store,
            Principal {
                tenant,
                actor,
                roles: Vec::new(),
            },
            None,
        )
    }

    /// A program of the tenant whose key has these scopes.
    pub(crate) fn program(&self, scopes: &[&str]) -> Cx {
        let store = self.db.store();
        let actor = Actor::ApiKey {
            key: ApiKeyId::new(&**store.clock()),
            name: "ci".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        Cx::new(
            store,
            Principal {
                tenant: self.tenant,
                actor,
                roles: Vec::new(),
            },
            None,
        )
    }

    /// Gives `whom` exactly these roles, as `who`; the fault's text, if there is one.
    pub(crate) async fn assign(&self, who: &Cx, whom: &Cx, roles: &[&str]) -> Result<(), String> {
        let user = whom.principal.user().unwrap();
        roles::assign(who, &self.authorizer, user, "somebody", &set(roles))
            .await
            .map_err(|error| error.to_string())
    }

    /// Defines a role, as `who`; the fault's text, if there is one.
    pub(crate) async fn define(
        &self,
        who: &Cx,
        name: &str,
        permissions: &[&str],
    ) -> Result<(), String> {
        roles::define(who, &self.authorizer, name, set(permissions))
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }
}
