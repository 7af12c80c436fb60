use hub_base::{NoteId, OperationId, Timestamp};
use hub_store::{Error as Fault, Tx};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Answer, Note, Overview};
use crate::error::Error;
use crate::operation::Record;
use crate::runbook::{Line, Told};

type Row = (
    Uuid,
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    OffsetDateTime,
    OffsetDateTime,
    i32,
    String,
    Option<String>,
    Option<OffsetDateTime>,
);

/// The columns of a [`Row`], in its order.
macro_rules! runs {
    ($book:literal, $which:literal) => {
        concat!(
            "select id, runbook, title, ",
            $book,
            ", sha256, leader, teller, incident, began_at, told_at, lines, standing, outcome, ended_at
             from runbook_run where tenant_id = $1 ",
            $which
        )
    };
}

/// A run and its runbook.
fn read(row: Row) -> (Overview, String) {
    let (
        id,
        runbook,
        title,
        book,
        sha256,
        leader,
        teller,
        incident,
        began,
        told,
        lines,
        standing,
        outcome,
        ended,
    ) = row;
    let overview = Overview {
        id: OperationId::from_uuid(id),
        runbook,
        title,
        sha256,
        leader,
        teller,
        incident,
        began: Timestamp::from_offset(began),
        told: Timestamp::from_offset(told),
        lines: number(lines),
        standing,
        outcome,
        ended: ended.map(Timestamp::from_offset),
    };
    (overview, book)
}

fn number(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

fn column(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// False if it is there already.
pub(super) async fn insert(tx: &mut Tx, run: &Overview, book: &str) -> Result<bool, Error> {
    let tenant = tx.tenant().uuid();
    let done = sqlx::query(
        "insert into runbook_run
           (tenant_id, id, runbook, title, book, sha256, leader, teller, incident, began_at, told_at, lines, standing)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12) on conflict do nothing",
    )
    .bind(tenant)
    .bind(run.id.uuid())
    .bind(&run.runbook)
    .bind(&run.title)
    .bind(book)
    .bind(&run.sha256)
    .bind(&run.leader)
    .bind(&run.teller)
    .bind(&run.incident)
    .bind(run.began.to_offset())
    .bind(run.told.to_offset())
    .bind(&run.standing)
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    Ok(done.rows_affected() == 1)
}

/// With its runbook; nobody else changes the run until the transaction ends.
pub(super) async fn hold(
    tx: &mut Tx,
    id: OperationId,
) -> Result<Option<(Overview, String)>, Error> {
    one(tx, id, runs!("book", "and id = $2 for update")).await
}

pub(super) async fn find(
    tx: &mut Tx,
    id: OperationId,
) -> Result<Option<(Overview, String)>, Error> {
    one(tx, id, runs!("book", "and id = $2")).await
}

async fn one(
    tx: &mut Tx,
    id: OperationId,
    sql: &'static str,
) -> Result<Option<(Overview, String)>, Error> {
    let tenant = tx.tenant().uuid();
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(tenant)
        .bind(id.uuid())
        .fetch_optional(tx.conn())
        .await
        .map_err(Fault::from)?;
    Ok(row.map(read))
}

pub(super) async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<Overview>, Error> {
    let tenant = tx.tenant().uuid();
    // Without the runbooks themselves: a list needs none.
    let rows: Vec<Row> = sqlx::query_as(runs!(
        "'' as book",
        "order by began_at desc, id desc limit $2"
    ))
    .bind(tenant)
    .bind(limit)
    .fetch_all(tx.conn())
    .await
    .map_err(Fault::from)?;
    Ok(rows.into_iter().map(|row| read(row).0).collect())
}

pub(super) async fn update(tx: &mut Tx, run: &Overview) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update runbook_run set leader = $3, told_at = $4, lines = $5, standing = $6, outcome = $7, ended_at = $8,
           teller = $9, version = version + 1
         where tenant_id = $1 and id = $2",
    )
    .bind(tenant)
    .bind(run.id.uuid())
    .bind(&run.leader)
    .bind(run.told.to_offset())
    .bind(column(run.lines))
    .bind(&run.standing)
    .bind(&run.outcome)
    .bind(run.ended.map(Timestamp::to_offset))
    .bind(&run.teller)
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    Ok(())
}

/// Unless it is known to be over.
pub(super) async fn close(tx: &mut Tx, record: &Record) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "update runbook_run set standing = $3, outcome = $3, ended_at = $4, told_at = $5, version = version + 1
         where tenant_id = $1 and id = $2 and outcome is null",
    )
    .bind(tenant)
    .bind(record.id.uuid())
    .bind(&record.outcome)
    .bind(record.ended.to_offset())
    .bind(tx.now().to_offset())
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    Ok(())
}

