//! Data that we make ourselves, the same bytes for the same seed: the demo data set, the weeks of a rollout, and random
//! clusters whose truth is known, for evaluation and benchmarks.
//!
//! The encoders are written by hand and share nothing with `read`, so that each checks the other.

mod cluster;
pub mod connection;
mod demo;
pub mod dns_message;
pub mod dnstap;
pub mod hubble;
pub mod identity;
pub mod literal;
pub mod lookup;
pub mod objects;
pub mod random;
pub mod scene;
mod story;

pub use cluster::{Scenario, Sink, generate};
pub use demo::{DemoData, DemoFile, demo};
pub use story::{STORY_STEPS, StoryStep, story};
