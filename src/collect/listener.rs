//! Listeners of connections: who may come in, how many at a time, and the handshake of TLS off the way of the next one.
//!
//! In: a bound socket and its rules. Out: secured connections, each in a task of its own. What a peer says there is none of this
//! file's business. Nobody waits for anybody: a peer that is slow at the handshake keeps only its own place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::server::Shared;
use super::tls::TlsServer;
use crate::catalog::Listen;

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

/// A listener with its rules.
pub(super) struct Door {
    pub(super) bound: Bound,
    pub(super) tls: Option<Arc<TlsServer>>,
    pub(super) listen: Listen,
    /// Networks that may come in; everybody when there is none.
    pub(super) allow: Vec<IpNet>,
    /// Connections at a time.
    pub(super) places: usize,
    /// How long a handshake may take.
    pub(super) handshake: Duration,
}

/// Accepts until the collector stops; `converse` has what follows the handshake, with the settings of the listener.
pub(super) async fn accept_all<S, F, C>(door: Door, settings: S, shared: Shared, converse: C)
where
    S: Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
    C: Fn(Box<dyn Stream>, Arc<S>, Shared, Option<IpAddr>) -> F + Copy + Send + 'static,
{
    let settings = Arc::new(settings);
    let places = Arc::new(Semaphore::new(door.places));
    let door = Arc::new(door);
    let origin = door.listen.to_string();
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&door.bound) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: later.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        shared.metrics.accept(&origin);
        if let Some(address) = peer.filter(|address| !is_allowed(&door.allow, *address)) {
            shared.metrics.end("peer not allowed");
            shared.journal.warn("connection refused", &[("why", &"peer not allowed"), ("peer", &address)]);
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            shared.metrics.end("too many connections");
            continue;
        };
        let (door, settings, shared) = (door.clone(), settings.clone(), shared.clone());
        tokio::spawn(async move {
            match secured(stream, door.tls.as_deref(), door.handshake).await {
                Ok(stream) => converse(stream, settings, shared, peer).await,
                Err(refused) => refused.tell(&shared, &door.listen, peer),
            }
            drop(place);
        });
    }
}

/// A connection in clear or within TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that nobody has shaken hands with.
enum Raw {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Takes the next connection; never waits for what it says.
async fn accept(bound: &Bound) -> io::Result<(Raw, Option<IpAddr>)> {
    Ok(match bound {
        Bound::Unix(listener) => (Raw::Unix(listener.accept().await?.0), None),
        Bound::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            (Raw::Tcp(stream), Some(peer.ip().to_canonical()))
        }
    })
}

/// Why a connection did not come about.
struct Refused {
    reason: &'static str,
    error: String,
}

impl Refused {
    fn tell(&self, shared: &Shared, listen: &Listen, peer: Option<IpAddr>) {
        shared.metrics.end(self.reason);
        let peer = peer.map_or_else(String::new, |peer| peer.to_string());
        let fields: [(&str, &dyn std::fmt::Display); 4] =
            [("why", &self.reason), ("error", &self.error), ("listener", listen), ("peer", &peer)];
        shared.journal.warn("connection refused", &fields);
    }
}

/// Shakes hands where the listener asks for TLS, within `limit`.
async fn secured(raw: Raw, tls: Option<&TlsServer>, limit: Duration) -> Result<Box<dyn Stream>, Refused> {
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
