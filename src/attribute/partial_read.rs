//! A fold that was written elsewhere, added to one that is here.
//!
//! In: the bytes that [`Fold::write`] made, which may have come from anywhere. Out: the same facts and rows in the numbers of this
//! fold, or why they are not what they should be. Memory follows what is distinct: rows go to the spill as they come.

use std::io::{self, BufReader, Read};
use std::net::IpAddr;

use super::answers::Answer;
use super::codec::{Decoder, Malformed, sound_time};
use super::connection::Connection;
use super::fold::{Fold, Sighting, address_hash, connection_hash};
use super::partial_write::IDENTITIES;
use super::spill::{Cursor, PARTITIONS, Parked};
use super::volumes::Counted;
use crate::model::{
    Activity, AddressId, Asking, Endpoint, EndpointId, NameId, SourceKind, TextId, Vocabulary, VocabularyMap, Volume,
    Workload, WorkloadKind, stable_hash,
};

/// Why a written fold cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// It cannot be read, or a temporary file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what [`Fold::write`] makes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// How many of each kind a vocabulary holds.
#[derive(Clone, Copy)]
struct Sizes {
    texts: u32,
    names: u32,
    addresses: u32,
    chains: u32,
    endpoints: u32,
}

const FOREIGN_NUMBER: Malformed = Malformed("a number is of no value in it");

impl Sizes {
    fn of(vocabulary: &Vocabulary) -> Self {
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            texts: size(vocabulary.texts.len()),
            names: size(vocabulary.names.len()),
            addresses: size(vocabulary.addresses.len()),
            chains: size(vocabulary.chains.len()),
            endpoints: size(vocabulary.endpoints.len()),
        }
    }

    fn text(self, id: TextId) -> bool {
        id.0 < self.texts
    }

    fn address(self, id: AddressId) -> bool {
        id.is_within(self.addresses, self.endpoints, self.chains)
    }
}

/// A row of a partial result.
trait Row: Parked {
    /// Whether all its numbers are of the vocabulary, and its times sound.
    fn is_sound(&self, sizes: Sizes) -> bool;
    /// Parks it.
    fn add(self, fold: &mut Fold, map: &VocabularyMap) -> io::Result<()>;
}

impl Row for Connection {
    fn is_sound(&self, sizes: Sizes) -> bool {
        let ends = [self.low, self.high].iter().all(|end| end.0 < sizes.endpoints);
        let addresses = [self.key.low.0, self.key.high.0].iter().all(|id| sizes.address(*id));
        let times = [self.first, self.last, self.id_time].iter().all(|time| sound_time(*time));
        let in_order = self.first.is_known() == self.last.is_known() && self.first <= self.last;
        ends && addresses
            && times
            && in_order
            && sizes.text(self.key.cluster)
            && self.id.is_none()
            && self.reported.0 < sizes.chains
    }

    fn add(self, fold: &mut Fold, map: &VocabularyMap) -> io::Result<()> {
        let row = self.renumbered(map);
        fold.connections.push(connection_hash(&fold.vocabulary, &row.key), row)
    }
}

impl Row for Answer {
    fn is_sound(&self, sizes: Sizes) -> bool {
        let addresses = [self.client, self.address].iter().all(|id| sizes.address(*id));
        addresses
            && sound_time(self.time)
            && sizes.text(self.cluster)
            && self.client_hint.0 < sizes.endpoints
            && self.name.0 < sizes.names
            && self.chain.0 < sizes.chains
    }

    fn add(self, fold: &mut Fold, map: &VocabularyMap) -> io::Result<()> {
        let row = self.renumbered(map);
        fold.answers.push(address_hash(&fold.vocabulary, row.address), row)
    }
}

impl Row for Counted {
    fn is_sound(&self, sizes: Sizes) -> bool {
        let Volume { bytes, since, .. } = self.volume;
        self.of.is_sound(sizes) && sound_time(since) && bytes.is_none_or(|bytes| !bytes.is_broken())
    }

    fn add(self, fold: &mut Fold, map: &VocabularyMap) -> io::Result<()> {
        let row = self.renumbered(map);
        fold.counted.push(connection_hash(&fold.vocabulary, &row.of.key), row)
    }
}

