//! The user's own rules: categories, suspicions and exemptions.
//!
//! In: the tables `[[category]]`, `[[suspect]]` and `[[exempt]]` of `egress-atlas.toml`. Out: rules in the order of
//! the file. They are matched elsewhere.

use std::net::IpAddr;

use super::date::Date;
use super::document::{DocumentError, Table, suggestion};
use super::pattern::{Pattern, PortRange};
use crate::model::{Category, Severity};

/// The classes of suspicion that the embedded catalog knows.
pub const CATALOG_CLASSES: [&str; 17] = [
    "anonymity",
    "cloud_metadata",
    "dynamic_dns",
    "encrypted_dns",
    "file_drop",
    "ip_echo",
    "ip_in_name",
    "ipfs_gateway",
    "messaging",
    "mining",
    "oast",
    "paste",
    "remote_access",
    "sinkhole",
    "tunnel",
    "url_shortener",
    "webhook_receiver",
];

/// The classes of findings that come from behaviour or addresses, not from a list.
pub const BEHAVIOUR_CLASSES: [&str; 17] = [
    "asked_never_connected",
    "beaconing",
    "connected_before_asked",
    "denied_burst",
    "dns_tunnel",
    "first_seen",
    "generated_name",
    "ip_only",
    "long_connection",
    "metadata_access",
    "metadata_answer",
    "odd_port",
    "own_resolver",
    "rare_destination",
    "reserved_range",
    "scanning",
    "upload",
];

/// What a rule matches, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Names and address ranges; one of them has to match.
    pub patterns: Vec<Pattern>,
    /// Namespaces of the workload; empty for all.
    pub namespaces: Vec<Box<str>>,
    /// Destination ports; empty for all.
    pub ports: Vec<PortRange>,
}

/// A `[[category]]` rule. The first that matches, in the order of the file, decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryRule {
    /// Its place among the category rules of the file, from 1.
    pub number: usize,
    /// What it matches.
    pub reach: Reach,
    /// What the destination is for.
    pub category: Category,
    /// Who or what it is.
    pub label: Option<Box<str>>,
    /// A reason for the reader.
    pub why: Option<Box<str>>,
}

/// A `[[suspect]]` rule: a suspicion that the catalog does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectRule {
    /// Its place among the suspect rules of the file, from 1.
    pub number: usize,
    /// What it matches.
    pub reach: Reach,
    /// How bad it is.
    pub severity: Severity,
    /// The class; one of the catalog's, or one of the user's own.
    pub class: Box<str>,
    /// The reason.
    pub why: Box<str>,
}

/// An `[[exempt]]` rule: a suspicion that somebody answers for, for a time. The finding stays visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// Its place among the exemptions of the file, from 1.
    pub number: usize,
    /// What it matches.
    pub reach: Reach,
    /// The classes it clears; empty for all.
    pub classes: Vec<Box<str>>,
    /// Names of the workloads; empty for all.
    pub workloads: Vec<Box<str>>,
    /// Who answers for it.
    pub owner: Box<str>,
    /// Why it is in order.
    pub reason: Box<str>,
    /// The last day on which it holds.
    pub expires: Date,
}

impl Reach {
    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        let patterns = table.require("match")?.list()?.into_iter().map(|value| value.read(Pattern::parse));
        let patterns = patterns.collect::<Result<_, _>>()?;
        Ok(Self { patterns, ..Self::read_without_match(table)? })
    }

    /// Namespaces and ports alone.
    fn read_without_match(table: &Table<'_>) -> Result<Self, DocumentError> {
        let mut ports = Vec::new();
        for value in optional_list(table, "ports")? {
            let text = value.number_or_text()?;
            let range = PortRange::parse(&text);
            ports.push(range.ok_or_else(|| value.refuse(&text, "write a port as `443`, or `\"8000-8100\"`"))?);
        }
        Ok(Self { patterns: Vec::new(), namespaces: texts(table, "namespaces")?, ports })
    }

    /// The first pattern that matches the name, or any of the addresses; also asks for port and namespace.
    ///
    /// An unknown port fits every rule.
    pub fn finds(&self, namespace: &str, port: Option<u16>, names: &[&str], addresses: &[IpAddr]) -> Option<&Pattern> {
        let concerned = self.admits(namespace, port);
        self.patterns.iter().filter(|_| concerned).find(|pattern| {
            names.iter().any(|name| pattern.matches_name(name))
                || addresses.iter().any(|address| pattern.matches_address(*address))
        })
    }

    /// Like [`Reach::finds`], but the rule's ranges have to hold every address: for what is true of all of a destination.
    pub fn finds_all(
        &self,
        namespace: &str,
        port: Option<u16>,
        name: Option<&str>,
        addresses: &[IpAddr],
    ) -> Option<&Pattern> {
        if !self.admits(namespace, port) {
            return None;
        }
        if let Some(name) = name
            && let Some(pattern) = self.patterns.iter().find(|pattern| pattern.matches_name(name))
        {
            return Some(pattern);
        }
        let holding = |address: &IpAddr| self.patterns.iter().find(|pattern| pattern.matches_address(*address));
        let first = addresses.first().and_then(holding)?;
        addresses.iter().all(|address| holding(address).is_some()).then_some(first)
    }

    /// Whether the rule is meant for workloads of this namespace and for this port; an unknown port fits every rule.
    pub fn admits(&self, namespace: &str, port: Option<u16>) -> bool {
        let here = self.namespaces.is_empty() || self.namespaces.iter().any(|name| **name == *namespace);
        here && port.is_none_or(|port| self.ports.is_empty() || self.ports.iter().any(|range| range.contains(port)))
    }
}

