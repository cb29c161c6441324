//! A gRPC server that does as it is told, right or wrong: for Hubble Relay, Goldmane and Antrea.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What the server does in a call, one after the other; behind the last it holds the stream open.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends a message.
    Message(Vec<u8>),
    /// Sends bytes that nothing frames.
    Bytes(Vec<u8>),
    /// Waits so many milliseconds.
    Wait(u64),
    /// Ends the stream with a status.
    Status(u32, &'static str),
    /// Breaks the stream off.
    Reset,
    /// As the first step: never answers.
    Silence,
    /// As the first step: answers with this HTTP status.
    Http(u16),
}

/// What was asked of the server: the path, and the bytes of the request behind its frame.
pub(crate) type Asked = (String, Option<String>, Vec<u8>);

pub(crate) struct Server {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// The n-th call gets the n-th script; later ones are held open.
    pub(crate) fn start(tls: Option<Arc<ServerConfig>>, scripts: Vec<Vec<Step>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        runtime.spawn(async move {
            let acceptor = tls.map(TlsAcceptor::from);
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, log, scripts) = (acceptor.clone(), log.clone(), scripts.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => converse(stream, log, scripts).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                converse(stream, log, scripts).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, asked, _runtime: runtime }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    log: Arc<Mutex<Vec<Asked>>>,
    scripts: Vec<Vec<Step>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        let (log, scripts) = (log.clone(), scripts.clone());
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                bytes.extend_from_slice(&piece);
            }
            let token = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(head.headers.get("te").unwrap(), "trailers");
            let script = {
                let mut log = log.lock().unwrap();
                log.push((head.uri.path().to_owned(), token, bytes.split_off(5)));
                scripts.get(log.len() - 1).cloned().unwrap_or_default()
            };
            perform(answer, script).await;
        });
    }
}

async fn perform(mut answer: h2::server::SendResponse<Bytes>, script: Vec<Step>) {
    match script.first() {
        Some(Step::Silence) => return std::future::pending().await,
        Some(Step::Http(status)) => {
            answer.send_response(Response::builder().status(*status).body(()).unwrap(), true).unwrap();
            return;
        }
        _ => {}
    }
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = answer.send_response(head, false).unwrap();
    for step in script {
        match step {
            Step::Message(message) => {
                let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                let framed = [[0].as_slice(), &length, &message].concat();
                // In two pieces: a frame of HTTP/2 is no message of gRPC.
                let (one, two) = framed.split_at(framed.len() / 2);
                for piece in [one, two] {
                    if stream.send_data(Bytes::copy_from_slice(piece), false).is_err() {
                        return;
                    }
                }
            }
            Step::Bytes(bytes) => drop(stream.send_data(bytes.into(), false)),
            Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Status(code, message) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", code.into());
                trailers.insert("grpc-message", message.parse().unwrap());
                drop(stream.send_trailers(trailers));
                return;
            }
            Step::Reset => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return;
            }
            Step::Silence | Step::Http(_) => unreachable!("only as the first step"),
        }
    }
    // Held open as long as the client stays.
    std::future::poll_fn(|context| stream.poll_reset(context)).await.ok();
}

/// Certificates of one test, and where their files are.
pub(crate) struct Certificates {
    pub(crate) folder: tempfile::TempDir,
}

impl Certificates {
    /// An authority, a server's certificate for these names, and a client's.
    pub(crate) fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.crt", &authority.pem());
        for (name, names) in [("server", names), ("client", &["client"])] {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
            write(&format!("{name}.crt"), &certificate.pem());
            write(&format!("{name}.key"), &key.serialize_pem());
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// For our server; with `asks` it wants a client's certificate of the authority.
    pub(crate) fn server(&self, asks: bool) -> Arc<ServerConfig> {
        use tokio_rustls::rustls::pki_types::CertificateDer;
        let read = |name: &str| std::fs::read(self.path(name)).unwrap();
        let certificate = CertificateDer::from_pem_slice(&read("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&read("ca.crt")).unwrap()).unwrap();
        let builder = if asks {
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap(),
            )
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}
