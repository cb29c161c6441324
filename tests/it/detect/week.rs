//! Six days of a cluster whose plugin counts bytes, for what a day cannot show: what is new, what is rare, how much is sent, and addresses that nobody
//! named. Among what must be found stands what looks the same and is harmless: a backup to a partner that nobody classified, a new integration, somebody
//! who tried a service out, a peer that is configured by address.

use std::collections::BTreeSet;

use egress_atlas::model::{Protocol, Verdict};

use super::capture::{Capture, DAY, HOUR};
use super::traffic::{Day, Label};

/// The classes that are judged by these days.
pub(super) const CLASSES: [&str; 4] = ["first_seen", "ip_only", "rare_destination", "upload"];
const DAYS: usize = 6;

/// Plays the days.
pub(super) fn week(seed: u64) -> Day {
    let mut capture = Capture::new(seed);
    let mut labels = BTreeSet::new();
    for number in 0..16 {
        habits(&mut capture, &format!("apps/svc{number}"), number);
    }
    benign(&mut capture);
    for number in 0..3 {
        uploads(&mut capture, &mut labels, number);
        novelty(&mut capture, &mut labels, number);
        addresses(&mut capture, &mut labels, number);
    }
    Day { capture, labels, workloads: 16 + 3 * 8 }
}

/// Every hour a product that the catalog knows and a partner that nobody classified; answers are larger than questions.
fn habits(capture: &mut Capture, workload: &str, number: usize) {
    for pod in 0..2 {
        for hour in 0..DAYS * 24 {
            let at = hour as f64 * HOUR + capture.between(0.0, HOUR - 60.0);
            (capture.sends, capture.receives) = (Some(2_000), Some(40_000));
            capture.visit((workload, pod), at, "api.stripe.com", 443);
            capture.visit((workload, pod), at + 20.0, &format!("api.partner{}.example.net", number % 5), 443);
        }
    }
    (capture.sends, capture.receives) = (None, None);
}

fn send(capture: &mut Capture, workload: &str, at: f64, name: &str, megabytes: f64) {
    capture.sends = Some((megabytes * 1e6) as u64);
    capture.visit((workload, 0), at, name, 443);
    capture.sends = None;
}

/// Nothing of this is an attack, and some of it cannot be told from one.
fn benign(capture: &mut Capture) {
    for day in 0..DAYS {
        let night = day as f64 * DAY + 2.0 * HOUR;
        // A backup to a partner, log shipping to a product, media that is uploaded as much as downloaded.
        send(capture, "apps/svc0", night, "backup.partner0.example.net", 60.0);
        send(capture, "apps/svc1", night, "agent-intake.logs.datadoghq.com", 500.0);
        capture.receives = Some(30_000_000);
        send(capture, "apps/svc2", night, "media.partner2.example.net", 40.0);
        capture.receives = None;
        // A peer by address from a configuration, on all days.
        capture.connect(("apps/svc3", 0), night, ("45.8.1.9", 6_379, Protocol::TCP), 5.0, Verdict::Allowed);
    }
    // A new integration that three workloads use from the fifth day on, and one of a single workload.
    for workload in 4..7 {
        let at = 5.1 * DAY + f64::from(workload) * 60.0;
        capture.visit((&format!("apps/svc{workload}"), 0), at, "api.fresh-partner.example.net", 443);
    }
    (0..8).for_each(|hour| {
        capture.visit(("apps/svc7", 0), 5.2 * DAY + f64::from(hour) * HOUR, "api.trial.example.org", 443);
    });
    // Somebody tried a service out; an image was pulled; a job ran once.
    capture.visit(("apps/svc8", 0), 2.4 * DAY, "demo.tool.example.org", 443);
    capture.visit(("apps/svc9", 0), 2.5 * DAY, "registry-1.docker.io", 443);
    capture.visit(("apps/CronJob:report", 0), 3.0 * DAY, "monthly.partner1.example.net", 443);
}

fn implant(capture: &mut Capture, name: &str) -> String {
    let workload = format!("apps/{name}");
    (0..DAYS).for_each(|day| capture.visit((&workload, 0), day as f64 * DAY + 90.0, "api.stripe.com", 443));
    workload
}

/// At once, in pieces, and below what is judged.
fn uploads(capture: &mut Capture, labels: &mut BTreeSet<Label>, number: usize) {
    for (how, pieces, megabytes) in [("once", 1, 80.0), ("pieces", 40, 0.5), ("little", 6, 1.2)] {
        let workload = implant(capture, &format!("upload-{how}-{number}"));
        let name = format!("{how}{number}.drop.example.org");
        for piece in 0..pieces {
            let at = 1.3 * DAY + f64::from(piece) * 0.9 * HOUR * capture.between(0.5, 1.5);
            send(capture, &workload, at, &name, megabytes);
        }
        // One contact on one day is rare as well.
        if pieces == 1 {
            labels.insert(("rare_destination", workload.clone(), name.clone()));
        }
        labels.insert(("upload", workload, name));
    }
}

/// A new destination late, once early, and one that is visited again and again from the second day on.
fn novelty(capture: &mut Capture, labels: &mut BTreeSet<Label>, number: usize) {
    let workload = implant(capture, &format!("late-{number}"));
    let name = format!("late{number}.c2.example.org");
    (0..12).for_each(|beat| capture.visit((&workload, 0), 5.0 * DAY + f64::from(beat) * 1_700.0, &name, 443));
    labels.insert(("first_seen", workload, name));
    let workload = implant(capture, &format!("once-{number}"));
    let name = format!("once{number}.stage.example.org");
    (0..2).for_each(|beat| capture.visit((&workload, 0), 2.0 * DAY + f64::from(beat) * 40.0, &name, 443));
    labels.insert(("rare_destination", workload, name));
    let workload = implant(capture, &format!("again-{number}"));
    let name = format!("again{number}.stage.example.org");
    (1..DAYS).for_each(|day| capture.visit((&workload, 0), day as f64 * DAY + capture_hour(number), &name, 443));
    labels.insert(("rare_destination", workload, name));
}

fn capture_hour(number: usize) -> f64 {
    number as f64 * 3.0 * HOUR
}

/// Dialled without a question; and one whose name somebody else had asked for.
fn addresses(capture: &mut Capture, labels: &mut BTreeSet<Label>, number: usize) {
    let workload = implant(capture, &format!("direct-{number}"));
    let address = format!("45.66.{number}.9");
    for hour in 0..4 {
        let at = 1.7 * DAY + f64::from(hour) * HOUR;
        capture.connect((&workload, 0), at, (&address, 443, Protocol::TCP), 3.0, Verdict::Allowed);
    }
    labels.insert(("ip_only", workload, address));
    let workload = implant(capture, &format!("borrowed-{number}"));
    let address = super::capture::address_of(&format!("api.partner{}.example.net", number % 5));
    capture.connect((&workload, 0), 1.8 * DAY, (&address, 8_444, Protocol::TCP), 3.0, Verdict::Allowed);
    labels.insert(("ip_only", workload, address));
}
