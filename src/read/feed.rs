//! What the live collector must know of a gRPC source: what to ask for, and what a message of its stream is.
//!
//! In: the kind of source, a time to resume from, bytes of messages. Out: requests; messages cut into events, each with its node, its
//! time and a number by which it is known when it is sent again; and rows. Nothing here connects to anything.

use crate::catalog::FeedKind;
use crate::model::{Account, Batch, Place, Rejected, Timestamp, Vocabulary};

use super::antrea::message as antrea;
use super::calico::{GoldmaneDecoder, GoldmanePiece, goldmane_request};
use super::hubble::{self, HubbleDecoder, NodeState, Response};

/// A message that is none of its source's.
pub const BROKEN_MESSAGE: Rejected = Rejected("message of a gRPC stream that is no known protobuf");

/// The method that streams flows.
pub const fn method(kind: FeedKind) -> &'static str {
    match kind {
        FeedKind::Relay => "/observer.Observer/GetFlows",
        FeedKind::Goldmane => "/goldmane.Flows/Stream",
        FeedKind::Antrea => "/antrea_io.antrea.pkg.apis.flow.v1alpha1.FlowStreamService/GetFlows",
    }
}

/// The request for everything from `since` on, without end.
pub fn request(kind: FeedKind, since: Option<Timestamp>) -> Vec<u8> {
    match kind {
        FeedKind::Relay => hubble::request(since),
        FeedKind::Goldmane => goldmane_request(since),
        FeedKind::Antrea => antrea::request(since),
    }
}

/// What one message says.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its events.
    pub events: Vec<Event>,
    /// Nodes whose state it tells.
    pub status: Option<(NodeState, Vec<String>)>,
    /// Events that the source dropped for us since the stream began.
    pub dropped: u64,
}

/// One event.
#[derive(Debug)]
pub struct Event {
    /// The node that saw it; empty where the source does not tell.
    pub node: String,
    /// When it happened, by the source's clock.
    pub time: Option<Timestamp>,
    /// The same for the same event sent again, and different for others; `None` where nothing tells.
    pub key: Option<u64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Relay(Box<Response>),
    Goldmane(Vec<u8>),
    Antrea(Vec<u8>),
}

/// The bytes are no message of this source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken protobuf")]
pub struct BrokenMessage;

impl Heard {
    /// Reads one message.
    pub fn read(kind: FeedKind, bytes: &[u8]) -> Result<Self, BrokenMessage> {
        match kind {
            FeedKind::Relay => relay(bytes),
            FeedKind::Goldmane => {
                let GoldmanePiece { flow, begin } = GoldmanePiece::read(bytes).map_err(|_| BrokenMessage)?;
                let key = Some(fnv(&flow));
                let event = Event { node: String::new(), time: begin, key, content: Content::Goldmane(flow) };
                Ok(Self { events: vec![event], ..Self::default() })
            }
            FeedKind::Antrea => {
                let antrea::Flows { flows, dropped } = antrea::Flows::read(bytes).map_err(|_| BrokenMessage)?;
                let event = |flow: Vec<u8>| Event {
                    node: String::new(),
                    time: antrea::end_of(&flow),
                    key: Some(fnv(&flow)),
                    content: Content::Antrea(flow),
                };
                Ok(Self { events: flows.into_iter().map(event).collect(), dropped, ..Self::default() })
            }
        }
    }
}

fn relay(bytes: &[u8]) -> Result<Heard, BrokenMessage> {
    let response = Response::read(bytes).map_err(|_| BrokenMessage)?;
    let status = response.status().map(|(state, nodes)| (state, nodes.to_vec()));
    // Before Cilium 1.14 events have no id; a status is news each time.
    let key = match response.uuid() {
        "" if status.is_some() => None,
        "" => Some(fnv(bytes)),
        uuid => Some(fnv(uuid.as_bytes())),
    };
    let event = Event {
        node: response.node().to_owned(),
        time: response.time(),
        key,
        content: Content::Relay(response.into()),
    };
    Ok(Heard { events: vec![event], status, dropped: 0 })
}

/// FNV-1a: numbers are kept from run to run, so that the hash must never change.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Decodes events of every kind of source. It remembers numbers of the vocabulary: use one with one vocabulary.
#[derive(Debug)]
pub struct FeedDecoder {
    hubble: HubbleDecoder,
}

impl Default for FeedDecoder {
    fn default() -> Self {
        Self { hubble: HubbleDecoder::new(true) }
    }
}

impl FeedDecoder {
    /// Accounts for one event and adds its rows.
    pub fn decode(
        &mut self,
        event: &Event,
        place: Place,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        match &event.content {
            Content::Relay(response) => self.hubble.response(response, place, vocabulary, batch, account),
            Content::Goldmane(flow) => GoldmaneDecoder::message(flow, place, vocabulary, batch, account),
            Content::Antrea(flow) => {
                let added = antrea::read(flow).and_then(|record| record.add(false, vocabulary, batch, account));
                match added {
                    Ok(()) => account.accept(),
                    Err(reason) => account.reject(reason, place),
                }
            }
        }
    }
}
