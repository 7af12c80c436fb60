use hub_base::{OperationId, SystemClock, Timestamp};
use hub_store::Cx;
use hub_store::sequence;

use super::*;

type Spoil = fn(&mut Record);

fn operation() -> Record {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    Record {
        id: OperationId::new(&SystemClock),
        kind: "deploy".to_owned(),
        subject: "1.2.3-0123456789ab".to_owned(),
        outcome: "rolled_back".to_owned(),
        why: Some("3 of 100 requests failed".to_owned()),
        began: at("2026-11-23T10:00:00Z"),
        ended: at("2026-11-23T10:02:00Z"),
        steps: vec![Entry {
            at: at("2026-11-23T10:01:00Z"),
            step: "share".to_owned(),
            said: "green has 5 % of the traffic".to_owned(),
            took_ms: 30_000,
            figures: serde_json::json!({"new": {"requests": 100, "errors": 3}}),
        }],
    }
}

#[tokio::test]
async fn an_operation_is_taken_once_with_an_entry_for_each_step() {
    let database = hub_testkit::database().await;
    let tenant = hub_testkit::tenant(&database.store(), "acme").await;
    let cx = Cx::system(database.store(), tenant, "test");
    let told = operation();
    assert!(record(&cx, &told).await.unwrap());
    assert!(!record(&cx, &told).await.unwrap());
    let mut tx = cx.read().await.unwrap();
    assert_eq!(
        list(&mut tx, 10).await.unwrap(),
        std::slice::from_ref(&told)
    );
    // A step, and the end.
    assert_eq!(sequence::backlog(&mut tx).await.unwrap(), 2);
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field() {
    let database = hub_testkit::database().await;
    let tenant = hub_testkit::tenant(&database.store(), "acme").await;
    let cx = Cx::system(database.store(), tenant, "test");
    let cases: [(&str, Spoil); 5] = [
        ("kind", |one| one.kind = "party".to_owned()),
        ("outcome", |one| one.outcome = "great".to_owned()),
        ("ended", |one| {
            std::mem::swap(&mut one.began, &mut one.ended);
        }),
        ("steps", |one| one.subject = "x".repeat(LONGEST + 1)),
        ("steps", |one| {
            let step = one.steps[0].clone();
            one.steps = vec![step; MOST_STEPS + 1];
        }),
    ];
    for (field, spoil) in cases {
        let mut told = operation();
        spoil(&mut told);
        let said = record(&cx, &told).await.unwrap_err().to_string();
        assert!(said.starts_with(&format!("{field}: ")), "{said}");
    }
}

#[test]
fn whatever_a_program_said_fits_in_the_end() {
    let spoilt: [Spoil; 4] = [
        |one| one.why = Some("é".repeat(3 * LONGEST)),
        |one| one.steps[0].said = "x".repeat(LONGEST + 1),
        |one| one.steps = vec![one.steps[0].clone(); MOST_STEPS + 7],
        |one| std::mem::swap(&mut one.began, &mut one.ended),
    ];
    for spoil in spoilt {
        let mut one = operation();
        spoil(&mut one);
        assert!(one.validate().is_err());
        let fitting = one.fitting();
        assert!(fitting.validate().is_ok(), "{fitting:?}");
    }
    assert_eq!(operation().fitting().steps, operation().steps);
}
