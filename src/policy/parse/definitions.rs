//! Objects that policies refer to by name: Cilium CIDR groups, Calico network sets and tiers, Antrea groups and tiers.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::fields::{Fields, Item};
use super::kubernetes::block;
use super::labels;
use super::object::frame;
use crate::kube::Labels;
use crate::policy::{Doubt, Key, Labelled, Match, NamePattern, Peer, Problem, Selector, ServicePart, Value, Wildcard};

/// A Calico network set: addresses with labels.
#[derive(Clone, Debug)]
pub(super) struct NetworkSet {
    /// Empty for global sets.
    pub(super) namespace: Box<str>,
    labels: Labels,
    pub(super) nets: Vec<IpNet>,
    /// Names that rules letting traffic out reach (`allowedEgressDomains`).
    pub(super) names: Vec<NamePattern>,
}

/// A CIDR group of Cilium.
#[derive(Clone, Debug, Default)]
struct CidrGroup {
    labels: Labels,
    nets: Vec<IpNet>,
}

impl Labelled for CidrGroup {
    fn value(&self, key: &Key) -> Value<'_> {
        match key {
            Key::Pod(key) => self.labels.get(key).map_or(Value::Absent, |value| Value::Is(value)),
            _ => Value::Absent,
        }
    }
}

impl Labelled for NetworkSet {
    fn value(&self, key: &Key) -> Value<'_> {
        match key {
            Key::Pod(key) => self.labels.get(key).map_or(Value::Absent, |value| Value::Is(value)),
            Key::NamespaceName | Key::Namespace(_) if self.namespace.is_empty() => Value::Absent,
            Key::NamespaceName => Value::Is(&self.namespace),
            Key::Namespace(key) if &**key == "kubernetes.io/metadata.name" => Value::Is(&self.namespace),
            Key::Namespace(_) => Value::Unknown(Doubt::NamespaceLabelsUnknown),
            Key::ServiceAccount | Key::Cluster | Key::Node(_) => Value::Absent,
        }
    }
}

/// An Antrea group: peers, and groups within it.
#[derive(Clone, Debug, Default)]
struct Group {
    peers: Vec<Peer>,
    children: Vec<Box<str>>,
}

/// A tier of Calico.
#[derive(Clone, Copy, Debug)]
pub(super) struct CalicoTier {
    pub(super) order: f64,
    pub(super) passes: bool,
}

/// Everything that is referred to.
#[derive(Clone, Debug, Default)]
pub(super) struct Definitions {
    cidr_groups: BTreeMap<Box<str>, CidrGroup>,
    pub(super) network_sets: Vec<NetworkSet>,
    calico_tiers: BTreeMap<Box<str>, CalicoTier>,
    antrea_tiers: BTreeMap<Box<str>, f64>,
    /// By namespace (empty: cluster-wide) and name.
    groups: BTreeMap<(Box<str>, Box<str>), Group>,
}

/// Whether a kind is read by [`Definitions::learn`].
pub(super) fn is_definition(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        ("cilium.io", "CiliumCIDRGroup")
            | ("projectcalico.org" | "crd.projectcalico.org", "NetworkSet" | "GlobalNetworkSet" | "Tier")
            | ("crd.antrea.io", "Group" | "ClusterGroup" | "Tier")
    )
}

/// Priorities of the tiers that Antrea creates by itself (`docs/antrea-network-policy.md`, static tiers).
const ANTREA_TIERS: [(&str, f64); 6] = [
    ("emergency", 50.0),
    ("securityops", 100.0),
    ("networkops", 150.0),
    ("platform", 200.0),
    ("application", 250.0),
    ("baseline", 253.0),
];

