//! The console in a real browser: an attack appears while one looks, is read, released by keyboard, and proven.

use thirtyfour::prelude::*;

use crate::browser::{Browser, LOOKS};
use crate::world::{Actor, PASSWORD, World, until};

async fn spray(world: &World, last: u8) {
    let attacker = Actor::at(&world.hub, [127, 66, 0, last]);
    for number in 0..14 {
        attacker
            .sign_in("acme", &format!("user{number}"), "Winter2026! guess")
            .await;
    }
}

#[tokio::test]
async fn an_attack_appears_live_and_is_released_by_keyboard() {
    let world = World::new().await;
    let browser = Browser::start().await;
    browser
        .sign_in(&world.hub.url, "acme", "ada", "not the right one")
        .await;
    browser.until_says("[role=alert]", "wrong").await;
    browser
        .sign_in(&world.hub.url, "acme", "ada", PASSWORD)
        .await;
    browser.until_says("#live-status", "Live").await;
    browser.until_says("#incidents", "No open incident").await;

    spray(&world, 9).await;
    // Without a reload: the page is told.
    browser.until_says("#incidents", "Password spraying").await;
    browser.until_says("#incidents", "contained").await;
    browser.until_says("#findings", "T1110.003").await;

    browser.find("#incidents a").await.click().await.unwrap();
    browser
        .until_says(
            "#actions ~ table, section[aria-labelledby=actions]",
            "127.66.0.9",
        )
        .await;
    browser
        .until_says("section[aria-labelledby=evidence]", "Download")
        .await;
    let attacker = Actor::at(&world.hub, [127, 66, 0, 9]);
    assert_eq!(attacker.sign_in("acme", "ada", PASSWORD).await.status, 403);

    // Only the keyboard: Tab until the button has the focus, then Enter.
    let mut reached = false;
    for _ in 0..60 {
        let keys = browser.driver.active_element().await.unwrap();
        if keys.text().await.unwrap().starts_with("Release") {
            keys.send_keys(Key::Enter + "").await.unwrap();
            reached = true;
            break;
        }
        browser
            .driver
            .action_chain()
            .send_keys(Key::Tab + "")
            .perform()
            .await
            .unwrap();
    }
    assert!(reached, "no Release button can be reached by Tab");
    browser
        .until_says("section[aria-labelledby=actions]", "released")
        .await;
    attacker.sign_in("acme", "ada", PASSWORD).await.expect(200);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_ledger_is_searched_and_an_entry_proven() {
    let world = World::new().await;
    let browser = Browser::start().await;
    browser
        .sign_in(&world.hub.url, "acme", "ada", PASSWORD)
        .await;
    browser.until_says("#live-status", "Live").await;
    browser
        .driver
        .goto(format!(
            "{}/console/ledger?operation=tenant.create",
            world.hub.url
        ))
        .await
        .unwrap();
    browser.until_says("table", "tenant.create").await;
    browser.find("tbody a").await.click().await.unwrap();
    browser.until_says(".lede", "proof verified").await;
    browser
        .until_says("section[aria-labelledby=proof]", "security-hub/")
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn every_page_is_accessible_in_both_themes_wide_and_narrow() {
    let world = World::new().await;
    spray(&world, 10).await;
    let incident = until("an incident", || async {
        let list = world.owner.get("/api/v2/incidents").await.body;
        Some(
            list["items"].as_array()?.first()?["id"]
                .as_str()?
                .to_owned(),
        )
    })
    .await;
    let browser = Browser::start().await;
    let mut faults = Vec::new();
    let mut judge = async |path: &str| {
        for look in LOOKS {
            browser.look(look).await;
            browser
                .driver
                .goto(format!("{}{path}", world.hub.url))
                .await
                .unwrap();
            browser.find("main h1").await;
            faults.extend(
                browser
                    .violations()
                    .await
                    .into_iter()
                    .map(|fault| format!("{path} {look:?} {fault}")),
            );
            let wide = browser.overflowing().await;
            if !wide.is_empty() {
                faults.push(format!(
                    "{path} {look:?} is wider than its window: {wide:?}"
                ));
            }
        }
    };
    judge("/console/sign-in").await;
    judge("/console/forgot").await;
    judge("/console/reset?token=x").await;
    browser
        .sign_in(&world.hub.url, "acme", "ada", PASSWORD)
        .await;
    browser.until_says("#live-status", "Live").await;
    let one = format!("/console/incidents/{incident}");
    for path in [
        "/console/now",
        "/console/incidents",
        &one,
        "/console/runbooks",
        "/console/ledger",
        "/console/ledger/0",
    ] {
        judge(path).await;
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[tokio::test]
async fn the_console_is_closed_to_strangers_and_to_other_sites() {
    let world = World::new().await;
    let (member, _) = world.person("mia", &["member"]).await;
    let _ = member;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    for path in [
        "/console/now",
        "/console/incidents",
        "/console/ledger",
        "/console/ledger/0",
        "/console/runbooks",
        "/console/runbooks/01a208fa-8fce-7565-bc38-c1fdcf663a0d",
        "/console/runbooks/01a208fa-8fce-7565-bc38-c1fdcf663a0d/live",
        "/console/live",
    ] {
        let answer = http
            .get(format!("{}{path}", world.hub.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 303, "{path}");
        assert!(
            answer.headers()["location"]
                .to_str()
                .unwrap()
                .starts_with("/console/sign-in"),
            "{path}"
        );
    }
    let form = [
        ("tenant", "acme"),
        ("username", "mia"),
        ("password", PASSWORD),
        ("next", "//evil.example/"),
    ];
    let sign_in = || {
        http.post(format!("{}/console/sign-in", world.hub.url))
            .form(&form)
    };
    let foreign = sign_in()
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 403);
    let answer = sign_in().send().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["location"].to_str().unwrap()
        ),
        (303, "/console/now")
    );
    let cookie = answer.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let page = http
        .get(format!("{}/console/now", world.hub.url))
        .header("cookie", cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 403, "a member may not see incidents");
    assert!(page.text().await.unwrap().contains("Not permitted"));
}
