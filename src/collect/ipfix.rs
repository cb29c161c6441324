//! The IPFIX collector: exporters over UDP, TCP and TLS.
//!
//! In: datagrams and connections. Out: records for the log, each with the templates that it needs. TCP makes an exporter wait when the
//! log does; UDP cannot, and what the system's buffer loses shows as a gap in the exporter's sequence numbers. Templates are kept for
//! each exporter and observation domain, bounded in size and number.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::listener::{Bound, Door, Stream, accept_all, is_allowed};
use super::metrics::Metrics;
use super::record::{MessageKind, Record};
use super::server::{DRAIN, Shared};
use super::tls::TlsServer;
use crate::catalog::IpfixListener;
use crate::read::IpfixRelay;

/// Messages wait for each other for so long, or until they are so many bytes.
const BATCH: (Duration, usize) = (Duration::from_millis(200), 256 << 10);
const READ_BYTES: usize = 64 << 10;

fn record(settings: &IpfixListener, shared: &Shared, session: u64, source: &str, chunk: Vec<u8>) -> Record {
    Record::Messages {
        kind: MessageKind::Ipfix,
        session,
        key: 0,
        origin: settings.listen.to_string(),
        cluster: settings.cluster.clone(),
        source: source.to_owned(),
        arrived: (shared.clock)(),
        until: 0,
        messages: chunk,
    }
}

/// Hands what a session has to the log.
async fn flush(relay: &mut IpfixRelay, settings: &IpfixListener, shared: &Shared, session: u64, source: &str) {
    let (chunk, messages) = relay.take();
    if messages == 0 {
        return;
    }
    if shared.queue.send(record(settings, shared, session, source, chunk).into()).await.is_ok() {
        Metrics::add(&shared.metrics.messages, messages);
    }
}

async fn missed(settings: &IpfixListener, shared: &Shared, source: &str, rejected: u64) {
    let record = Record::Missed {
        origin: settings.listen.to_string(),
        cluster: settings.cluster.clone(),
        source: source.to_owned(),
        at: (shared.clock)(),
        rejected,
        lost: 0,
    };
    // The log has ended before a listener only when the program has.
    drop(shared.queue.send(record.into()).await);
}

/// Takes connections until the collector stops.
pub(super) async fn serve(bound: Bound, tls: Option<Arc<TlsServer>>, settings: IpfixListener, shared: Shared) {
    let door = Door {
        bound,
        tls,
        listen: settings.listen.clone(),
        allow: settings.allow.clone(),
        places: settings.exporters,
        handshake: settings.handshake,
    };
    accept_all(door, settings, shared, connection).await;
}

async fn connection(mut stream: Box<dyn Stream>, settings: Arc<IpfixListener>, shared: Shared, peer: Option<IpAddr>) {
    let (settings, shared) = (&*settings, &shared);
    let session = shared.sessions.fetch_add(1, Ordering::Relaxed);
    let source = peer.map_or_else(String::new, |peer| peer.to_string());
    let origin = settings.listen.to_string();
    shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
    shared.journal.info("exporter connected", &[("session", &session), ("listener", &origin), ("peer", &source)]);
    drop(shared.queue.send(Record::Opened { session, origin, at: (shared.clock)() }.into()).await);
    let mut relay = IpfixRelay::new();
    let reason = converse(&mut stream, &mut relay, settings, shared, (session, &source)).await;
    flush(&mut relay, settings, shared, session, &source).await;
    if reason == FRAMING {
        missed(settings, shared, &source, 1).await;
    }
    let lost = u64::from(reason != FRAMING && !relay.is_between_messages());
    Metrics::add(&shared.metrics.lost, lost);
    drop(shared.queue.send(Record::Closed { session, at: (shared.clock)(), lost }.into()).await);
    shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    shared.metrics.end(reason);
    let fields: [(&str, &dyn std::fmt::Display); 3] = [("session", &session), ("why", &reason), ("lost", &lost)];
    shared.journal.info("exporter gone", &fields);
}

const FRAMING: &str = "framing lost";

