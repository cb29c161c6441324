//! For each detector: it fires, it stays silent just below, and it stays silent for what looks alike and is harmless.

use egress_atlas::detect::{Baseline, outside_name};
use egress_atlas::model::{Bytes, Protocol, Severity, Verdict};
use egress_atlas::summary::Atlas;

use super::capture::{Capture, DAY, Found, HOUR, MINUTE, judged};

const WEB: &str = "shop/web";
const ALNUM: &str = "abcdefghijklmnopqrstuvwxyz234567";

fn findings(class: &str, settings: &str, write: impl Fn(&mut Capture)) -> Vec<Found> {
    let mut capture = Capture::new(7);
    // Who never connects has no name: an address becomes a pod by its flows.
    capture.visit((WEB, 0), 1.0, "api.stripe.com", 443);
    write(&mut capture);
    let mut found = judged(&capture.atlas(), settings, None);
    found.retain(|found| found.class == class);
    found
}

/// The class is found once, with this severity; or not at all.
fn check(class: &str, expected: Option<Severity>, write: impl Fn(&mut Capture)) {
    let found = findings(class, "", write);
    let severities: Vec<Severity> = found.iter().map(|found| found.severity).collect();
    assert_eq!(severities, expected.into_iter().collect::<Vec<_>>(), "{class}: {found:#?}");
    for found in found {
        assert!(found.matched.contains(|c: char| c.is_ascii_digit()), "a finding without numbers: {found:?}");
    }
}

/// Connections every `gap` seconds, give or take `jitter` of it.
fn timer(capture: &mut Capture, pod: (&str, usize), name: &str, times: usize, gap: f64, jitter: f64) {
    let mut at = 2.0 * MINUTE;
    for _ in 0..times {
        capture.visit(pod, at, name, 443);
        at += gap * capture.between(1.0 - jitter, 1.0 + jitter);
    }
}

#[test]
fn beaconing() {
    check("beaconing", Some(Severity::Medium), |capture| {
        timer(capture, (WEB, 0), "cb.one.example.net", 40, 300.0, 0.2);
    });
    check("beaconing", Some(Severity::Medium), |capture| {
        timer(capture, (WEB, 0), "cb.one.example.net", 12, 400.0, 0.0);
    });
    check("beaconing", None, |capture| timer(capture, (WEB, 0), "cb.one.example.net", 11, 400.0, 0.0));
    // Replicas with different phases are scored one by one.
    check("beaconing", Some(Severity::Medium), |capture| {
        for pod in 0..6 {
            timer(capture, (WEB, pod), "cb.one.example.net", 60, 240.0 + pod as f64, 0.1);
        }
    });
    // People are not timers.
    check("beaconing", None, |capture| {
        let mut at = 0.0;
        for _ in 0..200 {
            at += capture.waiting(300.0);
            capture.visit((WEB, 0), at, "cdn.one.example.net", 443);
        }
    });
    // Polling a content network and pushing metrics to a product that the catalog knows, a scheduled job, and time.
    check("beaconing", None, |capture| {
        for workload in [WEB, "shop/search", "shop/cart"] {
            timer(capture, (workload, 0), "assets.content.example.org", 80, 60.0, 0.0);
        }
        timer(capture, (WEB, 0), "agent-intake.logs.datadoghq.com", 200, 30.0, 0.0);
        (0..60).for_each(|n| capture.visit((WEB, 0), f64::from(n) * 120.0, "0.pool.ntp.org", 123));
        timer(capture, ("shop/CronJob:report", 0), "reports.partner.example.net", 40, 300.0, 0.0);
    });
}

