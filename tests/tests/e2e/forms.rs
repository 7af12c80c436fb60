//! The console's forms without a browser: what they answer, and what they keep out.

use hub_testkit::mail::MailServer;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::accounts::{mailing, token};
use crate::incidents::spray;
use crate::world::{PASSWORD, World};

const NEW_PASSWORD: &str = "a quite different staple battery";

/// A browser that follows nothing by itself.
struct Visitor {
    http: Client,
    url: String,
    cookie: String,
}

/// What a form or page answered.
#[derive(Debug)]
struct Page {
    status: u16,
    location: String,
    cookies: Vec<String>,
    text: String,
}

impl Page {
    async fn of(response: Response) -> Self {
        let header = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers();
        Self {
            status: response.status().as_u16(),
            location: headers.get(LOCATION).map(header).unwrap_or_default(),
            cookies: headers.get_all(SET_COOKIE).iter().map(header).collect(),
            text: response.text().await.unwrap(),
        }
    }

    #[track_caller]
    fn says(&self, status: u16, words: &[&str]) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        for word in words {
            assert!(self.text.contains(word), "`{word}` is not in {self:?}");
        }
        self
    }

    /// The page without what differs from answer to answer.
    fn main(&self) -> &str {
        self.text.split("<main").nth(1).unwrap()
    }

    #[track_caller]
    fn leads_to(&self, location: &str) -> &Self {
        assert_eq!(
            (self.status, self.location.as_str()),
            (303, location),
            "{self:?}"
        );
        self
    }
}

impl Visitor {
    fn at(world: &World) -> Self {
        let http = Client::builder().redirect(Policy::none()).no_proxy();
        Self {
            http: http.build().unwrap(),
            url: world.hub.url.clone(),
            cookie: String::new(),
        }
    }

    async fn get(&self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.url));
        Page::of(request.header(COOKIE, &self.cookie).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.http.post(format!("{}{path}", self.url)).form(form);
        Page::of(request.header(COOKIE, &self.cookie).send().await.unwrap()).await
    }

    async fn sign_in(&self, password: &str, next: &str) -> Page {
        let form = [
            ("tenant", "acme"),
            ("username", "ada"),
            ("password", password),
            ("next", next),
        ];
        self.post("/console/sign-in", &form).await
    }

    async fn signed_in(world: &World) -> Self {
        let mut visitor = Self::at(world);
        let answer = visitor.sign_in(PASSWORD, "").await;
        let cookies = answer.leads_to("/console/now").cookies.iter();
        let pairs: Vec<&str> = cookies
            .filter_map(|cookie| cookie.split(';').next())
            .collect();
        visitor.cookie = pairs.join("; ");
        visitor
    }
}

