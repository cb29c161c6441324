//! What a command gets from outside: streams, the clock, and how much it may say.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;
use crate::report::Paint;

/// Streams and manners. Answers go to `out`, everything else to `err`.
pub struct Context<'a> {
    /// Answers.
    pub out: &'a mut dyn Write,
    /// Progress, warnings, the account of records.
    pub err: &'a mut dyn Write,
    /// Whether to say nothing but errors.
    pub quiet: bool,
    /// Whether to say more.
    pub verbose: bool,
    /// Whether a progress line may be drawn.
    pub progress: bool,
    /// Columns of the terminal.
    pub width: u16,
    /// Colour for answers, where they go to a terminal.
    pub paint: Paint,
    /// The time of the run; only durations such as `--since 7d` refer to it.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Says something that is no answer.
    ///
    /// A closed error stream is no reason to fail.
    pub fn say(&mut self, text: &str) {
        if !self.quiet {
            drop(writeln!(self.err, "{text}"));
        }
    }
}

/// The system's clock; `UNKNOWN` when it is set before 1970.
pub fn system_now() -> Timestamp {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Timestamp::from_parts(since.as_secs(), since.subsec_nanos()))
        .unwrap_or(Timestamp::UNKNOWN)
}
