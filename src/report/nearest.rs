//! The known targets that look most like one that is not known: for a typing error, or a name one label off.
//!
//! In: what was typed, and everything known of the kind. Out: a few of the latter, the likeliest first. Only for messages: nothing is ever
//! looked up by what is merely near.

use std::net::IpAddr;

use crate::catalog::edits;
use crate::model::registrable;

/// The `shown_max` nearest of `known`, none that has nothing in common.
pub fn nearest<'k>(typed: &str, known: impl Iterator<Item = &'k str>, shown_max: usize) -> Vec<String> {
    let typed = typed.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = typed.split('/').next().and_then(|text| text.parse().ok());
    let mut ranked: Vec<(usize, &str)> =
        known.filter_map(|candidate| Some((distance(&typed, address, candidate)?, candidate))).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(shown_max).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// How far a candidate is off; `None` when it is another thing altogether.
fn distance(typed: &str, address: Option<IpAddr>, candidate: &str) -> Option<usize> {
    if let Some(address) = address {
        let other: IpAddr = candidate.parse().ok()?;
        let shared = shared_bits(address, other)?;
        let (all, least) = if address.is_ipv4() { (32, 16) } else { (128, 48) };
        return (shared >= least).then_some(all - shared);
    }
    let near = edits(typed, candidate);
    let limit = (typed.len() / 3).max(2);
    if near <= limit {
        return Some(near);
    }
    // One registrable domain, or one within the other: another name of the same owner.
    let related = registrable(typed).is_some_and(|domain| registrable(candidate) == Some(domain))
        || (typed.len() >= 3 && candidate.contains(typed));
    related.then_some(1_000 + candidate.len().abs_diff(typed.len()))
}

fn shared_bits(one: IpAddr, two: IpAddr) -> Option<usize> {
    let zeros = match (one, two) {
        (IpAddr::V4(one), IpAddr::V4(two)) => (u32::from(one) ^ u32::from(two)).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(two)) => (u128::from(one) ^ u128::from(two)).leading_zeros(),
        _ => return None,
    };
    usize::try_from(zeros).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_means_a_slip_or_a_relative() {
        let known =
            ["webhook.site", "api.stripe.com", "js.stripe.com", "10.1.2.3", "10.9.0.1", "192.0.2.1", "payments"];
        let check =
            |typed: &str, expected: &[&str]| assert_eq!(nearest(typed, known.into_iter(), 3), expected, "{typed}");
        check("webhok.site", &["webhook.site"]);
        check("hooks.stripe.com", &["js.stripe.com", "api.stripe.com"]);
        check("*.stripe.com", &["js.stripe.com", "api.stripe.com"]);
        check("10.1.2.4", &["10.1.2.3"]);
        check("10.1.0.0/24", &["10.1.2.3"]);
        check("fd00::1", &[]);
        check("payment", &["payments"]);
        check("something-else", &[]);
    }
}