#[tokio::test]
async fn signing_in_by_form_leads_on_and_signing_out_ends_it() {
    let world = World::new().await;
    let stranger = Visitor::at(&world);
    stranger
        .get("/console/sign-in")
        .await
        .says(200, &["<h1 id=\"sign-in\">"]);
    let wrong = stranger
        .sign_in("not the right one", "/console/ledger")
        .await;
    // What was typed stays, but for the password; where one was going too.
    wrong.says(
        200,
        &[
            "role=\"alert\"",
            "value=\"ada\"",
            "value=\"/console/ledger\"",
        ],
    );
    assert!(
        !wrong.text.contains("not the right one") && wrong.cookies.is_empty(),
        "{wrong:?}"
    );
    for (next, place) in [
        ("/console/ledger", "/console/ledger"),
        ("https://evil.example/", "/console/now"),
        ("//evil.example/", "/console/now"),
        ("/console/../x", "/console/now"),
        ("/console/ledger?x=\"><script>", "/console/now"),
    ] {
        stranger.sign_in(PASSWORD, next).await.leads_to(place);
    }
    let ada = Visitor::signed_in(&world).await;
    ada.get("/console/now").await.says(200, &["ada"]);
    ada.get("/console/nowhere").await.says(404, &[]);
    let out = ada.post("/console/sign-out", &[]).await;
    let cookies = &out.leads_to("/console/sign-in").cookies;
    assert!(
        cookies.iter().any(|cookie| cookie.contains("Max-Age=0")),
        "{cookies:?}"
    );
    // Not only the cookie is gone: the session is.
    let location = ada.get("/console/now").await.location;
    assert!(location.starts_with("/console/sign-in"), "{location}");
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_forms() {
    let (world, server): (World, MailServer) = mailing().await;
    let ada = Visitor::at(&world);
    ada.get("/console/forgot")
        .await
        .says(200, &["Mail me a link"]);
    let form = [("tenant", "acme"), ("username", "ada")];
    let asked = ada.post("/console/forgot", &form).await;
    // Nobody learns who exists.
    asked.says(200, &["role=\"status\"", "If there is such a person"]);
    let nobody = [("tenant", "nowhere"), ("username", "nobody")];
    let other = ada.post("/console/forgot", &nobody).await;
    assert_eq!(other.main(), asked.main());

    let token = token(&server).await;
    let page = ada.get(&format!("/console/reset?token={token}")).await;
    page.says(200, &[&format!("value=\"{token}\"")]);
    let reset = async |password: &str| {
        let form = [("token", token.as_str()), ("password", password)];
        ada.post("/console/reset", &form).await
    };
    reset("short").await.says(200, &["role=\"alert\"", &token]);
    reset(NEW_PASSWORD)
        .await
        .leads_to("/console/sign-in?done=reset");
    ada.get("/console/sign-in?done=reset")
        .await
        .says(200, &["The new password is set"]);
    reset(NEW_PASSWORD)
        .await
        .says(200, &["This link was used already, or is too old"]);
    ada.sign_in(PASSWORD, "")
        .await
        .says(200, &["role=\"alert\""]);
    ada.sign_in(NEW_PASSWORD, "").await.leads_to("/console/now");
}

#[tokio::test]
async fn no_form_is_filled_in_from_another_site() {
    let world = World::new().await;
    let ada = Visitor::signed_in(&world).await;
    for path in ["sign-in", "forgot", "reset", "sign-out"] {
        let form = [
            ("tenant", "acme"),
            ("username", "ada"),
            ("password", PASSWORD),
            ("token", "x"),
        ];
        let request = ada
            .http
            .post(format!("{}/console/{path}", ada.url))
            .form(&form);
        let request = request
            .header(COOKIE, &ada.cookie)
            .header("sec-fetch-site", "cross-site");
        let answer = request
            .header("origin", "https://evil.example")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    ada.get("/console/now").await.says(200, &[]);
}

#[tokio::test]
async fn a_decision_about_an_incident_is_a_form() {
    let world = World::new().await;
    let incident = spray(&world).await;
    let id = incident["id"].as_str().unwrap();
    let ada = Visitor::signed_in(&world).await;
    let (case, status) = (
        format!("/console/incidents/{id}"),
        format!("/console/incidents/{id}/status"),
    );
    let form = [("status", "closed"), ("note", "a drill of our own")];
    ada.post(&status, &form).await.leads_to(&case);
    ada.get(&case)
        .await
        .says(200, &["closed", "a drill of our own", "127.66.0.9"]);
    ada.post(&status, &[("status", "eradicated")])
        .await
        .says(409, &["cannot become"]);
    ada.post(&status, &[("status", "asleep")])
        .await
        .says(422, &[]);
    ada.get("/console/incidents?status=closed")
        .await
        .says(200, &[id]);
    let open = ada.get("/console/incidents?status=open").await;
    assert!(!open.says(200, &[]).text.contains(id), "{open:?}");
    ada.get("/console/incidents/not-an-id").await.says(404, &[]);
    let unknown = format!("{case}/actions/{id}/release");
    ada.post(&unknown, &[]).await.says(404, &[]);
}
