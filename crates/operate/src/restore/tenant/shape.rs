//! What tables of tenants there are, from the database's own catalogue, so that none is missed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// A table with rows of tenants.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    /// The column that says whose a row is: `tenant_id`; of the directory `id`.
    pub(super) owner: String,
    pub(super) columns: Vec<Column>,
    /// The primary key, without `owner`; empty where a tenant has one row.
    pub(super) key: Vec<String>,
    pub(super) parents: Vec<Parent>,
    /// What may not be there twice, besides the key.
    pub(super) unique: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
}

/// A table that rows refer to: `from` are the columns here, `to` those there.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parent {
    pub(super) table: String,
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
}

impl Column {
    /// Credentials and what is made of them; of bytes it is not known what they are.
    pub(super) fn is_secret(&self) -> bool {
        const WORDS: [&str; 5] = ["password", "secret", "hash", "token", "key"];
        self.kind == "bytea" || WORDS.iter().any(|word| self.name.contains(word))
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// By what a person knows a row.
    pub(super) fn label(&self) -> Option<&str> {
        const NAMES: [&str; 6] = ["username", "slug", "name", "title", "target_name", "reason"];
        let mut fit = NAMES.iter().filter(|name| self.column(name).is_some());
        fit.next().copied()
    }
}

/// An identifier as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Parents before those that refer to them.
pub(super) fn in_order(tables: Vec<Table>) -> Vec<Table> {
    let mut waiting: BTreeMap<String, Table> = tables
        .into_iter()
        .map(|table| (table.name.clone(), table))
        .collect();
    let mut order = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let names: BTreeSet<String> = waiting.keys().cloned().collect();
        let free = |table: &Table| {
            let mut parents = table.parents.iter();
            parents.all(|parent| parent.table == table.name || !names.contains(&parent.table))
        };
        let next = waiting.values().find(|table| free(table));
        // In a circle, one has to be the first: the database says what it misses.
        let next = next.or_else(|| waiting.values().next());
        let Some(name) = next.map(|table| table.name.clone()) else {
            break;
        };
        order.extend(waiting.remove(&name));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, parents: &[&str]) -> Table {
        let parents = parents.iter().map(|parent| Parent {
            table: (*parent).to_owned(),
            from: Vec::new(),
            to: Vec::new(),
        });
        Table {
            name: name.to_owned(),
            owner: "tenant_id".to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            parents: parents.collect(),
            unique: Vec::new(),
        }
    }

    #[test]
    fn parents_come_first_and_a_circle_ends() {
        let order = |tables: Vec<Table>| {
            let names = in_order(tables).into_iter().map(|table| table.name);
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            order(vec![
                table("address_block", &["response_action"]),
                table("response_action", &["incident"]),
                table("incident", &["tenant"]),
                table("tenant", &[]),
            ]),
            "tenant incident response_action address_block"
        );
        assert_eq!(order(vec![table("a", &["b"]), table("b", &["a"])]), "a b");
        assert_eq!(order(vec![table("a", &["a"])]), "a");
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            quoted("a\" ; drop table b; --"),
            "\"a\"\" ; drop table b; --\""
        );
    }

    #[test]
    fn what_credentials_are_made_of_is_secret() {
        let column = |name: &str, kind: &str| Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
        };
        for (name, kind) in [
            ("password_phc", "text"),
            ("secret_hash", "bytea"),
            ("bundle", "bytea"),
        ] {
            assert!(column(name, kind).is_secret(), "{name}");
        }
        assert!(!column("username", "text").is_secret());
    }
}