#[test]
fn rare_destination() {
    let cluster = |capture: &mut Capture, others: usize, days: f64| {
        for workload in 0..others {
            for day in 0..days as usize {
                capture.visit((&format!("apps/w{workload}"), 0), day as f64 * DAY + 60.0, "api.stripe.com", 443);
            }
        }
    };
    check("rare_destination", Some(Severity::Low), |capture| {
        cluster(capture, 12, 5.0);
        capture.visit(("apps/w3", 0), 1.2 * DAY, "drop.elsewhere.example.net", 443);
    });
    check("rare_destination", None, |capture| {
        cluster(capture, 12, 5.0);
        (0..4).for_each(|n| capture.visit(("apps/w3", 0), 1.2 * DAY + f64::from(n), "drop.elsewhere.example.net", 443));
    });
    check("rare_destination", None, |capture| {
        cluster(capture, 8, 5.0);
        capture.visit(("apps/w3", 0), 1.2 * DAY, "drop.elsewhere.example.net", 443);
    });
    // An image pull, and what two workloads need on one day.
    check("rare_destination", None, |capture| {
        cluster(capture, 12, 5.0);
        capture.visit(("apps/w3", 0), 1.2 * DAY, "registry-1.docker.io", 443);
        capture.visit(("apps/w1", 0), 1.2 * DAY, "both.elsewhere.example.net", 443);
        capture.visit(("apps/w2", 0), 1.2 * DAY, "both.elsewhere.example.net", 443);
    });
}

fn days_of_shop(capture: &mut Capture, days: usize) {
    (0..days * 24).for_each(|hour| capture.visit((WEB, 0), hour as f64 * HOUR + 30.0, "api.stripe.com", 443));
}

#[test]
fn first_seen_without_a_baseline() {
    let late = |day: f64| {
        move |capture: &mut Capture| {
            days_of_shop(capture, 7);
            (0..9).for_each(|n| {
                capture.visit((WEB, 0), day * DAY + f64::from(n) * 900.0, "new.elsewhere.example.net", 443);
            });
        }
    };
    check("first_seen", Some(Severity::Low), late(6.2));
    check("first_seen", None, late(4.0));
    // A new workload has only new destinations; a product that the catalog knows is no surprise.
    check("first_seen", None, |capture| {
        days_of_shop(capture, 7);
        capture.visit(("shop/fresh", 0), 6.2 * DAY, "new.elsewhere.example.net", 443);
        capture.visit((WEB, 0), 6.2 * DAY, "api.github.com", 443);
    });
}

#[test]
fn first_seen_with_a_baseline() {
    let atlas = |names: &[&str]| -> Atlas {
        let mut capture = Capture::new(1);
        for name in names {
            (0..5).for_each(|n| capture.visit((WEB, 0), f64::from(n) * 700.0, name, 443));
        }
        capture.atlas()
    };
    let before = atlas(&["old.elsewhere.example.net"]);
    let mut baseline = Baseline::default();
    for edge in &before.clusters["prod"].namespaces["shop"].egress {
        let key = &edge.key;
        let peer = outside_name(&key.peer).unwrap();
        baseline.known.insert(("prod".into(), "shop".into(), key.workload.name.clone(), peer, key.port));
    }
    let now = atlas(&["old.elsewhere.example.net", "new.elsewhere.example.net"]);
    let found = judged(&now, "", Some(&baseline));
    let new: Vec<&str> =
        found.iter().filter(|found| found.class == "first_seen").map(|found| &*found.subject).collect();
    assert_eq!(new, ["new.elsewhere.example.net"]);
}

#[test]
fn own_resolver() {
    let to = |address: &'static str, port, protocol, verdict| {
        move |capture: &mut Capture| capture.connect((WEB, 0), 60.0, (address, port, protocol), 0.0, verdict)
    };
    check("own_resolver", Some(Severity::Medium), to("8.8.8.8", 53, Protocol::UDP, Verdict::Allowed));
    check("own_resolver", Some(Severity::Medium), to("45.90.28.7", 853, Protocol::TCP, Verdict::Allowed));
    check("own_resolver", Some(Severity::Low), to("45.90.28.7", 853, Protocol::TCP, Verdict::Denied));
    check("own_resolver", None, to("45.90.28.7", 5353, Protocol::UDP, Verdict::Allowed));
    check("own_resolver", None, to("10.96.0.10", 53, Protocol::UDP, Verdict::Allowed));
    check("own_resolver", None, to("169.254.169.253", 53, Protocol::UDP, Verdict::Allowed));
    // The cluster DNS asks the outside, that is its work.
    check("own_resolver", None, |capture| {
        capture.connect(("kube-system/coredns", 0), 60.0, ("8.8.8.8", 53, Protocol::UDP), 0.0, Verdict::Allowed);
    });
}

