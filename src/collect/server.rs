//! The dnstap server: any number of senders on Unix sockets, TCP and TLS.
//!
//! In: connections. Out: records for the log. Nobody waits for anybody: both handshakes have a task and a time limit of their own, and
//! a connection that sends faster than the log can write is made to wait by its own full socket.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::journal::Journal;
use super::listener::{Bound, Door, Stream, accept_all};
use super::metrics::Metrics;
use super::record::Record;
use super::run::Clock;
use super::session::{Event, Session};
use super::spool::Spooled;
use super::tls::TlsServer;
use crate::catalog::DnstapListener;

const READ_BYTES: usize = 64 << 10;
/// How long a peer may take to read a reply of ours.
const REPLY: Duration = Duration::from_secs(5);
/// When the collector stops, a connection is drained until nothing has come for so long, and at most so long: a sender that
/// never pauses must not keep it from ending in order.
pub(super) const DRAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

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

/// Takes connections until the collector stops.
pub(super) async fn serve(bound: Bound, tls: Option<Arc<TlsServer>>, settings: DnstapListener, shared: Shared) {
    let door = Door {
        bound,
        tls,
        listen: settings.listen.clone(),
        allow: settings.allow.clone(),
        places: settings.connections,
        handshake: settings.handshake,
    };
    accept_all(door, settings, shared, connection).await;
}

async fn connection(mut stream: Box<dyn Stream>, settings: Arc<DnstapListener>, shared: Shared, peer: Option<IpAddr>) {
    let (settings, shared) = (&*settings, &shared);
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
    let mut drained = None;
    loop {
        let until = if session.has_begun() { Instant::now() + settings.idle } else { begin_by };
        let read = if *stop.borrow() {
            let by = *drained.get_or_insert_with(|| Instant::now() + DRAIN.1);
            if Instant::now() >= by {
                return "collector stopped";
            }
            match timeout_at(by.min(Instant::now() + DRAIN.0), stream.read(&mut buffer)).await {
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
            if shared.queue.send(record.into()).await.is_err() {
                Metrics::add(&shared.metrics.lost, count);
                return Some("collector stopped");
            }
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
