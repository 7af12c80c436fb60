//! An object store that speaks S3 over TLS, for the tests of backups: the second region, on the loopback.
//!
//! `object-store FOLDER [ADDRESS]`. The folder holds `key` (two lines: the key's id and the key) and `buckets/`, a folder for
//! each bucket; it puts `ca.pem` and, when it listens, `address` beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::PrivatePkcs8KeyDer;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let address = arguments.next();
    let buckets = folder.join("buckets");
    let store = store(&folder, &buckets)?;
    let tls = tls(&folder)?;
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let address = listener.local_addr()?.to_string();
    // Whole or not at all: whoever waits for it reads it at once.
    std::fs::write(folder.join("address.new"), address)?;
    std::fs::rename(folder.join("address.new"), folder.join("address"))?;
    loop {
        let (socket, _) = listener.accept().await?;
        let (tls, store, buckets) = (tls.clone(), store.clone(), buckets.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(socket).await else {
                return;
            };
            let answer = hyper::service::service_fn(move |request| {
                answer(store.clone(), buckets.clone(), request)
            });
            let _hung_up = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn store(folder: &Path, buckets: &Path) -> Result<S3Service, Failure> {
    let key = std::fs::read_to_string(folder.join("key"))?;
    let mut lines = key.lines();
    let (id, secret) = (lines.next().ok_or("no id")?, lines.next().ok_or("no key")?);
    let files = s3s_fs::FileSystem::new(buckets).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(id, secret));
    Ok(builder.build())
}

fn tls(folder: &Path) -> Result<TlsAcceptor, Failure> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(folder.join("ca.pem"), made.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn answer(
    store: S3Service,
    buckets: PathBuf,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, s3s::HttpError> {
    // Keys are flat: a common beginning of several is no object, though here it is a folder.
    let path = buckets.join(request.uri().path().trim_start_matches('/'));
    if request.method() == Method::HEAD && path.is_dir() {
        let mut nothing = Response::new(s3s::Body::empty());
        *nothing.status_mut() = StatusCode::NOT_FOUND;
        return Ok(nothing);
    }
    hyper::service::Service::call(&store, request).await
}