pub(super) async fn insert_line(
    tx: &mut Tx,
    run: OperationId,
    told: &Told,
    actor: &str,
) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    let event = serde_json::to_value(&told.line.what).unwrap_or_default();
    sqlx::query(
        "insert into runbook_line (tenant_id, run_id, number, at, who, event, output, actor)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(run.uuid())
    .bind(column(told.number))
    .bind(told.line.at.to_offset())
    .bind(&told.line.by)
    .bind(event)
    .bind(&told.output)
    .bind(actor)
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    Ok(())
}

/// How many lines there are.
pub(super) async fn count_lines(tx: &mut Tx, run: OperationId) -> Result<u32, Error> {
    let tenant = tx.tenant().uuid();
    let (count,): (i64,) =
        sqlx::query_as("select count(*) from runbook_line where tenant_id = $1 and run_id = $2")
            .bind(tenant)
            .bind(run.uuid())
            .fetch_one(tx.conn())
            .await
            .map_err(Fault::from)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(super) async fn lines(tx: &mut Tx, run: OperationId) -> Result<Vec<Told>, Error> {
    type Row = (i32, OffsetDateTime, String, Value, Option<String>);
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select number, at, who, event, output from runbook_line
         where tenant_id = $1 and run_id = $2 order by number",
    )
    .bind(tenant)
    .bind(run.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(Fault::from)?;
    let read = |(place, at, by, event, output): Row| {
        let what = serde_json::from_value(event).map_err(|_| Error::Inconsistent {
            table: "runbook_line",
            column: "event",
            id: format!("{run}, line {place}"),
        })?;
        let at = Timestamp::from_offset(at);
        Ok(Told {
            number: number(place),
            line: Line { at, by, what },
            output,
        })
    };
    rows.into_iter().map(read).collect()
}

pub(super) async fn insert_answer(
    tx: &mut Tx,
    run: OperationId,
    answer: &Answer,
) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into runbook_answer (tenant_id, run_id, entered, section, item, choice, who, at, actor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(run.uuid())
    .bind(column(answer.entered))
    .bind(column(answer.section))
    .bind(column(answer.item))
    .bind(&answer.choice)
    .bind(&answer.by)
    .bind(answer.at.to_offset())
    .bind(&answer.actor)
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    changed(tx, run).await
}

pub(super) async fn answers(tx: &mut Tx, run: OperationId) -> Result<Vec<Answer>, Error> {
    type Row = (
        i32,
        i32,
        i32,
        Option<String>,
        String,
        String,
        OffsetDateTime,
    );
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select entered, section, item, choice, who, actor, at from runbook_answer
         where tenant_id = $1 and run_id = $2 order by entered, section, item",
    )
    .bind(tenant)
    .bind(run.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(Fault::from)?;
    let read = |(entered, section, item, choice, by, actor, at): Row| Answer {
        entered: number(entered),
        section: number(section),
        item: number(item),
        choice,
        by,
        actor,
        at: Timestamp::from_offset(at),
    };
    Ok(rows.into_iter().map(read).collect())
}

pub(super) async fn insert_note(tx: &mut Tx, run: OperationId, note: &Note) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "insert into runbook_note (tenant_id, run_id, number, said, who, at, actor, id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(run.uuid())
    .bind(column(note.number))
    .bind(&note.said)
    .bind(&note.by)
    .bind(note.at.to_offset())
    .bind(&note.actor)
    .bind(note.id.uuid())
    .execute(tx.conn())
    .await
    .map_err(Fault::from)?;
    changed(tx, run).await
}

pub(super) async fn notes(tx: &mut Tx, run: OperationId) -> Result<Vec<Note>, Error> {
    type Row = (i32, Uuid, String, String, String, OffsetDateTime);
    let tenant = tx.tenant().uuid();
    let rows: Vec<Row> = sqlx::query_as(
        "select number, id, said, who, actor, at from runbook_note
         where tenant_id = $1 and run_id = $2 order by number",
    )
    .bind(tenant)
    .bind(run.uuid())
    .fetch_all(tx.conn())
    .await
    .map_err(Fault::from)?;
    let read = |(place, id, said, by, actor, at)| Note {
        number: number(place),
        id: NoteId::from_uuid(id),
        said,
        by,
        actor,
        at: Timestamp::from_offset(at),
    };
    Ok(rows.into_iter().map(read).collect())
}

async fn changed(tx: &mut Tx, run: OperationId) -> Result<(), Error> {
    let tenant = tx.tenant().uuid();
    sqlx::query("update runbook_run set version = version + 1 where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(run.uuid())
        .execute(tx.conn())
        .await
        .map_err(Fault::from)?;
    Ok(())
}

pub(super) async fn version(tx: &mut Tx, run: OperationId) -> Result<Option<i64>, Error> {
    let tenant = tx.tenant().uuid();
    let found: Option<(i64,)> =
        sqlx::query_as("select version from runbook_run where tenant_id = $1 and id = $2")
            .bind(tenant)
            .bind(run.uuid())
            .fetch_optional(tx.conn())
            .await
            .map_err(Fault::from)?;
    Ok(found.map(|(version,)| version))
}
