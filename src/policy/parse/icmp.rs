//! Types of ICMP as Cilium names them.
//!
//! In: the `type` of an element of `icmps`, and its family. Out: the number. Names are those of the schema of
//! `CiliumNetworkPolicy` (one of them with a blank), numbers those of IANA.

use super::fields::Item;
use crate::model::Protocol;
use crate::policy::Problem;

const V4: [(&str, u8); 15] = [
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
    ("ExtendedEcho Reply", 43),
];

const V6: [(&str, u8); 25] = [
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
];

/// A number, the same as a text, or a name of that family.
pub(super) fn kind(item: &Item<'_>, family: Protocol) -> Result<u8, Problem> {
    let Ok(text) = item.text() else { return item.byte() };
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => item.word(if family == Protocol::ICMPV6 { &V6 } else { &V4 }),
    }
}
