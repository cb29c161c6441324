//! One call of gRPC's server streaming over HTTP/2: a request out, messages in.
//!
//! In: an address, certificates, a method, the bytes of a request. Out: the bytes of messages, one by one, or why there are no more.
//! What is not taken is not read: the windows of HTTP/2 stay closed and the server has to wait. No message is believed to be longer
//! than gRPC's own default limit. Format: the gRPC project's `PROTOCOL-HTTP2.md`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::tls::{TlsError, connector};
use crate::catalog::Feed;

/// gRPC's default: no server sends more in one message unless it was told to.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How much may be on its way before it is taken.
const WINDOW_BYTES: u32 = 1 << 20;
const HEADERS_BYTES_MAX: u32 = 64 << 10;
/// Longer tokens are none.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Why a call ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrpcError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// Something took too long.
    #[error("no answer within {0:?}")]
    Slow(Duration),
    /// Certificates of ours.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The handshake.
    #[error("TLS: {0}")]
    Handshake(std::io::Error),
    /// Beneath gRPC.
    #[error("HTTP/2: {0}")]
    Http(#[from] h2::Error),
    /// An answer that is none of gRPC.
    #[error("no gRPC: {0}")]
    Foreign(String),
    /// The server ended the stream.
    #[error("the server ended the stream with status {code}: {message}")]
    Status {
        /// The status of gRPC; 0 means that all is well.
        code: u32,
        /// What it says.
        message: String,
    },
    /// A message beyond the limit.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// The token of the settings.
    #[error("`{path}`: {why}; the token for the server is read from there")]
    Token {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open call.
pub(super) struct Call {
    body: RecvStream,
    /// Drives the connection; ends with the call.
    driver: JoinHandle<()>,
    buffer: BytesMut,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Call {
    /// Connects and asks. The beginning of the answer must come in time.
    pub(super) async fn open(feed: &Feed, method: &str, request: &[u8]) -> Result<Self, GrpcError> {
        match timeout(feed.connect, Self::ask(feed, method, request)).await {
            Ok(opened) => opened,
            Err(_) => Err(GrpcError::Slow(feed.connect)),
        }
    }

    async fn ask(feed: &Feed, method: &str, request: &[u8]) -> Result<Self, GrpcError> {
        let token = feed.token.as_deref().map(token).transpose()?;
        let tcp = TcpStream::connect(&feed.authority).await.map_err(GrpcError::Connect)?;
        tcp.set_nodelay(true).map_err(GrpcError::Connect)?;
        let (scheme, stream): (&str, Box<dyn Stream>) = match &feed.tls {
            None => ("http", Box::new(tcp)),
            Some(tls) => {
                let (connector, name) = connector(tls)?;
                ("https", Box::new(connector.connect(name, tcp).await.map_err(GrpcError::Handshake)?))
            }
        };
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .enable_push(false)
            .handshake::<_, Bytes>(stream)
            .await?;
        // Its error is also that of the stream.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let mut call = Driven(Some(driver));
        let mut client = client.ready().await?;
        let mut head = Request::post(format!("{scheme}://{}{method}", feed.authority))
            .header("te", "trailers")
            .header("content-type", "application/grpc+proto")
            .header("user-agent", concat!("egress-atlas/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = token {
            head = head.header("authorization", format!("Bearer {token}"));
        }
        let head = head.body(()).map_err(|error| GrpcError::Foreign(error.to_string()))?;
        let (answer, mut body) = client.send_request(head, false)?;
        body.send_data(framed(request), true)?;
        let (head, body) = answer.await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(GrpcError::Foreign(format!("HTTP status {}", head.status)));
        }
        if let Some(ended) = status(&head.headers) {
            return Err(ended);
        }
        let is_grpc =
            head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            return Err(GrpcError::Foreign("the answer's content type is not `application/grpc`".to_owned()));
        }
        let driver = call.0.take().ok_or_else(|| GrpcError::Foreign("no connection".to_owned()))?;
        Ok(Self { body, driver, buffer: BytesMut::new() })
    }

    /// The next message that has arrived whole; `None` when more must be read.
    pub(super) fn take(&mut self) -> Result<Option<Bytes>, GrpcError> {
        let Some(&[compressed, a, b, c, d]) = self.buffer.first_chunk::<5>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if compressed != 0 {
            return Err(GrpcError::Foreign("a compressed message, which nobody asked for".to_owned()));
        }
        if length > MESSAGE_BYTES_MAX {
            return Err(GrpcError::TooLong(length));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(5 + length).freeze();
        Ok(Some(message.split_off(5)))
    }

    /// Reads what comes next. The end of the stream is always an error: a stream that follows has none. May be dropped while it
    /// waits, and loses nothing.
    pub(super) async fn read(&mut self) -> Result<(), GrpcError> {
        if let Some(piece) = self.body.data().await {
            let piece = piece?;
            self.body.flow_control().release_capacity(piece.len())?;
            self.buffer.extend_from_slice(&piece);
            return Ok(());
        }
        let trailers = self.body.trailers().await?.unwrap_or_default();
        Err(status(&trailers).unwrap_or_else(|| GrpcError::Foreign("the stream ended without a status".to_owned())))
    }
}

/// The driver of a call that is not open yet.
struct Driven(Option<JoinHandle<()>>);

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}

fn framed(request: &[u8]) -> Bytes {
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
    [[0].as_slice(), &length.to_be_bytes(), request].concat().into()
}

fn status(headers: &HeaderMap) -> Option<GrpcError> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let code = text("grpc-status")?;
    let message: String = text("grpc-message").unwrap_or_default().chars().take(500).collect();
    // A status that is no number is the unknown one.
    Some(GrpcError::Status { code: code.parse().unwrap_or(2), message })
}

fn token(path: &std::path::Path) -> Result<String, GrpcError> {
    let refused = |why: String| GrpcError::Token { path: path.display().to_string(), why };
    let length = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if length > TOKEN_BYTES_MAX {
        return Err(refused("it is too long".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token.to_owned()) } else { Err(refused("it holds no token".to_owned())) }
}