impl Fold {
    /// Adds what another fold wrote. After a failure the fold is of no use.
    pub fn read(&mut self, input: &mut dyn Read) -> Result<(), PartialError> {
        let mut length = [0; 8];
        read_exactly(input, &mut length)?;
        // Read as it comes: a length that lies costs nothing.
        let mut facts = Vec::new();
        let length = u64::from_le_bytes(length);
        input.take(length).read_to_end(&mut facts)?;
        if facts.len() as u64 != length {
            return Err(Malformed("it ends early").into());
        }
        let mut facts = Decoder(&facts);
        let vocabulary = read_vocabulary(&mut facts)?;
        let sizes = Sizes::of(&vocabulary);
        let map = self.vocabulary.absorb(vocabulary);
        self.read_facts(&mut facts, sizes, &map)?;
        facts.end()?;
        let mut rows = BufReader::new(zstd::stream::read::Decoder::new(input)?);
        self.read_rows::<Connection>(&mut rows, sizes, &map)?;
        self.read_rows::<Answer>(&mut rows, sizes, &map)?;
        self.read_rows::<Counted>(&mut rows, sizes, &map)?;
        if rows.read(&mut [0])? > 0 {
            return Err(Malformed("something follows its end").into());
        }
        Ok(())
    }

    fn read_facts(&mut self, facts: &mut Decoder<'_>, sizes: Sizes, map: &VocabularyMap) -> Result<(), Malformed> {
        for _ in 0..facts.count(16)? {
            let [cluster, endpoint, node, address] = [facts.u32()?, facts.u32()?, facts.u32()?, facts.u32()?];
            let sighting = Sighting {
                cluster: text(cluster, sizes, map)?,
                endpoint: endpoint_in(endpoint, sizes, map)?,
                node: text(node, sizes, map)?,
                address: address_in(address, sizes, map)?,
            };
            self.sightings.insert(sighting);
        }
        for _ in 0..facts.count(1)? {
            let kind = match facts.u8()? {
                0 => SourceKind::Flows,
                1 => SourceKind::Dns,
                _ => return Err(Malformed("a source is of no known kind")),
            };
            let source = (kind, text(facts.u32()?, sizes, map)?, text(facts.u32()?, sizes, map)?);
            self.activity.entry(source).or_default().absorb(facts.activity()?);
        }
        for _ in 0..facts.count(1)? {
            let [own, given, node] = [facts.u32()?, facts.u32()?, facts.u32()?];
            let place = (text(own, sizes, map)?, text(given, sizes, map)?, text(node, sizes, map)?);
            let seen: Activity = facts.activity()?;
            self.losses.entry(place).or_default().absorb(seen);
        }
        for _ in 0..facts.count(16)? {
            let [cluster, client, hint, domain] = [facts.u32()?, facts.u32()?, facts.u32()?, facts.u32()?];
            if domain >= sizes.names {
                return Err(FOREIGN_NUMBER);
            }
            let cluster = text(cluster, sizes, map)?;
            let client = address_in(client, sizes, map)?;
            let key = (cluster, client, endpoint_in(hint, sizes, map)?, map.name(NameId(domain)));
            self.questions.add_asking(key, read_asking(facts)?);
        }
        Ok(())
    }

    fn read_rows<T: Row>(
        &mut self,
        rows: &mut impl Read,
        sizes: Sizes,
        map: &VocabularyMap,
    ) -> Result<(), PartialError> {
        let mut bytes = vec![0; T::BYTES];
        for _ in 0..PARTITIONS {
            let mut count = [0; 8];
            read_exactly(rows, &mut count)?;
            for _ in 0..u64::from_le_bytes(count) {
                read_exactly(rows, &mut bytes)?;
                let row = T::read(&mut Cursor(&bytes));
                if !row.is_sound(sizes) {
                    return Err(Malformed("a row is not sound").into());
                }
                row.add(self, map)?;
            }
        }
        Ok(())
    }
}

fn read_exactly(input: &mut (impl Read + ?Sized), bytes: &mut [u8]) -> Result<(), PartialError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Malformed("it ends early").into(),
        _ => error.into(),
    })
}

fn text(id: u32, sizes: Sizes, map: &VocabularyMap) -> Result<TextId, Malformed> {
    if id < sizes.texts { Ok(map.text(TextId(id))) } else { Err(FOREIGN_NUMBER) }
}

