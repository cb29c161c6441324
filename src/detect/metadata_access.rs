//! Contact with a metadata service by a workload that has no business there.
//!
//! In: one edge that the list knows as metadata. Out: a finding beside that of the list. Platform components by name, `kube-system`, and what a large share of
//! the workloads does (a cluster whose pods use the node's identity) are no finding here.

use super::finding::Finding;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::METADATA_SHARE;
use crate::model::{Confidence, Severity};

const TEXTS: Texts = Texts {
    class: "metadata_access",
    why: "few workloads here need the node's credentials, and nothing in the name of this one says that it is one of them",
    attack: &["T1552.005"],
    innocent: "cloud libraries that look for an identity before they use the one they were given",
    advice: "Give the workload its own cloud identity and deny it the metadata address.",
};

/// Parts of the names of components that use the node's identity by design.
const PLATFORM: [&str; 22] = [
    "csi",
    "cloud-controller",
    "cloud-provider",
    "autoscaler",
    "karpenter",
    "external-dns",
    "cert-manager",
    "node-exporter",
    "aws-node",
    "cni",
    "ingress-controller",
    "load-balancer",
    "external-secrets",
    "fluent",
    "telemetry",
    "datadog",
    "newrelic",
    "agent",
    "kiam",
    "kube2iam",
    "node-problem",
    "velero",
];

/// The finding for an unexpected client of a metadata service.
#[expect(clippy::cast_precision_loss, reason = "numbers of workloads")]
pub(super) fn metadata_access(observed: &Observed<'_>, is_metadata: bool, detect: &Detect) -> Option<Finding> {
    let workload = &observed.edge.key.workload;
    if !is_metadata || observed.namespace == "kube-system" || PLATFORM.iter().any(|part| workload.name.contains(part)) {
        return None;
    }
    let (users, all) = (observed.users(), observed.around.workloads);
    let is_usual = users > 1 && users as f64 > all as f64 * detect.value(&METADATA_SHARE);
    let measured = || {
        format!(
            "{} connections; {users} of {all} workloads with traffic to the outside talk to this service",
            observed.seen().connections()
        )
    };
    (!is_usual).then(|| TEXTS.finding(Severity::High, Confidence::Medium, &observed.subject(), measured()))
}
