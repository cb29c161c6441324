//! IPv4 addresses inside IPv6 addresses: which ranges embed one, and where.
//!
//! In: an address of a flow or of a DNS answer. Out: the address to judge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 address that `address` embeds, or `address` itself.
///
/// IPv4-mapped `::ffff:0:0/96` (RFC 4291 section 2.5.5.2), NAT64 `64:ff9b::/96` (RFC 6052) and the local-use
/// `64:ff9b:1::/48` (RFC 8215; sites use a /96 inside it), 6to4 `2002::/16` (RFC 3056, bits 16 to 47).
pub fn unwrap_embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    embedded(v6).map_or(address, IpAddr::V4)
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_addresses_come_out() {
        let check = |text: &str, expected: &str| {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(unwrap_embedded(address).to_string(), expected);
        };
        check("::ffff:169.254.169.254", "169.254.169.254");
        check("64:ff9b::a9fe:a9fe", "169.254.169.254");
        check("64:ff9b:1:abcd::a9fe:a9fe", "169.254.169.254");
        check("2002:a9fe:a9fe::1", "169.254.169.254");
        check("64:ff9b:2::a9fe:a9fe", "64:ff9b:2::a9fe:a9fe");
        check("2001:db8::1", "2001:db8::1");
        check("::1", "::1");
        check("192.0.2.1", "192.0.2.1");
    }
}
