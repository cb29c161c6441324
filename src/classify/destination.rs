//! One destination and the rules that judge it, as borrowed views.
//!
//! Nothing here decides anything.

use std::net::IpAddr;

use crate::catalog::{Catalog, Settings, Subject, strip_search_path};
use crate::model::{Protocol, within};

/// What a workload talks to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination<'a> {
    /// Cluster of the workload.
    pub cluster: &'a str,
    /// Namespace of the workload; empty when unknown.
    pub namespace: &'a str,
    /// Name of the workload; empty when unknown.
    pub workload: &'a str,
    /// The name that was asked for, normalised; `None` for an IP-only destination.
    pub name: Option<&'a str>,
    /// The names that the answer went through (CNAME), normalised, in order.
    pub chain: &'a [&'a str],
    /// Every address that was dialled.
    pub addresses: &'a [IpAddr],
    /// The port; `None` when it is not known (a DNS question, say).
    pub port: Option<u16>,
    /// The transport.
    pub protocol: Protocol,
    /// Known to be a workload, a Service or a node of a cluster.
    pub in_cluster: bool,
}

/// What destinations are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The embedded catalog.
    pub catalog: &'a Catalog,
    /// The user's own rules.
    pub settings: &'a Settings,
    /// The domain of the cluster's own DNS, `cluster.local`.
    pub cluster_domain: &'a str,
}

impl<'a> Destination<'a> {
    /// The same destination under the name that was meant, where a resolver had appended the search path.
    #[must_use]
    pub fn without_search_path(self, cluster_domain: &str) -> Self {
        let name = self.name.map(|name| strip_search_path(name, cluster_domain).unwrap_or(name));
        Self { name, ..self }
    }

    /// The same destination under the name of the host outside, where the name is that of a service of type `ExternalName`: an alias
    /// of the cluster's own DNS makes nobody an insider.
    #[must_use]
    pub fn without_external_alias(self, cluster_domain: &str) -> Self {
        let is_ours = |name: &str| !cluster_domain.is_empty() && within(name, cluster_domain);
        match self.chain.iter().position(|target| !is_ours(target)) {
            Some(place) if self.name.is_some_and(is_ours) => {
                let name = self.chain.get(place).copied();
                Self { name, chain: self.chain.get(place + 1..).unwrap_or_default(), ..self }
            }
            _ => self,
        }
    }

    /// What the catalog is asked about.
    pub fn subject(&self) -> Subject<'a> {
        let Self { name, chain, addresses, port, protocol, .. } = *self;
        Subject { name, chain, addresses, port, protocol }
    }
}
