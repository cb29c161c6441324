//! Why a question about a policy has no answer: the reason codes of *undecidable*.
//!
//! A doubt is never turned into a yes or a no. Codes are part of the output and do not change.

use std::fmt;

/// What is missing, or what the API leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Nothing tells client from server but the port numbers.
    OrientationGuessed,
    /// The record names no pod, and the address belonged to none that is known.
    PodUnknown,
    /// The pod is known, its labels at the time are not.
    LabelsUnknown,
    /// The labels of the pod's namespace are not known (no `Namespace` object was given).
    NamespaceLabelsUnknown,
    /// The service account of the pod is not known.
    ServiceAccountUnknown,
    /// The rule names a port, and the container ports of the pod are not known.
    NamedPortUnknown,
    /// The record has no port (aggregated or sampled flows).
    PortUnknown,
    /// A rule asks for the client's port, and the record or the baseline does not have it.
    ClientPortUnknown,
    /// A rule asks for the type of ICMP messages, which the records do not have.
    IcmpTypeUnknown,
    /// The record has no transport.
    ProtocolUnknown,
    /// The API speaks of TCP, UDP and SCTP; what a CNI does with this protocol is its own.
    ProtocolOutsideApi,
    /// The pod shares the network of its node; CNIs treat it as the node.
    HostNetwork,
    /// The record shows a service address, and CNIs differ in whether they judge it or the pod behind it.
    ServiceAddress,
    /// A range covers the address of a pod; whether it then matches is the CNI's own.
    BlockOnPod,
    /// A range covers the address of a node or of the API server; whether it then matches is the CNI's own.
    BlockOnNode,
    /// A pod talks to itself, which the API leaves open.
    SelfTraffic,
    /// Traffic of a node to a pod; only that of the pod's own node is let in for certain.
    NodeTraffic,
    /// A rule goes by name, and no DNS answer tells the name of this address.
    NameUnknown,
    /// A rule goes by name, and it fits one of several names that the address may have had, not the likeliest.
    NameAmbiguous,
    /// A rule goes by name, and the name is known from another pod's answer or from an outdated one.
    NameEvidenceWeak,
    /// Two policies of one tier have the same priority and disagree; which one comes first is left open.
    SamePriority,
    /// A rule uses something of its dialect that is not modelled.
    NotModelled,
}

impl Doubt {
    /// The code in every output.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OrientationGuessed => "orientation-guessed",
            Self::PodUnknown => "pod-unknown",
            Self::LabelsUnknown => "labels-unknown",
            Self::NamespaceLabelsUnknown => "namespace-labels-unknown",
            Self::ServiceAccountUnknown => "service-account-unknown",
            Self::NamedPortUnknown => "named-port-unknown",
            Self::PortUnknown => "port-unknown",
            Self::ClientPortUnknown => "client-port-unknown",
            Self::IcmpTypeUnknown => "icmp-type-unknown",
            Self::ProtocolUnknown => "protocol-unknown",
            Self::ProtocolOutsideApi => "protocol-outside-api",
            Self::HostNetwork => "host-network",
            Self::ServiceAddress => "service-address",
            Self::BlockOnPod => "block-on-pod",
            Self::BlockOnNode => "block-on-node",
            Self::SelfTraffic => "self-traffic",
            Self::NodeTraffic => "node-traffic",
            Self::NameUnknown => "name-unknown",
            Self::NameAmbiguous => "name-ambiguous",
            Self::NameEvidenceWeak => "name-evidence-weak",
            Self::SamePriority => "same-priority",
            Self::NotModelled => "not-modelled",
        }
    }

    /// What would settle it, as a sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::OrientationGuessed => "only the ports tell client from server; record the start of connections",
            Self::PodUnknown | Self::LabelsUnknown | Self::ServiceAccountUnknown => {
                "give --kube with the pods of that time"
            }
            Self::NamespaceLabelsUnknown => "give --kube with the namespaces",
            Self::NamedPortUnknown => "give --kube with the pods (their container ports), or write the number",
            Self::PortUnknown => "use flow records that are not aggregated over ports",
            Self::ClientPortUnknown => "replay flow records that keep the client's port, not a baseline",
            Self::IcmpTypeUnknown => {
                "flow records with types of ICMP messages (Hubble has them; a baseline keeps none), or a test on the cluster"
            }
            Self::ProtocolUnknown => "use flow records that state the transport",
            Self::ProtocolOutsideApi => "test it on the cluster: the API covers TCP, UDP and SCTP",
            Self::HostNetwork => "test it on the cluster: host-network pods count as their node",
            Self::ServiceAddress => "give --kube with services, pods and endpoint slices, and --profile",
            Self::BlockOnPod => "select pods by labels, or give the CNI with --profile",
            Self::BlockOnNode => "give the CNI with --profile, or use its own way to name nodes",
            Self::SelfTraffic => "test it on the cluster: the API leaves it open",
            Self::NodeTraffic => "give --kube with the nodes and pods: only a pod's own node is let in for certain",
            Self::NameUnknown => "give --dns for that time, or a rule by address",
            Self::NameAmbiguous => "several names share the address; allow the likeliest one",
            Self::NameEvidenceWeak => "record longer, so that the pod's own questions are in it",
            Self::SamePriority => "give the policies different priorities: the API leaves their order open",
            Self::NotModelled => "test it on the cluster: this is not modelled",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Yes, no, or a doubt. Of two doubts the first one met is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    /// For certain.
    Yes,
    /// For certain not.
    No,
    /// Cannot be told.
    Unknown(Doubt),
}

impl Match {
    /// A certain answer.
    pub const fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Both: a certain no beats a doubt.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown(doubt), _) | (_, Self::Unknown(doubt)) => Self::Unknown(doubt),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// Either: a certain yes beats a doubt.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown(doubt), _) | (_, Self::Unknown(doubt)) => Self::Unknown(doubt),
            (Self::No, Self::No) => Self::No,
        }
    }

    /// The opposite; a doubt stays one.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown(doubt) => Self::Unknown(doubt),
        }
    }

    /// Whether this is a certain yes.
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether this is a certain no.
    pub const fn is_no(self) -> bool {
        matches!(self, Self::No)
    }
}
