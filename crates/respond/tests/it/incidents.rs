use std::time::Duration;

use hub_base::{ErrorKind, IncidentId, ManualClock, PageRequest, Timestamp};
use hub_respond::incidents::{self, Change, Filter, Role, Status, Verdict};

use crate::world::World;

#[tokio::test]
async fn forty_findings_of_one_spray_are_one_incident() {
    let world = World::new().await;
    let mut findings = Vec::new();
    for n in 0..40 {
        let user = format!("user:u{n}");
        findings.push(world.finding(
            "T1110.003",
            "address:192.0.2.1",
            &["address:192.0.2.1", &user],
        ));
    }
    let (first, rest) = findings.split_at(1);
    let opened = world.absorb(first).await;
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.absorb(rest).await, opened);
    let case = world.case(opened[0]).await;
    assert_eq!((case.incident.number, case.incident.finding_count), (1, 40));
    assert_eq!(case.entities.len(), 41);
    assert_eq!(case.entities[0].role, Role::Primary);
    assert_eq!(world.acts("incident.open").await, 1);
    assert_eq!(world.acts("incident.update").await, 1);
    // The same findings again, as after a crash of the reader: nothing changes.
    assert!(world.absorb(&findings).await.is_empty());
    assert_eq!(world.case(opened[0]).await.incident.finding_count, 40);
}

#[tokio::test]
async fn attacks_at_the_same_time_stay_apart_and_one_attack_stays_together() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (ada, bob) = (format!("user:{ada}"), format!("user:{bob}"));
    let spray = world.finding(
        "T1110.003",
        "address:192.0.2.1",
        &["address:192.0.2.1", &ada, &bob],
    );
    let takeover = world.finding("T1078", &bob, &[&bob, "address:192.0.2.9"]);
    let persistence = world.finding("T1098", &bob, &[&bob, "address:192.0.2.9"]);
    let stuffing = world.finding("T1110.004", "campaign:stuffing", &["address:192.0.2.20"]);
    let more = world.finding("T1110.004", "campaign:stuffing", &["address:192.0.2.21"]);
    let ids = world
        .absorb(&[spray, takeover, persistence, stuffing, more])
        .await;
    assert_eq!(ids.len(), 3);
    let taken = world.case(ids[1]).await.incident;
    assert_eq!(taken.techniques, ["T1078", "T1098"]);
    assert_eq!(taken.finding_count, 2);
    let campaign = world.case(ids[2]).await;
    assert_eq!(
        campaign
            .entities
            .iter()
            .filter(|e| e.role == Role::Attacker)
            .count(),
        2
    );
}

#[tokio::test]
async fn concurrent_readers_open_one_incident() {
    let world = World::new().await;
    let findings: Vec<_> = (0..6)
        .map(|_| world.finding("T1110.003", "address:192.0.2.1", &[]))
        .collect();
    let absorbed = futures(
        findings
            .iter()
            .map(|f| world.absorb(std::slice::from_ref(f))),
    )
    .await;
    assert!(
        absorbed.iter().all(|ids| *ids == absorbed[0]),
        "{absorbed:?}"
    );
    assert_eq!(world.case(absorbed[0][0]).await.incident.finding_count, 6);
}

async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in all.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn people_decide_and_every_time_is_kept() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await[0];
    let cx = world.operator();
    let change = |status| Change {
        status: Some(status),
        ..Change::default()
    };
    for status in [
        Status::Triaged,
        Status::Contained,
        Status::Eradicated,
        Status::Recovered,
    ] {
        world.clock.advance(Duration::from_mins(1));
        incidents::update(&cx, id, change(status)).await.unwrap();
    }
    world.clock.advance(Duration::from_mins(1));
    let close = Change {
        status: Some(Status::Closed),
        verdict: Some(Verdict::TruePositive),
        note: Some("password changed, all well".to_owned()),
    };
    let closed = incidents::update(&cx, id, close).await.unwrap();
    let times = [
        Some(closed.opened_at),
        closed.acknowledged_at,
        closed.contained_at,
        closed.eradicated_at,
        closed.recovered_at,
        closed.closed_at,
    ];
    assert!(times.is_sorted_by(|a, b| a.is_some() && a < b), "{times:?}");
    assert_eq!(world.acts("incident.close").await, 1);
    // What is closed takes no further findings, and is reopened only on purpose.
    let again = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await;
    assert_ne!(again[0], id);
    let error = incidents::update(&cx, id, change(Status::Contained))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let open = incidents::update(&cx, id, change(Status::Triaged))
        .await
        .unwrap();
    assert_eq!(
        (open.closed_at, open.verdict),
        (None, Some(Verdict::TruePositive))
    );
    let timeline = world.case(id).await.timeline;
    assert!(
        timeline
            .iter()
            .any(|e| e.actor == "olga" && e.text == "password changed, all well")
    );
}

#[tokio::test]
async fn a_timeline_cannot_be_edited() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await[0];
    assert!(!world.case(id).await.timeline.is_empty());
    for sql in [
        "update incident_timeline set body = 'nothing'",
        "delete from incident_timeline",
    ] {
        let mut tx = world.system().write().await.unwrap();
        let error = sqlx::query(sql)
            .execute(tx.conn())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("permission denied"), "{error}");
    }
}

#[tokio::test]
async fn lists_are_pages_from_the_newest() {
    let world = World::new().await;
    for n in 1..=5 {
        let address = format!("address:192.0.2.{n}");
        world.absorb(&[world.finding("T1", &address, &[])]).await;
    }
    let cx = world.operator();
    let page = |after| PageRequest::new(after, Some(2));
    let first = incidents::list(&cx, Filter::All, &page(None))
        .await
        .unwrap();
    let numbers = |page: &hub_base::Page<incidents::Incident, i64>| {
        page.items
            .iter()
            .map(|incident| incident.number)
            .collect::<Vec<_>>()
    };
    assert_eq!((numbers(&first), first.next), (vec![5, 4], Some(4)));
    let last = incidents::list(&cx, Filter::Open, &page(Some(2)))
        .await
        .unwrap();
    assert_eq!((numbers(&last), last.next), (vec![1], None));
    let none = incidents::list(&cx, Filter::Is(Status::Closed), &page(None))
        .await
        .unwrap();
    assert!(none.items.is_empty());
}

#[tokio::test]
async fn another_tenants_incident_is_not_here() {
    let world = World::new().await;
    let id = world
        .absorb(&[world.finding("T1", "address:192.0.2.1", &[])])
        .await[0];
    let other = hub_testkit::tenant(&world.store, "other").await;
    let cx = hub_store::Cx::system(world.store.clone(), other, "test");
    assert_eq!(
        incidents::show(&cx, id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let unknown = IncidentId::new(&ManualClock::at(Timestamp::from_unix_seconds(0)));
    let note = Change {
        note: Some("x".to_owned()),
        ..Change::default()
    };
    let error = incidents::update(&world.operator(), unknown, note)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
