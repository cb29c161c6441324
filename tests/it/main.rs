//! The one integration test binary.

mod hubble;
