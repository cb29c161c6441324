//! Which end of a connection is the client.
//!
//! The strongest evidence of all its records decides. Without any, or when both ends have equal evidence, the ports do:
//! servers listen on low or registered ports, clients use ephemeral ones. The field `traffic_direction` of Hubble is never asked
//! (wrong for deliveries to a pod since Cilium 1.16).

use super::connection::Connection;
use crate::model::{AddressId, EndpointId, IcmpMessage, Protocol};

/// First port of the ephemeral range of Linux (`ip_local_port_range`).
const EPHEMERAL_FIRST: u16 = 32_768;

/// A connection with its ends named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oriented {
    pub(crate) client: EndpointId,
    pub(crate) client_address: AddressId,
    pub(crate) client_port: u16,
    pub(crate) server: EndpointId,
    pub(crate) server_address: AddressId,
    pub(crate) server_port: u16,
    /// Whether only the ports (or who spoke first) decided.
    pub(crate) guessed: bool,
}

impl Oriented {
    /// Client's and server's port, and the message of ICMP that stands in the place of the latter.
    pub(crate) fn ports(&self, protocol: Protocol) -> (u16, u16, Option<IcmpMessage>) {
        match protocol {
            Protocol::ICMPV4 | Protocol::ICMPV6 => (0, 0, IcmpMessage::of_port(protocol, self.server_port)),
            _ => (self.client_port, self.server_port, None),
        }
    }
}

impl Connection {
    /// Names the ends.
    pub(crate) fn oriented(&self) -> Oriented {
        let (low_is_client, guessed) = match self.low_is_client.cmp(&self.high_is_client) {
            std::cmp::Ordering::Greater => (true, false),
            std::cmp::Ordering::Less => (false, false),
            std::cmp::Ordering::Equal => (self.low_is_client_by_ports(), true),
        };
        let (low, high) = (self.key.low, self.key.high);
        let ((client, (client_address, client_port)), (server, (server_address, server_port))) =
            if low_is_client { ((self.low, low), (self.high, high)) } else { ((self.high, high), (self.low, low)) };
        Oriented { client, client_address, client_port, server, server_address, server_port, guessed }
    }

    fn low_is_client_by_ports(&self) -> bool {
        let (low, high) = (self.key.low.1, self.key.high.1);
        let is_ephemeral = |port: u16| port >= EPHEMERAL_FIRST;
        match (low, high) {
            // A masked or translated record without the client's port.
            (0, 1..) => true,
            (1.., 0) => false,
            _ if is_ephemeral(low) != is_ephemeral(high) => is_ephemeral(low),
            _ if low != high && (low < 1_024 || high < 1_024) => low > high,
            _ => self.low_spoke_first,
        }
    }
}
