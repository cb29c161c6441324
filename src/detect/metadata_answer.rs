//! DNS answers that hold the address of a metadata service: any domain can be pointed there.
//!
//! In: addresses inside that outside names were answered with, and the catalog. Out: a finding, whatever the name, and whether or not a connection
//! followed.

use std::net::IpAddr;

use super::finding::Finding;
use super::raised::Texts;
use crate::catalog::{Catalog, Subject};
use crate::model::{Confidence, Protocol, Severity};

const TEXTS: Texts = Texts {
    class: "metadata_answer",
    why: "a name that leads to the metadata service gets past checks of the name, and brings the node's credentials within reach of a request that somebody else wrote",
    attack: &["T1552.005", "T1190"],
    innocent: "the cloud's own names for its metadata service; security tests",
    advice: "Block the name at the cluster DNS; refuse addresses inside for names outside (rebinding protection).",
};

/// Names by which clouds call their own metadata service.
const OWN_NAMES: [&str; 7] = [
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
    "instance-data",
    "metadata.azure.com",
    "metadata.tencentyun.com",
    "api.metadata.cloud.ibm.com",
];

/// The finding for one name.
pub(super) fn metadata_answer(name: &str, address: IpAddr, catalog: &Catalog) -> Option<Finding> {
    let addresses = [address];
    let subject = Subject { addresses: &addresses, protocol: Protocol::UNKNOWN, ..Subject::default() };
    let flag = catalog.flags(&subject).into_iter().find(|flag| flag.class == "cloud_metadata")?;
    if OWN_NAMES.contains(&name) {
        return None;
    }
    let measured = format!("{name} was answered with {address} ({})", flag.label);
    Some(TEXTS.finding(Severity::High, Confidence::High, name, measured))
}
