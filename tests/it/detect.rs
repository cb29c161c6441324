//! Detectors of behaviour: three cases for each, and their precision and recall on generated traffic.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers of tests"
)]

mod capture;
mod cases;
mod evaluation;
mod exports;
mod traffic;
mod week;
