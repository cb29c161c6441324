//! Interned texts, names, addresses and endpoints: rows carry small numbers, each distinct value is kept once.
//!
//! Every worker has a vocabulary of its own, so that decoding takes no lock. At the end they are merged and the rows
//! renumbered. Numbers depend on the order of reading and therefore never reach an output.

use std::borrow::Cow;
use std::hash::Hash;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::record_id::{RecordId, Uuids};
use super::{DomainName, Endpoint};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The empty value, which every vocabulary holds first.
            pub const NONE: Self = Self(0);

            /// Whether this is the empty value.
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }
        }

        impl From<u32> for $name {
            fn from(value: u32) -> Self {
                Self(value)
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

id!(
    /// A cluster, node or resolver.
    TextId
);
id!(
    /// A domain name; the empty value is the root, which never names a destination.
    NameId
);
id!(
    /// An IP address, IPv4-mapped forms already unmapped; the empty value is `::`.
    AddressId
);
id!(
    /// One end of a flow.
    EndpointId
);
id!(
    /// A list of names: the CNAME chain of an answer, or the names that a CNI reported.
    ChainId
);

/// Numbers of stand-ins for addresses that a record left out; interned addresses stay far below.
const STAND_IN: u32 = 1 << 31;
/// Those that stand for a list of names and for no end.
const NAMES: u32 = 1 << 30;

impl AddressId {
    /// A stand-in for the address of `end`, which the record leaves out (aggregated Calico records, Goldmane).
    ///
    /// It keeps the connections of different ends apart, reads as `::`, and equals no address of any answer.
    pub const fn unrecorded(end: EndpointId) -> Self {
        Self(STAND_IN | (end.0 & !(STAND_IN | NAMES)))
    }

    /// A stand-in for an address that the record leaves out, of a destination that it names.
    pub const fn unrecorded_but_named(names: ChainId) -> Self {
        Self(STAND_IN | NAMES | (names.0 & !(STAND_IN | NAMES)))
    }

    /// Whether every number in it is one of a vocabulary with so many addresses, ends and lists of names.
    pub const fn is_within(self, addresses: u32, endpoints: u32, chains: u32) -> bool {
        let number = self.0 & !(STAND_IN | NAMES);
        match (self.is_unrecorded(), self.0 & NAMES == 0) {
            (false, _) => self.0 < addresses,
            (true, true) => number < endpoints,
            (true, false) => number < chains,
        }
    }

    /// Whether the record left the address out.
    pub const fn is_unrecorded(self) -> bool {
        self.0 & STAND_IN != 0
    }
}

/// How many spellings of names are remembered at a time.
const SPELLINGS_MAX: usize = 1 << 16;

/// What stands in for an address that a record left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StandIn<'a> {
    /// The end itself.
    End(&'a Endpoint),
    /// The names that the record gives the destination.
    Names(Vec<&'a str>),
}

/// Gives each distinct value one number, starting at 0.
#[derive(Debug, Clone)]
pub struct Interner<T: Eq + Hash> {
    // The values are kept once, here; the table finds them by hash.
    values: Vec<T>,
    table: hashbrown::HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl<T: Eq + Hash> Interner<T> {
    /// An interner that already holds `first` as number 0.
    pub fn with_first(first: T) -> Self {
        let mut interner = Self {
            values: Vec::new(),
            table: hashbrown::HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
        };
        interner.intern_owned(first);
        interner
    }

    /// The number of `value`, which is copied only when it is new.
    pub fn intern<Q>(&mut self, value: &Q) -> u32
    where
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
        T: std::borrow::Borrow<Q>,
    {
        self.intern_with(value, ToOwned::to_owned)
    }

    /// The number of `value`; `make` builds the kept form when it is new. `Q` must hash as `T` does.
    pub fn intern_with<Q>(&mut self, value: &Q, make: impl FnOnce(&Q) -> T) -> u32
    where
        Q: Hash + Eq + ?Sized,
        T: std::borrow::Borrow<Q>,
    {
        let hash = self.hash(value);
        let Self { values, table, hasher } = self;
        let found = table.find(hash, |&index| values.get(index as usize).is_some_and(|known| known.borrow() == value));
        if let Some(&index) = found {
            return index;
        }
        let index = u32::try_from(values.len()).unwrap_or(u32::MAX);
        values.push(make(value));
        table.insert_unique(hash, index, |&index| {
            use std::hash::BuildHasher;
            values.get(index as usize).map_or(0, |known| hasher.hash_one(known.borrow()))
        });
        index
    }

    /// The number of an owned `value`.
    pub fn intern_owned(&mut self, value: T) -> u32 {
        let hash = self.hash(&value);
        let Self { values, table, hasher } = self;
        if let Some(&index) = table.find(hash, |&index| values.get(index as usize) == Some(&value)) {
            return index;
        }
        let index = u32::try_from(values.len()).unwrap_or(u32::MAX);
        values.push(value);
        table.insert_unique(hash, index, |&index| {
            use std::hash::BuildHasher;
            values.get(index as usize).map_or(0, |known| hasher.hash_one(known))
        });
        index
    }

    /// The number of `value`, if it is here.
    pub fn find<Q>(&self, value: &Q) -> Option<u32>
    where
        Q: Hash + Eq + ?Sized,
        T: std::borrow::Borrow<Q>,
    {
        let known = |index: &u32| self.values.get(*index as usize).is_some_and(|known| known.borrow() == value);
        self.table.find(self.hash(value), known).copied()
    }

    /// The value of number `index`.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.values.get(index as usize)
    }

    /// All values in number order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// How many distinct values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was interned; never true, because number 0 is always there.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn hash<Q: Hash + ?Sized>(&self, value: &Q) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(value)
    }

    /// Moves all values of `other` in; the result maps its numbers to ours.
    fn absorb(&mut self, other: Self) -> Vec<u32> {
        other.values.into_iter().map(|value| self.intern_owned(value)).collect()
    }
}

/// All interners that rows refer to.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Clusters, nodes, resolvers.
    pub texts: Interner<Box<str>>,
    /// Names, in normalised text form (see [`DomainName`]).
    pub names: Interner<Box<str>>,
    /// Addresses.
    pub addresses: Interner<IpAddr>,
    /// Ends of flows.
    pub endpoints: Interner<Endpoint>,
    /// Lists of names.
    pub chains: Interner<Box<[NameId]>>,
    /// Memo of text that is not normalised yet → name, so that each spelling is normalised once.
    spellings: HashMap<Box<str>, NameId>,
    uuids: Uuids,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            texts: Interner::with_first("".into()),
            names: Interner::with_first("".into()),
            addresses: Interner::with_first(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
            endpoints: Interner::with_first(Endpoint::default()),
            chains: Interner::with_first(Box::default()),
            spellings: HashMap::new(),
            uuids: Uuids::default(),
        }
    }
}

