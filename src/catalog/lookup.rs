//! The catalog and its two questions: what is a destination for, and what is suspicious about it.
//!
//! The answers do not depend on each other: a vendor's name never clears a flag, and a flag never sets a
//! category. In: the names, addresses, port and protocol of one destination. Out: the deciding row, or one flag
//! for each class.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::embedded::Source;
use super::hit::{Hit, best, decide, longest_by_class};
use super::names::NameMap;
use super::pattern::PortRange;
use super::prefixes::PrefixMap;
use super::row::{Answer, Group, Kind, Ports, Row, Scope};
use crate::model::{Category, Confidence, DomainName, Protocol, Severity, unwrap_embedded};

/// Classes whose severity a CNAME chain does not lower: the chain is how they are used.
const CHAIN_KEEPS_SEVERITY: [&str; 3] = ["tunnel", "oast", "cloud_metadata"];

/// The weakest kind of source.
const WEAKEST_SOURCE: &str = "public-code";

/// One destination, as the catalog needs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The name that was asked for, normalised.
    pub name: Option<&'a str>,
    /// The names that its answer went through (CNAME), normalised, in order.
    pub chain: &'a [&'a str],
    /// The addresses; embedded IPv4 addresses are unwrapped here.
    pub addresses: &'a [IpAddr],
    /// The port; `None` (a DNS question, say) rules no row out.
    pub port: Option<u16>,
    /// The transport; [`Protocol::UNKNOWN`] rules no row out.
    pub protocol: Protocol,
}

/// The row that decides the category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryMatch<'c> {
    /// What the destination is for.
    pub category: Category,
    /// The class of the row, `vendor_payments`.
    pub class: &'c str,
    /// Who or what it is, `Datadog`.
    pub label: &'c str,
    /// What for.
    pub why: &'c str,
    /// The text of the row, `datadoghq.com`.
    pub matched: &'c str,
    /// The name or address that it matched.
    pub subject: Box<str>,
    /// What a special address range is good for.
    pub scope: Option<Scope>,
    /// The name stands in the CNAME chain.
    pub via_chain: bool,
    /// The row is one of shared hosting that takes the category away.
    pub withheld: bool,
}

/// One reason for suspicion (or, from [`Catalog::reviews`], for a second look).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagMatch<'c> {
    /// The class, `tunnel`.
    pub class: &'c str,
    /// Who or what it is, `ngrok`.
    pub label: &'c str,
    /// Why it is suspicious.
    pub why: &'c str,
    /// How bad, one step lower when only the CNAME chain matched (not for tunnels, callbacks and metadata).
    pub severity: Severity,
    /// High with several sources, medium with one, low when public code alone names it.
    pub confidence: Confidence,
    /// MITRE ATT&CK techniques.
    pub attack: &'c [Box<str>],
    /// Legitimate use that a reviewer will hear about; may be empty.
    pub caution: &'c str,
    /// What to do about it.
    pub advice: &'c str,
    /// What was matched, `ngrok.io suffix`.
    pub matched: Box<str>,
    /// The name or address that it matched.
    pub subject: Box<str>,
    /// Only a name of the CNAME chain matched.
    pub via_chain: bool,
}

/// What the world is known to be.
#[derive(Clone, Debug)]
pub struct Catalog {
    groups: Vec<Group>,
    rows: Vec<Row>,
    sources: Vec<Source>,
    names: NameMap,
    networks: PrefixMap<usize>,
    ports: Vec<(PortRange, usize)>,
}

/// The severity of a match in the CNAME chain: one step lower, but not for classes that are used through it.
pub fn severity_via_chain(class: &str, severity: Severity) -> Severity {
    if CHAIN_KEEPS_SEVERITY.contains(&class) { severity } else { severity.lowered() }
}

impl Catalog {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self {
            groups: Vec::new(),
            rows: Vec::new(),
            sources,
            names: NameMap::default(),
            networks: PrefixMap::default(),
            ports: Vec::new(),
        }
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(super) fn push_group(&mut self, group: Group) {
        self.groups.push(group);
    }

