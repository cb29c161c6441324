//! From one connection to everything that the nodes on its way write about it.
//!
//! In: a connection and its course. Out: observations, not sorted. Event volume follows Cilium's monitor aggregation
//! `medium`: one trace per direction for a new connection, one for each new SYN, FIN or RST, and at most one every
//! five seconds while data flows; verdicts only where a policy governs; every SYN of a denied connection again.

use super::hubble::{Flags, Outcome, Point, Reason};
use super::random::Random;
use super::scene::{Connection, Notice, Observation, Scene, Who};
use crate::model::Direction;

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
/// One second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// How a connection ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It works.
    Allowed,
    /// It works, but a policy in audit mode would have denied it.
    Audited(Direction),
    /// Default deny drops each of its packets.
    Denied(Direction),
}

/// How a connection goes.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// First packet, nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds from SYN to SYN+ACK.
    pub round_trip: i64,
    /// Nanoseconds from the first packet to the last.
    pub duration: i64,
    /// Nanoseconds between bursts of data; below five seconds counts as five.
    pub data_every: i64,
    /// How it ends up.
    pub fate: Fate,
    /// Handed through to every observation.
    pub tag: u32,
}

/// Hands every observation of `connection` to `sink`.
pub fn observe(
    scene: &Scene,
    random: &mut Random,
    connection: Connection,
    course: &Course,
    sink: &mut impl FnMut(Observation),
) {
    let mut view = View { scene, random, connection, tag: course.tag, sink };
    if let Fate::Denied(direction) = course.fate {
        view.denied(course.start, direction);
        return;
    }
    view.verdicts(course);
    view.forward(course.start, Flags::Syn, Reason::New);
    view.backward(course.start + course.round_trip, Flags::SynAck);
    if !connection.is_tcp {
        return;
    }
    let end = course.start + course.duration.max(2 * course.round_trip + MILLI);
    let every = course.data_every.max(5 * SECOND);
    let mut time = course.start + every;
    while time < end {
        view.forward(time, Flags::PshAck, Reason::Established);
        view.backward(time + course.round_trip, Flags::PshAck);
        time += every;
    }
    view.forward(end, Flags::FinAck, Reason::Established);
    view.backward(end + course.round_trip, Flags::FinAck);
}

struct View<'a, S> {
    scene: &'a Scene,
    random: &'a mut Random,
    connection: Connection,
    tag: u32,
    sink: &'a mut S,
}

impl<S: FnMut(Observation)> View<'_, S> {
    fn note(&mut self, time: i64, node: usize, flags: Flags, notice: Notice) {
        let time = time + self.random.between(3 * MICRO, 40 * MICRO);
        (self.sink)(Observation { time, node, connection: self.connection, flags, notice, tag: self.tag });
    }

    /// The packet leaves `sender`'s node, or is delivered there; then it is delivered at `receiver`'s node.
    fn pass(&mut self, time: i64, [sender, receiver]: [Who; 2], flags: Flags, reason: Reason) {
        let (from, to) = (self.scene.node_of(sender), self.scene.node_of(receiver));
        if let Some(node) = from
            && from != to
        {
            if !self.scene.host_routing && matches!(sender, Who::Pod(_)) {
                self.note(time, node, flags, Notice::Trace(Point::ToStack, reason));
            }
            self.note(time + 60 * MICRO, node, flags, Notice::Trace(Point::ToNetwork, reason));
        }
        if let Some(node) = to
            && matches!(receiver, Who::Pod(_))
        {
            self.note(time + 300 * MICRO, node, flags, Notice::Trace(Point::ToEndpoint, reason));
        }
    }

    fn forward(&mut self, time: i64, flags: Flags, reason: Reason) {
        self.pass(time, [self.connection.client.who, self.connection.server.who], flags, reason);
    }

    fn backward(&mut self, time: i64, flags: Flags) {
        self.pass(time, [self.connection.server.who, self.connection.client.who], flags, Reason::Reply);
    }

    fn verdicts(&mut self, course: &Course) {
        for (direction, who, delay) in [
            (Direction::Egress, self.connection.client.who, -50 * MICRO),
            (Direction::Ingress, self.connection.server.who, 200 * MICRO),
        ] {
            let (Who::Pod(pod), Some(node)) = (who, self.scene.node_of(who)) else { continue };
            let governed = self.scene.pods.get(pod).is_some_and(|pod| match direction {
                Direction::Egress => !pod.egress_policies.is_empty(),
                Direction::Ingress => !pod.ingress_policies.is_empty(),
            });
            let outcome = if course.fate == Fate::Audited(direction) {
                Outcome::Audited
            } else if governed {
                Outcome::Allowed
            } else {
                continue;
            };
            self.note(course.start + delay, node, Flags::Syn, Notice::Verdict(outcome, direction));
        }
    }

    /// A SYN and its retransmissions after one, two and four more seconds (RFC 6298 section 5.5).
    fn denied(&mut self, start: i64, direction: Direction) {
        let Connection { client, server, is_tcp } = self.connection;
        let judge = if direction == Direction::Egress { client.who } else { server.who };
        let Some(node) = self.scene.node_of(judge) else { return };
        let attempts: &[i64] = if is_tcp { &[0, 1_020, 3_050, 7_110] } else { &[0] };
        for delay in attempts {
            let time = start + delay * MILLI;
            if direction == Direction::Ingress
                && let Some(from) = self.scene.node_of(client.who)
                && from != node
            {
                self.note(time - 200 * MICRO, from, Flags::Syn, Notice::Trace(Point::ToNetwork, Reason::New));
            }
            self.note(time, node, Flags::Syn, Notice::Verdict(Outcome::Denied, direction));
            self.note(time + 45 * MICRO, node, Flags::Syn, Notice::Drop(direction));
        }
    }
}
