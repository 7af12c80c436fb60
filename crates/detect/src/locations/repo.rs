use hub_store::Tx;
use ipnet::IpNet;

use super::{Location, LocationKind};
use crate::error::Error;

type Row = (String, Vec<String>, String, String, f64, f64, String, bool);

pub(super) async fn list(tx: &mut Tx) -> Result<Vec<Location>, Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select name, cidrs, country, city, latitude, longitude, kind, trusted from named_location
         where tenant_id = $1 order by name",
    )
    .bind(tenant)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(location).collect()
}

fn location(row: Row) -> Result<Location, Error> {
    let (name, cidrs, country, city, latitude, longitude, kind, trusted) = row;
    let fault = |column| Error::Inconsistent {
        table: "named_location",
        column,
        id: name.clone(),
    };
    let cidrs: Result<Vec<IpNet>, _> = cidrs.iter().map(|cidr| cidr.parse()).collect();
    let cidrs = cidrs.map_err(|_| fault("cidrs"))?;
    let kind = LocationKind::parse(&kind).ok_or_else(|| fault("kind"))?;
    Ok(Location {
        name,
        cidrs,
        country,
        city,
        latitude,
        longitude,
        kind,
        trusted,
    })
}

pub(super) async fn clear(tx: &mut Tx) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("delete from named_location where tenant_id = $1")
        .bind(tenant)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut Tx, location: &Location) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let cidrs: Vec<String> = location.cidrs.iter().map(ToString::to_string).collect();
    sqlx::query(
        "insert into named_location
           (tenant_id, name, cidrs, country, city, latitude, longitude, kind, trusted)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(&location.name)
    .bind(cidrs)
    .bind(&location.country)
    .bind(&location.city)
    .bind(location.latitude)
    .bind(location.longitude)
    .bind(location.kind.name())
    .bind(location.trusted)
    .execute(tx.conn())
    .await?;
    Ok(())
}