#[test]
fn ip_only_says_what_the_evidence_allows() {
    let check = |heard: bool, dns: bool, expected: &str| {
        let mut capture = Capture::new(1);
        capture.connect((WEB, 0), 60.0, ("45.9.8.7", 443, Protocol::TCP), 1.0, Verdict::Allowed);
        if heard {
            capture.visit((WEB, 0), 90.0, "api.stripe.com", 443);
        }
        if dns {
            capture.visit(("shop/other", 0), 90.0, "api.stripe.com", 443);
        }
        let found = judged(&capture.atlas(), "", None);
        let found: Vec<&str> =
            found.iter().filter(|found| found.class == "ip_only").map(|found| &*found.matched).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("1 connections") && found[0].contains(expected), "{found:?}");
    };
    check(true, true, "other questions of this workload were recorded");
    check(false, true, "no question of this workload was recorded");
    check(false, false, "no DNS source was read");
}

/// An address that nobody named and that is nobody's network here; not what the settings or the catalog know, and not what has a name.
#[test]
fn ip_only() {
    let to = |address: &'static str| {
        move |capture: &mut Capture| {
            capture.connect((WEB, 0), 60.0, (address, 443, Protocol::TCP), 1.0, Verdict::Allowed);
        }
    };
    check("ip_only", Some(Severity::Low), to("45.9.8.7"));
    check("ip_only", Some(Severity::Low), to("2a00:1450::7"));
    check("ip_only", None, |capture| capture.visit((WEB, 0), 60.0, "only.elsewhere.example.net", 443));
    // A private network, the metadata service, what the settings call a network or a partner of ours.
    check("ip_only", None, to("10.9.8.7"));
    check("ip_only", None, to("169.254.169.254"));
    for settings in
        ["[networks]\ninternal = [\"45.9.8.0/24\"]\n", "[[category]]\nmatch = \"45.9.8.7\"\ncategory = \"customer\"\n"]
    {
        assert_eq!(findings("ip_only", settings, to("45.9.8.7")).len(), 0, "{settings}");
    }
}

/// Ranges in which nobody can be; not their neighbours, what is inside, what the settings say the cluster uses, or what somebody answers for.
#[test]
fn reserved_range() {
    let to = |address: &'static str| {
        move |capture: &mut Capture| {
            capture.connect((WEB, 0), 60.0, (address, 443, Protocol::TCP), 1.0, Verdict::Allowed);
        }
    };
    for address in ["240.9.8.7", "192.0.2.10", "198.51.100.255", "203.0.113.0", "2001:db8::7", "64:ff9b::c000:20a"] {
        check("reserved_range", Some(Severity::Medium), to(address));
    }
    check("reserved_range", Some(Severity::Medium), |capture| {
        capture.answer((WEB, 0), 50.0, "db.partner.example.net", "203.0.113.9");
        to("203.0.113.9")(capture);
    });
    for address in ["192.0.1.255", "192.0.3.0", "198.51.99.255", "198.51.101.0", "203.0.114.0", "2001:db7:ffff::1"] {
        check("reserved_range", None, to(address));
    }
    // A private network, a carrier's, the node's own, a group; and pods that are numbered from such a range.
    for address in ["10.9.8.7", "100.64.0.9", "169.254.20.10", "224.0.0.251", "fd00::7"] {
        check("reserved_range", None, to(address));
    }
    assert_eq!(findings("reserved_range", "[networks]\npods = [\"240.0.0.0/4\"]\n", to("240.9.8.7")).len(), 0);
    let exempt = "[[exempt]]\nmatch = \"192.0.2.0/24\"\nclass = \"reserved_range\"\nowner = \"dns\"\nreason = \"blocked names\"\nexpires = 2030-01-01\n";
    let found = findings("reserved_range", exempt, to("192.0.2.1"));
    assert!(matches!(found.as_slice(), [Found { is_open: false, .. }]), "{found:?}");
}

