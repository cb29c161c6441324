//! Data carried out in names: many long names below one domain, each asked once, and hardly a connection that follows.
//!
//! In: what one workload asked below one registrable domain. Out: a finding with the counts and an upper bound of the bytes carried. Private suffixes
//! count as suffixes, so that a tenant of a shared service is a domain of its own.

use super::finding::Finding;
use super::raised::Texts;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{TUNNEL_CHARACTERS, TUNNEL_NAMES, TUNNEL_SCORE};
use crate::model::{Confidence, OTHER_TYPES, Severity, within};
use crate::summary::DomainAsked;

const TEXTS: Texts = Texts {
    class: "dns_tunnel",
    why: "names that are long, random and never asked twice carry data to whoever runs the domain, past every egress rule",
    attack: &["T1071.004", "T1048.003", "T1572"],
    innocent: "reputation services and block lists, telemetry in host names, content delivery with request ids",
    advice: "Block the domain at the cluster DNS, and look at the process that asks.",
};

/// Reputation services and block lists whose clients ask for random-looking names by design.
const LOOKUP_SERVICES: [&str; 12] = [
    "spamhaus.org",
    "dnswl.org",
    "spamcop.net",
    "sorbs.net",
    "surbl.org",
    "uribl.com",
    "barracudacentral.org",
    "abuseat.org",
    "senderscore.com",
    "mailspike.net",
    "sophosxl.net",
    "mcafee.com",
];

/// A share of these types is a sign of its own: TXT, NULL and private use (IANA DNS parameters).
const DATA_TYPES: [u16; 4] = [10, 16, 65_399, OTHER_TYPES];

/// What speaks for a tunnel, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunnelling {
    /// Different names for each question.
    pub never_again: f64,
    /// Names without a connection that follows.
    pub unconnected: f64,
    /// Entropy of the characters left of the domain: nothing up to two bits, all from four bits on.
    pub randomness: f64,
    /// Questions of types that carry data.
    pub data_types: f64,
    /// The mean of the first three, or that of the best three when data types are among them.
    pub score: f64,
}

/// Weighs what a workload asked below a domain.
#[expect(clippy::cast_precision_loss, reason = "shares of counts")]
pub fn tunnelling(asked: &DomainAsked) -> Tunnelling {
    let asking = &asked.asking;
    let (questions, names) = (asking.questions.max(1) as f64, asking.names.count() as f64);
    let data: u64 = DATA_TYPES.iter().filter_map(|kind| asking.kinds.get(kind)).sum();
    let never_again = (names / questions).min(1.0);
    let unconnected = (1.0 - asked.connected_names as f64 / names.max(1.0)).clamp(0.0, 1.0);
    let randomness = ((asking.mean_entropy() - 2.0) / 2.0).clamp(0.0, 1.0);
    let data_types = data as f64 / questions;
    let mut parts = [never_again, unconnected, randomness];
    parts.sort_by(f64::total_cmp);
    if let Some(weakest) = parts.first_mut() {
        *weakest = weakest.max(data_types);
    }
    let score = parts.iter().sum::<f64>() / 3.0;
    Tunnelling { never_again, unconnected, randomness, data_types, score }
}

/// The finding for one domain.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn dns_tunnel(domain: &str, asked: &DomainAsked, detect: &Detect) -> Option<Finding> {
    let asking = &asked.asking;
    let names = asking.names.count();
    let weighed = tunnelling(asked);
    let is_service = domain.contains("dnsbl") || LOOKUP_SERVICES.iter().any(|service| within(domain, service));
    if is_service
        || (names as f64) < detect.value(&TUNNEL_NAMES)
        || asking.mean_characters() < detect.value(&TUNNEL_CHARACTERS)
        || weighed.score < detect.value(&TUNNEL_SCORE)
    {
        return None;
    }
    // Five bits a character (base32) is what usual tools carry.
    let bytes = asking.characters.saturating_mul(5) / 8;
    let example = asking.examples.values().next().map_or("", |name| name);
    let measured = format!(
        "score {:.2}: {names} names in {} questions, {:.0} characters of {:.1} bits on average, {} names connected to, {:.0} % TXT or NULL; at most {bytes} bytes carried; such as {example}",
        weighed.score,
        asking.questions,
        asking.mean_characters(),
        asking.mean_entropy(),
        asked.connected_names,
        weighed.data_types * 100.0,
    );
    let confidence = if names >= 500 || weighed.score >= 0.9 { Confidence::High } else { Confidence::Medium };
    Some(TEXTS.finding(Severity::High, confidence, domain, measured))
}
