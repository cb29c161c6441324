//! What a flow record means: left out by name, broken, or a row with verdict, initiator and reported names.
//!
//! In: the facts of one record. Out: one flow row, the answers it carries, and exactly one entry in the account.
//! Which end began is decided from policy verdicts, connection tracking, layer 7 and TCP flags, in this order, and never
//! from `traffic_direction`.

use crate::model::{
    Account, AddressId, Batch, Certainty, ChainId, Excluded, FlowRow, IdentityKind, Initiator, Place, Rejected, TextId,
    Timestamp, Verdict, Vocabulary,
};

use super::dns::{self, Answered};
use super::endpoint::EndFacts;
use super::facts::{Address, Clock, DropReason, Facts, FlowKind, FlowVerdict, event};

/// Socket-level translation: bookkeeping of the load balancer, seen again as packets.
pub(super) const SOCKET: Excluded = Excluded("socket translation event");
/// Cilium's own probes between its health endpoints.
pub(super) const HEALTH: Excluded = Excluded("cilium-health probe");
/// A field mask took the addresses away.
pub(super) const MASKED: Excluded = Excluded("flow without addresses (field mask)");
/// The proxy's own connection on behalf of a pod, seen from the pod once more.
pub(super) const PROXY_LEG: Excluded = Excluded("proxy leg (a node's address with a pod's identity)");

const BROKEN_TIME: Rejected = Rejected("time that does not parse or fit");
const BROKEN_ADDRESS: Rejected = Rejected("address that does not parse");
const BROKEN_PORT: Rejected = Rejected("port that is no 16-bit number");

const NO_TIME: &str = "record without a time";
const UNKNOWN_FIELDS: &str = "record with unknown fields";
const AGGREGATED: &str = "aggregated record (one stands for several events)";

/// Accounts for one flow record and adds its rows.
pub(super) fn add(
    facts: &Facts<'_>,
    place: Place,
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) {
    if facts.has_unknown_fields {
        account.note(UNKNOWN_FIELDS);
    }
    if is_socket_event(facts) {
        return account.exclude(SOCKET);
    }
    let time = match facts.time {
        Clock::Broken => return account.reject(BROKEN_TIME, place),
        Clock::Missing => Timestamp::UNKNOWN,
        Clock::Known(time) => time,
    };
    let (source_address, destination_address) = match (facts.source_address, facts.destination_address) {
        (Address::Broken, _) | (_, Address::Broken) => return account.reject(BROKEN_ADDRESS, place),
        (Address::Known(source), Address::Known(destination)) => (source, destination),
        _ => return account.exclude(MASKED),
    };
    let Some((source_port, destination_port)) = facts.ports else {
        return account.reject(BROKEN_PORT, place);
    };
    let verdict = verdict(facts);
    if facts.source.identity == IdentityKind::Health || facts.destination.identity == IdentityKind::Health {
        return account.exclude(HEALTH);
    }
    if is_proxy_leg(facts, verdict) {
        return account.exclude(PROXY_LEG);
    }
    let (initiator, certainty) = initiator(facts);
    account.accept();
    if !time.is_known() {
        account.note(NO_TIME);
    }
    if facts.has_aggregate {
        account.note(AGGREGATED);
    }
    let cluster = cluster(facts);
    batch.flows.push(FlowRow {
        time,
        cluster,
        node: facts.node.name,
        source: facts.source.id,
        destination: facts.destination.id,
        source_address,
        destination_address,
        source_port,
        destination_port,
        protocol: facts.protocol,
        verdict,
        initiator,
        certainty,
        reported: reported(facts, initiator),
        id: facts.uuid,
    });
    add_answers(facts, time, cluster, (source_address, destination_address), vocabulary, batch, account);
}

fn is_socket_event(facts: &Facts<'_>) -> bool {
    facts.kind == FlowKind::Socket
        || facts.event == event::SOCKET
        || matches!(facts.verdict, FlowVerdict::Traced | FlowVerdict::Translated)
}

