//! Decisions. Grants are read once per person and kept until a role of their tenant changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use hub_base::{Actor, ApiKeyId, Principal, TenantId, UserId};
use hub_store::{Committed, Store};

use crate::action::Action;
use crate::error::Error;
use crate::grants::{Cache, Decisions, Grants, Holder, Miss};
use crate::policies::Policies;
use crate::roles;

/// What is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    pub tenant: TenantId,
    /// Whom it belongs to, if it belongs to somebody.
    pub owner: Option<UserId>,
}

impl Resource {
    /// Something of the caller's tenant that is nobody's own.
    pub const fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            owner: None,
        }
    }

    /// Something that belongs to a person.
    pub const fn owned(tenant: TenantId, owner: UserId) -> Self {
        Self {
            tenant,
            owner: Some(owner),
        }
    }
}

/// A decision and the policies that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// Names of the deciding policies; empty if none permitted.
    pub policies: Arc<[String]>,
}

impl Decision {
    fn no() -> Self {
        Self {
            allowed: false,
            policies: Arc::default(),
        }
    }
}

/// Makes decisions; deny by default.
pub struct Authorizer {
    store: Store,
    policies: Policies,
    engine: cedar_policy::Authorizer,
    names: Names,
    known: Cache,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").finish_non_exhaustive()
    }
}

/// Entity type names, parsed once.
struct Names {
    tenant: EntityTypeName,
    user: EntityTypeName,
    key: EntityTypeName,
    system: EntityTypeName,
    call: EntityUid,
    thing: EntityUid,
}

impl Names {
    fn new() -> Result<Self, Error> {
        let name = |text: &str| {
            text.parse::<EntityTypeName>()
                .map_err(|error| invalid("type", &error.to_string()))
        };
        let uid = |kind, id: &str| EntityUid::from_type_name_and_id(kind, EntityId::new(id));
        Ok(Self {
            tenant: name("Hub::Tenant")?,
            user: name("Hub::User")?,
            key: name("Hub::ApiKey")?,
            system: name("Hub::System")?,
            call: uid(name("Hub::Action")?, "call"),
            thing: uid(name("Hub::Thing")?, "thing"),
        })
    }
}

fn invalid(field: &str, why: &str) -> Error {
    Error::Invalid {
        field: field.to_owned(),
        why: why.to_owned(),
    }
}

impl Authorizer {
    /// With the built-in policies.
    ///
    /// # Errors
    /// [`Error::Policies`] if they are not valid.
    pub fn new(store: Store) -> Result<Self, Error> {
        Ok(Self {
            store,
            policies: Policies::built_in()?,
            engine: cedar_policy::Authorizer::new(),
            names: Names::new()?,
            known: Cache::default(),
        })
    }

    /// Whether the principal may do that to the resource. Answers without waiting once a person's grants are known.
    ///
    /// # Errors
    /// [`Error::Store`] if grants are not known yet and the database does not answer. An error is never a permit.
    pub async fn decide(
        &self,
        principal: &Principal,
        action: Action,
        resource: Resource,
    ) -> Result<Decision, Error> {
        let grants = match &principal.actor {
            Actor::Anonymous => return Ok(Decision::no()),
            Actor::User { user, .. } => self.grants(principal.tenant, *user).await?,
            Actor::ApiKey { key, scopes, .. } => self.scoped(principal.tenant, *key, scopes)?,
            Actor::System { component } => {
                let uid = EntityUid::from_type_name_and_id(
                    self.names.system.clone(),
                    EntityId::new(component),
                );
                let entities = self.entities(&uid, principal.tenant, None)?;
                return self.ask(uid, &entities, action, resource, false);
            }
        };
        let own = resource.owner.is_some() && resource.owner == principal.user();
        let ask = || self.ask(grants.uid.clone(), &grants.entities, action, resource, own);
        if resource.tenant == principal.tenant {
            grants.decisions.of(action, own, ask)
        } else {
            ask()
        }
    }

