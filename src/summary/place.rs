//! Where an address lies: inside (private, link-local, configured) or outside.
//!
//! Ranges from the IANA special-purpose registries (RFC 6890 and successors) plus what the user configured.

use std::net::IpAddr;

use ipnet::IpNet;

/// Ranges that the user declared, beyond the special-purpose ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Pod, service, node and other inside networks of one cluster or of all.
    pub inside: Vec<(Option<Box<str>>, IpNet)>,
}

impl Networks {
    /// Whether `address` is inside: private by registry or declared.
    pub fn is_inside(&self, cluster: &str, address: IpAddr) -> bool {
        is_special(address)
            || self
                .inside
                .iter()
                .any(|(of, net)| of.as_deref().is_none_or(|of| of == cluster) && net.contains(&address))
    }
}

/// Private (RFC 1918, RFC 4193), shared (RFC 6598), link-local, loopback, unspecified, multicast and broadcast addresses.
pub fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_what_the_registries_and_the_user_say() {
        for inside in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "fd00::1",
            "fe80::1",
            "::1",
            "224.0.0.1",
        ] {
            assert!(is_special(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "11.0.0.1"] {
            assert!(!is_special(outside.parse().unwrap()), "{outside}");
        }
        let networks = Networks { inside: vec![(Some("prod".into()), "11.0.0.0/8".parse().unwrap())] };
        assert!(networks.is_inside("prod", "11.0.0.1".parse().unwrap()));
        assert!(!networks.is_inside("other", "11.0.0.1".parse().unwrap()));
    }
}