fn endpoint_in(id: u32, sizes: Sizes, map: &VocabularyMap) -> Result<EndpointId, Malformed> {
    if id < sizes.endpoints { Ok(map.endpoint(EndpointId(id))) } else { Err(FOREIGN_NUMBER) }
}

fn address_in(id: u32, sizes: Sizes, map: &VocabularyMap) -> Result<AddressId, Malformed> {
    let id = AddressId(id);
    if sizes.address(id) { Ok(map.address(id)) } else { Err(FOREIGN_NUMBER) }
}

const REPEATED: Malformed = Malformed("a value of its vocabulary comes twice");

/// The next number must be new.
fn expect(number: u32, length: usize) -> Result<(), Malformed> {
    if number as usize + 1 == length { Ok(()) } else { Err(REPEATED) }
}

fn read_vocabulary(facts: &mut Decoder<'_>) -> Result<Vocabulary, Malformed> {
    let mut made = Vocabulary::default();
    for at in 1..=facts.count(8)? {
        let number = made.text(facts.text()?).0;
        expect(number, at + 1)?;
    }
    for at in 1..=facts.count(8)? {
        let number = made.name(facts.text()?).0;
        expect(number, at + 1)?;
    }
    for at in 1..=facts.count(5)? {
        let address = match facts.u8()? {
            4 => IpAddr::from(facts.u32()?.to_le_bytes()),
            6 => {
                let (high, low) = (facts.u64()?.to_le_bytes(), facts.u64()?.to_le_bytes());
                let mut octets = [0; 16];
                octets.iter_mut().zip(high.into_iter().chain(low)).for_each(|(place, octet)| *place = octet);
                IpAddr::from(octets)
            }
            _ => return Err(Malformed("an address is of no known family")),
        };
        expect(made.address(address).0, at + 1)?;
    }
    let names = u32::try_from(made.names.len()).unwrap_or(u32::MAX);
    for at in 1..=facts.count(8)? {
        let mut chain = Vec::new();
        for _ in 0..facts.count(4)? {
            chain.push(NameId(facts.u32()?));
        }
        if chain.iter().any(|name| name.0 >= names) {
            return Err(FOREIGN_NUMBER);
        }
        expect(made.chain(&chain).0, at + 1)?;
    }
    for at in 1..=facts.count(34)? {
        let end = read_endpoint(facts)?;
        expect(made.endpoint(end).0, at + 1)?;
    }
    Ok(made)
}

fn read_endpoint(facts: &mut Decoder<'_>) -> Result<Endpoint, Malformed> {
    let identity = facts.u8()?;
    let identity = *IDENTITIES.get(usize::from(identity)).ok_or(Malformed("an end is of no known kind"))?;
    let flags = facts.u8()?;
    let (namespace, pod, cluster) = (facts.text()?.into(), facts.text()?.into(), facts.text()?.into());
    let workload = if flags & 2 == 0 {
        None
    } else {
        Some(Workload { kind: WorkloadKind(facts.text()?.into()), name: facts.text()?.into() })
    };
    let mut labels: Vec<Box<str>> = Vec::new();
    for _ in 0..facts.count(8)? {
        labels.push(facts.text()?.into());
    }
    let (labels, context) = Endpoint::split_labels(labels);
    Ok(Endpoint { namespace, pod, workload, labels, identity, local: flags & 1 != 0, cluster, context })
}

fn read_asking(facts: &mut Decoder<'_>) -> Result<Asking, Malformed> {
    let mut asking = Asking::default();
    for _ in 0..facts.count(8)? {
        asking.names.add(facts.u64()?);
    }
    asking.questions = facts.amount()?;
    asking.missing = facts.amount()?;
    asking.characters = facts.amount()?;
    asking.entropy_millibits = facts.amount()?;
    for _ in 0..facts.count(10)? {
        let kind = facts.u16()?;
        asking.kinds.insert(kind, facts.amount()?);
    }
    for _ in 0..facts.count(8)? {
        let name = facts.text()?;
        asking.examples.insert(stable_hash(name), name.into());
    }
    asking.first = Some(facts.time()?).filter(|time| time.is_known());
    asking.last = Some(facts.time()?).filter(|time| time.is_known());
    // What was written is bounded already; what was forged is from here on.
    let mut bounded = Asking::default();
    bounded.absorb(asking);
    Ok(bounded)
}
