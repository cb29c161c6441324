//! The one integration test binary.

mod hubble;
mod kube;
mod report;
mod simulate;
