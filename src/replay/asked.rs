//! What of a connection some rule asks for beside ends, server port and transport: ports of clients, types of ICMP.
//!
//! In: policies, and what a connection had. Out: a value that every rule treats alike. Clients call from a new port each time, so that to
//! keep the port itself would make every connection a distinct one.

use std::sync::Arc;

use crate::policy::{PolicySet, PortSpec};

/// What the rules of a set ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Ports of clients.
    pub client_ports: ClientPorts,
    /// Types or codes of ICMP. Each message is then kept as it is: there are few, and what is missing is said by type and code.
    pub icmp: bool,
}

impl Asked {
    /// Whatever any rule of the set asks for.
    pub fn of(set: &PolicySet) -> Self {
        Self::of_all(std::slice::from_ref(set))
    }

    /// Whatever any rule of these sets asks for.
    pub fn of_all(sets: &[PolicySet]) -> Self {
        let rules = || sets.iter().flat_map(PolicySet::rules);
        let elements =
            || rules().flat_map(|(_, _, rule)| rule.ports.any_of.iter().flatten().chain(&rule.ports.none_of));
        Self {
            client_ports: ClientPorts::of(elements().map(|element| &element.from)),
            icmp: elements().any(|element| matches!(element.port, PortSpec::Icmp { .. })),
        }
    }
}

/// The ports at which some rule begins to answer otherwise, sorted; without any, nobody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPorts(Arc<[u16]>);

impl ClientPorts {
    fn of<'s>(specs: impl Iterator<Item = &'s PortSpec>) -> Self {
        let mut starts = Vec::new();
        for spec in specs {
            if let PortSpec::Range(first, last) = spec {
                starts.push(*first);
                starts.extend(last.checked_add(1));
            }
        }
        starts.sort_unstable();
        starts.dedup();
        Self(starts.into())
    }

    /// The smallest port that no rule tells from `port`; 0 when the port is not known or nobody asks.
    pub fn representative(&self, port: u16) -> u16 {
        if port == 0 || self.0.is_empty() {
            return 0;
        }
        let behind = self.0.partition_point(|start| *start <= port);
        behind.checked_sub(1).and_then(|place| self.0.get(place).copied()).map_or(1, |start| start.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_rules_do_not_tell_apart_are_one() {
        let asked = ClientPorts([1_024, 2_000, 2_001].into());
        for (port, expected) in
            [(0, 0), (1, 1), (1_023, 1), (1_024, 1_024), (1_999, 1_024), (2_000, 2_000), (65_535, 2_001)]
        {
            assert_eq!(asked.representative(port), expected, "{port}");
        }
        assert_eq!(ClientPorts::default().representative(40_000), 0);
    }
}
