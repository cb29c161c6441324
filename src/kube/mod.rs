//! Inventory: which pod, service or node an address belonged to, and when, from Kubernetes objects.
//!
//! In: what `kubectl get … -o json` or `-o yaml` prints, one cluster per file. Out: an [`Inventory`] that answers by
//! cluster, address and time. It never talks to a cluster, and never keeps a field that no answer needs (no secret,
//! no environment variable, no command line).

mod cluster;
mod inventory;
mod json;
mod kind;
mod load;
mod node;
mod object;
mod pod;
mod service;
mod workload;
mod yaml;

pub use inventory::Inventory;
pub use node::Node;
pub use pod::{ContainerPort, Labels, Pod};
pub use service::{Backend, Port, Service};
pub use workload::Controller;
pub(crate) use yaml::documents as yaml_documents;
