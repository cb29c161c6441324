//! A store in an S3-compatible bucket: what a local folder holds, under the same names below a prefix.
//!
//! In: finished files of a local store, to be shipped; or what a reader asks for. Out: objects; or a folder with as much of the store as
//! the question needs, for the very same reader. A store is never written to in the bucket itself: files are made locally, whole,
//! and shipped. An object that others stand for goes only after its successor is confirmed.

mod client;
mod imported;
mod merge;
mod mirror;
mod ship;
mod tidy;
mod transport;

pub use client::{Bucket, BucketError, Object, Patience};
pub use imported::Importing;
pub use mirror::{Mirror, Wanted};
pub use ship::{BucketShipper, ShipOptions};
