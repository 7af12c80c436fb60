//! A real Chromium, driven over WebDriver: one driver process a test, on a port of its own.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::prelude::*;

const AXE: &str = include_str!("../../vendor/axe.min.js");

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) scheme: &'static str,
    pub(crate) width: u32,
}

pub(crate) const LOOKS: [Look; 4] = [
    Look {
        scheme: "light",
        width: 1280,
    },
    Look {
        scheme: "dark",
        width: 1280,
    },
    Look {
        scheme: "light",
        width: 360,
    },
    Look {
        scheme: "dark",
        width: 360,
    },
];

/// A browser with a profile of its own; both end when dropped.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    process: Child,
    port: u16,
    profile: tempfile::TempDir,
}

/// A driver and its port. It takes a free port on `::1` and then the same one on 127.0.0.1, which somebody else may have;
/// it ends then, and the next try gets another.
fn driver() -> (Child, u16) {
    (0..20)
        .find_map(|_| {
            let mut process = Command::new("chromedriver")
                .args(["--port=0"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("chromedriver is not installed: run `make bootstrap-test`");
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
                let rest = line.split("started successfully on port ").nth(1)?;
                rest.trim_end_matches('.').parse::<u16>().ok()
            });
            if port.is_none() {
                let _ended = process.kill();
                process.wait().unwrap();
            }
            // Its pipe must not fill up.
            std::thread::spawn(move || lines.for_each(drop));
            port.map(|port| (process, port))
        })
        .expect("chromedriver did not say its port in 20 tries")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What the library does here would wait two minutes for this same thread.
        let _ours_now = self.driver.clone().leak();
        let _closed = self.close();
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
        let _kept = self.profile.path();
    }
}

impl Browser {
    /// Has the driver end the browser that it started, which would outlive it; a failed test does this as well.
    fn close(&self) -> std::io::Result<()> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            socket,
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.driver.session_id()
        )?;
        std::io::copy(&mut socket, &mut std::io::sink())?;
        Ok(())
    }
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let (process, port) = driver();
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary("/usr/bin/chromium").unwrap();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ] {
            wanted.add_arg(argument).unwrap();
        }
        wanted
            .add_arg(&format!("--user-data-dir={}", profile.path().display()))
            .unwrap();
        wanted
            .set("goog:loggingPrefs", json!({"browser": "ALL"}))
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&base, wanted).await.unwrap();
        Self {
            driver,
            process,
            port,
            profile,
        }
    }

    /// A command that WebDriver itself does not know.
    async fn extra(&self, path: &str, body: Value) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/session/{}/{path}",
            self.port,
            self.driver.session_id()
        );
        let answer = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .unwrap();
        answer.json::<Value>().await.unwrap()["value"].clone()
    }

    async fn devtools(&self, command: &str, params: Value) {
        self.extra(
            "goog/cdp/execute",
            json!({"cmd": command, "params": params}),
        )
        .await;
    }

    pub(crate) async fn look(&self, look: Look) {
        let scheme = json!([{"name": "prefers-color-scheme", "value": look.scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": scheme}))
            .await;
        let size = json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// What the browser complained about since it was asked last: scripts refused, requests failed, errors.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.extra("se/log", json!({"type": "browser"})).await;
        let severe = |entry: &&Value| {
            entry["level"] == "SEVERE"
                || entry["message"]
                    .to_string()
                    .contains("Content Security Policy")
        };
        log.as_array()
            .unwrap()
            .iter()
            .filter(severe)
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// The element, waited for.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        let wait = self
            .driver
            .query(By::Css(css.to_owned()))
            .wait(Duration::from_secs(10), Duration::from_millis(50));
        wait.first()
            .await
            .unwrap_or_else(|error| panic!("no `{css}` in the page: {error}"))
    }

    /// Waits until the element's text holds the words.
    pub(crate) async fn until_says(&self, css: &str, words: &str) {
        for _ in 0..400 {
            if let Ok(element) = self.driver.find(By::Css(css.to_owned())).await
                && element.text().await.is_ok_and(|text| text.contains(words))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!(
            "`{css}` never said `{words}`:\n{}",
            self.driver.source().await.unwrap()
        );
    }

    pub(crate) async fn sign_in(&self, url: &str, tenant: &str, username: &str, password: &str) {
        self.driver.goto(format!("{url}/console")).await.unwrap();
        self.find("#tenant").await.send_keys(tenant).await.unwrap();
        self.find("#username")
            .await
            .send_keys(username)
            .await
            .unwrap();
        // By keyboard: the form is sent with Enter.
        self.find("#password")
            .await
            .send_keys(format!("{password}{}", Key::Enter.value()))
            .await
            .unwrap();
    }

    /// Serious and critical violations of WCAG 2.2 A and AA that axe finds on the page as it is.
    pub(crate) async fn violations(&self) -> Vec<String> {
        self.driver.execute(AXE, vec![]).await.unwrap();
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}) \
              .then((result) => done(result.violations), (error) => done([{impact: 'critical', id: String(error), nodes: []}]));";
        let found = self
            .driver
            .execute_async(run, vec![])
            .await
            .unwrap()
            .json()
            .clone();
        let grave = |violation: &&Value| {
            matches!(violation["impact"].as_str(), Some("serious" | "critical"))
        };
        found
            .as_array()
            .unwrap()
            .iter()
            .filter(grave)
            .map(|v| format!("{}: {}", v["id"], v["nodes"][0]["html"]))
            .collect()
    }

    /// What makes the page wider than its window: nothing, if it is not.
    pub(crate) async fn overflowing(&self) -> Vec<String> {
        let script = "const width = document.documentElement.clientWidth; \
            if (document.documentElement.scrollWidth <= width + 1) return []; \
            return [...document.querySelectorAll('body *')] \
              .filter((e) => e.getBoundingClientRect().right > width + 1) \
              .map((e) => e.outerHTML.slice(0, 160));";
        let found = self.driver.execute(script, vec![]).await.unwrap();
        let found = found.json().as_array().unwrap().clone();
        found.iter().map(ToString::to_string).collect()
    }
}
