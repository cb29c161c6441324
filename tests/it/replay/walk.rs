//! The walk that all naive evaluators share: random small clusters, every pair of their ends at several ports, two answers that must agree.

use std::net::IpAddr;

use egress_atlas::model::{IcmpMessage, Protocol};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Connection, End, Evaluator, Names, Profile, Verdict};

use super::naive::{self, Chance, Other, Pod};

/// What a naive evaluator is asked about one side of a connection, beside the pod.
pub(super) struct Call<'a> {
    /// The other end of the pod.
    pub(super) other: &'a Other<'a>,
    pub(super) server: &'a Other<'a>,
    /// The name that the server's address was asked by; empty without one.
    pub(super) name: &'a str,
    pub(super) port: u16,
    pub(super) client_port: u16,
    pub(super) protocol: &'static str,
    /// Type and code of ICMP.
    pub(super) icmp: (u8, u8),
}

/// What is asked of each cluster.
pub(super) struct Walk<'a> {
    pub(super) profile: Profile,
    /// Addresses outside, and the names that they were asked by.
    pub(super) outside: &'a [(&'a str, &'a str)],
    pub(super) ports: &'a [u16],
    pub(super) protocols: &'a [&'static str],
}

/// What a naive evaluator says of a pod's side, egress or not.
type Answer<'a> = dyn Fn((&Pod, bool), &Call<'_>) -> Option<bool> + 'a;

/// How many clusters, and how many questions about each pair of their ends.
const CLUSTERS: u64 = 300;
const TRIALS: usize = 3;
/// A client's port, an ordinary one and one that rules name.
const CLIENT_PORTS: [u16; 2] = [40_000, 5_000];
const MESSAGES: [(u8, u8); 3] = [(8, 0), (13, 0), (3, 1)];

impl Walk<'_> {
    /// Asks both about everything. `make` gives policies as text and as plain values, `allowed` answers by the latter: `None` where
    /// nothing isolates the pod.
    pub(super) fn check<P>(
        &self,
        make: impl Fn(&mut Chance) -> (Vec<String>, P),
        allowed: impl Fn(&P, (&Pod, bool), &Call<'_>) -> Option<bool>,
    ) {
        let mut sums = [0_u64; 3];
        for seed in 1..=CLUSTERS {
            let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let pods = naive::pods(&mut chance);
            let (texts, policies) = make(&mut chance);
            let sources: Vec<PolicySource<'_>> =
                texts.iter().map(|text| PolicySource { file: "p.json", text, cluster: None }).collect();
            let set = PolicySet::parse(&sources).unwrap_or_else(|error| panic!("{error}\n{texts:#?}"));
            let evaluator = Evaluator::new(&set, self.profile.clone());
            let answer = |side: (&Pod, bool), call: &Call<'_>| allowed(&policies, side, call);
            let context = format!("cluster {seed}\n{}", texts.join("\n"));
            self.cluster(&mut chance, &pods, &evaluator, &answer, (&mut sums, &context));
        }
        let [cases, broken, by_rule] = sums;
        assert!(cases > 35_000, "{cases}");
        // The generator must not drift into cases that say nothing.
        assert!(broken * 10 > cases && by_rule * 20 > cases, "{broken} and {by_rule} of {cases}");
    }

    fn cluster(
        &self,
        chance: &mut Chance,
        pods: &[Pod],
        evaluator: &Evaluator<'_>,
        allowed: &Answer<'_>,
        (sums, context): (&mut [u64; 3], &str),
    ) {
        let of_pod = |pod| (Other::Pod(pod), "", evaluator.prepare(naive::end(pod)));
        let of_address = |(address, name): &(&str, _)| {
            let address: IpAddr = address.parse().unwrap();
            (Other::Outside(address), *name, evaluator.prepare(End::outside(address)))
        };
        let ends: Vec<_> = pods.iter().map(of_pod).chain(self.outside.iter().map(of_address)).collect();
        for (client, _, one) in &ends {
            for (server, name, two) in &ends {
                let same = matches!((client, server), (Other::Pod(a), Other::Pod(b)) if a.address == b.address);
                if same || matches!((client, server), (Other::Outside(_), Other::Outside(_))) {
                    continue;
                }
                let names = if name.is_empty() { Names::default() } else { Names::own(name) };
                for _ in 0..TRIALS {
                    let protocol = chance.one(self.protocols);
                    let (number, port) = match protocol {
                        "TCP" => (Protocol::TCP, chance.one(self.ports)),
                        "UDP" => (Protocol::UDP, chance.one(self.ports)),
                        _ => (Protocol::ICMPV4, 0),
                    };
                    let (client_port, icmp) = (chance.one(&CLIENT_PORTS), chance.one(&MESSAGES));
                    let side = |end: &Other<'_>, other, egress| match end {
                        Other::Pod(pod) => {
                            allowed((pod, egress), &Call { other, server, name, port, client_port, protocol, icmp })
                        }
                        Other::Outside(_) => None,
                    };
                    let expected = match (side(client, server, true), side(server, client, false)) {
                        (Some(false), _) | (_, Some(false)) => Verdict::WouldBreak,
                        (None, None) => Verdict::NotIsolated,
                        _ => Verdict::Allowed,
                    };
                    let judgement = evaluator.judge(&Connection {
                        client: one,
                        server: two,
                        port,
                        client_port,
                        icmp: (port == 0).then_some(IcmpMessage { kind: icmp.0, code: icmp.1 }),
                        protocol: number,
                        names: &names,
                        guessed: false,
                    });
                    assert_eq!(
                        judgement.verdict, expected,
                        "{client_port} to {port}/{protocol} {icmp:?} {name}, {context}\n{:?}\n{:?}\n{judgement:?}",
                        one.end, two.end
                    );
                    sums[0] += 1;
                    sums[1] += u64::from(expected == Verdict::WouldBreak);
                    sums[2] += u64::from(expected == Verdict::Allowed);
                }
            }
        }
    }
}
