//! Evidence grades: how the name of a destination is known, best first.

use std::fmt;

/// Where a flow's name comes from. Ordered from the strongest evidence to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// An answer to this very pod (any of its addresses), inside the window, one candidate.
    Pod,
    /// The same, several candidates.
    PodAmbiguous,
    /// An answer to this very pod, older than the window.
    PodStale,
    /// An answer to this very pod, recorded only after the flow began.
    PodLater,
    /// An answer to another pod of the same workload.
    Workload,
    /// An answer to the pod's node.
    Node,
    /// An answer to anyone else in the cluster.
    Cluster,
    /// Only the CNI's own record names it.
    Reported,
    /// Nothing: an IP-only destination.
    None,
}

impl Grade {
    /// Every grade, best first.
    pub const ALL: [Self; 9] = [
        Self::Pod,
        Self::PodAmbiguous,
        Self::PodStale,
        Self::PodLater,
        Self::Workload,
        Self::Node,
        Self::Cluster,
        Self::Reported,
        Self::None,
    ];

    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::PodAmbiguous => "pod-ambiguous",
            Self::PodStale => "pod-stale",
            Self::PodLater => "pod-later",
            Self::Workload => "workload",
            Self::Node => "node",
            Self::Cluster => "cluster",
            Self::Reported => "reported",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
