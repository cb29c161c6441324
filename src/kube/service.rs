//! Services and the addresses behind them.
//!
//! In: `Service`, `EndpointSlice` and `Endpoints` objects. Out: [`Service`] and [`Backend`] values. An address that does
//! not parse (headless services say `None`, FQDN slices hold names) is no address and is passed over.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::object::{EndpointSliceObject, EndpointsObject, NumberOrName, PortEntry, ServiceObject, TargetReference};
use super::pod::{Labels, address};

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace.
    pub namespace: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: Box<str>,
    /// Addresses inside the cluster; none for a headless service.
    pub cluster_addresses: BTreeSet<IpAddr>,
    /// Addresses outside: load balancer addresses and `externalIPs`.
    pub external_addresses: BTreeSet<IpAddr>,
    /// Host names of its load balancers.
    pub external_hosts: BTreeSet<Box<str>>,
    /// The name that an `ExternalName` service stands for; empty for the others.
    pub external_name: Box<str>,
    /// Ports.
    pub ports: BTreeSet<Port>,
    /// Its own labels.
    pub labels: Labels,
    /// Labels of the pods it selects; empty when its backends are kept by hand.
    pub selector: Labels,
    version: u64,
}

/// A port of a service or of its backends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Number at which clients reach it.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Name; may be empty.
    pub name: Box<str>,
    /// Number, or name of a container port, at the pods; empty when it is the same number.
    pub target: Box<str>,
    /// Number at every node; 0 when there is none.
    pub node_port: u16,
}

/// One address behind a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Namespace of the service.
    pub namespace: Box<str>,
    /// Name of the service.
    pub service: Box<str>,
    /// The address.
    pub address: IpAddr,
    /// Namespace and name of the pod there; `None` when the address is no pod's.
    pub pod: Option<(Box<str>, Box<str>)>,
    /// Ports at that address.
    pub ports: BTreeSet<Port>,
}

impl Service {
    /// Builds a service from its object.
    pub(super) fn from_object(object: ServiceObject, namespace: &str) -> Self {
        let ServiceObject { metadata, spec, status } = object;
        let ingress = &status.load_balancer.ingress;
        let internal = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
        let outside = spec.external_ips.iter().chain(ingress.iter().map(|entry| &entry.ip));
        Self {
            namespace: namespace.into(),
            labels: metadata.labels,
            name: metadata.name.into(),
            kind: spec.r#type.into(),
            cluster_addresses: internal.filter_map(|text| address(text)).collect(),
            external_addresses: outside.filter_map(|text| address(text)).collect(),
            external_hosts: ingress
                .iter()
                .map(|entry| entry.hostname.as_str())
                .filter(|host| !host.is_empty())
                .map(Into::into)
                .collect(),
            external_name: spec.external_name.into(),
            ports: spec.ports.into_iter().map(port).collect(),
            selector: spec.selector,
            version: metadata.resource_version.parse().unwrap_or(0),
        }
    }

    /// Joins another observation of the same service, in any order: the newer one, with the addresses of both.
    pub(super) fn absorb(&mut self, mut other: Self) {
        if other.rank() > self.rank() {
            std::mem::swap(self, &mut other);
        }
        self.cluster_addresses.append(&mut other.cluster_addresses);
        self.external_addresses.append(&mut other.external_addresses);
    }

    /// Whether it answers at `address` outside the cluster on `port`.
    pub(super) fn answers_outside(&self, address: IpAddr, port: u16) -> bool {
        self.external_addresses.contains(&address) && self.ports.iter().any(|own| own.port == port)
    }

    fn rank(&self) -> impl Ord + '_ {
        (self.version, &self.kind, &self.external_name, &self.ports, &self.selector, &self.external_hosts)
    }
}

fn port(entry: PortEntry) -> Port {
    Port {
        port: entry.port,
        protocol: if entry.protocol.is_empty() { "TCP".into() } else { entry.protocol.into() },
        name: entry.name.into(),
        target: match entry.target_port {
            NumberOrName::Number(0) => Box::default(),
            NumberOrName::Number(number) => number.to_string().into(),
            NumberOrName::Name(name) => name.into(),
        },
        node_port: entry.node_port,
    }
}

