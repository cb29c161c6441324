//! The sentence about the clocks of flows and DNS answers.
//!
//! In: how far the clock of the answers is ahead. Out: what is said of it, and what to do. Decides nothing.

/// Says how far DNS answers are stamped from their connections; `ahead_nanos` is negative where they are behind.
pub fn clock_offset(ahead_nanos: i64) -> String {
    if ahead_nanos == 0 {
        return "those of flows and DNS answers agree, as far as connections and the answers that they follow tell"
            .to_owned();
    }
    let tenths = ahead_nanos.unsigned_abs() / 100_000_000;
    let way = if ahead_nanos > 0 { "later" } else { "earlier" };
    format!(
        "DNS answers are stamped {}.{} s {way} than the connections that they led to: the join allows for it; keep the clocks of nodes and tap in step (NTP)",
        tenths / 10,
        tenths % 10
    )
}
