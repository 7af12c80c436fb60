//! The closed set of what can be done through the hub; each route names one.

macro_rules! actions {
    ($($variant:ident = $name:literal, $what:literal;)*) => {
        /// A permission: what a route asks for, a role grants, an API key's scope names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $(#[doc = $what] $variant,)*
        }

        impl Action {
            /// Every action, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// `things.verb`, stable for ever.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it permits, in a few words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),* }
            }

            /// The action of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

actions! {
    Itself = "self", "See and change one's own account, end one's own session.";
    UsersRead = "users.read", "See people.";
    UsersCreate = "users.create", "Make people.";
    UsersUpdate = "users.update", "Change people.";
    UsersLock = "users.lock", "Lock and unlock people.";
    RolesRead = "roles.read", "See roles.";
    RolesUpdate = "roles.update", "Define roles and give them to people.";
    SessionsRead = "sessions.read", "See sessions.";
    SessionsRevoke = "sessions.revoke", "End sessions.";
    ApiKeysRead = "api_keys.read", "See API keys.";
    ApiKeysCreate = "api_keys.create", "Make API keys.";
    ApiKeysRevoke = "api_keys.revoke", "Revoke API keys.";
    TenantsRead = "tenants.read", "See tenants.";
    TenantsCreate = "tenants.create", "Make tenants.";
    EventsIngest = "events.ingest", "Send events.";
    EventsRead = "events.read", "See events and the quarantine.";
    FindingsRead = "findings.read", "See findings.";
    IncidentsRead = "incidents.read", "See incidents.";
    IncidentsRespond = "incidents.respond", "Change incidents, contain and release.";
    LedgerRead = "ledger.read", "See, prove and export the ledger.";
    LocationsRead = "locations.read", "See named locations.";
    LocationsUpdate = "locations.update", "Change named locations.";
    ProtectedRead = "protected.read", "See what is never contained automatically.";
    ProtectedUpdate = "protected.update", "Change what is never contained automatically.";
    BlocksRead = "blocks.read", "See blocked addresses.";
    OperationsRead = "operations.read", "See deploys and their ways back.";
    OperationsRecord = "operations.record", "Tell what was done to the installation.";
    HoldsRead = "holds.read", "See legal holds.";
    HoldsUpdate = "holds.update", "Place and release legal holds.";
    CleanupRun = "cleanup.run", "See and remove what is no longer to be kept.";
    AccessEvaluate = "access.evaluate", "Ask whether somebody may do something (AuthZEN).";
    HealthRead = "health.read", "See the hub's own state and metrics.";
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_are_distinct() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.name()), Some(*action));
        }
        assert_eq!(Action::parse("users.destroy"), None);
    }
}
