//! The database as a pair: the leader is lost, replaced, cut off, while people are at work; nothing acknowledged is lost.

mod link;
mod load;
mod node;
mod pair;
mod shipped;
mod site;

use std::time::{Duration, Instant};

use self::pair::{Pair, installed};
use self::site::{Site, words_of};
use crate::tool::document;

/// Writes again, at the latest.
const FAILOVER: Duration = Duration::from_secs(30);
const SWITCHOVER: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_costs_seconds_and_no_act() {
    if !installed("a_leader_that_is_killed_costs_seconds_and_no_act") {
        return;
    }
    let mut site = Site::new().await;
    site.backs_up(0, None);
    document(&site.backup(0, &["run", "--json"]).await);
    let recipient = std::fs::read_to_string(site.pair.nodes[0].home.join("hub/backup/recipient"));
    site.backs_up(1, Some(&recipient.unwrap()));
    let standby = site.backup(1, &["run", "--due"]).await;
    let said = words_of(&standby);
    assert!(
        standby.status.success() && said.contains("is a standby"),
        "{said}"
    );

    let figures = site.pair.figures(0).await;
    for name in Pair::asked_for() {
        assert!(
            figures.contains(&format!("\n{name}{{")),
            "an alert asks for {name}"
        );
    }

    let killed = site
        .under_load(async |site| {
            site.pair.nodes[0].kill();
            site.pair.leads(1).await;
            let alone = site.database(&["status"]).await;
            let said = words_of(&alone);
            assert_eq!(alone.status.code(), Some(1), "{said}");
            assert!(said.contains("no synchronous standby"), "{said}");
        })
        .await;
    killed.expect(FAILOVER);

    site.pair.nodes[0].start();
    site.pair.is_whole(1).await;
    let log = site.pair.log(0);
    assert!(
        !log.contains("created using basebackup"),
        "it was copied anew:\n{log}"
    );
    // The new leader backs up into the same stanza, on its new timeline, and its log is archived.
    document(&site.backup(1, &["run", "--type", "incr", "--json"]).await);
    let list = document(&site.backup(1, &["list", "--json"]).await);
    assert_eq!(list["backups"].as_array().unwrap().len(), 2, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_steps_down_and_leads_again_when_asked() {
    if !installed("a_leader_that_is_cut_off_steps_down_and_leads_again_when_asked") {
        return;
    }
    let mut site = Site::new().await;
    let cut = site.under_load(async |site| cut_off(site).await).await;
    cut.expect(FAILOVER);
    site.pair.mend(0);
    site.pair.is_whole(1).await;
    // It did not take the lead back with what it missed.
    site.keeps(&cut).await;
    takes_over_when_asked(&mut site).await;
}

/// node-a, which follows, changes places with node-b.
async fn takes_over_when_asked(site: &mut Site) {
    let refused = site.database(&["switchover", "--confirm", "node-b"]).await;
    let said = words_of(&refused);
    assert!(
        !refused.status.success() && said.contains("--confirm node-a"),
        "{said}"
    );
    let plan = site.told(&["switchover", "--dry-run"]).await;
    assert_eq!(
        (&plan["from"], &plan["to"]),
        (&"node-b".into(), &"node-a".into())
    );
    let switched = site
        .under_load(async |site| {
            let to = site.pair.nodes[0].name;
            site.told(&["switchover", "--confirm", to]).await;
        })
        .await;
    switched.expect(SWITCHOVER);
    site.pair.is_whole(0).await;
    let status = site.told(&["status"]).await;
    assert_eq!(status["faults"].as_array().unwrap().len(), 0, "{status}");
    let operations = site.operations().await;
    let switchover = ["switchover", "node-b to node-a", "done"].map(str::to_owned);
    assert!(operations.contains(&switchover), "{operations:?}");
}

/// Its clients still reach the leader, as when the network fails between the nodes alone: it must not serve them for long.
async fn cut_off(site: &mut Site) {
    let [leader, other] = [0, 1];
    site.pair.cut_off(leader);
    let deadline = Instant::now() + FAILOVER;
    loop {
        let took_over = site
            .pair
            .ask(other, "/primary")
            .await
            .is_some_and(|(status, _)| status == 200);
        // Asked afterwards, so that both leading at one moment would show.
        let leads = site.pair.nodes[leader].sql("select pg_is_in_recovery()");
        let leads = leads.is_ok_and(|word| word == "f");
        assert!(!(took_over && leads), "two lead");
        if took_over {
            return;
        }
        assert!(Instant::now() < deadline, "nobody took over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
