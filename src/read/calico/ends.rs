//! One end of a Calico flow: type, namespace, exact or aggregated name, labels.
//!
//! In: the texts of one end. Out: an [`Endpoint`], or none where the record says nothing. `-`, `*` and the empty text
//! mean "not available". An aggregated name (`web-7d9c5b6f5-*`) names the owner of pods and no pod.

use crate::model::{AddressId, Endpoint, EndpointId, IdentityKind, Vocabulary, Workload};

/// What kind of end Calico says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EndType {
    #[default]
    Unknown,
    Workload,
    Host,
    NetworkSet,
    Network,
}

/// The texts of one end.
#[derive(Debug, Default)]
pub(super) struct End<'a> {
    pub(super) kind: EndType,
    pub(super) namespace: &'a str,
    /// The exact name.
    pub(super) name: &'a str,
    /// The name that stands for several pods, a set of networks, `pub` or `pvt`.
    pub(super) aggregate: &'a str,
    pub(super) labels: Box<[Box<str>]>,
    /// Whether the end lives on the reporting node.
    pub(super) local: bool,
}

/// The text, unless it says that there is none.
pub(super) fn available(text: &str) -> Option<&str> {
    Some(text).filter(|text| !matches!(*text, "" | "-" | "*"))
}

/// What stands for any five generated characters, to ask which controller makes such names.
const ANY_SUFFIX: &str = "bcdfg";

/// The owner of the pods whose names begin so: `web-7d9c5b6f5-*`.
fn owner(aggregate: &str) -> Option<Workload> {
    let prefix = available(aggregate)?.strip_suffix('*')?;
    let prefix = prefix.strip_suffix('-').filter(|prefix| !prefix.is_empty())?;
    Some(Workload::from_pod_name(&[prefix, "-", ANY_SUFFIX].concat()))
}

impl End<'_> {
    /// Interns the end.
    pub(super) fn intern(&self, vocabulary: &mut Vocabulary) -> EndpointId {
        let namespace = available(self.namespace);
        let kind = match self.kind {
            EndType::Unknown if namespace.is_some() => EndType::Workload,
            EndType::Unknown if matches!(self.aggregate, "pub" | "pvt") => EndType::Network,
            kind => kind,
        };
        let identity = match kind {
            EndType::Workload => IdentityKind::Pod,
            EndType::Host if self.local => IdentityKind::Host,
            EndType::Host => IdentityKind::RemoteNode,
            EndType::NetworkSet | EndType::Network => IdentityKind::World,
            EndType::Unknown => IdentityKind::Unknown,
        };
        if kind != EndType::Workload {
            return vocabulary.endpoint(Endpoint { identity, local: self.local, ..Endpoint::default() });
        }
        let pod = available(self.name).filter(|name| !name.ends_with('*'));
        let workload = if pod.is_some() { None } else { owner(self.aggregate).or_else(|| owner(self.name)) };
        vocabulary.endpoint(Endpoint {
            namespace: namespace.unwrap_or_default().into(),
            pod: pod.unwrap_or_default().into(),
            workload,
            labels: self.labels.clone(),
            identity,
            local: self.local,
            ..Endpoint::default()
        })
    }
}

/// The address of an end, or its stand-in where the record leaves it out.
pub(super) fn address_of(address: Option<std::net::IpAddr>, end: EndpointId, vocabulary: &mut Vocabulary) -> AddressId {
    address.map_or(AddressId::unrecorded(end), |address| vocabulary.address(address))
}

/// Reads an address; `Ok(None)` where the record has none, `Err` where the text is no address.
pub(super) fn address(text: &super::super::json::Scalar<'_>) -> Result<Option<std::net::IpAddr>, ()> {
    match text {
        super::super::json::Scalar::Absent => Ok(None),
        super::super::json::Scalar::Text(text) => match available(text) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| ()),
        },
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregated_names_give_the_owner_and_no_pod() {
        let check = |name: &str, aggregate: &str, pod: &str, workload: Option<&str>| {
            let mut vocabulary = Vocabulary::default();
            let end = End { kind: EndType::Workload, namespace: "shop", name, aggregate, ..End::default() };
            let id = end.intern(&mut vocabulary);
            let end = vocabulary.endpoint_of(id).unwrap();
            assert_eq!(
                (&*end.pod, end.workload.as_ref().map(ToString::to_string).as_deref()),
                (pod, workload),
                "{name}"
            );
        };
        check("web-7d9c5b6f5-abcde", "web-7d9c5b6f5-*", "web-7d9c5b6f5-abcde", None);
        check("-", "web-7d9c5b6f5-*", "", Some("Deployment/web"));
        check("longhorn-manager-*", "", "", Some("Workload/longhorn-manager"));
        check("-", "backup-28391040-*", "", Some("CronJob/backup"));
        check("*", "-", "", None);
        check("-", "-*", "", None);
    }
}
