//! Where CNIs differ, as a set of answers. A question that is not settled for a CNI stays a doubt.
//!
//! The answers are those of the CNIs' own documents and issue trackers; each can be overridden per cluster.

use crate::policy::{Dialect, Doubt, Match, Policy};

/// At which address a CNI judges connections to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceView {
    /// At the pod behind it, after translation.
    Backend,
    /// Both have been seen to matter: a verdict counts only when both agree.
    Both,
}

/// What a CNI does where the API leaves it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Whether a range matches a pod's address.
    pub block_on_pod: Match,
    /// Whether a range matches the address of a node, or of the API server on one.
    pub block_on_node: Match,
    /// Whether policies are applied to host-network pods as to any pod.
    pub host_network: Match,
    /// Whether a pod may always talk to itself.
    pub self_traffic: Match,
    /// Whether isolation by Kubernetes policies stops protocols that the API does not cover.
    pub stops_other_protocols: Match,
    /// At which address services are judged.
    pub service: ServiceView,
    /// Dialects that it enforces; others decide nothing.
    pub enforces: &'static [Dialect],
}

const ALL: [Dialect; 5] =
    [Dialect::Kubernetes, Dialect::Cilium, Dialect::Calico, Dialect::Antrea, Dialect::ClusterNetworkPolicy];

impl Profile {
    /// The names of all profiles.
    pub const NAMES: [&'static str; 6] = ["generic", "cilium", "calico", "antrea", "aws-vpc-cni", "gke-dataplane-v2"];

    /// No CNI in particular: what the API leaves open is a doubt.
    pub const GENERIC: Self = Self {
        name: "generic",
        block_on_pod: Match::Unknown(Doubt::BlockOnPod),
        block_on_node: Match::Unknown(Doubt::BlockOnNode),
        host_network: Match::Unknown(Doubt::HostNetwork),
        self_traffic: Match::Unknown(Doubt::SelfTraffic),
        stops_other_protocols: Match::Unknown(Doubt::ProtocolOutsideApi),
        service: ServiceView::Backend,
        enforces: &ALL,
    };

    /// Cilium: an identity of the cluster wins over a range, unless `policyCIDRMatchMode` says otherwise.
    pub const CILIUM: Self = Self {
        name: "cilium",
        block_on_pod: Match::No,
        block_on_node: Match::No,
        host_network: Match::No,
        self_traffic: Match::Yes,
        stops_other_protocols: Match::Yes,
        service: ServiceView::Backend,
        enforces: &[Dialect::Kubernetes, Dialect::Cilium, Dialect::ClusterNetworkPolicy],
    };

    /// Calico: ranges match whatever has the address.
    pub const CALICO: Self = Self {
        name: "calico",
        block_on_pod: Match::Yes,
        block_on_node: Match::Yes,
        host_network: Match::No,
        self_traffic: Match::Unknown(Doubt::SelfTraffic),
        stops_other_protocols: Match::Yes,
        service: ServiceView::Backend,
        enforces: &[Dialect::Kubernetes, Dialect::Calico, Dialect::ClusterNetworkPolicy],
    };

    /// Antrea.
    pub const ANTREA: Self = Self {
        name: "antrea",
        block_on_pod: Match::Yes,
        block_on_node: Match::Unknown(Doubt::BlockOnNode),
        host_network: Match::No,
        self_traffic: Match::Unknown(Doubt::SelfTraffic),
        stops_other_protocols: Match::Yes,
        service: ServiceView::Backend,
        enforces: &[Dialect::Kubernetes, Dialect::Antrea, Dialect::ClusterNetworkPolicy],
    };

    /// The network policy agent of the AWS VPC CNI: every peer becomes a range; services have been judged at either address.
    pub const AWS_VPC_CNI: Self = Self {
        name: "aws-vpc-cni",
        block_on_pod: Match::Yes,
        block_on_node: Match::Yes,
        host_network: Match::No,
        self_traffic: Match::Unknown(Doubt::SelfTraffic),
        stops_other_protocols: Match::Unknown(Doubt::ProtocolOutsideApi),
        service: ServiceView::Both,
        enforces: &[Dialect::Kubernetes, Dialect::ClusterNetworkPolicy],
    };

    /// GKE Dataplane V2, an older Cilium.
    pub const GKE_DATAPLANE_V2: Self =
        Self { name: "gke-dataplane-v2", enforces: &[Dialect::Kubernetes, Dialect::Cilium], ..Self::CILIUM };

    /// The profile of the one CNI whose own policies are among these; `None` when there are those of none, or of several.
    pub fn of_policies<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for policy in policies {
            let own = match policy.dialect {
                Dialect::Cilium => Self::CILIUM,
                Dialect::Calico => Self::CALICO,
                Dialect::Antrea => Self::ANTREA,
                Dialect::Kubernetes | Dialect::ClusterNetworkPolicy => continue,
            };
            if found.as_ref().is_some_and(|found| found.name != own.name) {
                return None;
            }
            found = Some(own);
        }
        found
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::GENERIC, Self::CILIUM, Self::CALICO, Self::ANTREA, Self::AWS_VPC_CNI, Self::GKE_DATAPLANE_V2];
        all.into_iter().find(|profile| profile.name == name)
    }
}
