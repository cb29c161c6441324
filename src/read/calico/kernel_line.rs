//! The packet of one kernel LOG line, and the verdict of one eBPF trace line.
//!
//! In: the text of a line's message. Out: addresses, ports, interfaces. Fields are read from `IN=` on, left to right;
//! of a repeated one (`LEN`, `ID`, an embedded packet's `SRC`) the first counts. The prefix before it may be anything,
//! and may have lost its `: `.

use std::net::IpAddr;

use crate::model::{IcmpMessage, Protocol, Verdict};

use super::super::fields::protocol;

/// What one line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) prefix: &'a str,
    pub(super) incoming: &'a str,
    pub(super) outgoing: &'a str,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    /// IP identification; 0 when there is none.
    pub(super) id: u32,
    pub(super) verdict: Verdict,
}

/// Why a line that looks like one of ours is not usable.
pub(super) enum Fault {
    Address,
    Port,
    CutOff,
}

/// Reads a LOG line; `None` when it is none.
pub(super) fn logged(message: &str) -> Option<Result<Packet<'_>, Fault>> {
    let (prefix, fields) = split(message)?;
    Some(read(prefix, fields))
}

/// Whether the text holds a LOG line.
pub(super) fn is_logged(message: &str) -> bool {
    split(message).is_some()
}

/// Splits before the `IN=` that is followed by ` OUT=` and ` SRC=`.
fn split(message: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = message.get(from..)?.find("IN=") {
        let at = from + found;
        let (prefix, fields) = message.split_at_checked(at)?;
        let out = fields.find(' ')?;
        let rest = fields.get(out..)?;
        let is_one = rest.starts_with(" OUT=") && rest.contains(" SRC=");
        // `PHYSIN=` ends in the same letters.
        if is_one && !prefix.ends_with("PHYS") {
            return Some((prefix, fields));
        }
        from = at + 3;
    }
    None
}

fn read<'a>(prefix: &'a str, fields: &'a str) -> Result<Packet<'a>, Fault> {
    // An error message embeds the packet that it is about, in brackets.
    let fields = fields.split('[').next().unwrap_or(fields);
    let first = |key: &str| {
        fields.split(' ').filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let address = |key| match first(key) {
        Some(text) => text.parse::<IpAddr>().map_err(|_| Fault::Address),
        None => Err(Fault::CutOff),
    };
    let protocol = protocol(first("PROTO").ok_or(Fault::CutOff)?);
    let port = |key| match first(key) {
        Some(text) => text.parse::<u16>().map_err(|_| Fault::Port),
        None if matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP) => Err(Fault::CutOff),
        None => Ok(0),
    };
    let byte = |key| first(key).and_then(|text| text.parse::<u8>().ok());
    let is_icmp = matches!(protocol, Protocol::ICMPV4 | Protocol::ICMPV6);
    let (source_port, destination_port) = match byte("TYPE").zip(byte("CODE")).filter(|_| is_icmp) {
        Some((kind, code)) => IcmpMessage { kind, code }.ports(protocol),
        None => (port("SPT")?, port("DPT")?),
    };
    Ok(Packet {
        prefix: prefix.trim_end(),
        incoming: first("IN").unwrap_or_default(),
        outgoing: first("OUT").unwrap_or_default(),
        source: address("SRC")?,
        destination: address("DST")?,
        protocol,
        source_port,
        destination_port,
        id: first("ID").and_then(|id| id.parse().ok()).unwrap_or(0),
        verdict: Verdict::Unknown,
    })
}

/// Reads an eBPF trace line: `cali..-E: policy ALLOWED proto 6 src A:P dest A:P`.
pub(super) fn traced(message: &str) -> Option<Result<Packet<'_>, Fault>> {
    let (head, rest) = message.split_once(": policy ")?;
    let mut words = rest.split_ascii_whitespace();
    let verdict = match words.next()? {
        "ALLOWED" => Verdict::Allowed,
        "DENIED" => Verdict::Denied,
        _ => return None,
    };
    let mut after = |key: &str| words.next().filter(|word| *word == key).and_then(|_| words.next());
    let (Some(number), Some(source), Some(destination)) = (after("proto"), after("src"), after("dest")) else {
        return Some(Err(Fault::CutOff));
    };
    let hook = head.rsplit([' ', '\t']).next().unwrap_or_default();
    let (interface, direction) = hook.rsplit_once('-').unwrap_or((hook, ""));
    let protocol = protocol(number);
    let end = |text: &str| {
        let (address, port) = text.rsplit_once(':').ok_or(Fault::CutOff)?;
        let address: IpAddr = address.trim_matches(['[', ']']).parse().map_err(|_| Fault::Address)?;
        Ok((address, port.parse::<u16>().map_err(|_| Fault::Port)?))
    };
    Some(end(source).and_then(|source| {
        let destination = end(destination)?;
        // ICMP prints its type where the port goes.
        let has_ports = matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP);
        let port = |port: u16| if has_ports { port } else { 0 };
        // The hook's direction is the packet's as the interface's owner sees it: egress leaves the pod.
        let (incoming, outgoing) = if direction == "E" { (interface, "") } else { ("", interface) };
        Ok(Packet {
            prefix: "",
            incoming,
            outgoing,
            source: source.0,
            destination: destination.0,
            protocol,
            source_port: port(source.1),
            destination_port: port(destination.1),
            id: 0,
            verdict,
        })
    }))
}

