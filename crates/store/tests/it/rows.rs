//! Rows for every table that the catalogue knows.

use hub_base::TenantId;
use sqlx::PgConnection;

/// (name, type, whether it must be given)
pub(crate) type Column = (String, String, bool);

/// Tables, partitioned tables and partitions in `public`.
pub(crate) const TABLES: &str = "select c.relname::text from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1";

pub(crate) async fn column(db: &mut PgConnection, sql: &'static str) -> Vec<String> {
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(db).await.unwrap();
    rows.into_iter().map(|(name,)| name).collect()
}

pub(crate) async fn columns(db: &mut PgConnection, table: &str) -> Vec<Column> {
    sqlx::query_as(
        "select a.attname::text, format_type(a.atttypid, null),
           a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
         from pg_attribute a where a.attrelid = to_regclass(quote_ident($1)) and a.attnum > 0 and not a.attisdropped",
    )
    .bind(table)
    .fetch_all(db)
    .await
    .unwrap()
}

/// A row of `table` that the owner puts into `tenant` with its constraints off, so that there is something to steal.
pub(crate) fn planted(table: &str, columns: &[Column], tenant: TenantId) -> String {
    let wanted: Vec<_> = columns
        .iter()
        .filter(|(name, _, required)| *required || name == "tenant_id")
        .collect();
    let names: Vec<_> = wanted
        .iter()
        .map(|(name, _, _)| format!("\"{name}\""))
        .collect();
    let values: Vec<String> = wanted
        .iter()
        .map(|(name, kind, _)| match (name.as_str(), kind.as_str()) {
            ("tenant_id", _) => format!("'{tenant}'"),
            (_, "uuid") => "gen_random_uuid()".into(),
            (_, "bytea") => r"'\x00'".into(),
            (_, "timestamp with time zone") => "now()".into(),
            (_, "boolean") => "false".into(),
            (_, "jsonb" | "json") => "'{}'".into(),
            (_, "inet" | "cidr") => "'192.0.2.1'".into(),
            (_, "interval") => "'1s'".into(),
            (_, array) if array.ends_with("[]") => "'{}'".into(),
            (_, text) if text.starts_with("text") || text.starts_with("character") => "'x'".into(),
            _ => "1".into(),
        })
        .collect();
    format!(
        "insert into \"{table}\" ({}) values ({})",
        names.join(", "),
        values.join(", ")
    )
}
