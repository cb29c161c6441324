//! Certificates on both sides: what a listener shows and asks for, what a client trusts and shows.
//!
//! In: paths of PEM files. Out: handshakes. Files are read again when they have changed, since a collector lives longer than a
//! certificate; a change that cannot be read leaves the old one in force and is told. Cryptography is that of rustls with ring.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::journal::Journal;
use crate::catalog::{ClientTls, Feed, ServerTls};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("`{path}`: {why}; PEM is expected, and the collector must be allowed to read it")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Files that do not fit each other.
    #[error("`{path}`: {why}; do certificate and key belong together?")]
    Unfit {
        /// The certificate.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A name.
    #[error("`{name}` is no name that a certificate can have; write a DNS name or an address as `server_name`")]
    Name {
        /// Which.
        name: String,
    },
}

fn file_error(path: &Path, why: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.display().to_string(), why: why.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(path).map_err(|error| file_error(path, error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| file_error(path, error))?;
    if found.is_empty() { Err(file_error(path, "it holds no certificate")) } else { Ok(found) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = std::fs::read(path).map_err(|error| file_error(path, error))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| file_error(path, error))
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| file_error(path, error))?;
    }
    Ok(Arc::new(store))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_config(tls: &ServerTls) -> Result<ServerConfig, TlsError> {
    let unfit = |why: String| TlsError::Unfit { path: tls.certificate.display().to_string(), why };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(error.to_string()))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider());
            builder.with_client_cert_verifier(verifier.build().map_err(|error| file_error(ca, error))?)
        }
    };
    let pair = builder.with_single_cert(certificates(&tls.certificate)?, key(&tls.key)?);
    pair.map_err(|error| unfit(error.to_string()))
}

/// When each file was changed last; certificates that are mounted into a pod change by a new link.
type Stamps = Vec<Option<SystemTime>>;

/// A listener's side.
pub(super) struct TlsServer {
    settings: ServerTls,
    current: Mutex<(Stamps, TlsAcceptor)>,
    journal: Journal,
}

impl TlsServer {
    /// Reads the files.
    pub(super) fn new(settings: &ServerTls, journal: &Journal) -> Result<Self, TlsError> {
        let current = (stamps(settings), TlsAcceptor::from(Arc::new(server_config(settings)?)));
        Ok(Self { settings: settings.clone(), current: Mutex::new(current), journal: journal.clone() })
    }

    /// Shakes hands; whoever calls limits the time.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.acceptor().accept(stream).await
    }

    fn acceptor(&self) -> TlsAcceptor {
        let now = stamps(&self.settings);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != now {
            match server_config(&self.settings) {
                Ok(config) => current.1 = TlsAcceptor::from(Arc::new(config)),
                Err(error) => {
                    self.journal.warn("changed certificate cannot be used; the old one stays", &[("error", &error)]);
                }
            }
            current.0 = now;
        }
        current.1.clone()
    }
}

fn stamps(settings: &ServerTls) -> Stamps {
    let files = [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()];
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    files.into_iter().flatten().map(|path| changed(path)).collect()
}

/// A client's side, as its files are now. The server must speak HTTP/2.
pub(super) fn connector(tls: &ClientTls) -> Result<(TlsConnector, ServerName<'static>), TlsError> {
    let name =
        ServerName::try_from(tls.server_name.clone()).map_err(|_| TlsError::Name { name: tls.server_name.clone() })?;
    let shown = tls.identity.as_ref().map_or(&tls.ca, |(certificate, _)| certificate);
    let unfit = |why: String| TlsError::Unfit { path: shown.display().to_string(), why };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(error.to_string()))?
        .with_root_certificates(roots(&tls.ca)?);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, of)) => builder
            .with_client_auth_cert(certificates(certificate)?, key(of)?)
            .map_err(|error| unfit(error.to_string()))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Whether the certificates for a gRPC server can be used as they are now.
pub(super) fn check(feed: &Feed) -> Result<(), TlsError> {
    feed.tls.as_ref().map_or(Ok(()), |tls| connector(tls).map(|_| ()))
}
