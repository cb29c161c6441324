//! What the registries say about addresses: which are nobody's outside, and which embed an IPv4 address.
//!
//! In: an address of a flow or of a DNS answer. Out: its kind, or the address to judge. Ranges of the IANA special-purpose
//! registries (RFC 6890 and successors); what a user declares is not known here.

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

/// The IPv4 address that a NAT64 translates `address` to; `None` for any other.
///
/// `64:ff9b::/96` (RFC 6052) and `64:ff9b:1::/48` (RFC 8215). A prefix of the operator's own cannot be told.
pub const fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(pair(high, low)),
        _ => None,
    }
}

/// Whether an address is link-local: node-local DNS caches and cloud metadata live there. RFC 3927, RFC 4291.
pub const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether an address is shared behind carriers' NAT, and inside clouds: `100.64.0.0/10` (RFC 6598).
pub const fn is_shared(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets(), [100, 64..=127, ..]))
}

/// Whether an address is of a network that does not reach the internet: RFC 1918, RFC 6598, RFC 4193.
pub const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || is_shared(address),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Whether an address is no host of the internet: private, shared, link-local, loopback or unspecified.
pub const fn is_local(address: IpAddr) -> bool {
    is_private(address) || is_link_local(address) || address.is_loopback() || address.is_unspecified()
}

/// The same, or no single host at all: multicast and broadcast.
pub const fn is_special(address: IpAddr) -> bool {
    is_local(address) || address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

const fn pair(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(((high as u32) << 16) | low as u32)
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => translated(IpAddr::V6(address)),
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

    #[test]
    fn kinds_of_addresses() {
        let check = |texts: &[&str], expected: [bool; 4]| {
            for text in texts {
                let address: IpAddr = text.parse().unwrap();
                let found = [is_link_local(address), is_private(address), is_local(address), is_special(address)];
                assert_eq!(found, expected, "{text}");
            }
        };
        check(
            &["10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "100.127.255.255", "fd00::1"],
            [false, true, true, true],
        );
        check(&["169.254.169.254", "fe80::1"], [true, false, true, true]);
        check(&["127.0.0.1", "::1", "0.0.0.0", "::"], [false, false, true, true]);
        check(&["224.0.0.1", "255.255.255.255", "ff02::1"], [false, false, false, true]);
        let outside = ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "11.0.0.1", "2606:4700::1111"];
        check(&outside, [false; 4]);
    }
}
