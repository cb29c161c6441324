//! What an investigation is about, and which connections that means.
//!
//! In: one text as typed, and the evidence that gives it a meaning. Out: a matcher. An address is that address, whoever had it; a name is
//! the name that a pod had asked for, or one that its answer went through; a pod, workload or namespace is every pod of it.

use std::collections::BTreeSet;
use std::fmt;

use hashbrown::HashSet;
use ipnet::IpNet;

use crate::attribute::{Answer, Evidence, Named, Parted, PartyId};
use crate::catalog::Pattern;
use crate::model::{NameId, TextId};

/// A target as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `203.0.113.7`, `10.2.0.0/16`.
    Network(IpNet),
    /// `api.example.com`, `*.example.com`, `.example.com`.
    Name(Pattern),
    /// `namespace/Kind/name`.
    Workload {
        /// Its namespace.
        namespace: String,
        /// Its kind, if typed.
        kind: String,
        /// Its name.
        name: String,
    },
    /// `namespace/name`: a pod, or the workloads of that name.
    InNamespace {
        /// Its namespace.
        namespace: String,
        /// Pod or workload.
        name: String,
    },
    /// `name` without a dot: a namespace, or a name of one label.
    Namespace(String),
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}`: {reason}; write an address, a range, a name, `*.name`, `namespace`, `namespace/pod`, `namespace/workload` or `namespace/Kind/workload`"
)]
pub struct TargetError {
    text: String,
    reason: String,
}

/// How a connection concerns the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The target is the server.
    Server,
    /// The target is the client.
    Client,
    /// The target's name is one of several that the evidence allows, and not the likeliest.
    Possible,
}

impl Target {
    /// Reads a target as typed.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let refuse = |reason: &str| TargetError { text: text.chars().take(80).collect(), reason: reason.to_owned() };
        let text = text.trim();
        if text.is_empty() {
            return Err(refuse("it names nothing"));
        }
        let as_pattern = || Pattern::parse(text).map_err(|error| refuse(&error.to_string()));
        let begins_with_address = text.split('/').next().is_some_and(|head| head.parse::<std::net::IpAddr>().is_ok());
        if begins_with_address {
            return as_pattern().map(|pattern| match pattern {
                Pattern::Network(net) => Self::Network(net),
                name => Self::Name(name),
            });
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 1 && parts.iter().any(|part| part.is_empty() || part.contains([':', ' '])) {
            return Err(refuse("a part between the slashes is empty or no name"));
        }
        // RFC 1123 labels: a namespace has no dot, and so this was meant for a range.
        if parts.len() > 1 && parts.first().is_some_and(|namespace| namespace.contains('.')) {
            return Err(refuse("it is no address range in CIDR notation, and a namespace has no dot"));
        }
        match parts.as_slice() {
            [namespace, name] => Ok(Self::InNamespace { namespace: (*namespace).into(), name: (*name).into() }),
            [namespace, kind, name] => {
                Ok(Self::Workload { namespace: (*namespace).into(), kind: (*kind).into(), name: (*name).into() })
            }
            [single] if !single.contains(['.', '*']) => {
                as_pattern()?;
                Ok(Self::Namespace((*single).into()))
            }
            [_] => as_pattern().map(Self::Name),
            _ => Err(refuse("it has too many parts")),
        }
    }

    /// What kind of thing it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Network(_) => "address",
            Self::Name(_) => "name",
            Self::Workload { .. } => "workload",
            Self::InNamespace { .. } => "pod or workload",
            Self::Namespace(_) => "namespace",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(net) => write!(f, "{}", Pattern::Network(*net)),
            Self::Name(pattern) => write!(f, "{pattern}"),
            Self::Workload { namespace, kind, name } => write!(f, "{namespace}/{kind}/{name}"),
            Self::InNamespace { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Namespace(name) => f.write_str(name),
        }
    }
}

/// A target in the numbers of some evidence.
#[derive(Debug)]
pub struct Matcher {
    /// The one cluster that is meant; none for all.
    cluster: Option<TextId>,
    network: Option<IpNet>,
    names: HashSet<NameId>,
    parties: HashSet<PartyId>,
    /// What the target turned out to be.
    kind: &'static str,
    /// The distinct things that it stands for in this evidence, in words.
    meant: BTreeSet<String>,
}

impl Matcher {
    /// Gives a target its meaning. `cluster` limits it to one cluster; a cluster that is not in the evidence matches nothing.
    pub fn new(target: &Target, evidence: &Evidence, cluster: Option<&str>) -> Self {
        let cluster = cluster.map(|name| evidence.vocabulary.find_text(name).unwrap_or(TextId(u32::MAX)));
        let mut matcher = Self {
            cluster,
            network: None,
            names: HashSet::new(),
            parties: HashSet::new(),
            kind: target.kind(),
            meant: BTreeSet::new(),
        };
        match target {
            Target::Network(net) => {
                matcher.network = Some(*net);
                let known = evidence.vocabulary.addresses.values().iter().skip(1);
                matcher.meant = known.filter(|address| net.contains(*address)).map(ToString::to_string).collect();
            }
            Target::Name(pattern) => matcher.take_names(evidence, pattern),
            Target::Workload { namespace, kind, name } => {
                matcher.take_parties(evidence, |of, _, workload| {
                    of == namespace && *workload.name == **name && workload.kind.0.eq_ignore_ascii_case(kind)
                });
            }
            Target::InNamespace { namespace, name } => {
                matcher.take_parties(evidence, |of, pod, _| of == namespace && pod == name);
                matcher.kind = "pod";
                if matcher.parties.is_empty() {
                    matcher.kind = "workload";
                    matcher.take_parties(evidence, |of, _, workload| of == namespace && *workload.name == **name);
                }
            }
            Target::Namespace(name) => {
                matcher.take_parties(evidence, |of, _, _| of == name);
                if matcher.parties.is_empty()
                    && let Ok(pattern) = Pattern::parse(name)
                {
                    matcher.take_names(evidence, &pattern);
                    if !matcher.names.is_empty() {
                        matcher.kind = "name";
                    }
                }
            }
        }
        matcher
    }

    fn take_names(&mut self, evidence: &Evidence, pattern: &Pattern) {
        for (number, name) in (0_u32..).zip(evidence.vocabulary.names.values()) {
            if !name.is_empty() && pattern.matches_name(name) {
                self.names.insert(NameId(number));
                self.meant.insert(name.to_string());
            }
        }
    }

    fn take_parties(&mut self, evidence: &Evidence, wanted: impl Fn(&str, &str, &crate::model::Workload) -> bool) {
        for (id, party) in evidence.parties.iter() {
            if self.cluster.is_none_or(|cluster| cluster == party.cluster)
                && wanted(&party.namespace, &party.pod, &party.workload)
            {
                self.parties.insert(id);
                let cluster = evidence.vocabulary.text_of(party.cluster);
                self.meant.insert(format!("{cluster}:{}/{}", party.namespace, party.workload));
            }
        }
    }

    /// What the target turned out to be: `address`, `name`, `pod`, `workload`, `namespace`.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether the evidence knows the target at all, be it only from answers or objects.
    pub fn is_known(&self) -> bool {
        !self.meant.is_empty()
    }

    /// The distinct things that the target stands for.
    pub const fn meant(&self) -> &BTreeSet<String> {
        &self.meant
    }

    /// Whether the target is a destination (an address or a name) rather than pods of ours.
    pub fn is_destination(&self) -> bool {
        self.network.is_some() || !self.names.is_empty()
    }

    /// How a connection concerns the target; `None` when it does not.
    pub fn role(&self, evidence: &Evidence, named: &Named<'_>) -> Option<Role> {
        if self.cluster.is_some_and(|cluster| cluster != named.cluster && cluster != named.server_cluster) {
            return None;
        }
        if let Some(net) = &self.network {
            let at = |address| net.contains(&evidence.vocabulary.address_of(address));
            return if at(named.server_address) {
                Some(Role::Server)
            } else {
                at(named.client_address).then_some(Role::Client)
            };
        }
        let is_meant = |party: Option<PartyId>| party.is_some_and(|party| self.parties.contains(&party));
        if is_meant(named.client) {
            return Some(Role::Client);
        }
        if is_meant(named.server) {
            return Some(Role::Server);
        }
        if self.names.is_empty() {
            return None;
        }
        let mut candidates = named.attributed.candidates.iter();
        let best = candidates.next();
        let chain = best.map_or(&[][..], |best| evidence.vocabulary.chain_of(best.chain));
        if best.is_some_and(|best| self.names.contains(&best.name))
            || chain.iter().chain(named.reported).any(|name| self.names.contains(name))
        {
            return Some(Role::Server);
        }
        candidates.any(|candidate| self.names.contains(&candidate.name)).then_some(Role::Possible)
    }

    /// Whether a connection between these ends can concern the target. Names are known only after the join.
    pub fn may_concern(&self, evidence: &Evidence, parted: &Parted) -> bool {
        let at = |address| self.network.is_some_and(|net| net.contains(&evidence.vocabulary.address_of(address)));
        !self.names.is_empty()
            || self.is_party(parted.client)
            || self.is_party(parted.server)
            || at(parted.server_address)
            || at(parted.client_address)
    }

    /// Whether an answer names the target, or gives its address.
    pub fn concerns(&self, evidence: &Evidence, answer: &Answer) -> bool {
        self.cluster.is_none_or(|cluster| cluster == answer.cluster)
            && (self.names.contains(&answer.name)
                || evidence.vocabulary.chain_of(answer.chain).iter().any(|name| self.names.contains(name))
                || self.network.is_some_and(|net| net.contains(&evidence.vocabulary.address_of(answer.address))))
    }

    /// Whether a pod belongs to the target.
    pub fn is_party(&self, party: Option<PartyId>) -> bool {
        party.is_some_and(|party| self.parties.contains(&party))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart_by_their_form() {
        let check = |text: &str, expected: &str| {
            let target = Target::parse(text)
                .map_or_else(|error| error.to_string(), |target| format!("{}: {target}", target.kind()));
            assert!(target.starts_with(expected), "{text}: {target}");
        };
        check("203.0.113.7", "address: 203.0.113.7");
        check("10.2.0.0/16", "address: 10.2.0.0/16");
        check("fd00::1", "address: fd00::1");
        check("10.2.1.0/16", "`10.2.1.0/16`: host bits are set; the range is `10.2.0.0/16`; write");
        check("API.example.com.", "name: api.example.com");
        check("*.example.com", "name: *.example.com");
        check("shop", "namespace: shop");
        check("shop/cart-0", "pod or workload: shop/cart-0");
        check("shop/Deployment/cart", "workload: shop/Deployment/cart");
        check("", "``: it names nothing");
        check("https://a.example/x", "`https://a.example/x`: a part between the slashes is empty");
        check("a/b/c/d", "`a/b/c/d`: it has too many parts");
        check("300.1.1.1", "`300.1.1.1`: it looks like an address and is none; write");
        check("1.2.3", "`1.2.3`: it looks like an address and is none; write");
        check("10.0.0.0/33", "`10.0.0.0/33`: it is no address range in CIDR notation; write");
        check("300.1.1.0/24", "`300.1.1.0/24`: it is no address range in CIDR notation, and a namespace has no dot");
        check("10.0.0/8", "`10.0.0/8`: it is no address range");
        check("fd00::/129", "`fd00::/129`: it is no address range");
        check("fd00::zz", "`fd00::zz`: it is neither a name nor an address");
        check("4.example.com", "name: 4.example.com");
        check("300", "namespace: 300");
        check("a b", "`a b`: it is neither a name nor an address");
    }
}
