//! The servers' certificate and its key, given by whoever issued them. Nothing is put into use that a client would refuse.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::config::{Publish, Secrets};
use super::{Exchange, Look, files};
use crate::error::{Error, fault};

/// Debian's, and with it most images', list of roots.
const USUAL_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// For one server to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_hours(24);

/// A certificate that comes in: its files, as whoever issued it hands them over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The certificate of the servers at these addresses.
pub(crate) struct Tls {
    used: Issued,
    former: Issued,
    fresh: Issued,
    issued: Option<Issued>,
    addresses: Vec<String>,
    name: ServerName<'static>,
    roots: Arc<RootCertStore>,
    least_left: Duration,
    publish: Publish,
}

impl Tls {
    pub(crate) fn new(config: &super::Config, issued: Option<Issued>) -> Result<Self, Error> {
        let part = config.tls.as_ref().ok_or(Error::Unconfigured("tls"))?;
        let pair = |secret: &Path| Issued {
            cert: secret.join("cert.pem"),
            key: secret.join("key.pem"),
        };
        let Secrets { former, fresh } = config.secrets("tls");
        let name = ServerName::try_from(part.name.clone());
        Ok(Self {
            used: Issued {
                cert: part.cert.clone(),
                key: part.key.clone(),
            },
            former: pair(&former),
            fresh: pair(&fresh),
            issued,
            addresses: part.addresses.clone(),
            name: name.map_err(|_| unfit(&part.cert, "tls.name is no name of a host"))?,
            roots: Arc::new(roots(config.ca.as_deref())?),
            least_left: part.least_left.0,
            publish: part.publish.clone(),
        })
    }

    /// Whether clients will take it, now and for as long as it must last; the days that are left.
    fn check(&self, pair: &Issued) -> Result<u64, Error> {
        let fault = |what: String| unfit(&pair.cert, &what);
        let chain = chain(&pair.cert)?;
        let key = PrivateKeyDer::from_pem_file(&pair.key)
            .map_err(|error| unfit(&pair.key, &format!("holds no private key: {error}")))?;
        let whole = CertifiedKey::from_der(chain.clone(), key, &provider());
        let whole = whole.map_err(|error| fault(format!("it and its key: {error}")))?;
        whole
            .keys_match()
            .map_err(|_| fault("its key is another one's".to_owned()))?;
        let now = UnixTime::now();
        self.holds(&chain, now)
            .map_err(|error| fault(format!("clients would refuse it: {error}")))?;
        let days = (0..=398).take_while(|day| self.holds(&chain, later(now, DAY * *day)).is_ok());
        let left = u64::try_from(days.count()).unwrap_or(0).saturating_sub(1);
        if DAY * u32::try_from(left).unwrap_or(0) < self.least_left {
            let least = self.least_left.as_secs() / DAY.as_secs();
            return Err(fault(format!(
                "it expires in {left} days, and must last {least}"
            )));
        }
        Ok(left)
    }

    fn holds(&self, chain: &[CertificateDer<'_>], at: UnixTime) -> Result<(), rustls::Error> {
        let (leaf, between) = chain
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier
            .verify_server_cert(leaf, between, &self.name, &[], at)
            .map(|_| ())
    }

    fn pair_of(&self, id: &str) -> Result<&Issued, Error> {
        for pair in [&self.fresh, &self.former] {
            if pair.cert.exists() && fingerprint(&pair.cert)? == id {
                return Ok(pair);
            }
        }
        Err(Error::Lost(format!("the certificate {id}")))
    }

    /// The certificate that is served there.
    async fn served(&self, address: SocketAddr) -> Result<String, String> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let shaken = timeout(HANDSHAKE, async {
            let socket = TcpStream::connect(address).await?;
            let connector = TlsConnector::from(Arc::new(config));
            connector.connect(self.name.clone(), socket).await
        });
        let stream = shaken
            .await
            .map_err(|_| "it does not answer".to_owned())?
            .map_err(|error| error.to_string())?;
        let leaf = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        leaf.map(mark)
            .ok_or_else(|| "it shows no certificate".to_owned())
    }
}

