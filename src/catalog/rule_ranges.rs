//! The address ranges that any rule names: what tells addresses apart for everything that is judged.
//!
//! In: the catalog and the user's settings. Out: a class for every address. No rule says different things of two addresses of one class, so that one of
//! them stands for all. Nothing is judged here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::lookup::Catalog;
use super::pattern::Pattern;
use super::prefixes::PrefixMap;
use super::settings::Settings;
use crate::model::{is_special, unwrap_embedded};

/// Every range that a rule of the catalog or of the user names.
#[derive(Clone, Debug, Default)]
pub struct RuleRanges {
    ranges: PrefixMap<u32>,
}

/// What the rules can tell of an address: the narrowest range around it as it was recorded and around the IPv4 address embedded in it (wider ones follow
/// from those), and whether it is special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressClass {
    recorded: u32,
    embedded: u32,
    is_special: bool,
}

impl RuleRanges {
    /// The ranges of all rules.
    pub fn of(catalog: &Catalog, settings: &Settings) -> Self {
        let lists = settings.categories.iter().map(|rule| &rule.reach);
        let lists = lists.chain(settings.suspects.iter().map(|rule| &rule.reach));
        let lists = lists.chain(settings.exemptions.iter().map(|rule| &rule.reach));
        let patterns = lists.flat_map(|reach| &reach.patterns);
        let named = patterns.filter_map(|pattern| match pattern {
            Pattern::Network(net) => Some(*net),
            Pattern::Exact(_) | Pattern::Below(_) | Pattern::Within(_) => None,
        });
        let networks = std::iter::once(&settings.networks).chain(settings.clusters.values());
        let inside = networks.flat_map(|networks| {
            [&networks.pods, &networks.services, &networks.nodes, &networks.internal].into_iter().flatten().copied()
        });
        let all: BTreeSet<IpNet> = catalog.ranges().chain(named).chain(inside).map(|net| net.trunc()).collect();
        let mut ranges = PrefixMap::default();
        // 0 is the class of addresses that no rule names.
        for (number, net) in (1..).zip(all) {
            ranges.insert(net, number);
        }
        Self { ranges }
    }

    /// The class of an address.
    pub fn class(&self, address: IpAddr) -> AddressClass {
        let narrowest = |address| self.ranges.find(address).first().map_or(0, |(_, number)| *number);
        let embedded = unwrap_embedded(address);
        let recorded = narrowest(address);
        AddressClass {
            recorded,
            embedded: if embedded == address { recorded } else { narrowest(embedded) },
            is_special: is_special(address),
        }
    }
}
