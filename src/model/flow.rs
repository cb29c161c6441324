//! The small enumerations of one flow record: verdict, protocol, and which end began.

use std::fmt;

use serde::Serialize;

/// What the CNI did with the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The record does not say.
    #[default]
    Unknown,
    /// Passed, or allowed by policy.
    Allowed,
    /// Let through, but a policy in audit mode would have denied it.
    Audited,
    /// Denied by policy.
    Denied,
    /// Lost for a reason that is not policy (no route, connection tracking, proxy error).
    Failed,
}

impl Verdict {
    /// The word used in every output. Losses that are no policy decision read `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Audited => "audited",
            Self::Denied => "denied",
            Self::Failed | Self::Unknown => "unknown",
        }
    }
}

/// The transport of a flow, by IANA protocol number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Not stated by the record.
    pub const UNKNOWN: Self = Self(255);
    /// ICMP for IPv4.
    pub const ICMPV4: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// IGMP.
    pub const IGMP: Self = Self(2);
    /// VRRP.
    pub const VRRP: Self = Self(112);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::SCTP => f.write_str("SCTP"),
            Self::ICMPV4 => f.write_str("ICMPv4"),
            Self::ICMPV6 => f.write_str("ICMPv6"),
            Self::IGMP => f.write_str("IGMP"),
            Self::VRRP => f.write_str("VRRP"),
            Self::UNKNOWN => f.write_str("unknown"),
            Self(number) => write!(f, "protocol-{number}"),
        }
    }
}

/// Type and code of a message of ICMP.
///
/// Rows keep them where other protocols have ports, as exporters of IPFIX do: type × 256 + code as the port of the end that is asked,
/// the other port 0. The answer to a request (RFC 792, 950, 4443, 4620, 8335) is kept as that request, from the other end, so that
/// both meet in one connection. Type and code 0 of a message that answers nothing read as not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpMessage {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
}

impl IcmpMessage {
    /// Protocol, type of the request, type of its answer.
    const ANSWERS: [(Protocol, u8, u8); 8] = [
        (Protocol::ICMPV4, 8, 0),
        (Protocol::ICMPV4, 13, 14),
        (Protocol::ICMPV4, 15, 16),
        (Protocol::ICMPV4, 17, 18),
        (Protocol::ICMPV4, 42, 43),
        (Protocol::ICMPV6, 128, 129),
        (Protocol::ICMPV6, 139, 140),
        (Protocol::ICMPV6, 160, 161),
    ];

    /// What a row has as source and destination port.
    pub fn ports(self, protocol: Protocol) -> (u16, u16) {
        let of = |kind: u8| u16::from_be_bytes([kind, self.code]);
        let asked = Self::ANSWERS.iter().find(|(own, _, answer)| (*own, *answer) == (protocol, self.kind));
        asked.map_or((0, of(self.kind)), |(_, request, _)| (of(*request), 0))
    }

    /// The message that a port stands for; none where the protocol is another one, or the type is not known.
    pub fn of_port(protocol: Protocol, port: u16) -> Option<Self> {
        let is_icmp = matches!(protocol, Protocol::ICMPV4 | Protocol::ICMPV6);
        let [kind, code] = port.to_be_bytes();
        (is_icmp && port != 0).then_some(Self { kind, code })
    }
}

/// Which way traffic goes, seen from the workloads that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// They connect.
    Egress,
    /// They are connected to.
    Ingress,
}

impl Direction {
    /// The word in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// Which end of the record opened the connection, as far as this record alone can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Initiator {
    /// The record does not say; other records of the connection, or the ports, decide.
    #[default]
    Unknown,
    /// The record's source is the client.
    Source,
    /// The record is a reply: its destination is the client.
    Destination,
}

/// How an initiator was known; the strongest evidence of a connection's records wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Not known.
    #[default]
    None,
    /// Guessed from the ends (a local endpoint sent a dropped packet, an old `reply` flag).
    Guess,
    /// TCP flags: SYN without ACK, or SYN with ACK.
    Flags,
    /// The connection tracking state as reported (`is_reply`), or a layer 7 request or response.
    Tracked,
    /// A policy verdict: exact by construction.
    Policy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_answer_have_the_same_ports_swapped() {
        for (protocol, kind, code, expected) in [
            (Protocol::ICMPV4, 8, 0, (0, 0x0800)),
            (Protocol::ICMPV4, 0, 0, (0x0800, 0)),
            (Protocol::ICMPV4, 3, 1, (0, 0x0301)),
            (Protocol::ICMPV4, 14, 0, (0x0d00, 0)),
            (Protocol::ICMPV6, 128, 0, (0, 0x8000)),
            (Protocol::ICMPV6, 129, 0, (0x8000, 0)),
            (Protocol::ICMPV6, 14, 0, (0, 0x0e00)),
            (Protocol::ICMPV6, 135, 0, (0, 0x8700)),
        ] {
            assert_eq!(IcmpMessage { kind, code }.ports(protocol), expected, "{protocol} {kind}");
        }
        assert_eq!(IcmpMessage::of_port(Protocol::ICMPV4, 0x0301), Some(IcmpMessage { kind: 3, code: 1 }));
        assert_eq!(IcmpMessage::of_port(Protocol::ICMPV4, 0), None);
        assert_eq!(IcmpMessage::of_port(Protocol::TCP, 0x0301), None);
    }
}