/// Who answers for one address of a destination does not answer for the next.
#[test]
fn an_exempted_address_covers_no_other() {
    let settings = |exempt: &str| {
        format!(
            "[[suspect]]\nmatch = \"45.1.0.0/16\"\nseverity = \"high\"\nclass = \"c2\"\nwhy = \"incident\"\n[[exempt]]\nmatch = \"{exempt}\"\nclass = \"c2\"\nowner = \"sre\"\nreason = \"sinkhole\"\nexpires = 2030-01-01\n"
        )
    };
    let open = |exempt: &str| {
        let found = findings("c2", &settings(exempt), |capture| {
            for address in ["45.1.0.1", "45.1.0.2", "45.9.0.1"] {
                capture.answer((WEB, 0), 50.0, "files.elsewhere.example.net", address);
                capture.connect((WEB, 0), 60.0, (address, 443, Protocol::TCP), 1.0, Verdict::Allowed);
            }
        });
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].is_open
    };
    assert!(open("45.1.0.1") && open("45.1.0.2") && open("45.9.0.1"));
    assert!(!open("45.1.0.0/24") && !open("files.elsewhere.example.net"));
}

/// Encrypted DNS to a resolver that a list knows, over HTTPS or TLS; plain DNS to the same is no encrypted DNS, and is found by `own_resolver` whoever it is.
#[test]
fn encrypted_dns() {
    let to = |address: &'static str, port, protocol| {
        move |capture: &mut Capture| capture.connect((WEB, 0), 60.0, (address, port, protocol), 1.0, Verdict::Allowed)
    };
    check("encrypted_dns", Some(Severity::Medium), to("8.8.8.8", 443, Protocol::TCP));
    check("encrypted_dns", Some(Severity::Medium), to("8.8.8.8", 853, Protocol::TCP));
    check("encrypted_dns", Some(Severity::Medium), |capture| capture.visit((WEB, 0), 60.0, "dns.google", 443));
    for protocol in [Protocol::UDP, Protocol::TCP] {
        check("encrypted_dns", None, to("8.8.8.8", 53, protocol));
        check("own_resolver", Some(Severity::Medium), to("8.8.8.8", 53, protocol));
    }
    check("encrypted_dns", None, to("8.8.8.8", 80, Protocol::TCP));
    // The web pages of whoever runs a resolver, and an interface beside it.
    check("encrypted_dns", None, |capture| {
        capture.visit((WEB, 0), 60.0, "www.google.com", 443);
        capture.visit((WEB, 0), 60.0, "api.cloudflare.com", 443);
    });
}

#[test]
fn odd_port() {
    let to = |name: &'static str, port| move |capture: &mut Capture| capture.visit((WEB, 0), 60.0, name, port);
    check("odd_port", Some(Severity::Medium), to("api.stripe.com", 4_444));
    check("odd_port", None, to("api.stripe.com", 8_443));
    check("odd_port", Some(Severity::Low), to("pool.elsewhere.example.net", 3_333));
    check("odd_port", None, to("pool.elsewhere.example.net", 3_332));
    check("odd_port", Some(Severity::Medium), |capture| {
        capture.connect((WEB, 0), 60.0, ("45.9.8.7", 22, Protocol::UDP), 0.0, Verdict::Allowed);
    });
    check("odd_port", Some(Severity::Medium), |capture| {
        capture.connect((WEB, 0), 60.0, ("45.9.8.7", 0, Protocol(47)), 0.0, Verdict::Allowed);
    });
    // QUIC, time, mail submission, databases of a provider.
    check("odd_port", None, |capture| {
        capture.connect((WEB, 0), 60.0, ("45.9.8.7", 443, Protocol::UDP), 0.0, Verdict::Allowed);
        capture.connect((WEB, 0), 60.0, ("45.9.8.7", 123, Protocol::UDP), 0.0, Verdict::Allowed);
        capture.visit((WEB, 0), 60.0, "smtp.sendgrid.net", 587);
        capture.visit((WEB, 0), 60.0, "db.elsewhere.example.net", 5_432);
    });
}