    /// The role names that a person holds, sorted.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn roles_of(&self, tenant: TenantId, user: UserId) -> Result<Vec<String>, Error> {
        Ok(self.grants(tenant, user).await?.roles.clone())
    }

    /// The permissions that a principal holds: the sum of a person's roles, or a key's scopes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn permissions(&self, principal: &Principal) -> Result<BTreeSet<String>, Error> {
        match &principal.actor {
            Actor::User { user, .. } => Ok(self
                .grants(principal.tenant, *user)
                .await?
                .permissions
                .clone()),
            Actor::ApiKey { scopes, .. } => Ok(scopes.iter().cloned().collect()),
            Actor::Anonymous => Ok(BTreeSet::new()),
            Actor::System { .. } => Ok(Action::ALL.iter().map(|a| a.name().to_owned()).collect()),
        }
    }

    /// Forgets what a committed act made stale.
    pub fn apply(&self, committed: &Committed) {
        if matches!(committed.operation, "role.assign" | "role.update") {
            self.forget(committed.tenant);
        }
    }

    /// Forgets all grants: for whoever may have missed an act.
    pub fn forget_all(&self) {
        self.known.forget_all();
    }

    /// Forgets the grants of a tenant whose roles were changed just now, so that the change counts when it is told.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.known.forget(tenant);
    }

    pub(crate) async fn grants(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Arc<Grants>, Error> {
        let holder = Holder::Person(tenant, user);
        let now = self.store.clock().now();
        let miss = match self.known.find(holder, now) {
            Ok(grants) => return Ok(grants),
            Err(miss) => miss,
        };
        let (roles, permissions) = {
            let mut tx = self.store.read(tenant).await?;
            roles::held(&mut tx, user).await?
        };
        let uid = EntityUid::from_type_name_and_id(
            self.names.user.clone(),
            EntityId::new(user.to_string()),
        );
        self.keep(miss, holder, (uid, roles), permissions)
    }

    /// What an API key holds: its scopes and nothing else.
    fn scoped(
        &self,
        tenant: TenantId,
        key: ApiKeyId,
        scopes: &[String],
    ) -> Result<Arc<Grants>, Error> {
        let holder = Holder::Program(tenant, key);
        let scopes: BTreeSet<String> = scopes.iter().cloned().collect();
        let miss = match self.known.find(holder, self.store.clock().now()) {
            Ok(grants) if grants.permissions == scopes => return Ok(grants),
            Ok(_) => self.known.forgotten(),
            Err(miss) => miss,
        };
        let uid = EntityUid::from_type_name_and_id(
            self.names.key.clone(),
            EntityId::new(key.to_string()),
        );
        self.keep(miss, holder, (uid, Vec::new()), scopes)
    }

    fn keep(
        &self,
        miss: Miss,
        holder: Holder,
        (uid, roles): (EntityUid, Vec<String>),
        permissions: BTreeSet<String>,
    ) -> Result<Arc<Grants>, Error> {
        let entities = self.entities(&uid, holder.tenant(), Some(&permissions))?;
        let grants = Arc::new(Grants {
            roles,
            permissions,
            entities,
            uid,
            decisions: Decisions::default(),
        });
        self.known
            .keep(miss, holder, self.store.clock().now(), &grants);
        Ok(grants)
    }

    fn tenant(&self, tenant: TenantId) -> EntityUid {
        EntityUid::from_type_name_and_id(
            self.names.tenant.clone(),
            EntityId::new(tenant.to_string()),
        )
    }

    fn entities(
        &self,
        uid: &EntityUid,
        tenant: TenantId,
        permissions: Option<&BTreeSet<String>>,
    ) -> Result<Entities, Error> {
        let mut attributes = HashMap::from([(
            "tenant".to_owned(),
            RestrictedExpression::new_entity_uid(self.tenant(tenant)),
        )]);
        if let Some(permissions) = permissions {
            let set = permissions
                .iter()
                .map(|p| RestrictedExpression::new_string(p.clone()));
            attributes.insert("permissions".to_owned(), RestrictedExpression::new_set(set));
        }
        let entity = Entity::new(uid.clone(), attributes, std::collections::HashSet::new())
            .map_err(|error| invalid("principal", &error.to_string()))?;
        Entities::from_entities([entity], None)
            .map_err(|error| invalid("principal", &error.to_string()))
    }

    fn ask(
        &self,
        principal: EntityUid,
        entities: &Entities,
        action: Action,
        resource: Resource,
        own: bool,
    ) -> Result<Decision, Error> {
        let context = Context::from_pairs([
            (
                "permission".to_owned(),
                RestrictedExpression::new_string(action.name().to_owned()),
            ),
            (
                "tenant".to_owned(),
                RestrictedExpression::new_entity_uid(self.tenant(resource.tenant)),
            ),
            (
                "system".to_owned(),
                RestrictedExpression::new_bool(resource.tenant == TenantId::SYSTEM),
            ),
            ("own".to_owned(), RestrictedExpression::new_bool(own)),
        ])
        .map_err(|error| invalid("context", &error.to_string()))?;
        let (call, thing) = (self.names.call.clone(), self.names.thing.clone());
        let request = Request::new(principal, call, thing, context, None)
            .map_err(|error| invalid("request", &error.to_string()))?;
        let response = self
            .engine
            .is_authorized(&request, &self.policies.set, entities);
        let failed = response.diagnostics().errors().next().is_some();
        let allowed = response.decision() == cedar_policy::Decision::Allow && !failed;
        let policies = response
            .diagnostics()
            .reason()
            .map(|id| self.policies.name(id).to_owned())
            .collect();
        Ok(Decision { allowed, policies })
    }
}
