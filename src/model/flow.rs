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