/// Whether a host interface belongs to a pod: a prefix (`cali`, `eni`, `azv`, `gke`, or what the user set) and eleven
/// hexadecimal digits of a hash of the workload.
pub(super) fn is_workload_interface(name: &str) -> bool {
    const HASH: usize = 11;
    let Some((prefix, hash)) = name.len().checked_sub(HASH).and_then(|at| name.split_at_checked(at)) else {
        return false;
    };
    !prefix.is_empty()
        && prefix.bytes().all(|byte| byte.is_ascii_alphabetic())
        && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `<namespace>/<policy>` at the end of a prefix, as the specifier `%p` writes it.
pub(super) fn namespace_in(prefix: &str) -> Option<&str> {
    let (namespace, policy) = prefix.strip_suffix(':')?.rsplit(' ').next()?.split_once('/')?;
    let is_name = |text: &str| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    (is_name(namespace) && !policy.is_empty() && !policy.contains('/')).then_some(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_prefix_is_passed_over_and_the_first_of_a_field_counts() {
        let check = |line: &str, prefix: &str, ends: &str| {
            let packet = logged(line).and_then(Result::ok).unwrap_or_else(|| panic!("{line}"));
            let shown = format!(
                "{}>{} {}:{} {}:{} {} {}",
                packet.incoming,
                packet.outgoing,
                packet.source,
                packet.source_port,
                packet.destination,
                packet.destination_port,
                packet.protocol,
                packet.id
            );
            assert_eq!((packet.prefix, shown.as_str()), (prefix, ends));
        };
        let udp = "SRC=10.0.0.1 DST=8.8.8.8 LEN=96 ID=19241 DF PROTO=UDP SPT=42896 DPT=53 LEN=76 ";
        check(
            &format!("calico-packet: IN=cali527b0801ecb OUT=eth0 MAC=ee {udp}"),
            "calico-packet:",
            "cali527b0801ecb>eth0 10.0.0.1:42896 8.8.8.8:53 UDP 19241",
        );
        check(
            &format!("a-prefix-that-was-cut-heIN=cali527b0801ecb OUT= PHYSIN=x {udp}"),
            "a-prefix-that-was-cut-he",
            "cali527b0801ecb> 10.0.0.1:42896 8.8.8.8:53 UDP 19241",
        );
        check(&format!("MAIN=yes: IN= OUT=eth0 {udp}"), "MAIN=yes:", ">eth0 10.0.0.1:42896 8.8.8.8:53 UDP 19241");
        check(
            "p: IN=eth0 OUT=cali527b0801ecb SRC=1.1.1.1 DST=10.0.0.1 LEN=84 ID=7 PROTO=ICMP TYPE=3 CODE=1 [SRC=10.0.0.1 DST=9.9.9.9 PROTO=UDP SPT=1 DPT=2 ] ",
            "p:",
            "eth0>cali527b0801ecb 1.1.1.1:0 10.0.0.1:769 ICMPv4 7",
        );
        assert!(logged("IN=eth0 and nothing else").is_none());
        assert!(matches!(logged("x: IN=a OUT=b SRC=10.0.0.1 DST=8.8.8.8 PROTO=TCP SPT=1"), Some(Err(Fault::CutOff))));
        assert!(matches!(logged("x: IN=a OUT=b SRC=10.0.0 DST=8.8.8.8 PROTO=2"), Some(Err(Fault::Address))));
    }

    #[test]
    fn interfaces_of_pods_are_known_by_their_hash() {
        for (name, expected) in [
            ("cali527b0801ecb", true),
            ("eni527b0801ecb", true),
            ("azv527b0801ecb", true),
            ("gke527b0801ecb", true),
            ("eth0", false),
            ("vxlan.calico", false),
            ("tunl0", false),
            ("", false),
            ("527b0801ecb", false),
        ] {
            assert_eq!(is_workload_interface(name), expected, "{name}");
        }
    }

    #[test]
    fn a_namespace_is_read_from_a_whole_prefix_only() {
        assert_eq!(namespace_in("cp shop/allow-web:"), Some("shop"));
        assert_eq!(namespace_in("cp shop/allow-we"), None);
        assert_eq!(namespace_in("calico-packet:"), None);
        assert_eq!(namespace_in("a/b/c:"), None);
    }
}
