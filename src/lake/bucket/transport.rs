//! Requests to an object store over HTTP/1.1, in the clear or within TLS.
//!
//! In: signed requests. Out: responses. Connections are kept and used again; one that makes no progress for half a minute, in
//! either direction, is broken off, so that no request hangs. No proxy, no redirect, no cookie: whoever signs says where to.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long connecting may take, and then the handshake of TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may stand still; one that is kept for later is closed after as long.
const STILL: Duration = Duration::from_secs(30);
/// Connections that are kept.
const KEPT_MAX: usize = 16;
/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities of a file, else those of the system. Without any, `https://` fails with a message that says so.
pub(super) fn trusted(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let mut add = |path: &Path| -> Result<(), String> {
        let failed = |why: &dyn fmt::Display| format!("`{}`: {why}; PEM is expected", path.display());
        let text = std::fs::read(path).map_err(|error| failed(&error))?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| failed(&error))?;
            let added = roots.add(certificate);
            // A system's bundle may hold what rustls does not take; a file that somebody named must be right.
            if let (Err(error), Some(_)) = (added, bundle) {
                return Err(failed(&error));
            }
        }
        Ok(())
    };
    match bundle {
        Some(path) => add(path)?,
        None => {
            if let Some(path) = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.is_file()) {
                add(path)?;
            }
        }
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Makes transports.
pub(super) struct Transports(pub(super) Arc<ClientConfig>);

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transports")
    }
}

impl HttpConnector for Transports {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let transport = Transport { tls: self.0.clone(), allow_http, idle: Arc::default() };
        Ok(HttpClient::new(transport))
    }
}

/// A connection that is free, and whose it is.
type Idle = (Scheme, String, SendRequest<HttpRequestBody>);

/// Sends requests.
struct Transport {
    tls: Arc<ClientConfig>,
    allow_http: bool,
    idle: Arc<Mutex<Vec<Idle>>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpService for Transport {
    fn call<'life, 'call>(
        &'life self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'life: 'call,
        Self: 'call,
    {
        Box::pin(self.send(request))
    }
}

fn refused(kind: HttpErrorKind, message: String) -> HttpError {
    HttpError::new(kind, io::Error::other(message))
}

impl Transport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let scheme = parts.uri.scheme().cloned().unwrap_or(Scheme::HTTPS);
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        if scheme != Scheme::HTTPS && !self.allow_http {
            return Err(refused(HttpErrorKind::Unknown, format!("`{scheme}://{authority}` is not `https://`")));
        }
        let mut sender = match self.idle(&scheme, &authority) {
            Some(sender) => sender,
            None => self.open(&scheme, &parts.uri).await?,
        };
        let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        parts.uri = Uri::from(path);
        if !parts.headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(&authority)
        {
            parts.headers.insert(HOST, host);
        }
        let agent = HeaderValue::from_static(concat!("egress-atlas/", env!("CARGO_PKG_VERSION")));
        parts.headers.entry(USER_AGENT).or_insert(agent);
        let response = sender.send_request(Request::from_parts(parts, body)).await.map_err(broken)?;
        // It is free when the body of the response is read; whoever takes it looks whether it is.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(.., sender)| !sender.is_closed());
        if idle.len() < KEPT_MAX {
            idle.push((scheme, authority, sender));
        }
        drop(idle);
        Ok(response.map(|body| HttpResponseBody::new(Received(body))))
    }

    fn idle(&self, scheme: &Scheme, authority: &str) -> Option<SendRequest<HttpRequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |(of, at, sender): &Idle| of == scheme && at == authority && sender.is_ready();
        let at = idle.iter().position(fits)?;
        Some(idle.swap_remove(at).2)
    }

    async fn open(&self, scheme: &Scheme, uri: &Uri) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        let failed = |error: io::Error| HttpError::new(HttpErrorKind::Connect, error);
        let slow = || io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s");
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if *scheme == Scheme::HTTPS { 443 } else { 80 });
        let connecting = TcpStream::connect((bare, port));
        let stream = timeout(CONNECT, connecting).await.map_err(|_| failed(slow()))?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if *scheme != Scheme::HTTPS {
            return begin(stream).await;
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        let shaking = TlsConnector::from(self.tls.clone()).connect(name, stream);
        let stream = timeout(CONNECT, shaking).await.map_err(|_| failed(slow()))?.map_err(failed)?;
        begin(stream).await
    }
}

async fn begin<S>(stream: S) -> Result<SendRequest<HttpRequestBody>, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wire = Wire { stream, still: Box::pin(sleep(STILL)) };
    let (sender, connection) = handshake(wire).await.map_err(broken)?;
    // How it ends is told to whoever waits for a response.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Says of a failure of a connection whether to try again is of use.
fn broken(error: hyper::Error) -> HttpError {
    let kind = if error.is_parse() {
        HttpErrorKind::Decode
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_canceled() || error.is_closed() {
        // The server closed a kept connection before it had the request.
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error)
}

/// The body of a response.
struct Received(Incoming);

impl Body for Received {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(broken)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A stream of tokio as hyper wants it, which breaks off when it stands still.
struct Wire<S> {
    stream: S,
    still: Pin<Box<Sleep>>,
}

impl<S: Unpin> Wire<S> {
    fn moved(&mut self) {
        self.still.as_mut().reset(Instant::now() + STILL);
    }

    fn stands<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.still.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved for 30 s")))
    }
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut own = [0; 1 << 14];
        let room = own.len().min(buffer.remaining());
        let mut read = ReadBuf::new(own.get_mut(..room).unwrap_or_default());
        match Pin::new(&mut self.stream).poll_read(context, &mut read) {
            Poll::Ready(Ok(())) => {
                buffer.put_slice(read.filled());
                self.moved();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.stands(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.moved();
                Poll::Ready(written)
            }
            Poll::Pending => self.stands(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