impl Vocabulary {
    /// The number of a text.
    pub fn text(&mut self, text: &str) -> TextId {
        TextId(self.texts.intern_with(text, |text: &str| text.into()))
    }

    /// The number of a record's id.
    pub fn record_id(&mut self, text: &str) -> RecordId {
        self.uuids.keep(text).unwrap_or_else(|| self.text(text).into())
    }

    /// The number of a name that is already normalised.
    pub fn name(&mut self, normalised: &str) -> NameId {
        NameId(self.names.intern_with(normalised, |name: &str| name.into()))
    }

    /// The number of a name as a record spells it; `None` when it is no domain name.
    pub fn spelled_name(&mut self, text: &str) -> Option<NameId> {
        if let Some(&id) = self.spellings.get(text) {
            return Some(id);
        }
        let name = DomainName::parse(text).ok()?;
        let id = self.name(name.as_str());
        // Resolvers that mix capitals at random (0x20) spell one name in ever new ways.
        if self.spellings.len() >= SPELLINGS_MAX {
            self.spellings.clear();
        }
        self.spellings.insert(text.into(), id);
        Some(id)
    }

    /// The number of an address, unmapped from `::ffff:0:0/96` first.
    pub fn address(&mut self, address: IpAddr) -> AddressId {
        AddressId(self.addresses.intern_owned(address.to_canonical()))
    }

    /// The number of an end of a flow.
    pub fn endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        EndpointId(self.endpoints.intern_owned(endpoint))
    }

    /// The number of a list of names.
    pub fn chain(&mut self, names: &[NameId]) -> ChainId {
        ChainId(self.chains.intern_with(names, |names: &[NameId]| names.into()))
    }

    /// The number of a text that is already here.
    pub fn find_text(&self, text: &str) -> Option<TextId> {
        self.texts.find(text).map(TextId)
    }

    /// The text of a number; empty for a number of another vocabulary.
    pub fn text_of(&self, id: TextId) -> &str {
        self.texts.get(id.0).map_or("", |text| text)
    }

    /// The id of a number; empty for a number of another vocabulary.
    pub fn record_id_text(&self, id: RecordId) -> Cow<'_, str> {
        id.text().map_or_else(|| self.uuids.get(id), |text| Cow::Borrowed(self.text_of(text)))
    }

    /// The name of a number; empty for a number of another vocabulary.
    pub fn name_of(&self, id: NameId) -> &str {
        self.names.get(id.0).map_or("", |name| name)
    }

    /// The address of a number; `::` for a number of another vocabulary.
    pub fn address_of(&self, id: AddressId) -> IpAddr {
        self.addresses.get(id.0).copied().unwrap_or(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED))
    }

    /// What stands in for an address that a record left out; `None` for real addresses.
    pub fn stand_in(&self, id: AddressId) -> Option<StandIn<'_>> {
        let number = id.0 & !(STAND_IN | NAMES);
        match (id.is_unrecorded(), id.0 & NAMES == 0) {
            (false, _) => None,
            (true, true) => self.endpoint_of(EndpointId(number)).map(StandIn::End),
            (true, false) => {
                Some(StandIn::Names(self.chain_of(ChainId(number)).iter().map(|name| self.name_of(*name)).collect()))
            }
        }
    }

    /// The end of a number; `None` for a number of another vocabulary.
    pub fn endpoint_of(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id.0)
    }

    /// The names of a list.
    pub fn chain_of(&self, id: ChainId) -> &[NameId] {
        self.chains.get(id.0).map_or(&[], |names| names)
    }

    /// Takes all values of `other` in; the result renumbers its rows.
    pub fn absorb(&mut self, other: Self) -> VocabularyMap {
        let names = self.names.absorb(other.names);
        let chains = other
            .chains
            .values
            .iter()
            .map(|chain| {
                let renumbered: Vec<NameId> = chain.iter().map(|id| NameId(lookup(&names, id.0))).collect();
                self.chain(&renumbered).0
            })
            .collect();
        VocabularyMap {
            texts: self.texts.absorb(other.texts),
            names,
            addresses: self.addresses.absorb(other.addresses),
            endpoints: self.endpoints.absorb(other.endpoints),
            chains,
            uuids_before: self.uuids.absorb(other.uuids),
        }
    }
}