impl Exchange for Tls {
    async fn in_use(&self) -> Result<String, Error> {
        fingerprint(&self.used.cert)
    }

    async fn stage(&mut self, former: &str) -> Result<String, Error> {
        if let Some(issued) = &self.issued {
            self.check(issued)?;
            let id = fingerprint(&issued.cert)?;
            if id == former {
                return Err(unfit(&issued.cert, "it is the one in use"));
            }
            for (from, to) in [(&self.used, &self.former), (issued, &self.fresh)] {
                let folder = to.cert.parent().unwrap_or(Path::new("."));
                files::private_folder(folder)?;
                copy(from, to)?;
            }
        } else if !self.fresh.cert.exists() {
            return Err(Error::Unissued);
        }
        fingerprint(&self.fresh.cert)
    }

    async fn known(&self, id: &str) -> Result<Look, Error> {
        let days = self.check(self.pair_of(id)?)?;
        Ok(Look::Everywhere(format!(
            "chain, key and name fit; good for {days} days"
        )))
    }

    async fn switch(&mut self, id: &str) -> Result<(), Error> {
        copy(self.pair_of(id)?, &self.used)?;
        self.publish.run().await
    }

    async fn used(&self, id: &str) -> Result<Look, Error> {
        let mut seen = 0;
        for name in &self.addresses {
            let found = match tokio::net::lookup_host(name).await {
                Ok(found) => found,
                Err(error) => return Ok(Look::NotYet(format!("{name}: {error}"))),
            };
            for address in found {
                match self.served(address).await {
                    Ok(served) if served == id => seen += 1,
                    Ok(served) => {
                        return Ok(Look::NotYet(format!("{address} shows {served} still")));
                    }
                    Err(why) => return Ok(Look::NotYet(format!("{address}: {why}"))),
                }
            }
        }
        Ok(Look::Everywhere(format!("{seen} addresses show {id}")))
    }

    async fn overlap(&self) -> Result<Duration, Error> {
        Ok(Duration::ZERO)
    }

    async fn retire(&mut self, _id: &str) -> Result<(), Error> {
        for pair in [&self.former, &self.fresh] {
            files::remove(&pair.key)?;
            files::remove(&pair.cert)?;
        }
        Ok(())
    }

    async fn gone(&self, _id: &str) -> Result<Look, Error> {
        Ok(Look::Everywhere("nobody shows it any more".to_owned()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn later(now: UnixTime, by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + by)
}

fn unfit(path: &Path, what: &str) -> Error {
    Error::Configuration {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unfit(path, &format!("holds no certificates: {error}")))?;
    if chain.is_empty() {
        return Err(unfit(path, "holds no certificate"));
    }
    Ok(chain)
}

/// The first bytes of the SHA-256 of the first certificate.
fn fingerprint(path: &Path) -> Result<String, Error> {
    let chain = chain(path)?;
    chain
        .first()
        .map(mark)
        .ok_or_else(|| unfit(path, "holds no certificate"))
}

fn mark(certificate: &CertificateDer<'_>) -> String {
    let hash = Sha256::digest(certificate.as_ref());
    hex::encode(hash.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// One file for both is exchanged in one moment. Of two the key goes first; a server that reads in between keeps what it
/// has, and reads again.
fn copy(from: &Issued, to: &Issued) -> Result<(), Error> {
    let read = |path: &Path| fs::read(path).map(zeroize::Zeroizing::new);
    let key = read(&from.key).map_err(fault(&from.key, "read"))?;
    let cert = read(&from.cert).map_err(fault(&from.cert, "read"))?;
    if to.key == to.cert {
        let both = zeroize::Zeroizing::new([cert.as_slice(), key.as_slice()].concat());
        return files::replace(&to.key, &both);
    }
    files::replace(&to.key, &key)?;
    files::replace(&to.cert, &cert)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Error> {
    let usual = Path::new(USUAL_ROOTS);
    let mut roots = RootCertStore::empty();
    for path in ca.into_iter().chain(usual.exists().then_some(usual)) {
        roots.add_parsable_certificates(chain(path)?);
    }
    Ok(roots)
}