/// The backends in an `EndpointSlice`; none when its service label is missing.
pub(super) fn of_slice(object: EndpointSliceObject, namespace: &str) -> Vec<Backend> {
    let service = object.metadata.labels.get("kubernetes.io/service-name").cloned().unwrap_or_default();
    if service.is_empty() {
        return Vec::new();
    }
    let ports: BTreeSet<Port> = object.ports.into_iter().map(port).collect();
    let mut found = Vec::new();
    for endpoint in object.endpoints {
        for address in endpoint.addresses.iter().filter_map(|text| address(text)) {
            let pod = pod(&endpoint.target_ref, namespace);
            found.push(Backend {
                namespace: namespace.into(),
                service: service.clone(),
                address,
                pod,
                ports: ports.clone(),
            });
        }
    }
    found
}

/// The backends in a legacy `Endpoints` object, which bears the name of its service.
pub(super) fn of_endpoints(object: EndpointsObject, namespace: &str) -> Vec<Backend> {
    let mut found = Vec::new();
    for subset in object.subsets {
        let ports: BTreeSet<Port> = subset.ports.into_iter().map(port).collect();
        for entry in subset.addresses.iter().chain(&subset.not_ready_addresses) {
            let Some(address) = address(&entry.ip) else { continue };
            found.push(Backend {
                namespace: namespace.into(),
                service: object.metadata.name.as_str().into(),
                address,
                pod: pod(&entry.target_ref, namespace),
                ports: ports.clone(),
            });
        }
    }
    found
}

fn pod(target: &TargetReference, namespace: &str) -> Option<(Box<str>, Box<str>)> {
    let stated = if target.namespace.is_empty() { namespace } else { &target.namespace };
    (target.kind == "Pod" && !target.name.is_empty()).then(|| (stated.into(), target.name.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_legacy_endpoints_say_the_same() {
        let slice = r#"{"metadata":{"labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
            "endpoints":[{"addresses":["10.0.0.7"],"targetRef":{"kind":"Pod","namespace":"shop","name":"web-1"}},
                         {"addresses":["not-an-address"]}],
            "ports":[{"name":"http","protocol":"TCP","port":8080}]}"#;
        let legacy = r#"{"metadata":{"name":"web"},"subsets":[{"addresses":[
            {"ip":"10.0.0.7","targetRef":{"kind":"Pod","name":"web-1"}}],"ports":[{"name":"http","port":8080}]}]}"#;
        let new = of_slice(serde_json::from_str(slice).unwrap(), "shop");
        let old = of_endpoints(serde_json::from_str(legacy).unwrap(), "shop");
        assert_eq!(new, old);
        assert_eq!(new.len(), 1);
        assert_eq!(new[0].pod, Some(("shop".into(), "web-1".into())));
    }

    #[test]
    fn headless_and_external_services_have_no_cluster_address() {
        let service = |spec: &str| Service::from_object(serde_json::from_str(spec).unwrap(), "shop");
        let headless =
            service(r#"{"spec":{"clusterIP":"None","clusterIPs":["None"],"ports":[{"port":80,"targetPort":"http"}]}}"#);
        assert!(headless.cluster_addresses.is_empty());
        assert_eq!(headless.ports.first().map(|p| &*p.target), Some("http"));
        let external = service(
            r#"{"spec":{"type":"ExternalName","externalName":"api.example.com"},"status":{"loadBalancer":{}}}"#,
        );
        assert_eq!(&*external.external_name, "api.example.com");
        let balanced = service(
            r#"{"spec":{"clusterIP":"10.96.0.9","ports":[{"port":443}]},
                "status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.7"},{"hostname":"lb.example.com"}]}}}"#,
        );
        assert!(balanced.answers_outside("198.51.100.7".parse().unwrap(), 443));
        assert!(!balanced.answers_outside("198.51.100.7".parse().unwrap(), 80));
        assert!(balanced.external_hosts.contains("lb.example.com"));
    }
}
