//! Full load for a long time: does memory stay where it is, and is everything accounted for?
//!
//! `cargo bench --bench soak -- SECONDS` (600 when it is left out). The same for a few seconds is a test, `collect::a_short_overload`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement may stop where it stands, and says what it found"
)]

use std::time::Duration;

#[path = "../tests/it/collect/overload.rs"]
mod overload;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(600);
    let outcome = overload::overload(Duration::from_secs(seconds));
    let messages = outcome.frames_stored + outcome.flows_stored;
    let per_core = u128::from(messages) * 1000 / outcome.processor.as_millis().max(1);
    println!("{outcome:#?}\n{messages} messages into the store, {per_core} a second of one core");
    outcome.check();
}
