//! The release before, as it was built before the newest migration: it serves on the newer schema, beside the new one and after
//! a way back.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use super::site::Site;
use super::unharmed;
use crate::world::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_and_this_one_serve_on_one_schema_whole_machine() {
    let Some(previous) = std::env::var_os("PREVIOUS_HUB_BIN").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: PREVIOUS_HUB_BIN is not set; scripts/previous.sh builds that server where git has its commit"
        );
        return;
    };
    let site = Site::beginning_with(previous).await;
    let token = site.begin().await;
    let load = site.load(&token);
    let second = site.release("1.1.0");
    let (code, outcome) = site.deploy(&second).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    let share = &outcome["entries"][6]["figures"];
    assert!(
        share["old"]["requests"].as_u64() > Some(50),
        "both served at once: {share}"
    );
    let said = site
        .ask(Method::GET, "/api/v2/operations", &token, Value::Null)
        .await;
    assert!(
        said["items"].is_array(),
        "the new one has what the migration brought: {said}"
    );

    let (code, back) = site.run(&["rollback"]).await;
    assert_eq!((code, &back["outcome"]), (0, &json!("deployed")), "{back}");
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&load.stop().await);
    // The old one writes on the newer schema, too.
    let tenant = json!({"slug": "brightwater", "name": "Brightwater", "owner": {
        "username": "owner", "email": "owner@example.org", "password": PASSWORD,
    }});
    site.ask(Method::POST, "/api/v2/tenants", &token, tenant)
        .await;
}
