//! Which kinds of object the inventory keeps, and under which name the others are left out.
//!
//! In: `apiVersion` and `kind`. Out: a kind to keep or the reason to exclude. Kinds are told apart by API group too, since
//! other groups reuse the names (Knative's `Service`, Calico's `NetworkPolicy`).

use crate::model::Excluded;

/// An object that the inventory keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Service,
    EndpointSlice,
    Endpoints,
    Node,
    Namespace,
    /// A controller of pods, by its own kind name.
    Controller(&'static str),
}

impl Kind {
    /// Recognises an object; an empty `api_version` (items of a typed list) is decided by the kind alone.
    pub(super) fn of(api_version: &str, kind: &str) -> Result<Self, Excluded> {
        let (group, found) = match kind {
            "Pod" => ("", Self::Pod),
            "Service" => ("", Self::Service),
            "EndpointSlice" => ("discovery.k8s.io", Self::EndpointSlice),
            "Endpoints" => ("", Self::Endpoints),
            "Node" => ("", Self::Node),
            "Namespace" => ("", Self::Namespace),
            "Deployment" => ("apps", Self::Controller("Deployment")),
            "ReplicaSet" => ("apps", Self::Controller("ReplicaSet")),
            "StatefulSet" => ("apps", Self::Controller("StatefulSet")),
            "DaemonSet" => ("apps", Self::Controller("DaemonSet")),
            "Job" => ("batch", Self::Controller("Job")),
            "CronJob" => ("batch", Self::Controller("CronJob")),
            other => return Err(excluded(other)),
        };
        let stated = api_version.split_once('/').map_or("", |(group, _)| group);
        // Kubernetes before 1.16 served the controllers of `apps` as `extensions` as well.
        let same = api_version.is_empty() || stated == group || (group == "apps" && stated == "extensions");
        if same { Ok(found) } else { Err(Excluded("kind of another API group with a known name")) }
    }

    /// What a user reads when an object of this kind is broken.
    pub(super) const fn broken(self) -> &'static str {
        match self {
            Self::Pod => "not a valid `Pod`",
            Self::Service => "not a valid `Service`",
            Self::EndpointSlice => "not a valid `EndpointSlice`",
            Self::Endpoints => "not a valid `Endpoints`",
            Self::Node => "not a valid `Node`",
            Self::Namespace => "not a valid `Namespace`",
            Self::Controller(_) => "not a valid controller object (`Deployment`, `Job`, ...)",
        }
    }
}

fn excluded(kind: &str) -> Excluded {
    const KNOWN: [&str; 24] = [
        "CiliumClusterwideNetworkPolicy",
        "CiliumEndpoint",
        "CiliumIdentity",
        "CiliumNetworkPolicy",
        "CiliumNode",
        "ConfigMap",
        "ControllerRevision",
        "CustomResourceDefinition",
        "Event",
        "Gateway",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "Lease",
        "NetworkPolicy",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "ReplicationController",
        "Role",
        "RoleBinding",
        "Rollout",
        "Secret",
        "ServiceAccount",
    ];
    KNOWN.iter().find(|known| **known == kind).map_or(Excluded("other kind of object"), |known| Excluded(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_their_api_group() {
        let check = |api: &str, kind: &str, expected: Result<Kind, Excluded>| {
            assert_eq!(Kind::of(api, kind), expected, "{api} {kind}");
        };
        check("v1", "Pod", Ok(Kind::Pod));
        check("", "Pod", Ok(Kind::Pod));
        check("v1", "Service", Ok(Kind::Service));
        check("serving.knative.dev/v1", "Service", Err(Excluded("kind of another API group with a known name")));
        check("metrics.k8s.io/v1beta1", "PodMetrics", Err(Excluded("other kind of object")));
        check("discovery.k8s.io/v1beta1", "EndpointSlice", Ok(Kind::EndpointSlice));
        check("extensions/v1beta1", "ReplicaSet", Ok(Kind::Controller("ReplicaSet")));
        check("networking.k8s.io/v1", "NetworkPolicy", Err(Excluded("NetworkPolicy")));
        check("v1", "Secret", Err(Excluded("Secret")));
        check("v1", "", Err(Excluded("other kind of object")));
    }
}
