//! Metadata services of clouds within allowed ranges, by address and port.
//!
//! Port 53 of such an address is a resolver and port 123 a clock, so that a rule counts only where it lets port 80 through.

use std::net::IpAddr;

use super::cover::blocks;
use super::finding::METADATA_REACHABLE;
use super::ground::Ground;
use crate::model::{Protocol, Severity};
use crate::policy::{Action, Block, Direction, Peer, PortMatch, PortSpec, Ports, ProtocolSpec};

/// What stands at an address.
pub(super) const METADATA: [(&str, &str, Severity); 18] = [
    ("169.254.169.254", "AWS, Azure, GCP, OCI, OpenStack and others", Severity::High),
    ("fd00:ec2::254", "AWS over IPv6", Severity::High),
    ("fd20:ce::254", "GCP over IPv6", Severity::High),
    ("fd00:c1::a9fe:a9fe", "OCI over IPv6", Severity::High),
    ("fe80::a9fe:a9fe", "OpenStack and Hetzner over IPv6", Severity::High),
    ("169.254.170.2", "AWS ECS credentials", Severity::High),
    ("169.254.170.23", "AWS EKS Pod Identity", Severity::High),
    ("fd00:ec2::23", "AWS EKS Pod Identity over IPv6", Severity::High),
    ("169.254.169.252", "GKE metadata server", Severity::High),
    ("169.254.42.42", "Scaleway", Severity::High),
    ("fd00:42::42", "Scaleway over IPv6", Severity::High),
    ("fd00:a9fe:a9fe::1", "Akamai over IPv6", Severity::High),
    ("100.100.100.200", "Alibaba Cloud", Severity::High),
    ("192.0.0.192", "Oracle Cloud Classic", Severity::Low),
    ("168.63.129.16", "Azure WireServer", Severity::Low),
    ("::169.254.169.254", "169.254.169.254 as IPv4-compatible IPv6", Severity::Low),
    ("64:ff9b::a9fe:a9fe", "169.254.169.254 through NAT64", Severity::Low),
    ("2002:a9fe:a9fe::1", "169.254.169.254 through 6to4", Severity::Low),
];

pub(super) fn check(ground: &mut Ground<'_>) {
    for (id, _, rule) in ground.rules(Action::Allow) {
        if id.direction == Direction::Ingress || !lets_http(&rule.ports) {
            continue;
        }
        let ranges: Vec<Block> = rule.peers.iter().flatten().flat_map(blocks).collect();
        // What is said of the whole range is not said again of each address in it.
        if ranges.iter().any(|block| block.net.prefix_len() == 0 && block.except.is_empty()) {
            continue;
        }
        for severity in [Severity::High, Severity::Low] {
            let (mut found, mut named) = (Vec::new(), true);
            for (text, what, own) in METADATA.iter().filter(|(_, _, own)| *own == severity) {
                let Ok(address) = text.parse::<IpAddr>() else { continue };
                if let Some(block) = ranges.iter().find(|block| holds(block, address)) {
                    named &= block.net.prefix_len() >= block.net.max_prefix_len() - 2;
                    found.push((*text, *what, *own));
                }
            }
            let Some((first, what, _)) = found.first() else { continue };
            let more = found.len() - 1;
            let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (severity, message, fix) = if named {
                (
                    Severity::Low,
                    format!("allows the metadata service at {first} ({what}){tail} by its address"),
                    "keep it only where an owner has reviewed it; else give the workload its own cloud identity",
                )
            } else if severity == Severity::Low {
                (
                    Severity::Low,
                    format!("the range holds {first} ({what}){tail}"),
                    "except the address where your cloud or your translation of addresses uses it",
                )
            } else {
                (
                    Severity::High,
                    format!("the range holds the metadata service at {first} ({what}){tail}"),
                    "except 169.254.0.0/16, fe80::/10 and fc00::/7 (and 100.64.0.0/10 for Alibaba Cloud)",
                )
            };
            ground.rule(&METADATA_REACHABLE, severity, id, message, fix);
        }
    }
    undefined_peers(ground);
}

/// The literal form decides here: an address inside IPv6 is not taken for the IPv4 address in it.
fn holds(block: &Block, address: IpAddr) -> bool {
    block.net.contains(&address) && !block.except.iter().any(|hole| hole.contains(&address))
}

fn lets_http(ports: &Ports) -> bool {
    let is_http = |element: &PortMatch| {
        let protocol = match element.protocol {
            ProtocolSpec::Is(protocol) => protocol == Protocol::TCP,
            ProtocolSpec::Any | ProtocolSpec::AnyWithPorts => true,
        };
        protocol
            && match element.port {
                PortSpec::Any => true,
                PortSpec::Range(first, last) => (first..=last).contains(&80),
                PortSpec::Named(_) | PortSpec::Icmp { .. } => false,
            }
    };
    !ports.none_of.iter().any(is_http) && ports.any_of.as_ref().is_none_or(|elements| elements.iter().any(is_http))
}

fn undefined_peers(ground: &mut Ground<'_>) {
    let is_opaque = |peer: &Peer| matches!(peer, Peer::Opaque(_));
    let unknown = ground.rules(Action::Allow).iter().any(|(_, _, rule)| rule.peers.iter().flatten().any(is_opaque));
    if unknown {
        ground.not_checked("peers that are not modelled (groups, node selectors, CIDR groups by label): what they hold is not in the given objects");
    }
}
