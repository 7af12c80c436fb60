//! Certificates: what clients would refuse is refused before it is in use; what is in use is what is served.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::site::{Load, Site};

/// An authority of one's own.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { params, key }
    }

    fn pem(&self) -> String {
        self.params.clone().self_signed(&self.key).unwrap().pem()
    }

    /// Issues a certificate for `name` into `<folder>/<file>.pem` and its key into `<file>.key`.
    fn issue(&self, folder: &Path, file: &str, name: &str, until: Option<i32>) {
        let mut params =
            CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        if let Some(year) = until {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let cert = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{file}.pem")), cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_under_load_and_a_bad_one_never_served() {
    let authority = Authority::new();
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    authority.issue(folder, "used", "hub.example", None);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let more = format!(
        "[tls]\ncert = \"{}\"\nkey = \"{}\"\nname = \"hub.example\"\naddresses = [ADDRESSES]\n",
        path("used.pem"),
        path("used.key")
    );
    let with_tls = |setting: hub_testkit::hub::Setting| {
        setting
            .with("HUB_TLS_CERT", &path("used.pem"))
            .with("HUB_TLS_KEY", &path("used.key"))
    };
    let site = Site::with(&more, with_tls).await;
    let text = std::fs::read_to_string(site.at("keys.toml")).unwrap();
    let addresses: Vec<String> = site
        .hubs
        .iter()
        .map(|hub| format!("\"{}\"", hub.address()))
        .collect();
    let text = text
        .replace("ADDRESSES", &addresses.join(", "))
        .replace("[ring]", &format!("ca = \"{}\"\n[ring]", path("ca.pem")));
    std::fs::write(site.at("keys.toml"), text).unwrap();

    let before = std::fs::read(path("used.pem")).unwrap();
    authority.issue(folder, "other-name", "other.example", None);
    authority.issue(folder, "expired", "hub.example", Some(2021));
    Authority::new().issue(folder, "stranger", "hub.example", None);
    authority.issue(folder, "good", "hub.example", None);
    std::fs::write(
        folder.join("mixed.pem"),
        std::fs::read(path("good.pem")).unwrap(),
    )
    .unwrap();
    std::fs::write(
        folder.join("mixed.key"),
        std::fs::read(path("expired.key")).unwrap(),
    )
    .unwrap();
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    std::fs::write(folder.join("empty.key"), "").unwrap();
    for (bad, why) in [
        ("other-name", "not valid for name"),
        ("expired", "expired"),
        ("stranger", "clients would refuse it"),
        ("mixed", "key"),
        ("empty", "no certificate"),
        ("used", "is the one in use"),
    ] {
        let (cert, key) = (path(&format!("{bad}.pem")), path(&format!("{bad}.key")));
        let words = site
            .refused(&["rotate", "tls", "--cert", &cert, "--key", &key], 2)
            .await;
        assert!(words.contains(why), "{bad}: {words}");
        assert_eq!(std::fs::read(path("used.pem")).unwrap(), before, "{bad}");
    }
    site.refused(&["rotate", "tls"], 2).await;

    let load = Load::start(&site.hubs, 4, 60).await;
    let (cert, key) = (path("good.pem"), path("good.key"));
    site.told(&["rotate", "tls", "--cert", &cert, "--key", &key])
        .await;
    assert_eq!(
        std::fs::read(path("used.pem")).unwrap(),
        std::fs::read(&cert).unwrap()
    );
    // Back, as the handshakes show, and forward again.
    site.told(&["undo", "tls"]).await;
    assert_eq!(std::fs::read(path("used.pem")).unwrap(), before);
    site.told(&["retire", "tls"]).await;
    site.told(&["rotate", "tls", "--cert", &cert, "--key", &key])
        .await;
    site.told(&["retire", "tls"]).await;
    load.stop().await.expect_none_failed();
}
