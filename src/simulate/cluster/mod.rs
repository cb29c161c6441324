//! A random cluster whose truth is known: for every external record, the name that its client really wanted.
//!
//! In: a scenario. Out: calls of a sink, flow lines per node in order of time, DNS frames nearly so. Same scenario,
//! same bytes. Memory follows pods, names and what is under way, so that fifty million records stream to disk.

mod inventory;
mod population;
mod scenario;
mod traffic;

pub use scenario::Scenario;

/// Takes what a random cluster writes.
pub trait Sink {
    /// One line of the exporter file of node number `node`, with its newline.
    fn flow_line(&mut self, node: usize, line: &[u8]);
    /// One dnstap payload, without framing.
    fn dns_frame(&mut self, payload: &[u8]);
    /// The name that the client of record `flow_id` wanted; `None` when it used an address.
    fn truth(&mut self, flow_id: &str, name: Option<&str>);
    /// The cluster's objects, once, at the end.
    fn kube(&mut self, json: &[u8]);
}

/// Plays `scenario` into `sink`.
pub fn generate(scenario: &Scenario, sink: &mut impl Sink) {
    traffic::live(scenario, sink);
}