    /// Indexes a row, or gives back its text with what it should have been.
    pub(super) fn insert(&mut self, row: Row) -> Result<(), (Box<str>, &'static str)> {
        let index = self.rows.len();
        match row.kind {
            Kind::Network => match row.text.parse::<IpNet>() {
                Ok(net) if net.trunc() == net => self.networks.insert(net, index),
                Ok(_) | Err(_) => return Err((row.text, "address range")),
            },
            Kind::Port => match PortRange::parse(&row.text) {
                Some(range) => self.ports.push((range, index)),
                None => return Err((row.text, "port or range")),
            },
            Kind::Exact | Kind::Glob | Kind::Suffix | Kind::Below => {
                let normalised = DomainName::parse(&row.text).is_ok_and(|name| *name.as_str() == *row.text);
                if !normalised || !self.names.insert(row.kind, &row.text, index) {
                    return Err((row.text, "normalised name"));
                }
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The address ranges of all rows.
    pub(super) fn ranges(&self) -> impl Iterator<Item = IpNet> {
        let rows = self.rows.iter().filter(|row| row.kind == Kind::Network);
        rows.filter_map(|row| row.text.parse().ok())
    }

    /// Where the rows come from.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The classes of suspicion, sorted.
    pub fn suspect_classes(&self) -> BTreeSet<&str> {
        self.groups.iter().filter(|group| group.answer == Answer::Suspect).map(|group| &*group.class).collect()
    }

    /// What the destination is for: the queried name decides, then its CNAME chain, then the addresses.
    ///
    /// A longer match of shared hosting takes the category of a name away. The chain can say vendor, registries
    /// or internal, never infra: a CNAME to a cloud says where a site is hosted, not whose it is. Addresses
    /// decide when they all say the same.
    pub fn category(&self, subject: &Subject<'_>) -> Option<CategoryMatch<'_>> {
        let asked = subject.name.map(|name| (name, self.name_hits(name, subject)));
        if let Some((name, hits)) = &asked
            && let Some(found) = decide(name, hits)
        {
            return Some(found);
        }
        let chain = subject.chain.iter().find_map(|name| {
            let found = decide(name, &self.name_hits(name, subject))?;
            let telling = matches!(found.category, Category::Vendor | Category::Registries | Category::Internal);
            telling.then_some(CategoryMatch { via_chain: true, ..found })
        });
        // Shared hosting alone is the last word: it names a platform and no owner.
        chain.or_else(|| self.category_of_addresses(subject)).or_else(|| {
            let (name, hits) = asked?;
            best(hits.iter().filter(|hit| hit.group.answer == Answer::Review)).map(|hit| hit.withheld(name))
        })
    }

    fn category_of_addresses(&self, subject: &Subject<'_>) -> Option<CategoryMatch<'_>> {
        let mut decided: Option<CategoryMatch<'_>> = None;
        for address in subject.addresses {
            let hits = self.address_hits(*address, subject);
            let hit = best(hits.iter().filter(|hit| hit.group.category().is_some()))?;
            let found = hit.category(&unwrap_embedded(*address).to_string())?;
            match &decided {
                Some(other) if other.category != found.category => return None,
                Some(_) => {}
                None => decided = Some(found),
            }
        }
        decided
    }

    /// The special range that holds an address, after unwrapping: internal, local or never.
    pub fn scope(&self, address: IpAddr) -> Option<CategoryMatch<'_>> {
        let subject = Subject { protocol: Protocol::UNKNOWN, ..Subject::default() };
        let hits = self.address_hits(address, &subject);
        let hit = best(hits.iter().filter(|hit| hit.group.category().is_some()))?;
        hit.group.scope.and_then(|_| hit.category(&unwrap_embedded(address).to_string()))
    }

    /// Everything suspicious about the destination, one flag for each class, by class.
    ///
    /// Within a class the longest match of a name decides; between the queried name, the addresses and the
    /// CNAME chain the most serious one, in this order when equal.
    pub fn flags(&self, subject: &Subject<'_>) -> Vec<FlagMatch<'_>> {
        self.matches(subject, Answer::Suspect)
    }

    /// What deserves a second look together with other findings: shared hosting, odd top-level domains, ports.
    ///
    /// Ports mean something for destinations outside only. A benign match that is longer clears one by name.
    pub fn reviews(&self, subject: &Subject<'_>) -> Vec<FlagMatch<'_>> {
        let mut found = self.matches(subject, Answer::Review);
        let Some(port) = subject.port else {
            return found;
        };
        let rows = self.ports.iter().filter(|(range, _)| range.contains(port)).map(|(_, row)| *row);
        let hits = rows.filter_map(|row| self.hit((0, Kind::Port), row, subject));
        found.extend(hits.map(|hit| self.flag(hit, &format!("port {port}"), false)));
        found
    }

    fn matches<'c>(&'c self, subject: &Subject<'_>, answer: Answer) -> Vec<FlagMatch<'c>> {
        let mut by_class: BTreeMap<&'c str, FlagMatch<'c>> = BTreeMap::new();
        let mut add = |hits: &[Hit<'c>], name: &str, via_chain: bool| {
            for hit in longest_by_class(hits, answer) {
                let flag = self.flag(hit, name, via_chain);
                let known = by_class.entry(flag.class).or_insert_with(|| flag.clone());
                if known.severity < flag.severity {
                    *known = flag;
                }
            }
        };
        if let Some(name) = subject.name {
            add(&self.name_hits(name, subject), name, false);
        }
        for address in subject.addresses {
            add(&self.address_hits(*address, subject), &unwrap_embedded(*address).to_string(), false);
        }
        for name in subject.chain.iter().filter(|name| Some(**name) != subject.name) {
            add(&self.name_hits(name, subject), name, true);
        }
        by_class.into_values().collect()
    }

    fn name_hits(&self, name: &str, subject: &Subject<'_>) -> Vec<Hit<'_>> {
        let found = self.names.find(name).into_iter();
        found.filter_map(|(labels, kind, row)| self.hit((labels, kind), row, subject)).collect()
    }

    fn address_hits(&self, address: IpAddr, subject: &Subject<'_>) -> Vec<Hit<'_>> {
        let found = self.networks.find(unwrap_embedded(address)).into_iter();
        found.filter_map(|(length, row)| self.hit((length, Kind::Network), row, subject)).collect()
    }

    /// The row as a match, if it is meant for this port and protocol.
    fn hit(&self, (length, kind): (u8, Kind), row: usize, subject: &Subject<'_>) -> Option<Hit<'_>> {
        let row = self.rows.get(row)?;
        let group = self.groups.get(row.group)?;
        let rank = (length, kind, group.ports != Ports::Any);
        group.applies(subject.port, subject.protocol).then_some(Hit { rank, row, group })
    }

    fn flag<'c>(&'c self, hit: Hit<'c>, subject: &str, via_chain: bool) -> FlagMatch<'c> {
        let Hit { row, group, .. } = hit;
        let is_weakest = |index: &usize| self.sources.get(*index).is_some_and(|source| &*source.key == WEAKEST_SOURCE);
        FlagMatch {
            class: &group.class,
            label: &row.label,
            why: &group.why,
            severity: if via_chain { severity_via_chain(&group.class, group.severity) } else { group.severity },
            confidence: match &*row.sources {
                [one] if is_weakest(one) => Confidence::Low,
                [_] => Confidence::Medium,
                _ => Confidence::High,
            },
            attack: &group.attack,
            caution: &group.caution,
            advice: &group.advice,
            matched: row.describe(group).into(),
            subject: subject.into(),
            via_chain,
        }
    }
}
