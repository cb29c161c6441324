//! Where an address lies: inside (private, link-local, configured) or outside.
//!
//! What the registries call special ([`is_special`]), plus what the user configured.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::is_special;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_what_the_registries_and_the_user_say() {
        let networks = Networks { inside: vec![(Some("prod".into()), "11.0.0.0/8".parse().unwrap())] };
        assert!(networks.is_inside("other", "10.0.0.1".parse().unwrap()));
        assert!(networks.is_inside("prod", "11.0.0.1".parse().unwrap()));
        assert!(!networks.is_inside("other", "11.0.0.1".parse().unwrap()));
    }
}