#[test]
fn long_connection() {
    let open = |name: &'static str, hours: f64| {
        move |capture: &mut Capture| capture.visit_for((WEB, 0), 60.0, name, 443, hours * HOUR)
    };
    check("long_connection", Some(Severity::Low), open("shell.elsewhere.example.net", 2.1));
    check("long_connection", Some(Severity::Medium), open("shell.elsewhere.example.net", 13.0));
    check("long_connection", None, open("shell.elsewhere.example.net", 1.9));
    // A stream of a known product; many short connections are not a long one.
    check("long_connection", None, |capture| {
        open("trace.agent.datadoghq.com", 20.0)(capture);
        timer(capture, (WEB, 0), "many.elsewhere.example.net", 100, 300.0, 0.9);
    });
    // The stream of a partner beside the interface that the workload calls all day; but not of strangers on the same platform.
    let beside = |api: &'static str, stream: &'static str, calls: usize| {
        move |capture: &mut Capture| {
            open(stream, 5.0)(capture);
            let mut at = 0.0;
            for _ in 0..calls {
                at += capture.waiting(600.0);
                capture.visit((WEB, 0), at, api, 443);
            }
        }
    };
    check("long_connection", None, beside("api.partner.example.net", "ws.partner.example.net", 24));
    check("long_connection", Some(Severity::Low), beside("api.partner.example.net", "ws.partner.example.net", 23));
    check("long_connection", Some(Severity::Low), beside("one.workers.dev", "two.workers.dev", 60));
    // What three workloads keep open is a service.
    check("long_connection", None, |capture| {
        for workload in [WEB, "shop/search", "shop/cart"] {
            capture.visit_for((workload, 0), 60.0, "queue.elsewhere.example.net", 443, 5.0 * HOUR);
        }
    });
}

/// Equal sizes make a rhythm with much jitter a beacon; different ones do not, and sizes alone are no rhythm.
#[test]
fn beaconing_by_size() {
    let sized = |sizes: fn(&mut Capture) -> f64, pause: fn(&mut Capture) -> f64| {
        move |capture: &mut Capture| {
            let mut at = 60.0;
            for _ in 0..60 {
                capture.sends = Some(sizes(capture) as u64);
                capture.visit((WEB, 0), at, "cb.one.example.net", 443);
                at += pause(capture);
            }
            capture.sends = None;
        }
    };
    let jitter: fn(&mut Capture) -> f64 = |capture| 300.0 * capture.between(0.2, 1.8);
    check("beaconing", Some(Severity::Medium), sized(|_| 512.0, jitter));
    check("beaconing", None, sized(|capture| capture.between(200.0, 90_000.0), jitter));
    // A form of one size, sent by people.
    check("beaconing", None, sized(|_| 512.0, |capture| capture.waiting(300.0)));
    let found = findings("beaconing", "", sized(|_| 512.0, jitter));
    assert!(found[0].matched.contains("sizes alike 1.00"), "{found:?}");
}

/// Records of intervals end like clockwork: their rhythm is the agent's, unless it is much slower than the intervals.
#[test]
fn intervals_are_no_beacons() {
    let intervals = |seconds: usize, every: usize| {
        move |capture: &mut Capture| {
            capture.interval = Some((seconds as f64, 1));
            for number in 1..=40 {
                capture.visit((WEB, 0), (number * every * seconds) as f64, "cb.one.example.net", 443);
            }
            capture.interval = None;
        }
    };
    for seconds in [15, 300] {
        check("beaconing", None, intervals(seconds, 1));
        check("beaconing", None, intervals(seconds, 9));
    }
    check("beaconing", Some(Severity::Medium), intervals(300, 12));
}

/// From the records to the finding: bytes of both reporters count once, and an upload of a pod is found.
#[test]
fn upload_from_records() {
    let sent = |megabytes: u64, name: &'static str| {
        move |capture: &mut Capture| {
            for n in 0..10_u64 {
                capture.sends = Some(megabytes * 100_000);
                capture.visit((WEB, 0), 60.0 + 400.0 * n as f64 * n as f64, name, 443);
            }
            capture.sends = None;
        }
    };
    check("upload", Some(Severity::Medium), sent(11, "drop.elsewhere.example.net"));
    check("upload", None, sent(9, "drop.elsewhere.example.net"));
    check("upload", None, sent(90, "agent-intake.logs.datadoghq.com"));
}

