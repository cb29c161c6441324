//! The one integration test binary.

mod simulate;
