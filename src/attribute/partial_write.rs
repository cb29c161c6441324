//! A fold as bytes, to be joined with others elsewhere and later.
//!
//! In: a finished [`Fold`]. Out: its facts (vocabulary, ends, activity, losses, questions), then its rows (connections, answers, counters)
//! compressed. Equal input in equal order gives equal bytes: everything is written in an order of its own. Ids of records are left out:
//! no document has them, and nothing would compress worse.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::codec::Encoder;
use super::connection::{self, Connection};
use super::fold::Fold;
use super::spill::{PARTITIONS, Parked, Spill};
use super::volumes::Counted;
use crate::model::{Asking, Endpoint, IdentityKind, Vocabulary};

/// Compression that costs less than reading the input did.
const ZSTD_LEVEL: i32 = 1;

pub(super) const IDENTITIES: [IdentityKind; 10] = [
    IdentityKind::Unknown,
    IdentityKind::Pod,
    IdentityKind::Host,
    IdentityKind::RemoteNode,
    IdentityKind::KubeApiserver,
    IdentityKind::Ingress,
    IdentityKind::Health,
    IdentityKind::Init,
    IdentityKind::Unmanaged,
    IdentityKind::World,
];

/// How much a fold holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Connections.
    pub connections: u64,
    /// Answers.
    pub answers: u64,
}

impl Fold {
    /// Writes everything that was folded; nothing can be added afterwards.
    ///
    /// Fails when `out` does, or a temporary file.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<Folded> {
        self.finish()?;
        let facts = self.facts();
        out.write_all(&(facts.len() as u64).to_le_bytes())?;
        out.write_all(&facts)?;
        let mut rows = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
        let (idle, vocabulary) = (self.limits.idle_nanos, &self.vocabulary);
        let joined = |observed: Vec<Connection>| {
            let joined = connection::continued(observed, idle, vocabulary).into_iter();
            joined.map(Connection::without_id).collect()
        };
        let connections = write_rows(&self.connections, &mut rows, joined)?;
        let answers = write_rows(&self.answers, &mut rows, |answers| answers)?;
        let without_ids =
            |counted: Vec<Counted>| counted.into_iter().map(|one| Counted { of: one.of.without_id(), ..one }).collect();
        write_rows(&self.counted, &mut rows, without_ids)?;
        rows.finish()?.flush()?;
        Ok(Folded { connections, answers })
    }

    fn facts(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        write_vocabulary(&self.vocabulary, &mut out);
        let mut sightings: Vec<[u32; 4]> =
            self.sightings.iter().map(|seen| [seen.cluster.0, seen.endpoint.0, seen.node.0, seen.address.0]).collect();
        sightings.sort_unstable();
        out.count(sightings.len());
        sightings.iter().flatten().for_each(|number| out.u32(*number));
        let activity: BTreeMap<_, _> = self.activity.iter().collect();
        out.count(activity.len());
        for ((kind, cluster, name), seen) in activity {
            out.u8(*kind as u8);
            out.u32(cluster.0);
            out.u32(name.0);
            out.activity(seen);
        }
        let losses: BTreeMap<_, _> = self.losses.iter().collect();
        out.count(losses.len());
        for ((own, given, node), seen) in losses {
            for text in [own, given, node] {
                out.u32(text.0);
            }
            out.activity(seen);
        }
        let asked: BTreeMap<_, _> = self.questions.iter().collect();
        out.count(asked.len());
        for ((cluster, client, hint, domain), asking) in asked {
            for number in [cluster.0, client.0, hint.0, domain.0] {
                out.u32(number);
            }
            write_asking(asking, &mut out);
        }
        out.0
    }
}

fn write_vocabulary(vocabulary: &Vocabulary, out: &mut Encoder) {
    // Number 0 is the same everywhere.
    for texts in [&vocabulary.texts, &vocabulary.names] {
        out.count(texts.len() - 1);
        texts.values().iter().skip(1).for_each(|text| out.text(text));
    }
    out.count(vocabulary.addresses.len() - 1);
    for address in vocabulary.addresses.values().iter().skip(1) {
        match address {
            std::net::IpAddr::V4(address) => {
                out.u8(4);
                out.0.extend_from_slice(&address.octets());
            }
            std::net::IpAddr::V6(address) => {
                out.u8(6);
                out.0.extend_from_slice(&address.octets());
            }
        }
    }
    out.count(vocabulary.chains.len() - 1);
    for chain in vocabulary.chains.values().iter().skip(1) {
        out.count(chain.len());
        chain.iter().for_each(|name| out.u32(name.0));
    }
    out.count(vocabulary.endpoints.len() - 1);
    vocabulary.endpoints.values().iter().skip(1).for_each(|end| write_endpoint(end, out));
}

fn write_endpoint(end: &Endpoint, out: &mut Encoder) {
    let identity = IDENTITIES.iter().position(|kind| *kind == end.identity).unwrap_or(0);
    out.u8(u8::try_from(identity).unwrap_or(0));
    out.u8(u8::from(end.local) | u8::from(end.workload.is_some()) << 1);
    for text in [&end.namespace, &end.pod, &end.cluster] {
        out.text(text);
    }
    if let Some(workload) = &end.workload {
        out.text(&workload.kind.0);
        out.text(&workload.name);
    }
    let labels = end.all_labels();
    out.count(labels.clone().count());
    labels.for_each(|label| out.text(label));
}

fn write_asking(asking: &Asking, out: &mut Encoder) {
    out.count(asking.names.hashes().len());
    asking.names.hashes().iter().for_each(|hash| out.u64(*hash));
    for count in [asking.questions, asking.missing, asking.characters, asking.entropy_millibits] {
        out.u64(count);
    }
    out.count(asking.kinds.len());
    for (kind, count) in &asking.kinds {
        out.u16(*kind);
        out.u64(*count);
    }
    out.count(asking.examples.len());
    asking.examples.values().for_each(|name| out.text(name));
    for time in [asking.first, asking.last] {
        out.time(time.unwrap_or(crate::model::Timestamp::UNKNOWN));
    }
}

/// The rows of each partition: how many, then one behind the other in the order of their bytes.
fn write_rows<T: Parked>(spill: &Spill<T>, out: &mut impl Write, joined: impl Fn(Vec<T>) -> Vec<T>) -> io::Result<u64> {
    let mut total = 0;
    let mut encoded = Vec::new();
    for partition in 0..PARTITIONS {
        let mut rows = Vec::new();
        spill.read(partition, &mut rows)?;
        let rows = joined(rows);
        encoded.clear();
        for row in &rows {
            row.write(&mut encoded);
        }
        let mut sorted: Vec<&[u8]> = encoded.chunks_exact(T::BYTES).collect();
        sorted.sort_unstable();
        out.write_all(&(sorted.len() as u64).to_le_bytes())?;
        sorted.iter().try_for_each(|row| out.write_all(row))?;
        total += sorted.len() as u64;
    }
    Ok(total)
}