#[test]
fn upload() {
    let with_bytes = |name: &str, bytes: Option<(u64, u64)>| -> usize {
        let mut capture = Capture::new(1);
        capture.visit((WEB, 0), 60.0, name, 443);
        let mut atlas = capture.atlas();
        for edge in &mut atlas.clusters.get_mut("prod").unwrap().namespaces.get_mut("shop").unwrap().egress {
            edge.seen.behaviour.bytes = bytes.map(|(sent, received)| Bytes { sent, received, ..Bytes::default() });
        }
        judged(&atlas, "", None).iter().filter(|found| found.class == "upload").count()
    };
    assert_eq!(with_bytes("drop.elsewhere.example.net", Some((50_000_000, 1_000_000))), 1);
    assert_eq!(with_bytes("drop.elsewhere.example.net", Some((9_900_000, 10_000))), 0);
    assert_eq!(with_bytes("drop.elsewhere.example.net", Some((50_000_000, 5_100_000))), 0);
    // Log shipping to a known product is what it is bought for; and no bytes are not few bytes.
    assert_eq!(with_bytes("agent-intake.logs.datadoghq.com", Some((50_000_000, 1_000_000))), 0);
    assert_eq!(with_bytes("drop.elsewhere.example.net", None), 0);
}

#[test]
fn generated_name() {
    let to = |name: &'static str| move |capture: &mut Capture| capture.visit((WEB, 0), 60.0, name, 443);
    check("generated_name", Some(Severity::Low), to("qxvkzjwpgtb.com"));
    check("generated_name", None, to("qxvkzjwp.com"));
    // Hosts of a cloud are generated by design, and long words are words.
    check("generated_name", None, |capture| {
        to("a9f3e7c1b5d2e8.execute-api.eu-west-1.amazonaws.com")(capture);
        to("d3u7shopassets.cloudfront.net")(capture);
        to("krankenkassenverband.de")(capture);
    });
    let missing = |domains: usize, alphabet: &'static str| {
        move |capture: &mut Capture| {
            for number in 0..domains {
                let name = format!("{}.com", capture.letters(alphabet, 14));
                capture.ask((WEB, 0), 60.0 + number as f64, &name, 1, true);
            }
        }
    };
    check("generated_name", Some(Severity::High), missing(30, "bcdfghjklmnpqrstvwxz0123456789"));
    check("generated_name", None, missing(9, "bcdfghjklmnpqrstvwxz0123456789"));
    check("generated_name", None, |capture| {
        for name in ["atlassian-mirror", "kubernetes-charts", "internalservices", "billing-gateway", "customerportal"] {
            (0..9).for_each(|n| {
                capture.ask((WEB, 0), f64::from(n), &format!("{name}{}.net", ["", "-eu"][n as usize % 2]), 1, true);
            });
        }
    });
}

#[test]
fn dns_tunnel() {
    let tunnel = |names: usize, length: usize, kind: u16| {
        move |capture: &mut Capture| {
            for number in 0..names {
                let name = format!("{}.t.carrier.example.net", capture.letters(ALNUM, length));
                capture.ask((WEB, 0), number as f64, &name, kind, false);
            }
        }
    };
    check("dns_tunnel", Some(Severity::High), tunnel(200, 52, 16));
    check("dns_tunnel", Some(Severity::High), tunnel(30, 30, 1));
    check("dns_tunnel", None, tunnel(29, 52, 16));
    check("dns_tunnel", None, tunnel(200, 7, 1));
    // By answers with addresses, too.
    check("dns_tunnel", Some(Severity::High), |capture| {
        for number in 0..120 {
            let name = format!("{}.carrier.example.net", capture.letters(ALNUM, 40));
            capture.answer((WEB, 0), f64::from(number), &name, "45.4.4.4");
        }
    });
    // Tenants of a service that are visited, and a block list.
    check("dns_tunnel", None, |capture| {
        for number in 0..300 {
            let tenant = format!("{}-files.tenants.example.net", capture.letters(ALNUM, 20));
            capture.visit((WEB, 0), f64::from(number) * 3.0, &tenant, 443);
            let listed =
                format!("{}.{}.zen.spamhaus.org", capture.letters(ALNUM, 20), capture.letters("0123456789", 3));
            capture.ask((WEB, 0), f64::from(number) * 3.0, &listed, 1, true);
        }
    });
}

