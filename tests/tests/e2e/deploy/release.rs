//! What `hubctl release check` finds, and a return to any release that was kept, by its folder.

use std::path::Path;

use serde_json::{Value, json};

use super::site::Site;
use super::unharmed;

async fn check(site: &Site, dir: &Path, trust: Option<&str>) -> (i32, Value) {
    let mut arguments = vec!["release", "check", dir.to_str().unwrap()];
    arguments.extend(trust.into_iter().flat_map(|key| ["--trust", key]));
    site.run(&arguments).await
}

fn key(site: &Site, file: &str) -> String {
    let said = site.hubctl(&["release", "key", site.at(file).to_str().unwrap()]);
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_checked_against_its_manifest_and_a_key() {
    let site = Site::new().await;
    let dir = site.release("1.0.0");
    let (ours, other) = (key(&site, "release-key.json"), key(&site, "other-key.json"));
    let (code, told) = check(&site, &dir, Some(&ours)).await;
    assert_eq!((code, &told["signed"]), (0, &json!(true)), "{told}");
    assert_eq!(told["version"], "1.0.0");
    // Without a key only the files are; that is said.
    let (code, told) = check(&site, &dir, None).await;
    assert_eq!((code, &told["signed"]), (0, &json!(false)), "{told}");
    let words = site.hubctl(&["release", "check", dir.to_str().unwrap()]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.starts_with("good: 1.0.0-") && words.contains("(signature not checked)"),
        "{words}"
    );

    for (trust, why) in [
        (other.as_str(), "not signed by the trusted key"),
        ("nonsense", "expected `name+hash+key`"),
    ] {
        let (code, said) = check(&site, &dir, Some(trust)).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.to_string().contains(why), "{said}");
    }
    let (code, said) = check(&site, &site.at("nowhere"), Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    // One byte more in the server; then the manifest itself is changed to fit.
    let server = dir.join("security-hub");
    let mut bytes = std::fs::read(&server).unwrap();
    bytes.push(0);
    std::fs::write(&server, bytes).unwrap();
    let (code, said) = check(&site, &dir, Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.to_string()
            .contains("is not the one that was released"),
        "{said}"
    );
    let manifest = std::fs::read_to_string(dir.join("release.note")).unwrap();
    std::fs::write(dir.join("release.note"), manifest.replace("1.0.0", "1.0.1")).unwrap();
    let (code, said) = check(&site, &dir, Some(&ours)).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.to_string().contains("not signed by the trusted key"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_returns_to_any_kept_release_whole_machine() {
    let site = Site::new().await;
    let token = site.begin().await;
    for name in ["1.1.0", "1.2.0"] {
        let (code, outcome) = site.deploy(&site.release(name)).await;
        assert_eq!(code, 0, "{outcome}");
    }
    let load = site.load(&token);
    let to = |name: &str| site.at(name).to_str().unwrap().to_owned();
    // What is no release, or another one than was released, is nothing to return to.
    std::fs::copy(site.at("1.0.0/security-hub"), site.at("1.1.0/security-hub")).unwrap();
    for (name, why) in [
        ("nowhere", "nowhere"),
        ("1.1.0", "is not the one that was released"),
    ] {
        let (code, said) = site.run(&["rollback", "--to", &to(name)]).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.to_string().contains(why), "{said}");
    }
    assert_eq!(site.live().await, "1.2.0");
    // Two back, not one.
    let (code, back) = site.run(&["rollback", "--to", &to("1.0.0")]).await;
    assert_eq!(
        (code, &back["outcome"], &back["kind"]),
        (0, &json!("deployed"), &json!("rollback")),
        "{back}"
    );
    assert_eq!(site.live().await, "1.0.0");
    unharmed(&load.answered(500).await);
}
