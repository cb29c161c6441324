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
    let overload::Outcome { frames_sent, frames_stored, frames_lost, flows_sent, flows_stored, flows_lost, .. } =
        outcome;
    let rate = |over: Duration| u128::from(frames_stored + flows_stored) * 1000 / over.as_millis().max(1);
    let cores = outcome.processor.as_secs_f64() / outcome.took.as_secs_f64();
    let memory: Vec<String> = outcome.memory_kib.iter().map(|kib| (kib >> 10).to_string()).collect();
    println!("load          {seconds} s; {:.1} s until everything was taken", outcome.took.as_secs_f64());
    println!("accepted      {} messages a second", rate(outcome.took));
    println!("processor     {cores:.2} cores; {} messages a second of one core", rate(outcome.processor));
    println!("memory, MiB   {} at most; by tenths of the time {}", outcome.peak_kib >> 10, memory.join(" "));
    println!("dnstap        {frames_sent} sent = {frames_stored} stored + {frames_lost} lost and counted");
    println!("IPFIX, UDP    {flows_sent} sent = {flows_stored} stored + {flows_lost} lost and counted");
    println!("store         {} rows, {} MiB; {} rejected", outcome.rows, outcome.bytes >> 20, outcome.rejected);
    outcome.check();
    println!("the account is exact");
}
