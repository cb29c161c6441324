//! Counters of the collector, and their text for Prometheus.
//!
//! In: increments from any thread. Out: the exposition format 0.0.4. Labels are listeners and reasons from our own list, never
//! anything that a peer says, so that no peer can make them grow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open connections.
    pub connections: AtomicU64,
    /// Data frames taken.
    pub frames: AtomicU64,
    /// Messages of gRPC servers and IPFIX exporters taken.
    pub messages: AtomicU64,
    /// Lines of files taken, in bytes.
    pub file_bytes: AtomicU64,
    /// Bytes written to the log.
    pub log_bytes: AtomicU64,
    /// Bytes of segments that are not in the store yet.
    pub backlog_bytes: AtomicU64,
    /// Flow records put into the store.
    pub flow_rows: AtomicU64,
    /// Answers put into the store.
    pub answer_rows: AtomicU64,
    /// Questions without an address put into the store.
    pub question_rows: AtomicU64,
    /// Rows that these became, repeats folded.
    pub rows: AtomicU64,
    /// Records that were rejected as broken.
    pub rejected: AtomicU64,
    /// Events that are known to be lost.
    pub lost: AtomicU64,
    /// Segments that could not be put into the store at the first try.
    pub seal_failures: AtomicU64,
    /// Writes to the log that failed.
    pub write_failures: AtomicU64,
    /// Files shipped to the bucket.
    pub shipped_files: AtomicU64,
    /// Their bytes.
    pub shipped_bytes: AtomicU64,
    /// Bytes of finished files that are not in the bucket yet.
    pub unshipped_bytes: AtomicU64,
    /// Failed tries to ship files, or to tidy the bucket.
    pub ship_failures: AtomicU64,
    /// Whether nothing is taken at the moment (disk full, backlog full).
    pub blocked: AtomicBool,
    /// Whether all listeners are bound.
    pub listening: AtomicBool,
    /// Whether the stream of a gRPC server is open, by address.
    streams: Mutex<BTreeMap<String, bool>>,
    /// Connections by listener.
    accepted: Mutex<BTreeMap<String, u64>>,
    /// Connections that were refused or ended, by reason.
    ended: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    /// Counts a connection.
    pub fn accept(&self, listener: &str) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner).entry(listener.to_owned()).or_default() += 1;
    }

    /// Tells whether the stream of a gRPC server is open.
    pub fn stream(&self, address: &str, is_open: bool) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned(), is_open);
    }

    /// Counts the end of a connection.
    pub fn end(&self, reason: &'static str) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Counts what came without a connection and was refused.
    pub fn refuse(&self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += count;
        }
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Whether data are being taken.
    pub fn is_ready(&self) -> bool {
        self.listening.load(Ordering::Relaxed) && !self.blocked.load(Ordering::Relaxed)
    }

    /// The exposition format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let counters: [(&str, &str, &str, &AtomicU64); 18] = [
            ("connections", "gauge", "Open connections of DNS servers and IPFIX exporters.", &self.connections),
            ("frames_total", "counter", "dnstap frames taken.", &self.frames),
            ("messages_total", "counter", "Messages of gRPC servers and IPFIX exporters taken.", &self.messages),
            ("file_bytes_total", "counter", "Bytes of flow files taken.", &self.file_bytes),
            ("log_bytes_total", "counter", "Bytes written to the write-ahead log.", &self.log_bytes),
            ("backlog_bytes", "gauge", "Bytes of the log that are not in the store yet.", &self.backlog_bytes),
            ("flow_rows_total", "counter", "Flow records put into the store.", &self.flow_rows),
            ("answer_rows_total", "counter", "Answers put into the store.", &self.answer_rows),
            ("question_rows_total", "counter", "Questions without an address put into the store.", &self.question_rows),
            (
                "folded_rows_total",
                "counter",
                "Rows that flows, answers and questions became, repeats folded.",
                &self.rows,
            ),
            ("rejected_total", "counter", "Records rejected as broken.", &self.rejected),
            ("lost_total", "counter", "Events known to be lost.", &self.lost),
            ("seal_failures_total", "counter", "Failed tries to put a segment into the store.", &self.seal_failures),
            ("write_failures_total", "counter", "Failed writes to the write-ahead log.", &self.write_failures),
            ("shipped_files_total", "counter", "Finished files shipped to the bucket.", &self.shipped_files),
            ("shipped_bytes_total", "counter", "Bytes of files shipped to the bucket.", &self.shipped_bytes),
            ("unshipped_bytes", "gauge", "Bytes of finished files not in the bucket yet.", &self.unshipped_bytes),
            ("ship_failures_total", "counter", "Failed tries to ship or to tidy.", &self.ship_failures),
        ];
        for (name, kind, help, value) in counters {
            head(&mut text, name, kind, help);
            line(&mut text, name, "", value.load(Ordering::Relaxed));
        }
        head(&mut text, "blocked", "gauge", "1 while nothing is taken: disk or backlog full.");
        line(&mut text, "blocked", "", self.blocked.load(Ordering::Relaxed).into());
        head(&mut text, "accepted_total", "counter", "Connections accepted.");
        for (listener, count) in &*self.accepted.lock().unwrap_or_else(PoisonError::into_inner) {
            line(&mut text, "accepted_total", &format!("{{listener=\"{}\"}}", escaped(listener)), *count);
        }
        head(&mut text, "stream_up", "gauge", "1 while the stream of a gRPC server is open.");
        for (address, is_open) in &*self.streams.lock().unwrap_or_else(PoisonError::into_inner) {
            line(&mut text, "stream_up", &format!("{{address=\"{}\"}}", escaped(address)), (*is_open).into());
        }
        head(&mut text, "ended_total", "counter", "Connections ended or refused, by reason.");
        for (reason, count) in &*self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            line(&mut text, "ended_total", &format!("{{reason=\"{reason}\"}}"), *count);
        }
        text
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    *text += &(format!("# HELP egress_atlas_{name} {help}\n# TYPE egress_atlas_{name} {kind}") + "\n");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    *text += &(format!("egress_atlas_{name}{labels} {value}") + "\n");
}
