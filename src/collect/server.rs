//! The dnstap server: any number of senders on Unix sockets, TCP and TLS.
//!
//! In: connections. Out: records for the log. Nobody waits for anybody: both handshakes have a task and a time limit of their own, and
//! a connection that sends faster than the log can write is made to wait by its own full socket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::journal::Journal;
use super::metrics::Metrics;
use super::run::Clock;
use super::session::{Event, Session};
use super::spool::Spooled;
use super::tls::TlsServer;
use super::wal::Record;
use crate::catalog::{DnstapListener, Listen};

const READ_BYTES: usize = 64 << 10;
/// How long a peer may take to read a reply of ours.
const REPLY: Duration = Duration::from_secs(5);
/// How long a connection is drained when the collector stops.
const DRAIN: Duration = Duration::from_millis(200);

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) queue: mpsc::Sender<Spooled>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) sessions: Arc<AtomicU64>,
    pub(super) stop: watch::Receiver<bool>,
}

/// A bound socket.
pub(super) enum Bound {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Binds a listener's socket. A socket file that nobody listens on any more is replaced.
pub(super) async fn bind(listen: &Listen) -> io::Result<Bound> {
    match listen {
        Listen::Tcp(address) | Listen::Tls(address) => TcpListener::bind(address).await.map(Bound::Tcp),
        Listen::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        Listen::Unix(path) => {
            use std::os::unix::fs::{FileTypeExt, PermissionsExt};
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            if let Ok(found) = std::fs::symlink_metadata(path) {
                let alive = tokio::net::UnixStream::connect(path).await.is_ok();
                if alive || !found.file_type().is_socket() {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
            Ok(Bound::Unix(listener))
        }
    }
}

/// Accepts until the collector stops.
pub(super) async fn serve(bound: Bound, tls: Option<Arc<TlsServer>>, settings: DnstapListener, shared: Shared) {
    let places = Arc::new(Semaphore::new(settings.connections));
    let settings = Arc::new(settings);
    let origin = settings.listen.to_string();
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&bound) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                shared.metrics.accept(&origin);
                if let Some(address) = peer.filter(|address| !is_allowed(&settings.allow, *address)) {
                    shared.metrics.end("peer not allowed");
                    shared.journal.warn("connection refused", &[("why", &"peer not allowed"), ("peer", &address)]);
                    continue;
                }
                let Ok(place) = places.clone().try_acquire_owned() else {
                    shared.metrics.end("too many connections");
                    continue;
                };
                let (settings, shared, tls) = (settings.clone(), shared.clone(), tls.clone());
                tokio::spawn(async move {
                    match secured(stream, tls.as_deref(), settings.handshake).await {
                        Ok(stream) => connection(stream, &settings, &shared, peer).await,
                        Err(refused) => refused.tell(&shared, &settings.listen, peer),
                    }
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: later.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A connection in clear or within TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that nobody has shaken hands with.
pub(super) enum Raw {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Takes the next connection; never waits for what it says.
pub(super) async fn accept(bound: &Bound) -> io::Result<(Raw, Option<IpAddr>)> {
    Ok(match bound {
        Bound::Unix(listener) => (Raw::Unix(listener.accept().await?.0), None),
        Bound::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            (Raw::Tcp(stream), Some(peer.ip().to_canonical()))
        }
    })
}

/// Why a connection did not come about.
pub(super) struct Refused {
    reason: &'static str,
    error: String,
}

impl Refused {
    pub(super) fn tell(&self, shared: &Shared, listen: &Listen, peer: Option<IpAddr>) {
        shared.metrics.end(self.reason);
        let peer = peer.map_or_else(String::new, |peer| peer.to_string());
        let fields: [(&str, &dyn std::fmt::Display); 4] =
            [("why", &self.reason), ("error", &self.error), ("listener", listen), ("peer", &peer)];
        shared.journal.warn("connection refused", &fields);
    }
}

/// Shakes hands where the listener asks for TLS, within `limit`.
pub(super) async fn secured(raw: Raw, tls: Option<&TlsServer>, limit: Duration) -> Result<Box<dyn Stream>, Refused> {
    match (raw, tls) {
        (Raw::Unix(stream), _) => Ok(Box::new(stream)),
        (Raw::Tcp(stream), None) => Ok(Box::new(stream)),
        (Raw::Tcp(stream), Some(tls)) => match timeout(limit, tls.accept(stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(Refused { reason: "TLS refused", error: error.to_string() }),
            Err(_) => Err(Refused { reason: "no TLS handshake", error: format!("none within {limit:?}") }),
        },
    }
}

/// Whether `address` may send; everybody may when nobody is named.
pub(super) fn is_allowed(allow: &[IpNet], address: IpAddr) -> bool {
    allow.is_empty() || allow.iter().any(|network| network.contains(&address))
}

async fn connection(mut stream: Box<dyn Stream>, settings: &DnstapListener, shared: &Shared, peer: Option<IpAddr>) {
    let number = shared.sessions.fetch_add(1, Ordering::Relaxed);
    let origin = settings.listen.to_string();
    shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let peer = peer.map_or_else(|| "unix".to_owned(), |address| address.to_string());
    shared.journal.info("connection opened", &[("session", &number), ("listener", &origin), ("peer", &peer)]);
    let opened = Record::Opened { session: number, origin: origin.clone(), at: (shared.clock)() };
    let mut session = Session::default();
    let reason = if shared.queue.send(opened.into()).await.is_ok() {
        converse(&mut stream, &mut session, settings, shared, number).await
    } else {
        "collector stopped"
    };
    let lost = session.too_long + u64::from(session.has_begun() && session.is_inside_frame());
    let closed = Record::Closed { session: number, at: (shared.clock)(), lost };
    Metrics::add(&shared.metrics.lost, lost);
    // The log has ended before this connection only when the program has.
    drop(shared.queue.send(closed.into()).await);
    shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    shared.metrics.end(reason);
    let fields: [(&str, &dyn std::fmt::Display); 4] =
        [("session", &number), ("why", &reason), ("frames", &session.frames), ("lost", &lost)];
    shared.journal.info("connection closed", &fields);
}

/// Reads until the end; why it ended.
async fn converse(
    stream: &mut Box<dyn Stream>,
    session: &mut Session,
    settings: &DnstapListener,
    shared: &Shared,
    number: u64,
) -> &'static str {
    let mut buffer = vec![0; READ_BYTES];
    let begin_by = Instant::now() + settings.handshake;
    let mut stop = shared.stop.clone();
    loop {
        let until = if session.has_begun() { Instant::now() + settings.idle } else { begin_by };
        let read = if *stop.borrow() {
            match timeout(DRAIN, stream.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => return "collector stopped",
            }
        } else {
            tokio::select! {
                read = timeout_at(until, stream.read(&mut buffer)) => match read {
                    Ok(read) => read,
                    Err(_) if session.has_begun() => return "idle",
                    Err(_) => return "no handshake",
                },
                _ = stop.wait_for(|stop| *stop) => continue,
            }
        };
        match read {
            Ok(0) => return "closed without STOP",
            Ok(read) => session.push(buffer.get(..read).unwrap_or_default()),
            Err(_) => return "connection broken",
        }
        loop {
            match session.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if let Some(reason) = act(stream, event, settings, shared, number).await {
                        return reason;
                    }
                }
                Err(fault) => {
                    let fields: [(&str, &dyn std::fmt::Display); 2] = [("session", &number), ("why", &fault)];
                    shared.journal.warn("framing lost", &fields);
                    return "framing lost";
                }
            }
        }
    }
}

/// Does what the session asks for; a reason when that ends the connection.
async fn act(
    stream: &mut Box<dyn Stream>,
    event: Event,
    settings: &DnstapListener,
    shared: &Shared,
    number: u64,
) -> Option<&'static str> {
    match event {
        Event::Reply(bytes) => match timeout(REPLY, stream.write_all(&bytes)).await {
            Ok(Ok(())) => None,
            _ => Some("connection broken"),
        },
        Event::Frames(frames) => {
            let count = frames_in(&frames);
            let record = Record::Frames {
                session: number,
                origin: settings.listen.to_string(),
                cluster: settings.cluster.clone(),
                arrived: (shared.clock)(),
                frames,
            };
            shared.queue.send(record.into()).await.ok()?;
            Metrics::add(&shared.metrics.frames, count);
            None
        }
        Event::Stop(bytes) => {
            // FINISH says that everything is kept, so it is said when that is so.
            let (kept, told) = oneshot::channel();
            let asked = shared.queue.send(Spooled { record: None, kept: Some(kept) }).await;
            if asked.is_ok() && told.await.is_ok() {
                drop(timeout(REPLY, stream.write_all(&bytes)).await);
            }
            drop(timeout(REPLY, stream.shutdown()).await);
            Some("stopped by sender")
        }
    }
}

fn frames_in(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(length) = crate::read::u32_at(frames, 0) {
        frames = frames.get(4 + length as usize..).unwrap_or_default();
        count += 1;
    }
    count
}