/// Tiers that Calico creates by itself, with their orders; those of administrators' policies end with `Pass`.
const CALICO_TIERS: [(&str, CalicoTier); 5] = [
    ("default", CalicoTier { order: 1_000_000.0, passes: false }),
    ("adminnetworkpolicy", CalicoTier { order: 1_000.0, passes: true }),
    ("baselineadminnetworkpolicy", CalicoTier { order: 10_000_000.0, passes: true }),
    ("kube-admin", CalicoTier { order: 1_000.0, passes: true }),
    ("kube-baseline", CalicoTier { order: 10_000_000.0, passes: true }),
];

/// The labels of an object itself.
fn own_labels(fields: &Fields<'_>, item: &Item<'_>) -> Result<Labels, Problem> {
    let mut labels = Labels::new();
    if let Some(given) = fields.require("metadata")?.node.get("labels") {
        let given = Item { node: given, path: "metadata.labels".to_owned(), origin: item.origin };
        for (key, value) in given.entries().unwrap_or_default() {
            labels.insert(key.into(), value.text()?.into());
        }
    }
    Ok(labels)
}

impl Definitions {
    /// Takes an object in, if it is of such a kind.
    pub(super) fn learn(&mut self, group: &str, kind: &str, item: &Item<'_>) -> Result<(), Problem> {
        match (group, kind) {
            ("cilium.io", "CiliumCIDRGroup") => self.cidr_group(item),
            ("projectcalico.org" | "crd.projectcalico.org", "NetworkSet") => self.network_set(item, true),
            ("projectcalico.org" | "crd.projectcalico.org", "GlobalNetworkSet") => self.network_set(item, false),
            ("projectcalico.org" | "crd.projectcalico.org", "Tier") => self.calico_tier(item),
            ("crd.antrea.io", "Group") => self.group(item, true),
            ("crd.antrea.io", "ClusterGroup") => self.group(item, false),
            ("crd.antrea.io", "Tier") => {
                let (fields, metadata) = frame(item, &["spec"], false)?;
                let spec = fields.require("spec")?.fields(&["priority", "description"])?;
                self.antrea_tiers.insert(metadata.name, spec.require("priority")?.number()?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn cidr_group(&mut self, item: &Item<'_>) -> Result<(), Problem> {
        let (fields, metadata) = frame(item, &["spec", "status"], false)?;
        let spec = fields.require("spec")?.fields(&["externalCIDRs"])?;
        let nets = spec.items("externalCIDRs")?.iter().map(Item::network_or_address).collect::<Result<_, _>>()?;
        self.cidr_groups.insert(metadata.name, CidrGroup { labels: own_labels(&fields, item)?, nets });
        Ok(())
    }

    fn network_set(&mut self, item: &Item<'_>, namespaced: bool) -> Result<(), Problem> {
        let (fields, metadata) = frame(item, &["spec"], namespaced)?;
        let labels = own_labels(&fields, item)?;
        let (mut nets, mut names) = (Vec::new(), Vec::new());
        if let Some(spec) = fields.get("spec") {
            let spec = spec.fields(&["nets", "allowedEgressDomains"])?;
            nets = spec.items("nets")?.iter().map(Item::network_or_address).collect::<Result<_, _>>()?;
            for item in spec.items("allowedEgressDomains")? {
                names.push(NamePattern::parse(item.text()?, Wildcard::Leading));
            }
        }
        self.network_sets.push(NetworkSet { namespace: metadata.namespace, labels, nets, names });
        Ok(())
    }

    fn calico_tier(&mut self, item: &Item<'_>) -> Result<(), Problem> {
        let (fields, metadata) = frame(item, &["spec", "status"], false)?;
        let mut tier = CalicoTier { order: f64::INFINITY, passes: false };
        if let Some(spec) = fields.get("spec") {
            let spec = spec.fields(&["order", "defaultAction"])?;
            if let Some(order) = spec.get("order") {
                tier.order = order.number()?;
            }
            if let Some(action) = spec.get("defaultAction") {
                tier.passes = action.word(&[("Deny", false), ("Pass", true)])?;
            }
        }
        self.calico_tiers.insert(metadata.name, tier);
        Ok(())
    }

    fn group(&mut self, item: &Item<'_>, namespaced: bool) -> Result<(), Problem> {
        let (fields, metadata) = frame(item, &["spec", "status"], namespaced)?;
        let known = [
            "childGroups",
            "podSelector",
            "namespaceSelector",
            "nodeSelector",
            "externalEntitySelector",
            "ipBlocks",
            "serviceReference",
        ];
        let spec = fields.require("spec")?.fields(&known)?;
        let mut group = Group::default();
        for child in spec.items("childGroups")? {
            group.children.push(child.text()?.into());
        }
        for item in spec.items("ipBlocks")? {
            group.peers.push(Peer::Block(block(item)?));
        }
        let pods =
            spec.get("podSelector").map(|item| labels::selector(item, &|key| Key::Pod(key.into()))).transpose()?;
        let of_namespace = spec
            .get("namespaceSelector")
            .map(|item| labels::selector(item, &|key| Key::Namespace(key.into())))
            .transpose()?;
        if pods.is_some() || of_namespace.is_some() {
            let own = || if namespaced { Selector::in_namespace(&metadata.namespace) } else { Selector::everything() };
            group.peers.push(Peer::Pods {
                namespaces: of_namespace.unwrap_or_else(own),
                pods: pods.unwrap_or_else(Selector::everything),
            });
        }
        if let Some(item) = spec.get("serviceReference") {
            let service = item.fields(&["name", "namespace"])?;
            let own = if namespaced { &*metadata.namespace } else { "default" };
            let namespace = service.text("namespace")?.unwrap_or(own).into();
            let name = service.require("name")?.text()?.into();
            group.peers.push(Peer::Service { namespace, name, part: ServicePart::Backends });
        }
        if let Some(item) = spec.get("nodeSelector") {
            group.peers.push(Peer::Nodes(labels::selector(item, &|key| Key::Node(key.into()))?));
        }
        if spec.has("externalEntitySelector") {
            group.peers.push(Peer::Opaque(Doubt::NotModelled));
        }
        self.groups.insert((metadata.namespace, metadata.name), group);
        Ok(())
    }

    /// The ranges of a Cilium CIDR group.
    pub(super) fn cidr_group_named(&self, name: &str) -> Option<&[IpNet]> {
        self.cidr_groups.get(name).map(|group| group.nets.as_slice())
    }

    /// The ranges of all Cilium CIDR groups whose labels fit.
    pub(super) fn cidr_groups_of(&self, selector: &Selector) -> impl Iterator<Item = IpNet> {
        let fitting = self.cidr_groups.values().filter(|group| selector.matches(*group) == Match::Yes);
        fitting.flat_map(|group| group.nets.iter().copied())
    }

    /// A tier of Calico.
    pub(super) fn calico_tier_named(&self, name: &str) -> Option<CalicoTier> {
        let given = self.calico_tiers.get(name).copied();
        given.or_else(|| CALICO_TIERS.iter().find(|(known, _)| *known == name).map(|(_, tier)| *tier))
    }

    /// The priority of a tier of Antrea.
    pub(super) fn antrea_tier_named(&self, name: &str) -> Option<f64> {
        let given = self.antrea_tiers.get(name).copied();
        given.or_else(|| ANTREA_TIERS.iter().find(|(known, _)| *known == name).map(|(_, priority)| *priority))
    }

    /// The members of an Antrea group, those of its children among them (Antrea allows one level).
    pub(super) fn group_named(&self, namespace: &str, name: &str) -> Option<Peer> {
        let group = self.groups.get(&(namespace.into(), name.into()))?;
        let mut peers = group.peers.clone();
        for child in &group.children {
            match self.groups.get(&(namespace.into(), child.clone())) {
                Some(child) if child.children.is_empty() => peers.extend(child.peers.iter().cloned()),
                _ => peers.push(Peer::Opaque(Doubt::NotModelled)),
            }
        }
        Some(Peer::Either(peers))
    }
}