impl CategoryRule {
    pub(super) fn read(table: &Table<'_>, number: usize) -> Result<Self, DocumentError> {
        table.expect_keys(&["category", "match", "namespaces", "ports", "label", "why"])?;
        let words = Category::ALL.map(|category| (category.as_str(), category));
        Ok(Self {
            number,
            category: table.require("category")?.word(&words)?,
            reach: Reach::read(table)?,
            label: optional_text(table, "label")?,
            why: optional_text(table, "why")?,
        })
    }
}

impl SuspectRule {
    pub(super) fn read(table: &Table<'_>, number: usize) -> Result<Self, DocumentError> {
        table.expect_keys(&["match", "namespaces", "ports", "severity", "class", "why"])?;
        let words = [Severity::Low, Severity::Medium, Severity::High].map(|severity| (severity.as_str(), severity));
        let class = table.require("class")?;
        let word = class.text()?;
        if word == "all" || !word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(class.refuse(word, "a class is a word of lower-case letters, digits and `_`, and not `all`"));
        }
        Ok(Self {
            number,
            reach: Reach::read(table)?,
            severity: table.require("severity")?.word(&words)?,
            class: word.into(),
            why: table.require("why")?.text()?.into(),
        })
    }
}

impl Exemption {
    pub(super) fn read(table: &Table<'_>, number: usize, suspects: &[SuspectRule]) -> Result<Self, DocumentError> {
        table.expect_keys(&["match", "class", "workloads", "namespaces", "ports", "owner", "reason", "expires"])?;
        let workloads = texts(table, "workloads")?;
        let own = suspects.iter().map(|rule| &*rule.class);
        let known: Vec<&str> = ["all"].into_iter().chain(CATALOG_CLASSES).chain(BEHAVIOUR_CLASSES).chain(own).collect();
        let mut classes: Vec<Box<str>> = Vec::new();
        for value in table.require("class")?.list()? {
            let class = value.text()?;
            if !known.contains(&class) {
                return Err(value.refuse(class, &suggestion(class, &known)));
            }
            classes.push(class.into());
        }
        if classes.iter().any(|class| **class == *"all") {
            classes.clear();
        }
        Ok(Self {
            number,
            // Findings about a workload as a whole have no destination to match.
            reach: if workloads.is_empty() || table.get("match").is_some() {
                Reach::read(table)?
            } else {
                Reach::read_without_match(table)?
            },
            classes,
            workloads,
            owner: table.require("owner")?.text()?.into(),
            reason: table.require("reason")?.text()?.into(),
            expires: table.require("expires")?.date()?,
        })
    }

    /// Whether findings of `class` are meant.
    pub fn concerns(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|known| **known == *class)
    }

    /// Whether its time is over on `day`.
    pub fn is_expired(&self, day: Date) -> bool {
        self.expires < day
    }
}

pub(super) fn optional_text(table: &Table<'_>, key: &str) -> Result<Option<Box<str>>, DocumentError> {
    table.get(key).map(|value| value.text().map(Into::into)).transpose()
}

pub(super) fn optional_list<'d>(
    table: &Table<'d>,
    key: &str,
) -> Result<Vec<super::document::Value<'d>>, DocumentError> {
    table.get(key).map_or_else(|| Ok(Vec::new()), super::document::Value::list)
}

fn texts(table: &Table<'_>, key: &str) -> Result<Vec<Box<str>>, DocumentError> {
    optional_list(table, key)?.iter().map(|value| value.text().map(Into::into)).collect()
}
