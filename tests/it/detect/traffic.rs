//! A day of a cluster: what ordinary workloads do, and attacks with their labels among it.
//!
//! Everything follows from the seed. Benign habits are those that make detectors err: timers, jitter, retries, crawlers, scrapes, rollouts.

use std::collections::BTreeSet;

use egress_atlas::model::{Protocol, Verdict};

use super::capture::{Capture, DAY, HOUR, MINUTE};

const ALNUM: &str = "abcdefghijklmnopqrstuvwxyz234567";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// What must be found: class, workload, and the destination or domain (empty for the workload as a whole).
pub(super) type Label = (&'static str, String, String);

/// A cluster under construction, with what was planted in it.
pub(super) struct Day {
    pub(super) capture: Capture,
    pub(super) labels: BTreeSet<Label>,
    /// Classes → units that were there to be judged, for the rate of false alarms.
    pub(super) workloads: usize,
}

const KNOWN: [&str; 8] = [
    "api.stripe.com",
    "agent-intake.logs.datadoghq.com",
    "o450777.ingest.sentry.io",
    "api.github.com",
    "registry.npmjs.org",
    "cdn.jsdelivr.net",
    "sqs.eu-central-1.amazonaws.com",
    "0.pool.ntp.org",
];

/// Plays a day.
pub(super) fn day(seed: u64) -> Day {
    let mut day = Day { capture: Capture::new(seed), labels: BTreeSet::new(), workloads: 0 };
    for number in 0..24 {
        let workload = format!("apps/svc{number}");
        day.benign(&workload, number);
    }
    day.platform();
    for number in 0..3 {
        day.beacons(number);
        day.dns(number);
        day.movement(number);
        day.odd(number);
        day.hard(number);
    }
    for number in 0..3 {
        day.nowhere(number);
        day.bypass(number);
    }
    day
}

impl Day {
    fn label(&mut self, class: &'static str, workload: &str, subject: &str) {
        self.labels.insert((class, workload.to_owned(), subject.to_owned()));
    }

    /// An application: known products by timers and by chance, partners by chance, services of the cluster.
    fn benign(&mut self, workload: &str, number: usize) {
        self.workloads += 1;
        let capture = &mut self.capture;
        for pod in 0..2 {
            let known = KNOWN[(number + pod) % KNOWN.len()];
            let mut at = capture.between(0.0, 600.0);
            while at < DAY {
                capture.visit((workload, pod), at, known, if known.contains("ntp") { 123 } else { 443 });
                at += 900.0 * capture.between(0.95, 1.05);
            }
            // People and queues: by chance, more by day than by night.
            let partner = format!("api.partner{}.example.net", number % 9);
            let mut at = 0.0;
            while at < DAY {
                let busy = if (8.0 * HOUR..18.0 * HOUR).contains(&at) { 240.0 } else { 1_800.0 };
                at += capture.waiting(busy);
                capture.visit((workload, pod), at.min(DAY), &partner, 443);
            }
            // Bursts: a batch every few hours, dozens of connections each.
            for batch in 0..4 {
                let start = capture.between(0.0, HOUR) + f64::from(batch) * 5.0 * HOUR;
                for item in 0..25 {
                    let at = start + f64::from(item) * capture.between(0.5, 9.0);
                    capture.visit((workload, pod), at, &format!("files{}.bulk.example.org", number % 5), 443);
                }
            }
        }
        // Retries with growing pauses against a partner that is down.
        let mut at = capture.between(0.0, DAY / 2.0);
        let mut pause = 2.0;
        for _ in 0..14 {
            capture.visit((workload, 0), at, &format!("down{}.partner.example.org", number % 4), 443);
            at += pause * capture.between(0.8, 1.2);
            pause = f64::min(pause * 1.9, 3_000.0);
        }
        // A websocket for part of the day, tenants of a shop system, search-path misses.
        capture.visit_for((workload, 1), 2.0 * HOUR, "ws.partner.example.net", 443, capture_hours(number));
        for tenant in 0..60 {
            let name = format!("tenant-{}-{}.shops.example.net", number % 6, tenant);
            let at = capture.between(0.0, DAY);
            capture.visit((workload, 0), at, &name, 443);
        }
        for miss in 0..30 {
            let name = format!("cache-{}.svc{}.corp.example.com", miss % 7, number % 5);
            let at = capture.between(0.0, DAY);
            capture.ask((workload, 0), at, &name, 1, true);
        }
        // Denied by a policy now and then, one destination over and over.
        for attempt in 0..60 {
            let at = 3.0 * HOUR + f64::from(attempt) * 20.0;
            capture.connect((workload, 0), at, ("45.77.1.1", 443, Protocol::TCP), 0.0, Verdict::Denied);
        }
    }

    /// What belongs to the platform and looks alarming.
    fn platform(&mut self) {
        let capture = &mut self.capture;
        for round in 0..200 {
            for target in 0..40 {
                let at = f64::from(round) * 420.0 + f64::from(target) * 0.5;
                let address = format!("10.200.1.{target}");
                capture.connect(
                    ("monitoring/prometheus", 0),
                    at,
                    (&address, 9_100, Protocol::TCP),
                    1.0,
                    Verdict::Allowed,
                );
            }
        }
        // Discovery: a few new targets at a time; a crawler by name; mail lookups against block lists; signed content names.
        for target in 0..100 {
            let at = f64::from(target) * 700.0;
            let address = format!("10.201.1.{target}");
            capture.connect(("monitoring/discovery", 0), at, (&address, 8_080, Protocol::TCP), 1.0, Verdict::Allowed);
            capture.visit(("apps/crawler", 0), at, &format!("www.site{target}.example.org"), 443);
            let listed = format!("{}.zen.spamhaus.org", capture.letters(ALNUM, 26));
            capture.ask(("mail/filter", 0), at, &listed, 1, true);
            let asset = format!("{}.media.example.org", capture.letters("0123456789abcdef", 12));
            capture.visit(("apps/player", 0), at, &asset, 443);
        }
        for question in 0..90 {
            let at = f64::from(question) * 800.0;
            capture.ask(("apps/mailer", 0), at, &format!("_dmarc.customer{}.com", question % 30), 16, true);
            capture.connect(("kube-system/coredns", 0), at, ("8.8.4.4", 53, Protocol::UDP), 0.0, Verdict::Allowed);
            capture.connect(
                ("kube-system/cloud-controller", 0),
                at,
                ("169.254.169.254", 80, Protocol::TCP),
                1.0,
                Verdict::Allowed,
            );
        }
        // A rollout under an old policy: three destinations, denied for a minute.
        for attempt in 0..30 {
            let address = format!("45.78.1.{}", attempt % 3);
            capture.connect(
                ("apps/svc1", 0),
                9.0 * HOUR + f64::from(attempt) * 2.0,
                (&address, 443, Protocol::TCP),
                0.0,
                Verdict::Denied,
            );
        }
        self.workloads += 9;
    }

    /// What no rule here can tell from an attack, or from harmless traffic: counted against the detectors.
    fn hard(&mut self, number: usize) {
        // A partner that nobody has classified, polled by a timer, and an event stream of his.
        let workload = self.implant(number, "poller-");
        let name = format!("api.unclassified{number}.example.net");
        for poll in 0..1_400 {
            self.capture.visit((&workload, 0), 30.0 + f64::from(poll) * 60.0, &name, 443);
        }
        self.capture.visit_for((&workload, 0), HOUR, &format!("ws.unclassified{number}.example.net"), 443, 5.0 * HOUR);
        // An implant that draws its pauses by chance.
        let workload = self.implant(number, "beacon-chance-");
        let name = format!("chance{number}.host.example.net");
        let mut at = 0.0;
        while at < DAY {
            at += self.capture.waiting(600.0);
            self.capture.visit((&workload, 0), at, &name, 443);
        }
        self.label("beaconing", &workload, &name);
        // A tunnel of thirty names; hashes in names that are only prefetched.
        let workload = self.implant(number, "tunnel-small-");
        for question in 0..30 {
            let data = self.capture.letters(ALNUM, 48);
            self.capture.ask(
                (&workload, 0),
                f64::from(question) * 900.0,
                &format!("{data}.tiny.example.org"),
                16,
                false,
            );
        }
        self.label("dns_tunnel", &workload, "example.org");
        let workload = self.implant(number, "prefetch-");
        for question in 0..80 {
            let data = self.capture.letters("0123456789abcdef", 32);
            self.capture.answer(
                (&workload, 0),
                f64::from(question) * 900.0,
                &format!("{data}.ads.example.org"),
                "45.4.4.4",
            );
        }
        self.hard_names(number);
        self.hard_movement(number);
    }

    fn hard_names(&mut self, number: usize) {
        // Domains made of words.
        let workload = self.implant(number, "dga-words-");
        let words = ["table", "river", "cloud", "stone", "paper", "light", "green", "field"];
        for question in 0..60 {
            let word = |place: usize| words[(question * 7 + place * 3 + question / 8) % words.len()];
            self.capture.ask(
                (&workload, 0),
                question as f64 * 60.0,
                &format!("{}{}{}.com", word(0), word(1), word(2)),
                1,
                true,
            );
        }
        self.label("generated_name", &workload, "");
    }

    fn hard_movement(&mut self, number: usize) {
        // A sweep of one address in two minutes; walls tried over a day.
        let workload = self.implant(number, "sweep-slow-");
        for target in 0..200 {
            let address = format!("10.{}.9.{target}", 80 + number);
            self.capture.connect(
                (&workload, 0),
                f64::from(target) * 120.0,
                (&address, 22, Protocol::TCP),
                0.0,
                Verdict::Allowed,
            );
        }
        self.label("scanning", &workload, "");
        let workload = self.implant(number, "walls-slow-");
        for attempt in 0..48 {
            let address = format!("45.{}.{attempt}.9", 110 + number);
            self.capture.connect(
                (&workload, 0),
                f64::from(attempt) * 1_800.0,
                (&address, 443, Protocol::TCP),
                0.0,
                Verdict::Denied,
            );
        }
        self.label("denied_burst", &workload, "");
        // A new release under an old policy.
        let workload = self.implant(number, "release-");
        for attempt in 0..30 {
            let address = format!("45.{}.{}.9", 120 + number, attempt % 6);
            self.capture.connect(
                (&workload, 0),
                HOUR + f64::from(attempt),
                (&address, 443, Protocol::TCP),
                0.0,
                Verdict::Denied,
            );
        }
        // A library that looks for an identity: nobody can tell it from a thief by its flows, and it has as little business there. A shell of three
        // hours; a cache of its own.
        let workload = self.implant(number, "sdk-");
        self.capture.connect((&workload, 0), HOUR, ("169.254.169.254", 80, Protocol::TCP), 1.0, Verdict::Allowed);
        self.label("metadata_access", &workload, "169.254.169.254");
        let workload = self.implant(number, "shell-brief-");
        let name = format!("brief{number}.shell.example.net");
        self.capture.visit_for((&workload, 0), HOUR, &name, 443, 3.0 * HOUR);
        self.label("long_connection", &workload, &name);
        // DNS over HTTPS to a server that no list has.
        let workload = self.implant(number, "doh-");
        self.capture.connect((&workload, 0), HOUR, ("45.99.1.1", 443, Protocol::TCP), 600.0, Verdict::Allowed);
        self.label("own_resolver", &workload, "45.99.1.1");
    }

    fn implant(&mut self, number: usize, what: &str) -> String {
        self.workloads += 1;
        let workload = format!("apps/{what}{number}");
        self.capture.visit((&workload, 0), 30.0, "api.stripe.com", 443);
        self.capture.visit((&workload, 0), DAY - 60.0, "api.stripe.com", 443);
        workload
    }

    /// Rhythms with more and more jitter; the last one hides in office hours.
    fn beacons(&mut self, number: usize) {
        let jitters = [0.0, 0.1, 0.25, 0.37, 0.5, 0.65, 0.9];
        for (place, jitter) in jitters.into_iter().enumerate() {
            let workload = self.implant(number, &format!("beacon{place}-"));
            let name = format!("c{number}.host{place}.example.net");
            let gap = [60.0, 300.0, 900.0, 120.0, 1_800.0][(number + place) % 5];
            let mut at = self.capture.between(0.0, gap);
            // Every twentieth beat is lost.
            while at < DAY {
                if self.capture.chance() > 0.05 {
                    self.capture.visit((&workload, 0), at, &name, 443);
                }
                at += gap * self.capture.between(1.0 - jitter, 1.0 + jitter);
            }
            self.label("beaconing", &workload, &name);
        }
        let workload = self.implant(number, "beacon-short-");
        let name = format!("s{number}.host.example.net");
        for beat in 0..20 {
            let at = 10.0 * HOUR + f64::from(beat) * 240.0 + self.capture.between(0.0, 40.0);
            self.capture.visit((&workload, 0), at, &name, 443);
        }
        self.label("beaconing", &workload, &name);
    }

    /// Tunnels of several sizes and types, and generated domains.
    fn dns(&mut self, number: usize) {
        let ways: [(usize, usize, u16, bool); 5] =
            [(2_000, 56, 16, false), (300, 120, 10, false), (90, 40, 1, true), (70, 22, 28, false), (60, 18, 5, true)];
        for (place, (names, length, kind, is_missing)) in ways.into_iter().enumerate() {
            let workload = self.implant(number, &format!("tunnel{place}-"));
            let domain = format!("carrier{number}{place}.example.org");
            for question in 0..names {
                let data = self.capture.letters(ALNUM, length);
                let data = data
                    .as_bytes()
                    .chunks(50)
                    .map(|part| String::from_utf8_lossy(part).into_owned())
                    .collect::<Vec<_>>();
                let at = self.capture.between(0.0, DAY) + question as f64 * 0.001;
                self.capture.ask((&workload, 0), at, &format!("{}.{domain}", data.join(".")), kind, is_missing);
            }
            self.label("dns_tunnel", &workload, "example.org");
        }
        for (place, (count, alphabet, length)) in
            [(300, LETTERS, 14), (40, ALNUM, 16), (25, "0123456789abcdef", 20)].into_iter().enumerate()
        {
            let workload = self.implant(number, &format!("dga{place}-"));
            for question in 0..count {
                let name = format!("{}.com", self.capture.letters(alphabet, length));
                let at = self.capture.between(0.0, DAY) + f64::from(question) * 0.01;
                self.capture.ask((&workload, 0), at, &name, 1, true);
            }
            self.label("generated_name", &workload, "");
        }
        let workload = self.implant(number, "dga-live-");
        let name = format!("{}.com", self.capture.letters(LETTERS, 14));
        self.capture.visit((&workload, 0), HOUR, &name, 443);
        self.label("generated_name", &workload, &name);
        let workload = self.implant(number, "rebind-");
        let name = format!("r{number}.rebind.example.net");
        self.capture.answer((&workload, 0), HOUR, &name, "fd00:ec2::254");
        self.label("metadata_answer", &workload, &name);
        let workload = self.implant(number, "oast-");
        let name = format!("{}.oast.fun", self.capture.letters(ALNUM, 20));
        self.capture.answer((&workload, 0), HOUR, &name, "45.1.2.3");
        self.label("asked_never_connected", &workload, &name);
    }

    /// Sweeps of addresses and ports, with and without a policy in the way; metadata.
    fn movement(&mut self, number: usize) {
        for (place, (addresses, gap, verdict)) in
            [(200, 0.5, Verdict::Allowed), (60, 5.0, Verdict::Failed), (40, 12.0, Verdict::Denied)]
                .into_iter()
                .enumerate()
        {
            let workload = self.implant(number, &format!("sweep{place}-"));
            for target in 0..addresses {
                let address = format!("10.{}.{place}.{target}", 60 + number);
                self.capture.connect(
                    (&workload, 0),
                    5.0 * HOUR + f64::from(target) * gap,
                    (&address, 445, Protocol::TCP),
                    0.0,
                    verdict,
                );
            }
            self.label("scanning", &workload, "");
            if verdict == Verdict::Denied {
                self.label("denied_burst", &workload, "");
            }
        }
        let workload = self.implant(number, "ports-");
        for port in 0..100 {
            self.capture.connect(
                (&workload, 0),
                6.0 * HOUR + f64::from(port),
                ("10.70.1.1", 1_000 + port, Protocol::TCP),
                0.0,
                Verdict::Failed,
            );
        }
        self.label("scanning", &workload, "");
        // Slow and wide against the walls: denied by name and by address.
        let workload = self.implant(number, "walls-");
        for attempt in 0..48 {
            let address = format!("45.{}.{}.9", 100 + number, attempt % 12);
            let at = 7.0 * HOUR + f64::from(attempt) * self.capture.between(3.0, 7.0);
            self.capture.connect((&workload, 0), at, (&address, 443, Protocol::TCP), 0.0, Verdict::Denied);
        }
        self.label("denied_burst", &workload, "");
        let workload = self.implant(number, "thief-");
        self.capture.connect((&workload, 0), 8.0 * HOUR, ("169.254.169.254", 80, Protocol::TCP), 1.0, Verdict::Allowed);
        self.label("metadata_access", &workload, "169.254.169.254");
    }

    /// Resolvers, ports, long connections, early connections.
    fn odd(&mut self, number: usize) {
        let workload = self.implant(number, "resolver-");
        for (address, port, protocol) in [("45.90.28.7", 53, Protocol::UDP), ("45.90.30.7", 853, Protocol::TCP)] {
            self.capture.connect((&workload, 0), HOUR, (address, port, protocol), 0.0, Verdict::Allowed);
            self.label("own_resolver", &workload, address);
        }
        let workload = self.implant(number, "port-");
        self.capture.visit((&workload, 0), HOUR, "api.github.com", 4_443);
        self.label("odd_port", &workload, "api.github.com");
        self.capture.connect((&workload, 0), HOUR, ("45.3.3.3", 3_333, Protocol::TCP), 5.0, Verdict::Allowed);
        self.label("odd_port", &workload, "45.3.3.3");
        let workload = self.implant(number, "shell-");
        let name = format!("sh{number}.shell.example.net");
        self.capture.visit_for((&workload, 0), HOUR, &name, 443, 6.0 * HOUR);
        self.label("long_connection", &workload, &name);
        let workload = self.implant(number, "early-");
        let name = format!("early{number}.example.com");
        let address = super::capture::address_of(&name);
        for at in 0..6 {
            self.capture.connect(
                (&workload, 0),
                3.0 * HOUR + f64::from(at) * 7.0 * MINUTE,
                (&address, 443, Protocol::TCP),
                2.0,
                Verdict::Allowed,
            );
        }
        self.capture.answer((&workload, 0), 3.9 * HOUR, &name, &address);
        self.label("connected_before_asked", &workload, &name);
    }
}

impl Day {
    /// Addresses that nobody can have: a typing error, a name that leads there, the same behind a NAT64. What a resolver answers for names that it
    /// blocks looks the same, and is nobody's mistake.
    fn nowhere(&mut self, number: usize) {
        for (how, address) in [("typed", "192.0.2.10"), ("nat", "64:ff9b::cb00:7107"), ("classe", "240.1.2.3")] {
            let workload = self.implant(number, &format!("{how}-"));
            self.capture.connect((&workload, 0), HOUR, (address, 443, Protocol::TCP), 0.0, Verdict::Failed);
            self.label("reserved_range", &workload, address);
        }
        let workload = self.implant(number, "parked-");
        let name = format!("db{number}.partner.example.org");
        self.named((&workload, 0), HOUR, &name, ("198.51.100.20", 5_432));
        self.label("reserved_range", &workload, &name);
        if number == 0 {
            let workload = self.implant(number, "blocked-");
            self.named((&workload, 0), HOUR, "ads.tracker.example.net", ("192.0.2.1", 443));
        }
    }

    /// Encrypted DNS to known resolvers, by address and by name; and to one that nobody lists, which looks like any other HTTPS.
    fn bypass(&mut self, number: usize) {
        for (how, address, port) in [("doh", "8.8.8.8", 443), ("dot", "9.9.9.9", 853)] {
            let workload = self.implant(number, &format!("{how}-"));
            self.capture.connect((&workload, 0), HOUR, (address, port, Protocol::TCP), 2.0, Verdict::Allowed);
            self.label("encrypted_dns", &workload, address);
            if port == 853 {
                self.label("own_resolver", &workload, address);
            }
        }
        let workload = self.implant(number, "doh-named-");
        self.capture.visit((&workload, 0), HOUR, "cloudflare-dns.com", 443);
        self.label("encrypted_dns", &workload, "cloudflare-dns.com");
        let workload = self.implant(number, "doh-own-");
        let name = format!("q{number}.resolver.example.org");
        self.capture.visit((&workload, 0), HOUR, &name, 443);
        self.label("encrypted_dns", &workload, &name);
        // Web pages of the same houses.
        let workload = self.implant(number, "search-");
        self.capture.visit((&workload, 0), HOUR, "www.google.com", 443);
        self.capture.visit((&workload, 0), HOUR, "api.cloudflare.com", 443);
    }

    /// Looks a name up that leads to an address of somebody's choice, and connects there.
    fn named(&mut self, pod: (&str, usize), at: f64, name: &str, (address, port): (&str, u16)) {
        self.capture.answer(pod, at, name, address);
        self.capture.connect(pod, at + 0.05, (address, port, Protocol::TCP), 0.0, Verdict::Failed);
    }
}

/// Hours that the websocket of a workload is open; most are shorter than what is called long.
fn capture_hours(number: usize) -> f64 {
    [0.2, 0.7, 1.5, 2.8, 3.6][number % 5] * HOUR
}
