//! Network policies: from evidence to drafts.
//!
//! In: what was seen of a namespace, and what the user says. Out: policy documents in five dialects, and the list of what
//! they leave out. Nothing here opens a file or reads a clock.

pub mod draft;
pub mod names;
