//! The controls, in our own words, with what we take them to ask for.

use serde::Serialize;

/// A control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Control {
    /// NIST SP 800-53 Rev. 5, SC-7 (5): deny by default, allow by exception.
    #[serde(rename = "NIST 800-53 SC-7 (5)")]
    Sc7,
    /// CIS Kubernetes Benchmark, 5.3.2: every namespace has network policies.
    #[serde(rename = "CIS Kubernetes 5.3.2")]
    Cis532,
    /// PCI DSS v4.0.1, 1.3.1: inbound traffic to the cardholder data environment.
    #[serde(rename = "PCI DSS 1.3.1")]
    Pci131,
    /// PCI DSS v4.0.1, 1.3.2: outbound traffic from it.
    #[serde(rename = "PCI DSS 1.3.2")]
    Pci132,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sc7, Self::Cis532, Self::Pci131, Self::Pci132];

    /// Its name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sc7 => "NIST 800-53 SC-7 (5)",
            Self::Cis532 => "CIS Kubernetes 5.3.2",
            Self::Pci131 => "PCI DSS 1.3.1",
            Self::Pci132 => "PCI DSS 1.3.2",
        }
    }

    /// What is taken to show it.
    pub const fn asks(self) -> &'static str {
        match self {
            Self::Sc7 => {
                "Deny by default, allow by exception. Shown by: policies in force close egress and ingress of every pod, no rule opens everything, and \
                 since they took effect something was stopped in each direction and nothing passed that they must have stopped."
            }
            Self::Cis532 => {
                "Every namespace has network policies. Shown by: a Kubernetes `NetworkPolicy` in the namespace, which is what the benchmark's own check lists; \
                 or by policies of another kind that do what the control is for: default deny in force in both directions and enforced as for SC-7 (5)."
            }
            Self::Pci131 => {
                "Inbound traffic restricted to what is necessary, all other denied. Shown by: ingress closed and enforced as for SC-7 (5), and every rule \
                 of ingress used by recorded traffic. Applies where the namespace is in the cardholder data environment, which this document cannot know."
            }
            Self::Pci132 => {
                "Outbound traffic restricted to what is necessary, all other denied. Shown by: egress closed and enforced as for SC-7 (5), and every rule of \
                 egress used by recorded traffic. Applies where the namespace is in the cardholder data environment, which this document cannot know."
            }
        }
    }
}
