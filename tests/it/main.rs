//! The one integration test binary.

mod dnstap;
