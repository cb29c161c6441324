//! The five pinned policy names, in one place.
//!
//! Rollback commands, audits and drift rest on them, so they never change. Kinds that select one set of pods for each object
//! need several objects behind one name; these are called `<pinned>-<template>`, and stand in the file of the pinned name.

use std::fmt;

use super::Direction;

/// A pinned name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyName {
    /// Closes egress of every pod of the namespace.
    DefaultDenyEgress,
    /// What every pod needs: DNS, time, other pods unless told otherwise.
    EgressBaselineAllow,
    /// What single workloads reach.
    EgressAllowlist,
    /// Closes ingress of every pod of the namespace.
    DefaultDenyIngress,
    /// Who reaches single workloads.
    IngressAllowlist,
}

impl PolicyName {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::DefaultDenyEgress,
        Self::EgressBaselineAllow,
        Self::EgressAllowlist,
        Self::DefaultDenyIngress,
        Self::IngressAllowlist,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DefaultDenyEgress => "default-deny-egress",
            Self::EgressBaselineAllow => "egress-baseline-allow",
            Self::EgressAllowlist => "egress-allowlist",
            Self::DefaultDenyIngress => "default-deny-ingress",
            Self::IngressAllowlist => "ingress-allowlist",
        }
    }

    /// The file that holds its objects.
    pub fn file(self) -> String {
        format!("{}.yaml", self.as_str())
    }

    /// Which way it isolates.
    pub const fn direction(self) -> Direction {
        match self {
            Self::DefaultDenyEgress | Self::EgressBaselineAllow | Self::EgressAllowlist => Direction::Egress,
            Self::DefaultDenyIngress | Self::IngressAllowlist => Direction::Ingress,
        }
    }

    /// The word for its direction in `policyTypes` and `types`.
    pub const fn policy_type(self) -> &'static str {
        match self.direction() {
            Direction::Egress => "Egress",
            Direction::Ingress => "Ingress",
        }
    }

    /// The pinned name behind an object's name, whatever template or namespace follows.
    pub fn of(object: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| {
            object.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        })
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lead_back_to_their_pinned_name() {
        let check = |object: &str, expected| assert_eq!(PolicyName::of(object), expected, "{object}");
        check("default-deny-egress", Some(PolicyName::DefaultDenyEgress));
        check("egress-allowlist-cart", Some(PolicyName::EgressAllowlist));
        check("ingress-allowlist.shop.cart", Some(PolicyName::IngressAllowlist));
        check("egress-allowlisted", None);
        check("deny-all", None);
    }
}
