use hub_base::Timestamp;
use hub_store::Tx;
use time::OffsetDateTime;

use super::{Place, Profiles, SESSIONS, SUBJECTS, Seen, Session};
use crate::error::Error;

type SeenRow = (String, String, OffsetDateTime, OffsetDateTime, bool);

/// Everything stored that fits into memory, the most recently seen first.
pub(crate) async fn load(tx: &mut Tx, profiles: &mut Profiles) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let most = i64::try_from(SUBJECTS * 4).unwrap_or(i64::MAX);
    let rows: Vec<SeenRow> = sqlx::query_as(
        "select subject, source, first_seen_at, last_seen_at, is_first from profile_source
         where tenant_id = $1 order by last_seen_at desc limit $2",
    )
    .bind(tenant)
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    for (subject, source, first, last, is_first) in rows {
        profiles.restore_source(subject, source, seen(first, last, is_first));
    }
    let rows: Vec<SeenRow> = sqlx::query_as(
        "select subject, device, first_seen_at, last_seen_at, is_first from profile_device
         where tenant_id = $1 order by last_seen_at desc limit $2",
    )
    .bind(tenant)
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    for (subject, device, first, last, is_first) in rows {
        if let Some(known) = profiles.known(&subject) {
            known.devices.insert(device, seen(first, last, is_first));
        }
    }
    load_places(tx, profiles).await?;
    load_sessions(tx, profiles).await
}

const fn seen_at(first_at: Timestamp, last_at: Timestamp, is_first: bool) -> Seen {
    Seen {
        first_at,
        last_at,
        is_first,
    }
}

fn seen(first: OffsetDateTime, last: OffsetDateTime, is_first: bool) -> Seen {
    seen_at(
        Timestamp::from_offset(first),
        Timestamp::from_offset(last),
        is_first,
    )
}

async fn load_places(tx: &mut Tx, profiles: &mut Profiles) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String, f64, f64, OffsetDateTime)> = sqlx::query_as(
        "select subject, latitude, longitude, last_seen_at from profile_place
         where tenant_id = $1 order by last_seen_at desc limit $2",
    )
    .bind(tenant)
    .bind(i64::try_from(SUBJECTS).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    for (subject, latitude, longitude, at) in rows {
        if let Some(known) = profiles.known(&subject) {
            let at = Timestamp::from_offset(at);
            known.place = Some(Place {
                point: (latitude, longitude),
                at,
            });
        }
    }
    Ok(())
}

async fn load_sessions(tx: &mut Tx, profiles: &mut Profiles) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let rows: Vec<(String, String, String, OffsetDateTime)> = sqlx::query_as(
        "select session, address, user_agent, last_seen_at from profile_session
         where tenant_id = $1 order by last_seen_at desc limit $2",
    )
    .bind(tenant)
    .bind(i64::try_from(SESSIONS).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    for (session, address, user_agent, at) in rows {
        let last_at = Timestamp::from_offset(at);
        profiles.sessions.insert(
            session,
            Session {
                address,
                user_agent,
                last_at,
                touched: 0,
            },
        );
    }
    Ok(())
}

/// Writes what has changed since the last time.
pub(crate) async fn save(tx: &mut Tx, profiles: &Profiles) -> Result<(), Error> {
    save_seen(tx, profiles, Table::Sources).await?;
    save_seen(tx, profiles, Table::Devices).await?;
    save_places(tx, profiles).await?;
    save_sessions(tx, profiles).await
}

#[derive(Clone, Copy)]
enum Table {
    Sources,
    Devices,
}

async fn save_seen(tx: &mut Tx, profiles: &Profiles, table: Table) -> Result<(), Error> {
    let (statement, dirty) = match table {
        Table::Sources => (
            "insert into profile_source (tenant_id, subject, source, first_seen_at, last_seen_at, is_first)
             select $1, * from unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bool[])
             on conflict (tenant_id, subject, source) do update set last_seen_at = excluded.last_seen_at",
            &profiles.dirty.sources,
        ),
        Table::Devices => (
            "insert into profile_device (tenant_id, subject, device, first_seen_at, last_seen_at, is_first)
             select $1, * from unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bool[])
             on conflict (tenant_id, subject, device) do update set last_seen_at = excluded.last_seen_at",
            &profiles.dirty.devices,
        ),
    };
    let (mut subjects, mut names, mut first, mut last, mut is_first) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (subject, name) in dirty {
        let Some(known) = profiles.subjects.get(subject) else {
            continue;
        };
        let all = match table {
            Table::Sources => &known.sources,
            Table::Devices => &known.devices,
        };
        let Some(seen) = all.get(name) else { continue };
        subjects.push(subject.as_str());
        names.push(name.as_str());
        first.push(seen.first_at.to_offset());
        last.push(seen.last_at.to_offset());
        is_first.push(seen.is_first);
    }
    if subjects.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().uuid();
    sqlx::query(statement)
        .bind(tenant)
        .bind(subjects)
        .bind(names)
        .bind(first)
        .bind(last)
        .bind(is_first)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn save_places(tx: &mut Tx, profiles: &Profiles) -> Result<(), Error> {
    let (mut subjects, mut lat, mut long, mut at) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for subject in &profiles.dirty.places {
        let Some(place) = profiles.subjects.get(subject).and_then(|known| known.place) else {
            continue;
        };
        subjects.push(subject.as_str());
        lat.push(place.point.0);
        long.push(place.point.1);
        at.push(place.at.to_offset());
    }
    if subjects.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into profile_place (tenant_id, subject, latitude, longitude, last_seen_at)
         select $1, * from unnest($2::text[], $3::float8[], $4::float8[], $5::timestamptz[])
         on conflict (tenant_id, subject) do update set latitude = excluded.latitude,
           longitude = excluded.longitude, last_seen_at = excluded.last_seen_at",
    )
    .bind(tenant)
    .bind(subjects)
    .bind(lat)
    .bind(long)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn save_sessions(tx: &mut Tx, profiles: &Profiles) -> Result<(), Error> {
    let (mut ids, mut addresses, mut agents, mut at) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for id in &profiles.dirty.sessions {
        let Some(session) = profiles.sessions.get(id) else {
            continue;
        };
        ids.push(id.as_str());
        addresses.push(session.address.as_str());
        agents.push(session.user_agent.as_str());
        at.push(session.last_at.to_offset());
    }
    if ids.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into profile_session (tenant_id, session, address, user_agent, last_seen_at)
         select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
         on conflict (tenant_id, session) do nothing",
    )
    .bind(tenant)
    .bind(ids)
    .bind(addresses)
    .bind(agents)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets sessions that began before `horizon`.
pub(crate) async fn prune(tx: &mut Tx, horizon: Timestamp) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("delete from profile_session where tenant_id = $1 and last_seen_at < $2")
        .bind(tenant)
        .bind(horizon.to_offset())
        .execute(tx.conn())
        .await?;
    Ok(())
}
