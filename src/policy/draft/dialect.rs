//! The dialects, and what each of them can hold.

use std::fmt;

/// A policy dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    Kubernetes,
    /// `cilium.io/v2` `CiliumNetworkPolicy`.
    Cilium,
    /// `crd.antrea.io/v1beta1` `NetworkPolicy`.
    Antrea,
    /// `projectcalico.org/v3` `NetworkPolicy` of open-source Calico.
    Calico,
    /// `policy.networking.k8s.io/v1alpha2` `ClusterNetworkPolicy`, experimental channel.
    ClusterNetworkPolicy,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 5] = [Self::Kubernetes, Self::Cilium, Self::Antrea, Self::Calico, Self::ClusterNetworkPolicy];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Cilium => "cilium",
            Self::Antrea => "antrea",
            Self::Calico => "calico",
            Self::ClusterNetworkPolicy => "cluster-network-policy",
        }
    }

    /// Whether a rule can name its destination.
    pub const fn has_names(self) -> bool {
        matches!(self, Self::Cilium | Self::Antrea | Self::ClusterNetworkPolicy)
    }

    /// Whether the dialect has words for nodes, the API server and gateways.
    pub const fn has_entities(self) -> bool {
        matches!(self, Self::Cilium)
    }

    /// Whether `*.x.com` means one label in front of `x.com`; elsewhere it means one or more, which is wider than a
    /// pattern that was proposed from siblings.
    pub const fn has_one_label_wildcards(self) -> bool {
        matches!(self, Self::Cilium)
    }

    /// Whether callers from outside the cluster can be let in by address.
    pub const fn has_ingress_blocks(self) -> bool {
        !matches!(self, Self::ClusterNetworkPolicy)
    }

    /// `apiVersion` of its objects.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Kubernetes => "networking.k8s.io/v1",
            Self::Cilium => "cilium.io/v2",
            Self::Antrea => "crd.antrea.io/v1beta1",
            Self::Calico => "projectcalico.org/v3",
            Self::ClusterNetworkPolicy => "policy.networking.k8s.io/v1alpha2",
        }
    }

    /// `kind` of its objects.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Kubernetes | Self::Antrea | Self::Calico => "NetworkPolicy",
            Self::Cilium => "CiliumNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        }
    }

    /// The resource as `kubectl` takes it without doubt: the plain plural belongs to Kubernetes itself.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Kubernetes => "networkpolicies.networking.k8s.io",
            Self::Cilium => "ciliumnetworkpolicies.cilium.io",
            Self::Antrea => "networkpolicies.crd.antrea.io",
            Self::Calico => "networkpolicies.projectcalico.org",
            Self::ClusterNetworkPolicy => "clusternetworkpolicies.policy.networking.k8s.io",
        }
    }

    /// Whether its objects belong to no namespace.
    pub const fn is_cluster_wide(self) -> bool {
        matches!(self, Self::ClusterNetworkPolicy)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
