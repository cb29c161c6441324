//! Finished files on their way to a bucket, beside the way into the store.
//!
//! In: a [`Shipper`]. Out: files that are there and not here any more, until the collector stops; what is left then is shipped once more.
//! A bucket that cannot be reached stops nothing: files stay, failures are counted, and tries come less often, up to a minute
//! apart.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::journal::Journal;
use super::metrics::Metrics;

/// Ships finished files.
pub trait Shipper: Send {
    /// Ships what waits. A file goes here only when it is there. Ends with the first failure.
    fn ship(&mut self) -> Shipped;
    /// Merges small objects and removes old ones, if it is time; what was done, in words, if anything.
    fn tidy(&mut self) -> Result<Option<String>, String>;
}

/// What became of the files that waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipped {
    /// Files that are there now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of files that still wait.
    pub waiting_bytes: u64,
    /// Why the others are not.
    pub failed: Option<String>,
}

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// The first pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Of failures in a row, each of so many is told.
const TOLD_EACH: u32 = 15;

/// The thread that ships.
pub(super) struct Shipping {
    sealing: Sender<()>,
    thread: JoinHandle<()>,
}

impl Shipping {
    /// Ships every so often from now on.
    pub(super) fn begin(shipper: Box<dyn Shipper>, every: Duration, metrics: &Arc<Metrics>, journal: &Journal) -> Self {
        let (sealing, ended) = channel();
        let (metrics, journal) = (metrics.clone(), journal.clone());
        let thread = std::thread::spawn(move || ship_all(shipper, every, &ended, &metrics, &journal));
        Self { sealing, thread }
    }

    /// Everything is in the store: ships what is left, once.
    pub(super) fn end(self) {
        drop(self.sealing);
        drop(self.thread.join());
    }
}

/// Ships every so often, until the other end of `sealing` is gone.
fn ship_all(
    mut shipper: Box<dyn Shipper>,
    every: Duration,
    sealing: &Receiver<()>,
    metrics: &Metrics,
    journal: &Journal,
) {
    let mut failures = 0_u32;
    loop {
        let pause = if failures == 0 { every } else { backed_off(every.min(PAUSE), failures) };
        // Nothing is ever sent: the end of the sealing is what this waits for.
        let is_last = !matches!(sealing.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
        let outcome = shipper.ship();
        Metrics::add(&metrics.shipped_files, outcome.files);
        Metrics::add(&metrics.shipped_bytes, outcome.bytes);
        metrics.unshipped_bytes.store(outcome.waiting_bytes, Ordering::Relaxed);
        if let Some(error) = &outcome.failed {
            Metrics::add(&metrics.ship_failures, 1);
            if failures.is_multiple_of(TOLD_EACH) || is_last {
                let fields: [(&str, &dyn std::fmt::Display); 2] =
                    [("error", error), ("waiting_bytes", &outcome.waiting_bytes)];
                journal.warn("files cannot be shipped; they stay, and are tried again", &fields);
            }
            failures = failures.saturating_add(1);
        } else {
            if failures > 0 {
                journal.info("files are shipped again", &[("failures", &failures)]);
            }
            failures = 0;
        }
        if is_last {
            return;
        }
        if failures == 0 {
            match shipper.tidy() {
                Ok(Some(done)) => journal.info("bucket tidied", &[("done", &done)]),
                Ok(None) => {}
                Err(error) => {
                    Metrics::add(&metrics.ship_failures, 1);
                    journal.warn("bucket cannot be tidied", &[("error", &error)]);
                }
            }
        }
    }
}

/// Twice as long after each failure.
fn backed_off(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<u64> = (1..9).map(|failures| backed_off(PAUSE, failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backed_off(PAUSE, u32::MAX), PAUSE_MAX);
    }
}
