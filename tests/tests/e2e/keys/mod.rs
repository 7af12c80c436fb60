//! Keys are exchanged while people work, and whoever is killed on the way goes on or back.

mod killed;
mod passwords;
mod site;
mod tls;

use site::{Load, Site};

use crate::tool;
use crate::world::Actor;

/// Two replicas, tokens made by one and shown to the other at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_signing_key_is_exchanged_under_load_and_nobody_notices() {
    let mut site = Site::new().await;
    let former = site.ring("access-token")[0].clone();
    let (old, everywhere) = (site.operator.clone(), Actor::anonymous(&site.hubs[1]));
    let load = Load::start(&site.hubs, 24, 200).await;
    crate::world::until("work before the exchange", || async {
        (load.done() > 200).then_some(())
    })
    .await;
    let told = site.told(&["rotate", "token-signing"]).await;
    let ring = site.ring("access-token");
    assert_eq!(told["in_use"], ring[0].as_str());
    assert_eq!(ring[1..], [former], "the former one is kept");
    let before = load.done();
    crate::world::until("work after the exchange", || async {
        (load.done() > before + 200).then_some(())
    })
    .await;
    let report = load.stop().await;
    println!(
        "{} requests, {:.0} a second",
        report.requests, report.per_second
    );
    assert!(
        report.failures.is_empty(),
        "{:#?}",
        &report.failures[..report.failures.len().min(5)]
    );
    assert!(report.requests > 500, "{report:?}");

    // What the former key signed is good until it expires; the key cannot go before that.
    old.get("/api/v2/me").await.expect(200);
    let token = old.token.clone().unwrap();
    everywhere.with(&token).get("/api/v2/me").await.expect(200);
    let words = site.refused(&["retire", "token-signing"], 1).await;
    assert!(words.contains("is good until"), "{words}");
    // A stolen key goes at once, and with it everything that it signed.
    site.told(&["retire", "token-signing", "--now"]).await;
    assert_eq!(site.ring("access-token").len(), 1);
    for hub in &site.hubs {
        Actor::anonymous(hub)
            .with(&token)
            .get("/api/v2/me")
            .await
            .expect(401);
    }
    let operator = everywhere.signed_in("system", "root").await;
    site.operator = operator;
    let done = |outcome: &str| {
        (
            "key_rotation".to_owned(),
            "token-signing".to_owned(),
            outcome.to_owned(),
        )
    };
    assert_eq!(site.operations().await, [done("done"), done("done")]);
}

/// Whoever keeps the first key checks what the third signed, offline.
#[tokio::test]
async fn a_pinned_checkpoint_key_leads_to_every_later_one() {
    let site = Site::new().await;
    let first = site.operator.get("/api/v2/ledger/key").await;
    let first = first.expect(200).text("key").to_owned();
    let export = site.at("ledger.ndjson");
    let verified = async |key: &str| {
        let file = export.to_str().unwrap();
        let url = &site.hubs[1].url;
        let written = tool::hubctl(url, &site.key, &["ledger", "export", file]).await;
        assert!(written.status.success(), "{written:?}");
        let told = tool::hubctl(url, "", &["ledger", "verify", file, "--key", key]).await;
        told.status.code()
    };
    // A quiet tenant: nobody signs its ledger again, and its checkpoint stays the old key's.
    let quiet = crate::world::make_tenant(&site.operator, "quiet").await;
    assert!(!quiet.is_empty());
    let ada = Actor::anonymous(&site.hubs[0])
        .signed_in("quiet", "ada")
        .await;
    for _ in 0..2 {
        site.told(&["rotate", "checkpoint-signing"]).await;
        let proof = tool::hubctl(
            &site.hubs[0].url,
            ada.token.as_deref().unwrap(),
            &["ledger", "proof", "0"],
        )
        .await;
        assert!(proof.status.success(), "{proof:?}");
        assert_eq!(verified(&first).await, Some(0));
        site.told(&["retire", "checkpoint-signing"]).await;
        assert_eq!(site.ring("checkpoint").len(), 1);
        assert_eq!(verified(&first).await, Some(0));
    }
    let now = site.operator.get("/api/v2/ledger/key").await;
    assert_ne!(now.expect(200).text("key"), first);
    let stranger = hub_ledger::VerifierKey::new("security-hub", [7; 32]).unwrap();
    assert_eq!(verified(&stranger.to_string()).await, Some(1));
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_the_exchange_up() {
    let mut site = Site::new().await;
    let text = std::fs::read_to_string(site.at("keys.toml")).unwrap();
    std::fs::write(site.at("keys.toml"), text.replace("20s", "2s")).unwrap();
    let ring = site.ring("access-token");
    site.hubs[1].kill().unwrap();
    let words = site.refused(&["rotate", "token-signing"], 5).await;
    assert!(words.contains(&site.hubs[1].url), "{words}");
    assert_eq!(
        site.ring("access-token")[0],
        ring[0],
        "nobody signs with a key that one does not know"
    );
    // It is gone for good: the operator says so, and goes on.
    std::fs::write(
        site.at("keys.toml"),
        text.replace(&format!(", \"{}\"", site.hubs[1].url), ""),
    )
    .unwrap();
    site.told(&["rotate", "token-signing"]).await;
    assert_ne!(site.ring("access-token")[0], ring[0]);
}

/// What is wrong with the ring or the configuration is said before anything is begun, and no secret with it.
#[tokio::test]
async fn a_wrong_ring_is_refused_by_its_name() {
    let site = Site::new().await;
    let ring = site.at("keys.json");
    let whole = std::fs::read_to_string(&ring).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let seed = parsed["keys"][0]["seed"].as_str().unwrap();
    let other = parsed["keys"][1]["seed"].as_str().unwrap();
    for (text, said) in [
        (whole.replace(seed, other), "is not its own"),
        (
            whole.replace("access-token", "party"),
            "is unknown to this program",
        ),
        (whole[..whole.len() / 2].to_owned(), "line "),
    ] {
        std::fs::write(&ring, &text).unwrap();
        let words = site.refused(&["rotate", "token-signing"], 2).await;
        assert!(
            words.contains(said) && words.contains("keys.json"),
            "{words}"
        );
        assert!(!words.contains(seed) && !words.contains(other), "{words}");
        assert_eq!(
            std::fs::read_to_string(&ring).unwrap(),
            text,
            "left as it was"
        );
    }
    std::fs::write(&ring, &whole).unwrap();
    site.operator.get("/api/v2/me").await.expect(200);
    let words = site.refused(&["undo", "token-signing"], 2).await;
    assert!(words.contains("only one is good"), "{words}");
    let words = site.refused(&["rotate", "redis"], 2).await;
    assert!(words.contains("[redis] is missing"), "{words}");
}
