//! Before a deploy: who must agree, what others must say. During and after it: who is told.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::site::{self, Site};
use crate::tool::receiver;
use crate::world::until;

pub(super) fn add(site: &Site, text: &str) {
    let path = site.at("deploy.toml");
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Makes somebody's key; what deploy.toml says of them.
fn approver(site: &Site, name: &str) -> String {
    let key = site.at(&format!("{name}.key"));
    let said = site.hubctl(&["release", "key", key.to_str().unwrap(), "--named", name]);
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn agree(site: &Site, release: &Path, name: &str, target: &str) {
    let key = site.at(&format!("{name}.key"));
    let said = site.hubctl(&[
        "release",
        "approve",
        release.to_str().unwrap(),
        "--for",
        target,
        "--named",
        name,
        "--key",
        key.to_str().unwrap(),
    ]);
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

pub(super) fn gate<'a>(told: &'a Value, name: &str) -> &'a Value {
    let checks = told["checks"]
        .as_array()
        .unwrap_or_else(|| panic!("{told}"));
    checks
        .iter()
        .find(|check| check["gate"] == name)
        .unwrap_or_else(|| panic!("no gate {name}: {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_agree_first_and_who_should_know_is_told_whole_machine() {
    let site = Site::new().await;
    let (slack, told_slack) = receiver().await;
    let (hook, told_hook) = receiver().await;
    let mail = hub_testkit::mail::MailServer::start().await.unwrap();
    std::fs::write(site.at("slack-url"), slack).unwrap();
    std::fs::write(site.at("hook-url"), hook).unwrap();
    let (ada, ben) = (approver(&site, "ada"), approver(&site, "ben"));
    add(
        &site,
        &format!(
            "[gates.approval]\ntarget = 'production'\nroles = ['security']\napprovers = [\
             {{ role = 'sre', key = '{ada}' }}, {{ role = 'security', key = '{ben}' }}]\n\
             [notify]\nslack = 'slack-url'\nwebhook = 'hook-url'\n[notify.email]\nhost = '127.0.0.1'\nport = {}\n\
             tls = 'none'\nfrom = 'deploys@example.org'\nto = ['sre@example.org']\n",
            mail.address.port()
        ),
    );
    let release = site.release("1.0.0");
    let (code, told) = site.deploy(&release).await;
    assert_eq!(
        (code, &gate(&told, "approval")["holds"]),
        (1, &json!(false)),
        "{told}"
    );
    // Its migrations alone are a change of production, too.
    let alone = ["migrate", "--release", release.to_str().unwrap()];
    let (code, told) = site.run(&alone).await;
    assert_eq!(
        (code, &gate(&told, "approval")["holds"]),
        (1, &json!(false)),
        "{told}"
    );
    agree(&site, &release, "ada", "production");
    agree(&site, &release, "ben", "staging");
    let (code, told) = site.deploy(&release).await;
    assert_eq!(code, 1);
    let said = gate(&told, "approval")["said"].as_str().unwrap();
    assert!(
        said.contains("1 of 2") && said.contains("still needed: security"),
        "{said}"
    );
    // Nothing was begun, so nobody was told.
    assert!(told_slack.lock().unwrap().is_empty());

    agree(&site, &release, "ben", "production");
    let (code, said) = site.run(&alone).await;
    assert_eq!(code, 0, "{said}");
    let (code, outcome) = site.deploy(&release).await;
    assert_eq!(
        (code, &outcome["outcome"]),
        (0, &json!("deployed")),
        "{outcome}"
    );
    // Who agreed is part of the record.
    assert!(
        outcome["entries"][0]
            .to_string()
            .contains("ada (sre), ben (security)"),
        "{outcome}"
    );
    let slack = told_slack.lock().unwrap().clone();
    assert_eq!(slack.len(), 2, "{slack:?}");
    assert!(
        slack[0]["text"].as_str().unwrap().contains("begins"),
        "{slack:?}"
    );
    assert!(
        slack[1]["text"].as_str().unwrap().contains("is done"),
        "{slack:?}"
    );
    assert_eq!(
        told_hook.lock().unwrap()[1]["operation"]["outcome"],
        "deployed"
    );
    let mails = until("both mails", || async {
        let mails = mail.mails();
        (mails.len() == 2).then_some(mails)
    })
    .await;
    assert!(mails[1].text.contains("is done"), "{mails:?}");

    // A receiver that is gone holds nothing up, and its address is not told.
    std::fs::write(site.at("slack-url"), "http://127.0.0.1:9/its-secret-path").unwrap();
    let next = site.release("1.1.0");
    agree(&site, &next, "ada", "production");
    agree(&site, &next, "ben", "production");
    let mut command = site.command(&["deploy", "--release", next.to_str().unwrap()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("Slack could not be told") && !said.contains("its-secret"),
        "{said}"
    );
}

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_too_old_and_a_spent_budget_hold_a_deploy_up() {
    let site = Site::new().await;
    let port = site::free_port();
    std::fs::write(
        site.at("prometheus.yml"),
        format!("scrape_configs: [{{job_name: self, scrape_interval: 200ms, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"),
    )
    .unwrap();
    let _prometheus = Prometheus(
        Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                site.at("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", site.at("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is not installed: scripts/bootstrap.sh test"),
    );
    // As pgBackRest tells it.
    let info = |stop: i64| json!([{"name": "hub", "backup": [{"error": false, "timestamp": {"start": stop, "stop": stop}}]}]);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let fresh = i64::try_from(now.as_secs()).unwrap() - 60;
    std::fs::write(site.at("info.json"), info(fresh).to_string()).unwrap();
    add(
        &site,
        &format!(
            "[gates.backup]\ncommand = ['cat', '{}']\nwithin = '15m'\narchived = {{ command = ['date', '+%s', '--date', '1 minute ago'], within = '5m' }}\n[gates.budget]\n\
             prometheus = 'http://127.0.0.1:{port}'\nquery = 'sum(up{{job=\"self\"}}) * 0.4'\nleast = 0.25\n",
            site.at("info.json").display()
        ),
    );
    let release = site.release("1.0.0");
    let dry = [
        "deploy",
        "--dry-run",
        "--release",
        release.to_str().unwrap(),
    ];
    let told = until("a first scrape", || async {
        let (_, told) = site.run(&dry).await;
        (gate(&told, "error budget")["holds"] == true).then_some(told)
    })
    .await;
    assert_eq!(
        gate(&told, "error budget")["said"],
        "40 % of the error budget is left, 25 % asked for"
    );
    assert_eq!(gate(&told, "backup")["holds"], true, "{told}");
    assert_eq!(gate(&told, "archived wal")["holds"], true, "{told}");

    std::fs::write(site.at("info.json"), info(fresh - 3600).to_string()).unwrap();
    let text = std::fs::read_to_string(site.at("deploy.toml")).unwrap();
    std::fs::write(
        site.at("deploy.toml"),
        text.replace("* 0.4", "* 0.2")
            .replace("1 minute ago", "1 hour ago"),
    )
    .unwrap();
    let (code, told) = site.run(&dry).await;
    assert_eq!(code, 1);
    assert_eq!(gate(&told, "backup")["holds"], false, "{told}");
    assert_eq!(gate(&told, "archived wal")["holds"], false, "{told}");
    assert_eq!(gate(&told, "error budget")["holds"], false, "{told}");
    // Who gives no answer has not agreed.
    std::fs::write(
        site.at("deploy.toml"),
        text.replace("up{", "nobody_counts_this{"),
    )
    .unwrap();
    let (_, told) = site.run(&dry).await;
    let budget = gate(&told, "error budget");
    assert_eq!(budget["said"], "the query gives 0 series, not one");
    assert_eq!(budget["holds"], false);
}
