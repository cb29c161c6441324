//! One name lookup of a stub resolver, as the cluster's resolver taps it: search suffixes first, A and AAAA together.
//!
//! In: a client, a name and what the world answers. Out: dnstap payloads with their event times, and when the client
//! knows the answer.

use std::net::IpAddr;

use super::dns_message::{self, Answer, QueryType, Question};
use super::dnstap::{Resolver, Tap};
use super::random::Random;
use crate::model::Timestamp;

/// A lookup.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Who asks.
    pub client: IpAddr,
    /// When, nanoseconds since the epoch.
    pub time: i64,
    /// For what, without the trailing dot.
    pub name: &'a str,
    /// Which types, asked at the same moment from one port.
    pub types: &'a [QueryType],
    /// Suffixes that the client tries first, each answered with NXDOMAIN.
    pub search: &'a [String],
    /// Whether the resolver's `autopath` answers the first suffixed question with an alias for the name itself.
    pub autopath: bool,
    /// Alias targets.
    pub aliases: &'a [&'a str],
    /// Addresses of both families; without any the answer is empty.
    pub addresses: &'a [IpAddr],
    /// Time to live in seconds.
    pub ttl: u32,
    /// The name does not exist.
    pub missing: bool,
    /// Whether the resolver itself is the authority.
    pub authoritative: bool,
    /// The tap's `extra` text.
    pub extra: &'a str,
}

/// When and where an answer arrived.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Nanoseconds since the epoch.
    pub time: i64,
    /// The client's port in the last exchange.
    pub port: u16,
}

/// Hands every tapped message of `lookup` to `sink` as (event time, dnstap payload).
pub fn perform(
    resolver: &Resolver,
    random: &mut Random,
    lookup: &Lookup<'_>,
    sink: &mut impl FnMut(i64, Vec<u8>),
) -> Answered {
    let mut exchange = Exchange { resolver, random, lookup, message: Vec::with_capacity(512), sink };
    let mut time = lookup.time;
    if let (true, Some(suffix)) = (lookup.autopath, lookup.search.first()) {
        let asked = format!("{}.{suffix}", lookup.name);
        let mut aliases = vec![lookup.name];
        aliases.extend_from_slice(lookup.aliases);
        return exchange.ask(time, &asked, &aliases, lookup.addresses, lookup.missing);
    }
    for suffix in lookup.search {
        time = exchange.ask(time, &format!("{}.{suffix}", lookup.name), &[], &[], true).time;
    }
    exchange.ask(time, lookup.name, lookup.aliases, lookup.addresses, lookup.missing)
}

struct Exchange<'a, S> {
    resolver: &'a Resolver,
    random: &'a mut Random,
    lookup: &'a Lookup<'a>,
    message: Vec<u8>,
    sink: &'a mut S,
}

impl<S: FnMut(i64, Vec<u8>)> Exchange<'_, S> {
    fn ask(&mut self, time: i64, name: &str, aliases: &[&str], addresses: &[IpAddr], missing: bool) -> Answered {
        let port = self.random.ephemeral_port();
        let mut last = time;
        let mut asked = time;
        for query_type in self.lookup.types {
            asked += self.random.between(2_000, 30_000);
            let question =
                Question { id: u16::try_from(self.random.below(65_536)).unwrap_or(0), name, query_type: *query_type };
            // Cluster names come from memory; others from the cache or from an upstream.
            let slowest = if missing || self.lookup.authoritative { 400_000 } else { 9_000_000 };
            let answered = asked + self.random.between(90_000, slowest);
            self.message.clear();
            dns_message::query(&mut self.message, question);
            self.tap(asked, asked, None, port);
            self.message.clear();
            let answer = Answer {
                rcode: if missing { 3 } else { 0 },
                aliases: if missing { &[] } else { aliases },
                addresses: if missing { &[] } else { addresses },
                ttl: self.lookup.ttl,
                authoritative: self.lookup.authoritative || missing && !self.lookup.missing,
                compressed: false,
            };
            dns_message::response(&mut self.message, question, &answer);
            self.tap(answered, asked, Some(answered), port);
            last = last.max(answered);
        }
        Answered { time: last + self.random.between(40_000, 200_000), port }
    }

    fn tap(&mut self, time: i64, asked: i64, answered: Option<i64>, port: u16) {
        let mut payload = Vec::with_capacity(self.message.len() + 128);
        self.resolver.write(
            &mut payload,
            &Tap {
                client: self.lookup.client,
                port,
                query_time: Timestamp::from_nanos(asked),
                response_time: answered.map(Timestamp::from_nanos),
                message: &self.message,
                extra: self.lookup.extra,
            },
        );
        (self.sink)(time, payload);
    }
}
