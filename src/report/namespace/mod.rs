//! The discovery document of one namespace, in Markdown.
//!
//! In: an [`AtlasView`](super::AtlasView) and the namespace's name. Out: text for a reviewer who has fifteen minutes and
//! signs it: first what was looked at and what needs a decision, then the traffic, then the details. The order is
//! category, peer, port, protocol, so that a difference between two documents is a difference in traffic.

mod appendix;
mod assembly;
mod blind_spots;
mod details;
mod egress;
mod evidence;
mod infrastructure;
mod ingress;
mod labels;
mod questions;
mod rare;
mod suspects;
mod trust;
mod uncertain;
mod verdict;
mod workloads;

pub use assembly::{documents, namespace_document};
