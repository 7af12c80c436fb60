//! TLS from given files, with certificates that can be exchanged while serving.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// The current certificate; connections that are open keep the one they began with.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    files: Tls,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificates {
    /// Reads and checks the files: the key must belong to the certificate.
    pub(crate) fn load(files: &Tls) -> anyhow::Result<Self> {
        let config = Arc::new(read(&files.cert, &files.key)?);
        Ok(Self {
            files: files.clone(),
            current: Arc::new(RwLock::new(config)),
        })
    }

    /// Reads the files again; on a fault the old certificate stays.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        let config = Arc::new(read(&self.files.cert, &self.files.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        vec![self.files.cert.clone(), self.files.key.clone()]
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config)
    }
}

fn read(cert: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from `{}`", cert.display()))?;
    anyhow::ensure!(!chain.is_empty(), "no certificate in `{}`", cert.display());
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from `{}`", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| {
            format!(
                "certificate `{}` and its key do not go together",
                cert.display()
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
