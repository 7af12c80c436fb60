use super::*;

fn standing(text: &str) -> Standing {
    serde_json::from_str(text).unwrap()
}

fn config() -> Config {
    toml::from_str("state = 's'\nmembers = ['https://a', 'https://b']").unwrap()
}

const WHOLE: &str = r#"{"members": [
    {"name": "a", "role": "leader", "state": "running", "api_url": "https://a/patroni", "timeline": 3},
    {"name": "b", "role": "sync_standby", "state": "streaming", "timeline": 3, "lag": 1024}]}"#;
const ALONE: &str = r#"{"members": [
    {"name": "a", "role": "leader", "state": "running", "timeline": 3},
    {"name": "b", "role": "replica", "state": "running", "timeline": 3, "lag": 99999999}], "pause": true}"#;
const HEADLESS: &str =
    r#"{"members": [{"name": "b", "role": "sync_standby", "state": "running", "lag": "unknown"}]}"#;

#[test]
fn what_is_wrong_is_said_and_nothing_is_said_of_a_whole_pair() {
    assert_eq!(standing(WHOLE).faults(&config()), Vec::<String>::new());
    let said = |text| standing(text).faults(&config()).join("; ");
    let alone = said(ALONE);
    for part in ["no synchronous standby", "b is 95 MiB behind", "paused"] {
        assert!(alone.contains(part), "{alone}");
    }
    let headless = said(HEADLESS);
    for part in ["nobody leads", "is not known", "1 of 2 nodes"] {
        assert!(headless.contains(part), "{headless}");
    }
}

#[test]
fn only_who_has_everything_takes_over_unless_the_loss_is_accepted() {
    let plan = |text, change, to, loss| {
        Plan::of(&standing(text), change, to, loss).map_err(|error| error.to_string())
    };
    let kept = Loss::Refused;
    let whole = plan(WHOLE, Change::Switchover, None, kept).unwrap();
    assert_eq!(
        (whole.subject().as_str(), whole.has_everything),
        ("a to b", true)
    );
    let refusals = [
        (
            plan(WHOLE, Change::Switchover, Some("a"), kept),
            "leads already",
        ),
        (
            plan(WHOLE, Change::Switchover, Some("c"), kept),
            "no node c",
        ),
        (plan(ALONE, Change::Switchover, None, kept), "name a node"),
        (
            plan(ALONE, Change::Switchover, Some("b"), Loss::Accepted),
            "may lack",
        ),
        (
            plan(ALONE, Change::Failover, Some("b"), kept),
            "--accept-loss",
        ),
        (
            plan(HEADLESS, Change::Switchover, None, kept),
            "nobody leads",
        ),
    ];
    for (refused, part) in refusals {
        let said = refused.unwrap_err();
        assert!(said.contains(part), "{said}");
    }
    let lossy = plan(ALONE, Change::Failover, Some("b"), Loss::Accepted).unwrap();
    assert!(!lossy.has_everything);
    assert_eq!(
        plan(HEADLESS, Change::Failover, None, kept)
            .unwrap()
            .subject(),
        "nobody to b"
    );
}