/// A proxy opens its own connection from the node's address and marks it with the pod's identity. Such an end has a
/// pod's labels but neither endpoint ID, namespace nor pod name. A field mask can produce the same look, therefore
/// either the other end must name its pod or the record must carry `Summary`, which masks for machines leave out. Only
/// passing traffic is left out: a denial is evidence even without a pod.
fn is_proxy_leg(facts: &Facts<'_>, verdict: Verdict) -> bool {
    let leg = |end: &EndFacts, other: &EndFacts| end.is_nameless_pod && (other.has_pod || facts.has_summary);
    verdict == Verdict::Allowed
        && facts.event != event::POLICY_VERDICT
        && (leg(&facts.source, &facts.destination) || leg(&facts.destination, &facts.source))
}

fn cluster(facts: &Facts<'_>) -> TextId {
    if !facts.node.cluster.is_none() {
        return facts.node.cluster;
    }
    let local = [&facts.source, &facts.destination].into_iter().find(|end| end.local);
    local.map(|end| end.cluster).filter(|cluster| !cluster.is_none()).unwrap_or(facts.source.cluster)
}

fn verdict(facts: &Facts<'_>) -> Verdict {
    match facts.verdict {
        FlowVerdict::Forwarded | FlowVerdict::Redirected => Verdict::Allowed,
        FlowVerdict::Audit => Verdict::Audited,
        FlowVerdict::Dropped if facts.event == event::POLICY_VERDICT => Verdict::Denied,
        FlowVerdict::Dropped => match facts.drop_reason {
            DropReason::None | DropReason::Policy => Verdict::Denied,
            DropReason::Other => Verdict::Failed,
        },
        FlowVerdict::Error => Verdict::Failed,
        FlowVerdict::Unknown | FlowVerdict::Traced | FlowVerdict::Translated => Verdict::Unknown,
    }
}

fn initiator(facts: &Facts<'_>) -> (Initiator, Certainty) {
    if facts.event == event::POLICY_VERDICT {
        return (Initiator::Source, Certainty::Policy);
    }
    if facts.kind == FlowKind::Layer7 || facts.event == event::ACCESS_LOG {
        match dns::message_kind(facts.l7.as_deref()) {
            dns::MessageKind::Request => return (Initiator::Source, Certainty::Tracked),
            dns::MessageKind::Response => return (Initiator::Destination, Certainty::Tracked),
            dns::MessageKind::Other => {}
        }
    }
    let by_flags = match (facts.syn, facts.ack) {
        (true, false) => Some((Initiator::Source, Certainty::Flags)),
        (true, true) => Some((Initiator::Destination, Certainty::Flags)),
        _ => None,
    };
    // Emitters that fill `extensions` are not Cilium; Retina writes `is_reply: false` where it does not track.
    if facts.has_extensions && facts.is_reply == Some(false) {
        return by_flags.unwrap_or((Initiator::Source, Certainty::Guess));
    }
    match facts.is_reply {
        Some(true) => return (Initiator::Destination, Certainty::Tracked),
        Some(false) => return (Initiator::Source, Certainty::Tracked),
        None => {}
    }
    if let Some(decided) = by_flags {
        return decided;
    }
    let dropped = facts.event == event::DROP || (facts.event == 0 && facts.verdict == FlowVerdict::Dropped);
    if facts.old_reply {
        (Initiator::Destination, Certainty::Guess)
    } else if dropped && facts.source.local {
        (Initiator::Source, Certainty::Guess)
    } else {
        (Initiator::Unknown, Certainty::None)
    }
}

/// The names that the CNI knows for the server end: its DNS cache's, else those of the policy selector that matched.
fn reported(facts: &Facts<'_>, initiator: Initiator) -> ChainId {
    let (names, server) = match initiator {
        Initiator::Destination => (facts.source_names, &facts.source),
        Initiator::Source | Initiator::Unknown => (facts.destination_names, &facts.destination),
    };
    if names.is_none() { server.selected_names } else { names }
}

fn add_answers(
    facts: &Facts<'_>,
    time: Timestamp,
    cluster: TextId,
    (server, client): (AddressId, AddressId),
    vocabulary: &mut Vocabulary,
    batch: &mut Batch,
    account: &mut Account,
) {
    let Some(layer7) = &facts.l7 else { return };
    let answered = Answered { time, cluster, client, client_hint: facts.destination.id, server };
    dns::add_answers(layer7, &answered, vocabulary, batch, account);
}
