//! Address ranges as rules need them: one host by its family, the public internet with its holes, and ranges without holes.
//!
//! In: addresses and ranges. Out: blocks whose holes lie strictly inside them and are of the same family.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::model::Block;
use crate::model::is_local;

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

/// `excluded`, and the same IPv4 ranges as NAT64 carries them: `64:ff9b::/96` of RFC 6052, and all of the local-use
/// `64:ff9b:1::/48` of RFC 8215 where anything is excluded, since sites choose their own part of it.
pub(super) fn with_nat64(excluded: impl IntoIterator<Item = IpNet>) -> Vec<IpNet> {
    const WELL_KNOWN: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
    const LOCAL_USE: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0);
    let mut all = BTreeSet::new();
    for net in excluded {
        if let IpNet::V4(v4) = net.trunc() {
            let bits = WELL_KNOWN.to_bits() | u128::from(v4.network().to_bits());
            let carried = Ipv6Net::new(Ipv6Addr::from_bits(bits), v4.prefix_len().saturating_add(96));
            all.extend(carried.ok().map(IpNet::V6));
            all.extend(Ipv6Net::new(LOCAL_USE, 48).ok().map(IpNet::V6));
        }
        all.insert(net.trunc());
    }
    all.into_iter().collect()
}

/// The parts of `excluded` strictly inside `range`, without those inside one another.
pub(super) fn holes(range: IpNet, excluded: &[IpNet]) -> Vec<IpNet> {
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
    !is_local(address) && !excluded.iter().any(|net| net.contains(&address))
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
    fn excluded_ranges_stay_out_through_nat64_too() {
        let excluded = with_nat64(["10.0.0.0/8", "169.254.0.0/16"].map(|text| text.parse().unwrap()));
        let blocks = public_internet(&excluded);
        let open = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            blocks.iter().flat_map(without_holes).any(|net| net.contains(&address))
        };
        for (address, expected) in [
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b::10.1.2.3", false),
            ("64:ff9b:1::10.1.2.3", false),
            ("64:ff9b::192.0.2.1", true),
            ("2001:db8::1", true),
            ("10.1.2.3", false),
        ] {
            assert_eq!(open(address), expected, "{address}");
            assert_eq!(is_public(address.parse().unwrap(), &excluded), expected, "{address}");
        }
        let whole = public_internet(&with_nat64(crate::catalog::DraftSettings::default().excluded));
        assert!(whole[1].except.contains(&"64:ff9b::/96".parse().unwrap()), "{whole:?}");
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
