//! Pieces of statements. `b` is always the backup's row and `l` the live one.

use super::rules::Rule;
use crate::restore::tenant::shape::{Column, Table, quoted};

/// Characters of a value that are shown.
const SHOWN: usize = 80;

pub(super) fn columns(table: &Table, prefix: &str) -> String {
    let columns = table.columns.iter();
    let columns = columns.map(|column| format!("{prefix}{}", quoted(&column.name)));
    columns.collect::<Vec<_>>().join(", ")
}

/// The text that names a row within its tenant. Hashes of secrets are hashed once more.
pub(super) fn key(table: &Table, alias: &str) -> String {
    let part = |name: &String| {
        let value = format!("{alias}.{}", quoted(name));
        match table.column(name) {
            Some(column) if column.kind == "bytea" => {
                format!("'sha256:' || left(encode(sha256({value}), 'hex'), 32)")
            }
            // Else two keys could have one name.
            _ if table.key.len() > 1 => {
                format!("replace(replace({value}::text, '~', '~0'), '/', '~1')")
            }
            _ => format!("{value}::text"),
        }
    };
    let parts: Vec<String> = table.key.iter().map(part).collect();
    if parts.is_empty() {
        return format!(
            "case when {alias}.{} is not null then 'the only one' end",
            quoted(&table.owner)
        );
    }
    format!("({})", parts.join(" || '/' || "))
}

/// That the columns `from` of `b` are the columns `to` of `l`.
pub(super) fn is_same(from: &[String], to: &[String]) -> String {
    let pairs = from.iter().zip(to);
    let pairs = pairs.map(|(from, to)| format!("b.{} = l.{}", quoted(from), quoted(to)));
    pairs.collect::<Vec<_>>().join(" and ")
}

pub(super) fn same_key(table: &Table) -> String {
    let own = std::iter::once(&table.owner);
    let key: Vec<String> = own.chain(&table.key).cloned().collect();
    is_same(&key, &key)
}

fn rest(table: &Table) -> impl Iterator<Item = &Column> {
    let is_key = |column: &&Column| column.name == table.owner || table.key.contains(&column.name);
    table.columns.iter().filter(move |column| !is_key(column))
}

pub(super) fn assignments(table: &Table, kept: &[&str]) -> String {
    let columns = rest(table).filter(|column| !kept.contains(&&*column.name));
    let columns = columns.map(|column| {
        let name = quoted(&column.name);
        format!("{name} = b.{name}")
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Each column that differs, with both values; of a secret one only that it does.
fn changed(table: &Table) -> String {
    let entry = |column: &Column| {
        let name = quoted(&column.name);
        let shown = if column.is_secret() {
            "to_jsonb('differs'::text)".to_owned()
        } else {
            format!(
                "jsonb_build_array(left(b.{name}::text, {SHOWN}), left(l.{name}::text, {SHOWN}))"
            )
        };
        let literal = column.name.replace('\'', "''");
        format!(
            "case when b.{name}::text is distinct from l.{name}::text then jsonb_build_object('{literal}', {shown}) else '{{}}' end"
        )
    };
    let entries: Vec<String> = rest(table).map(entry).collect();
    if entries.is_empty() {
        return "'{}'::jsonb".to_owned();
    }
    format!("({})", entries.join(" || "))
}

/// Every row that is on one side only, or differs: `side, key, label, changed, own`. `$1` is the tenant.
pub(super) fn pairs(table: &Table, schema: &str, rule: &Rule) -> String {
    let (schema, name, owner) = (quoted(schema), quoted(&table.name), quoted(&table.owner));
    let label = table.label().map_or_else(
        || "null::text".to_owned(),
        |label| {
            let label = quoted(label);
            format!("left(coalesce(b.{label}, l.{label})::text, {SHOWN})")
        },
    );
    let text = |alias: &str| {
        let columns = rest(table).map(|column| format!("{alias}.{}::text", quoted(&column.name)));
        columns.collect::<Vec<_>>().join(", ")
    };
    let differs = match (text("b"), text("l")) {
        (b, l) if !b.is_empty() => format!("row({b}) is distinct from row({l})"),
        _ => "false".to_owned(),
    };
    format!(
        "select case when l.{owner} is null then 'backup' when b.{owner} is null then 'live' else 'differs' end as side,
           coalesce({}, {}) as key, {label} as label,
           case when l.{owner} is not null and b.{owner} is not null then {} end as changed,
           case when b.{owner} is not null then {} end as own
         from {schema}.{name} b full join (select * from public.{name} where {owner} = $1) l on {}
         where l.{owner} is null or b.{owner} is null or {differs}",
        key(table, "b"),
        key(table, "l"),
        changed(table),
        rule.own.replace("{copy}", &schema),
        same_key(table)
    )
}
