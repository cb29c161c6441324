//! The two ends of a connection, as an investigation tells them apart: by the best identity that the evidence gives.

use crate::attribute::{Evidence, Named, PartyId};
use crate::kube::Inventory;
use crate::model::{AddressId, IdentityKind, NameId, Protocol, TextId};

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The workload of this pod: one of its pods stands for all of them.
    Workload(PartyId),
    /// A service that no record resolved to a pod.
    Service(AddressId),
    /// A name.
    Name(NameId),
    /// An address without a name.
    Address(AddressId),
    /// The Kubernetes API server.
    KubeApiserver,
    /// A node, or a host-network pod on it.
    Node,
    /// A gateway of the network plugin.
    Ingress,
}

/// What makes a pair of ends distinct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    /// The client's cluster.
    pub cluster: TextId,
    /// The end that connects.
    pub client: Side,
    /// The server's cluster; none when it is the client's.
    pub server_cluster: TextId,
    /// The end that is connected to.
    pub server: Side,
    /// The server's port; 0 when there is none or it is unknown.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

impl Ends {
    /// The ends of a connection.
    pub fn of(evidence: &Evidence, inventory: &Inventory, named: &Named<'_>) -> Self {
        let elsewhere = named.server.is_some() && named.server_cluster != named.cluster;
        Self {
            cluster: named.cluster,
            client: client(evidence, inventory, named),
            server_cluster: if elsewhere { named.server_cluster } else { TextId::NONE },
            server: server(evidence, inventory, named),
            port: named.port,
            protocol: named.protocol,
        }
    }
}

fn server(evidence: &Evidence, inventory: &Inventory, named: &Named<'_>) -> Side {
    if let Some(party) = named.server {
        return Side::Workload(evidence.parties.representative(party));
    }
    let address = evidence.vocabulary.address_of(named.server_address);
    let cluster = evidence.vocabulary.text_of(named.cluster);
    match named.server_kind {
        IdentityKind::KubeApiserver => Side::KubeApiserver,
        IdentityKind::Host | IdentityKind::RemoteNode => Side::Node,
        IdentityKind::Ingress => Side::Ingress,
        _ if inventory.is_api_server(cluster, address) => Side::KubeApiserver,
        _ if inventory.service_at(cluster, address).is_some() => Side::Service(named.server_address),
        _ if inventory.node_at(cluster, address).is_some() => Side::Node,
        _ => match named.attributed.candidates.first() {
            Some(best) => Side::Name(best.name),
            None => Side::Address(named.server_address),
        },
    }
}

fn client(evidence: &Evidence, inventory: &Inventory, named: &Named<'_>) -> Side {
    if let Some(party) = named.client {
        return Side::Workload(evidence.parties.representative(party));
    }
    let address = evidence.vocabulary.address_of(named.client_address);
    match named.client_kind {
        IdentityKind::KubeApiserver => Side::KubeApiserver,
        IdentityKind::Host | IdentityKind::RemoteNode => Side::Node,
        IdentityKind::Ingress => Side::Ingress,
        _ if inventory.node_at(evidence.vocabulary.text_of(named.cluster), address).is_some() => Side::Node,
        // Whoever it is, an investigator wants the address.
        _ => Side::Address(named.client_address),
    }
}