/// Numbers of one vocabulary → numbers of the vocabulary that absorbed it.
#[derive(Debug, Clone, Default)]
pub struct VocabularyMap {
    texts: Vec<u32>,
    names: Vec<u32>,
    addresses: Vec<u32>,
    endpoints: Vec<u32>,
    chains: Vec<u32>,
    pub(super) uuids_before: u32,
}

fn lookup(map: &[u32], id: u32) -> u32 {
    map.get(id as usize).copied().unwrap_or(0)
}

impl VocabularyMap {
    /// The new number of a text.
    pub fn text(&self, id: TextId) -> TextId {
        TextId(lookup(&self.texts, id.0))
    }

    /// The new number of a name.
    pub fn name(&self, id: NameId) -> NameId {
        NameId(lookup(&self.names, id.0))
    }

    /// The new number of an address, or of the end that stands in for one.
    pub fn address(&self, id: AddressId) -> AddressId {
        if id.is_unrecorded() {
            let number = id.0 & !(STAND_IN | NAMES);
            return if id.0 & NAMES == 0 {
                AddressId::unrecorded(self.endpoint(EndpointId(number)))
            } else {
                AddressId::unrecorded_but_named(self.chain(ChainId(number)))
            };
        }
        AddressId(lookup(&self.addresses, id.0))
    }

    /// The new number of an end.
    pub fn endpoint(&self, id: EndpointId) -> EndpointId {
        EndpointId(lookup(&self.endpoints, id.0))
    }

    /// The new number of a list.
    pub fn chain(&self, id: ChainId) -> ChainId {
        ChainId(lookup(&self.chains, id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_kept_once_and_survives_a_merge() {
        let mut left = Vocabulary::default();
        let mut right = Vocabulary::default();
        let github = left.name("github.com");
        assert_eq!(left.spelled_name("GitHub.COM."), Some(github));
        let other = right.name("example.com");
        let same = right.name("github.com");
        let chain = right.chain(&[other, same]);
        let map = left.absorb(right);
        assert_eq!(map.name(same), github);
        assert_eq!(left.name_of(map.name(other)), "example.com");
        assert_eq!(left.chain_of(map.chain(chain)), [map.name(other), github]);
        assert!(map.text(TextId::NONE).is_none());
    }

    #[test]
    fn spellings_without_end_are_one_name_and_not_kept() {
        let mut vocabulary = Vocabulary::default();
        let name = vocabulary.name("abcdefghijklmnopqrst.example");
        for number in 0..2 * SPELLINGS_MAX {
            let mixed: String = ('a'..='t')
                .enumerate()
                .map(|(bit, letter)| if number >> bit & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
                .collect();
            assert_eq!(vocabulary.spelled_name(&format!("{mixed}.example")), Some(name));
        }
        assert!(vocabulary.spellings.len() <= SPELLINGS_MAX);
    }

    #[test]
    fn a_left_out_address_follows_its_end() {
        let (mut left, mut right) = (Vocabulary::default(), Vocabulary::default());
        left.endpoint(Endpoint { namespace: "first".into(), ..Endpoint::default() });
        let end = right.endpoint(Endpoint { namespace: "shop".into(), ..Endpoint::default() });
        let address = AddressId::unrecorded(end);
        assert!(address.is_unrecorded() && !right.address("10.0.0.1".parse().unwrap()).is_unrecorded());
        assert!(right.address_of(address).is_unspecified());
        let name = right.name("example.com");
        let chain = right.chain(&[name]);
        let named = AddressId::unrecorded_but_named(chain);
        assert!(named.is_unrecorded() && named != AddressId::unrecorded(EndpointId(chain.0)));
        let map = left.absorb(right);
        assert_eq!(map.address(address), AddressId::unrecorded(map.endpoint(end)));
        assert_ne!(map.address(address), address);
        assert_eq!(map.address(named), AddressId::unrecorded_but_named(map.chain(chain)));
    }

    #[test]
    fn mapped_addresses_are_the_address_they_map() {
        let mut vocabulary = Vocabulary::default();
        let plain = vocabulary.address("10.0.0.1".parse().unwrap());
        assert_eq!(vocabulary.address("::ffff:10.0.0.1".parse().unwrap()), plain);
    }
}
