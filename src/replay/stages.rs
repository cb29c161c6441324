//! In which stages policies are asked, before it is known which of them select a pod.
//!
//! In: all policies and the profile. Out: the stages in their order. Where one dialect's tiers stand among another's is settled
//! here; what happens within a stage is not (see `plan`).

use std::collections::BTreeMap;

use super::profile::Profile;
use crate::policy::{Dialect, Policy, PolicySet, Tier, TierEnd};

/// A stage before it is known which of its policies select a pod.
#[derive(Debug)]
pub(super) struct StageSpec {
    pub(super) policies: Vec<usize>,
    /// `None`: a union.
    pub(super) end: Option<TierEnd>,
    pub(super) after_pass: usize,
}

/// Calico's tier for Kubernetes policies, and their place in it.
const CALICO_KUBERNETES_ORDER: f64 = 1_000.0;

/// Behind Antrea's tier `application` (priority 250), as its tier for administrators' policies of the API (251).
const ANTREA_ADMIN_RANK: f64 = -0.249;

/// Rank, whether ordered, name of the tier.
type StageKey = (TotalOrder, bool, Box<str>);
/// The end of the tier, and its policies with their orders.
type Members = (Option<TierEnd>, Vec<(TotalOrder, usize)>);

/// The stages of all enforced policies, in order.
pub(super) fn stages(set: &PolicySet, profile: &Profile) -> Vec<StageSpec> {
    let is_enforced = |policy: &Policy| policy.is_enforced && profile.enforces.contains(&policy.dialect);
    // Where Calico's own policies are, those of Kubernetes stand among them in its default tier.
    let with_calico = set.policies.iter().any(|policy| is_enforced(policy) && policy.dialect == Dialect::Calico);
    let mut tiers: BTreeMap<StageKey, Members> = BTreeMap::new();
    for (number, policy) in set.policies.iter().enumerate().filter(|(_, policy)| is_enforced(policy)) {
        let (key, end, order) = match &policy.tier {
            Tier::Union if with_calico && policy.dialect == Dialect::Kubernetes => {
                ((TotalOrder(0.0), true, "default".into()), Some(TierEnd::DenySelected), CALICO_KUBERNETES_ORDER)
            }
            Tier::Union => ((TotalOrder(0.0), false, "".into()), None, 0.0),
            Tier::Ordered { name, rank, order, end } => {
                // Antrea asks administrators' policies of the API behind its own tiers.
                let is_late =
                    profile.name == "antrea" && policy.dialect == Dialect::ClusterNetworkPolicy && *rank < 0.0;
                let rank = if is_late { ANTREA_ADMIN_RANK } else { *rank };
                ((TotalOrder(rank), true, name.clone()), Some(*end), *order)
            }
        };
        let tier = tiers.entry(key).or_insert((end, Vec::new()));
        tier.1.push((TotalOrder(order), number));
    }
    let ranks: Vec<f64> = tiers.keys().map(|(rank, _, _)| rank.0).collect();
    let skips_to_union = |place: usize| {
        // Antrea's `Pass` leaves all later tiers before Kubernetes policies out; elsewhere only its own.
        let own = ranks.get(place).copied().unwrap_or(0.0);
        let antrea = profile.name == "antrea" || set.policies.iter().any(|policy| policy.dialect == Dialect::Antrea);
        if antrea && own < 0.0 { ranks.iter().position(|rank| *rank >= 0.0).unwrap_or(ranks.len()) } else { place + 1 }
    };
    tiers
        .into_values()
        .enumerate()
        .map(|(place, (end, mut policies))| {
            policies.sort();
            let policies = policies.into_iter().map(|(_, number)| number).collect();
            StageSpec { policies, end, after_pass: skips_to_union(place) }
        })
        .collect()
}

/// Numbers with a total order.
#[derive(Clone, Copy, Debug)]
struct TotalOrder(f64);

impl PartialEq for TotalOrder {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for TotalOrder {}

impl PartialOrd for TotalOrder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalOrder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