#[test]
fn asked_never_connected() {
    check("asked_never_connected", Some(Severity::Medium), |capture| {
        capture.answer((WEB, 0), 60.0, "c59b3f.oast.fun", "45.1.2.3");
        capture.visit((WEB, 0), 60.0, "api.stripe.com", 443);
    });
    check("asked_never_connected", None, |capture| capture.visit((WEB, 0), 60.0, "c59b3f.oast.fun", 443));
    // Prefetched names that no list suspects, and a fail-over that was not needed.
    check("asked_never_connected", None, |capture| {
        for name in ["status.stripe.com", "backup.partner.example.net", "www.example.org"] {
            capture.answer((WEB, 0), 60.0, name, "45.1.2.3");
        }
    });
}

#[test]
fn connected_before_asked() {
    let late = |connections: usize, asked: f64| {
        move |capture: &mut Capture| {
            capture.visit(("shop/other", 0), 0.0, "api.stripe.com", 443);
            for number in 0..connections {
                capture.connect(
                    (WEB, 0),
                    2.0 * HOUR + number as f64 * 60.0,
                    ("45.6.7.8", 443, Protocol::TCP),
                    2.0,
                    Verdict::Allowed,
                );
            }
            capture.answer((WEB, 0), asked, "later.elsewhere.example.net", "45.6.7.8");
        }
    };
    check("connected_before_asked", Some(Severity::Low), late(3, 3.0 * HOUR));
    check("connected_before_asked", None, late(2, 3.0 * HOUR));
    // The usual way: asked, then connected, and asked again.
    check("connected_before_asked", None, |capture| {
        timer(capture, (WEB, 0), "later.elsewhere.example.net", 10, 2_000.0, 0.0);
    });
}

#[test]
fn scanning() {
    let sweep = |addresses: u8, gap: f64| {
        move |capture: &mut Capture| {
            for number in 0..addresses {
                let address = format!("10.9.3.{number}");
                capture.connect(
                    (WEB, 0),
                    f64::from(number) * gap,
                    (&address, 6_379, Protocol::TCP),
                    0.0,
                    Verdict::Allowed,
                );
            }
        }
    };
    check("scanning", Some(Severity::High), sweep(60, 1.0));
    check("scanning", None, sweep(29, 1.0));
    check("scanning", None, sweep(60, 60.0));
    check("scanning", Some(Severity::High), |capture| {
        (0..20).for_each(|port| {
            capture.connect((WEB, 0), f64::from(port), ("10.9.3.3", 7_000 + port, Protocol::TCP), 0.0, Verdict::Failed);
        });
    });
    // A metrics scrape comes back to its targets; a crawler asks for names.
    check("scanning", None, |capture| {
        for round in 0..8 {
            for number in 0..80 {
                let at = f64::from(round) * 60.0 + f64::from(number) * 0.2;
                capture.connect(
                    ("monitoring/prometheus", 0),
                    at,
                    (&format!("10.9.3.{number}"), 9_100, Protocol::TCP),
                    1.0,
                    Verdict::Allowed,
                );
            }
        }
        for number in 0..100 {
            capture.visit((WEB, 0), f64::from(number), &format!("shop{number}.example.net"), 443);
        }
    });
}

#[test]
fn denied_burst() {
    let denied = |attempts: usize, targets: usize, gap: f64| {
        move |capture: &mut Capture| {
            for number in 0..attempts {
                let address = format!("45.9.{}.7", number % targets);
                capture.connect(
                    (WEB, 0),
                    30.0 + number as f64 * gap,
                    (&address, 443, Protocol::TCP),
                    0.0,
                    Verdict::Denied,
                );
            }
        }
    };
    check("denied_burst", Some(Severity::Medium), denied(40, 8, 3.0));
    check("denied_burst", None, denied(19, 8, 3.0));
    check("denied_burst", None, denied(40, 7, 3.0));
    check("denied_burst", None, denied(40, 8, 600.0));
    // An application that tries one denied destination for ever is broken, not curious; at however many ports.
    check("denied_burst", None, denied(600, 1, 5.0));
    check("denied_burst", None, |capture: &mut Capture| {
        for number in 0..40_u16 {
            let server = ("45.9.1.7", 8_000 + number % 8, Protocol::TCP);
            capture.connect((WEB, 0), 30.0 + f64::from(number) * 3.0, server, 0.0, Verdict::Denied);
        }
    });
}

