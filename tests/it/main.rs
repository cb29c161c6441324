//! The one integration test binary.
mod kube;