/// Reads until the end; why it ended.
async fn converse(
    stream: &mut Box<dyn Stream>,
    relay: &mut IpfixRelay,
    settings: &IpfixListener,
    shared: &Shared,
    (session, source): (u64, &str),
) -> &'static str {
    let mut buffer = vec![0; READ_BYTES];
    let mut stop = shared.stop.clone();
    let (mut silent_at, mut since) = (Instant::now() + settings.idle, None::<Instant>);
    let mut drained = None;
    loop {
        let is_stopping = *stop.borrow();
        let due = since.map_or(silent_at, |since| silent_at.min(since + BATCH.0));
        let by = is_stopping.then(|| *drained.get_or_insert_with(|| Instant::now() + DRAIN.1));
        if by.is_some_and(|by| Instant::now() >= by) {
            return "collector stopped";
        }
        let until = by.map_or(due, |by| by.min(Instant::now() + DRAIN.0));
        let read = tokio::select! {
            read = timeout_at(until, stream.read(&mut buffer)) => read,
            _ = stop.wait_for(|stop| *stop), if !is_stopping => continue,
        };
        match read {
            Ok(Ok(0)) => return "closed by exporter",
            Ok(Ok(read)) => {
                silent_at = Instant::now() + settings.idle;
                if relay.push(buffer.get(..read).unwrap_or_default()).is_err() {
                    return FRAMING;
                }
                since = (relay.waiting() > 0).then(|| since.unwrap_or_else(Instant::now));
            }
            Ok(Err(_)) => return "connection broken",
            Err(_) if is_stopping => return "collector stopped",
            Err(_) if Instant::now() >= silent_at => return "idle",
            Err(_) => {}
        }
        if relay.waiting() >= BATCH.1 || since.is_some_and(|since| since.elapsed() >= BATCH.0) {
            flush(relay, settings, shared, session, source).await;
            since = None;
        }
    }
}

/// One exporter over UDP.
struct Exporter {
    relay: IpfixRelay,
    session: u64,
    source: String,
    heard: Instant,
}

/// Datagrams that nothing can be made of, since the last look.
#[derive(Default)]
struct Refused {
    no_message: u64,
    not_allowed: u64,
    too_many: u64,
}

/// Takes datagrams until the collector stops.
pub(super) async fn receive(socket: UdpSocket, settings: IpfixListener, shared: Shared) {
    let mut exporters: BTreeMap<SocketAddr, Exporter> = BTreeMap::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut refused = Refused::default();
    let mut stop = shared.stop.clone();
    let mut next = Instant::now() + BATCH.0;
    loop {
        let is_stopping = *stop.borrow();
        let received = tokio::select! {
            received = timeout_at(next, socket.recv_from(&mut buffer)) => received,
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                next = Instant::now() + DRAIN.0;
                continue;
            }
        };
        if let Ok(Ok((length, peer))) = received {
            let datagram = buffer.get(..length).unwrap_or_default();
            let full = take(datagram, peer, &mut exporters, &mut refused, &settings, &shared);
            if let Some(exporter) = full.and_then(|peer| exporters.get_mut(&peer)) {
                flush(&mut exporter.relay, &settings, &shared, exporter.session, &exporter.source).await;
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + BATCH.0;
            settle(&mut exporters, &mut refused, &settings, &shared).await;
            if is_stopping {
                return;
            }
        }
    }
}

/// Takes one datagram; its exporter when enough of it waits.
fn take(
    datagram: &[u8],
    peer: SocketAddr,
    exporters: &mut BTreeMap<SocketAddr, Exporter>,
    refused: &mut Refused,
    settings: &IpfixListener,
    shared: &Shared,
) -> Option<SocketAddr> {
    let address = peer.ip().to_canonical();
    if !is_allowed(&settings.allow, address) {
        refused.not_allowed += 1;
        return None;
    }
    if !exporters.contains_key(&peer) && exporters.len() >= settings.exporters {
        refused.too_many += 1;
        return None;
    }
    let seconds = u32::try_from(settings.templates.as_secs()).unwrap_or(u32::MAX);
    let exporter = exporters.entry(peer).or_insert_with(|| Exporter {
        relay: IpfixRelay::udp(seconds),
        session: shared.sessions.fetch_add(1, Ordering::Relaxed),
        source: address.to_string(),
        heard: Instant::now(),
    });
    exporter.heard = Instant::now();
    refused.no_message += u64::from(!exporter.relay.datagram(datagram));
    (exporter.relay.waiting() >= BATCH.1).then_some(peer)
}

/// Writes down what waits, and forgets exporters that are silent.
async fn settle(
    exporters: &mut BTreeMap<SocketAddr, Exporter>,
    refused: &mut Refused,
    settings: &IpfixListener,
    shared: &Shared,
) {
    for exporter in exporters.values_mut() {
        flush(&mut exporter.relay, settings, shared, exporter.session, &exporter.source).await;
    }
    let silent: Vec<SocketAddr> = exporters
        .iter()
        .filter(|(_, exporter)| exporter.heard.elapsed() >= settings.idle)
        .map(|(peer, _)| *peer)
        .collect();
    for peer in silent {
        if let Some(exporter) = exporters.remove(&peer) {
            let closed = Record::Closed { session: exporter.session, at: (shared.clock)(), lost: 0 };
            drop(shared.queue.send(closed.into()).await);
        }
    }
    let Refused { no_message, not_allowed, too_many } = std::mem::take(refused);
    let reasons =
        [("datagram is no IPFIX", no_message), ("peer not allowed", not_allowed), ("too many exporters", too_many)];
    for (reason, count) in reasons {
        shared.metrics.refuse(reason, count);
    }
    let all = no_message.saturating_add(not_allowed).saturating_add(too_many);
    if all > 0 {
        missed(settings, shared, "", all).await;
    }
}