#[test]
fn metadata_access() {
    let others = |capture: &mut Capture, all: usize, asking: usize| {
        for workload in 0..all {
            let name = format!("apps/w{workload}");
            capture.visit((&name, 0), 60.0, "api.stripe.com", 443);
            if workload < asking {
                capture.connect((&name, 0), 90.0, ("169.254.169.254", 80, Protocol::TCP), 1.0, Verdict::Allowed);
            }
        }
    };
    check("metadata_access", Some(Severity::High), |capture| others(capture, 10, 1));
    check("metadata_access", None, |capture| others(capture, 10, 4));
    // The resolver and the clock on the same address, and components of the platform.
    check("metadata_access", None, |capture| {
        others(capture, 10, 0);
        capture.connect((WEB, 0), 90.0, ("169.254.169.254", 53, Protocol::UDP), 1.0, Verdict::Allowed);
        capture.connect((WEB, 0), 90.0, ("169.254.169.254", 123, Protocol::UDP), 1.0, Verdict::Allowed);
        capture.connect(("infra/ebs-csi-node", 0), 90.0, ("169.254.169.254", 80, Protocol::TCP), 1.0, Verdict::Allowed);
        capture.connect(
            ("kube-system/whatever", 0),
            90.0,
            ("169.254.169.254", 80, Protocol::TCP),
            1.0,
            Verdict::Allowed,
        );
    });
}

#[test]
fn metadata_answer() {
    let answered = |name: &'static str, address: &'static str| {
        move |capture: &mut Capture| capture.answer((WEB, 0), 60.0, name, address)
    };
    check("metadata_answer", Some(Severity::High), answered("a.rebind.example.net", "169.254.169.254"));
    check("metadata_answer", Some(Severity::High), answered("a.rebind.example.net", "fd00:ec2::254"));
    check("metadata_answer", None, answered("a.rebind.example.net", "169.254.20.10"));
    check("metadata_answer", None, answered("metadata.google.internal", "169.254.169.254"));
    check("metadata_answer", None, answered("db.private.example.net", "10.2.3.4"));
}

#[test]
fn settings_switch_off_tune_and_exempt() {
    let beacon = |capture: &mut Capture| timer(capture, (WEB, 0), "cb.one.example.net", 40, 300.0, 0.2);
    let count = |settings: &str| {
        let found = findings("beaconing", settings, beacon);
        (found.len(), found.iter().filter(|found| found.is_open).count())
    };
    assert_eq!(count(""), (1, 1));
    assert_eq!(count("[detect]\noff = \"beaconing\"\n"), (0, 0));
    assert_eq!(count("[detect.beaconing]\nconnections = 41\n"), (0, 0));
    let exempt = "[[exempt]]\nclass = \"beaconing\"\nowner = \"a\"\nreason = \"b\"\nexpires = 2027-01-01\n";
    assert_eq!(count(&format!("{exempt}match = \"*.one.example.net\"\n")), (1, 0));
    assert_eq!(count(&format!("{exempt}workloads = [\"web\"]\n")), (1, 0));
    assert_eq!(count(&format!("{exempt}workloads = [\"other\"]\n")), (1, 1));
    let known = |capture: &mut Capture| timer(capture, (WEB, 0), "agent-intake.logs.datadoghq.com", 40, 300.0, 0.2);
    assert_eq!(findings("beaconing", "[detect]\nknown = true\n", known).len(), 1);
    for (wrong, expected) in [
        ("[detect]\noff = \"beacon\"\n", "did you mean `beaconing`"),
        ("[detect.beaconing]\nscores = 1\n", "did you mean `score`"),
        ("[detect.beaconing]\nscore = \"high\"\n", "must be a number"),
        ("[detect.beaconing]\nscore = -1\n", "from 0 to 1,000,000"),
        ("[detect.beacons]\n", "did you mean `beaconing`"),
        ("[detect]\nknown = 1\n", "must be `true` or `false`"),
    ] {
        let error = egress_atlas::catalog::Settings::parse(wrong, "egress-atlas.toml").unwrap_err().to_string();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}
