//! Longest-prefix match over address ranges of both families.
//!
//! One table per prefix length, longest first: a lookup costs one probe for each length in use. Several values
//! may sit on one range.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// Address ranges with values.
#[derive(Clone, Debug)]
pub(super) struct PrefixMap<T> {
    v4: Lengths<T>,
    v6: Lengths<T>,
}

/// The tables of one family, keyed by the number of host bits: longer prefixes come first.
type Lengths<T> = BTreeMap<u8, BTreeMap<u128, Vec<T>>>;

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: BTreeMap::new(), v6: BTreeMap::new() }
    }
}

impl<T: Copy> PrefixMap<T> {
    /// Adds a value to a range.
    pub(super) fn insert(&mut self, net: IpNet, value: T) {
        let host_bits = net.max_prefix_len() - net.prefix_len();
        let (family, bits) = match net.network() {
            IpAddr::V4(address) => (&mut self.v4, u128::from(address.to_bits())),
            IpAddr::V6(address) => (&mut self.v6, address.to_bits()),
        };
        family.entry(host_bits).or_default().entry(bits).or_default().push(value);
    }

    /// Every value on a range that holds `address`, with the length of the prefix; the longest first.
    pub(super) fn find(&self, address: IpAddr) -> Vec<(u8, T)> {
        let (family, bits, width) = match address {
            IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits()), 32_u8),
            IpAddr::V6(address) => (&self.v6, address.to_bits(), 128),
        };
        let mut found = Vec::new();
        for (host_bits, table) in family {
            let mask = u128::MAX.checked_shl(u32::from(*host_bits)).unwrap_or(0);
            let values = table.get(&(bits & mask)).into_iter().flatten();
            found.extend(values.map(|value| (width - host_bits, *value)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net() -> impl Strategy<Value = IpNet> {
        // Few distinct bits, so that ranges nest.
        prop_oneof![
            (any::<u8>(), 0_u8..=32).prop_map(|(byte, length)| {
                let address = IpAddr::from([10, 0, byte & 3, byte]);
                IpNet::new(address, length).unwrap().trunc()
            }),
            (any::<u8>(), 0_u8..=128).prop_map(|(byte, length)| {
                let mut octets = [0xfd; 16];
                octets[15] = byte;
                octets[3] = byte & 3;
                IpNet::new(IpAddr::from(octets), length).unwrap().trunc()
            }),
        ]
    }

    proptest! {
        #[test]
        fn the_same_as_trying_every_range(nets in prop::collection::vec(net(), 0..40), probe in net()) {
            let mut map = PrefixMap::default();
            for (index, net) in nets.iter().enumerate() {
                map.insert(*net, index);
            }
            let address = probe.addr();
            let mut expected: Vec<(u8, usize)> = nets
                .iter()
                .enumerate()
                .filter(|(_, net)| net.contains(&address))
                .map(|(index, net)| (net.prefix_len(), index))
                .collect();
            let mut found = map.find(address);
            prop_assert!(found.is_sorted_by_key(|(length, _)| std::cmp::Reverse(*length)));
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
