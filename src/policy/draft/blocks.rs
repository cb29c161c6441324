//! Address ranges as rules need them: one host by its family, the public internet with its holes, and ranges without holes.
//!
//! In: addresses and ranges. Out: blocks whose holes lie strictly inside them and are of the same family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::model::Block;

/// A range without holes.
pub(super) fn whole(range: IpNet) -> Block {
    Block { range: range.trunc(), except: Vec::new() }
}

/// One address: `/32` or `/128` by its family.
pub(super) fn host(address: IpAddr) -> Block {
    whole(IpNet::from(address.to_canonical()))
}

/// Everything outside, in both families, without `excluded`.
pub(super) fn public_internet(excluded: &[IpNet]) -> Vec<Block> {
    let everything = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0))];
    everything.into_iter().map(|range| Block { range, except: holes(range, excluded) }).collect()
}

/// The parts of `excluded` strictly inside `range`, without those inside one another.
fn holes(range: IpNet, excluded: &[IpNet]) -> Vec<IpNet> {
    let inside: Vec<IpNet> = excluded
        .iter()
        .map(IpNet::trunc)
        .filter(|net| same_family(net, &range) && range.contains(net) && net.prefix_len() > range.prefix_len())
        .collect();
    let mut joined = IpNet::aggregate(&inside);
    // Aggregation may join two halves to the whole range, which would leave nothing.
    joined.retain(|net| net.prefix_len() > range.prefix_len());
    joined.sort_unstable();
    joined
}

fn same_family(one: &IpNet, other: &IpNet) -> bool {
    matches!((one, other), (IpNet::V4(_), IpNet::V4(_)) | (IpNet::V6(_), IpNet::V6(_)))
}

/// The same addresses as a block, as ranges without holes, sorted.
pub(super) fn without_holes(block: &Block) -> Vec<IpNet> {
    let mut left = vec![block.range.trunc()];
    for hole in &block.except {
        left = left.into_iter().flat_map(|range| subtract(range, *hole)).collect();
    }
    left.sort_unstable();
    left
}

/// `range` without `hole`: at most one range for each bit between their lengths.
fn subtract(range: IpNet, hole: IpNet) -> Vec<IpNet> {
    if !same_family(&range, &hole) || !range.contains(&hole) {
        return if same_family(&range, &hole) && hole.contains(&range) { Vec::new() } else { vec![range] };
    }
    let mut kept = Vec::new();
    let mut around = range;
    while around != hole.trunc() {
        let Ok(halves) = around.subnets(around.prefix_len().saturating_add(1)) else { break };
        let mut next = None;
        for half in halves {
            if half.contains(&hole) {
                next = Some(half);
            } else {
                kept.push(half);
            }
        }
        let Some(half) = next else { break };
        around = half;
    }
    kept
}

/// Whether an address is a public one, as far as `excluded` and the well-known ranges tell.
pub(super) fn is_public(address: IpAddr, excluded: &[IpNet]) -> bool {
    let address = address.to_canonical();
    let local = match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4 == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    !local && !excluded.iter().any(|net| net.contains(&address))
}

/// Whether an address is link-local: node-local DNS caches and cloud metadata live there.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_takes_the_length_of_its_family() {
        let check = |text: &str, expected: &str| {
            assert_eq!(host(text.parse().unwrap()).range.to_string(), expected);
        };
        check("10.0.0.1", "10.0.0.1/32");
        check("2600:1901:0:5e8a::", "2600:1901:0:5e8a::/128");
        check("::ffff:192.0.2.1", "192.0.2.1/32");
    }

    #[test]
    fn holes_are_strictly_inside_and_of_one_family() {
        let excluded: Vec<IpNet> =
            ["10.0.0.0/8", "10.1.0.0/16", "fc00::/7", "0.0.0.0/0"].iter().map(|text| text.parse().unwrap()).collect();
        let blocks = public_internet(&excluded);
        assert_eq!(blocks[0].except, vec!["10.0.0.0/8".parse::<IpNet>().unwrap()]);
        assert_eq!(blocks[1].except, vec!["fc00::/7".parse::<IpNet>().unwrap()]);
    }

    #[test]
    fn a_block_without_holes_covers_the_same_addresses() {
        let excluded: Vec<IpNet> =
            ["10.0.0.0/8", "100.64.0.0/10", "203.0.113.7/32"].iter().map(|text| text.parse().unwrap()).collect();
        let block = &public_internet(&excluded)[0];
        let ranges = without_holes(block);
        for (address, expected) in [
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("10.255.255.255", false),
            ("11.0.0.0", true),
            ("100.63.0.1", true),
            ("100.127.0.1", false),
            ("203.0.113.6", true),
            ("203.0.113.7", false),
            ("203.0.113.8", true),
            ("255.255.255.255", true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(ranges.iter().any(|net| net.contains(&address)), expected, "{address}");
        }
    }
}
