//! What a draft lets in, what it leaves out and what it asks: small baselines, one matter each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_atlas::catalog::{Catalog, Date, Reviews, Settings};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Category, Grade, Protocol, Workload, WorkloadKind};
use egress_atlas::policy::draft::{
    Baseline, Dialect, Draft, DraftInput, PendingKind, Rule, RulePeer, SeenEdge, SeenFinding, SeenJudgement,
    SeenNamespace, SeenReview, SeenWorkload, bundle, plan,
};
use egress_atlas::summary::Peer;

pub(crate) fn workload(name: &str) -> Workload {
    Workload { kind: WorkloadKind("Deployment".into()), name: name.into() }
}

fn judged(category: Category) -> SeenJudgement {
    SeenJudgement { category, label: None, open: Vec::new(), review: SeenReview::NotNeeded }
}

fn suspect() -> SeenJudgement {
    let open = vec![SeenFinding { class: "dynamic_dns (high)".to_owned(), why: "dynamic DNS".to_owned() }];
    SeenJudgement {
        category: Category::Unclassified,
        label: None,
        open,
        review: SeenReview::Closed("rejected".to_owned()),
    }
}

pub(crate) fn edge(peer: Peer, (protocol, port): (Protocol, u16), addresses: &[&str]) -> SeenEdge {
    let all = addresses.iter().map(|text| (text.parse().unwrap(), 1)).collect();
    SeenEdge {
        workload: workload("web"),
        peer,
        port,
        protocol,
        connections: 10,
        denied: 0,
        audited: 0,
        grades: BTreeMap::from([(Grade::Pod, 10)]),
        confidence: 990,
        first: Some("2026-03-02T00:00:00Z".to_owned()),
        last: Some("2026-03-02T10:00:00Z".to_owned()),
        days: vec!["2026-03-02".to_owned()],
        addresses: all,
        pods: vec!["web-1".to_owned()],
        judgement: Some(judged(Category::Vendor)),
    }
}

pub(crate) fn named(name: &str, at: (Protocol, u16), addresses: &[&str]) -> SeenEdge {
    edge(Peer::Name(name.into()), at, addresses)
}

fn address(text: &str, at: (Protocol, u16)) -> SeenEdge {
    edge(Peer::Address(text.parse().unwrap()), at, &[text])
}

const NTP: (Protocol, u16) = (Protocol::UDP, 123);

pub(crate) fn draft_of(egress: Vec<SeenEdge>, settings: &str, dialect: Dialect, reviews: &str) -> Draft {
    let labels = |name: &str| Some(BTreeMap::from([("app".to_owned(), name.to_owned())]));
    let seen = |name: &str| SeenWorkload { workload: workload(name), pods: vec![], labels: labels(name) };
    let shop = SeenNamespace { workloads: vec![seen("web"), seen("db")], egress, ingress: Vec::new() };
    let baseline = Baseline { cluster: "c".to_owned(), namespaces: BTreeMap::from([("shop".to_owned(), shop)]) };
    let settings = Settings::parse(settings, "egress-atlas.toml").unwrap();
    let reviews = Reviews::parse(reviews, "reviews.toml").unwrap();
    let given = (!reviews.all().is_empty()).then_some((&reviews, Date::parse("2026-03-03").unwrap()));
    let (inventory, catalog) = (Inventory::default(), Catalog::embedded().unwrap());
    let input = DraftInput {
        baseline: &baseline,
        inventory: &inventory,
        settings: &settings,
        catalog: &catalog,
        reviews: given,
        dialect,
    };
    let draft = plan(&input, &[]).drafts.remove(0);
    bundle(&draft).unwrap();
    draft
}

fn rule<'d>(draft: &'d Draft, id: &str) -> Option<&'d Rule> {
    draft.rules().map(|(_, rule)| rule).find(|rule| rule.id == id)
}

/// Whether some rule by ranges opens an address at a port.
fn opens(draft: &Draft, at: (Protocol, u16), address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    draft.rules().any(|(_, rule)| match &rule.peer {
        RulePeer::Blocks(blocks) if rule.ports.contains(&at) => blocks
            .iter()
            .any(|block| block.range.contains(&address) && !block.except.iter().any(|hole| hole.contains(&address))),
        _ => false,
    })
}

fn pending(draft: &Draft, kind: PendingKind) -> Vec<String> {
    let own = draft.pending.iter().filter(|pending| pending.kind == kind);
    own.map(|pending| format!("{} {} {}", pending.who, pending.what, pending.why)).collect()
}

#[test]
fn time_servers_open_what_was_seen_and_never_a_refused_address() {
    let pool = || named("2.pool.ntp.org", NTP, &["203.0.113.9"]);
    let refused = || SeenEdge { judgement: Some(suspect()), ..named("c2.ddns.net", NTP, &["198.51.100.7"]) };
    for dialect in Dialect::ALL {
        let nothing = draft_of(Vec::new(), "", dialect, "");
        assert_eq!(rule(&nothing, "baseline/ntp"), None, "{dialect}: nothing was seen");
        assert!(pending(&nothing, PendingKind::Question).iter().any(|text| text.contains("UDP/123 stays closed")));
        assert_eq!(nothing.decisions(), 0);

        let alone = draft_of(vec![refused()], "", dialect, "");
        assert_eq!(rule(&alone, "baseline/ntp"), None, "{dialect}: a suspect is no reason to open");
        assert!(!opens(&alone, NTP, "198.51.100.7") && alone.decisions() == 1, "{dialect}");

        for settings in ["", "[draft]\nntp = \"public\"\n"] {
            let both = draft_of(vec![pool(), refused()], settings, dialect, "");
            assert!(opens(&both, NTP, "203.0.113.9") && opens(&both, NTP, "203.0.113.10"), "{dialect}");
            assert!(!opens(&both, NTP, "198.51.100.7"), "{dialect}: the refused name's address");
            assert!(pending(&both, PendingKind::Suspect).iter().any(|text| text.contains("c2.ddns.net")));
        }
    }
    let asked = draft_of(Vec::new(), "[draft]\nntp = \"public\"\n", Dialect::Cilium, "");
    assert!(opens(&asked, NTP, "203.0.113.9"), "the settings ask for it");
    // A good name on a refused address keeps a rule by name.
    let shared = named("2.pool.ntp.org", NTP, &["198.51.100.7"]);
    let draft = draft_of(vec![pool(), shared, refused()], "", Dialect::Cilium, "");
    assert!(!opens(&draft, NTP, "198.51.100.7"));
    assert!(rule(&draft, "web/egress/2.pool.ntp.org").is_some());
    // No more addresses than these are listed, and there may be others.
    let many: Vec<String> = (1..=64).map(|last| format!("198.51.100.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let wide = SeenEdge { judgement: Some(suspect()), ..named("c2.ddns.net", NTP, &many) };
    let draft = draft_of(vec![pool(), wide], "", Dialect::Cilium, "");
    assert_eq!(rule(&draft, "baseline/ntp"), None);
    assert!(rule(&draft, "web/egress/2.pool.ntp.org").is_some());
}

#[test]
fn every_address_of_a_node_local_dns_cache_is_opened() {
    let dns = (Protocol::UDP, 53);
    let one = edge(Peer::Node, dns, &["169.254.20.10"]);
    let both = edge(Peer::Node, (Protocol::TCP, 53), &["169.254.20.10", "fe80::a"]);
    let draft = draft_of(vec![one, both], "", Dialect::Kubernetes, "");
    let found: BTreeSet<String> = (draft.baseline.iter())
        .filter_map(|rule| if let RulePeer::Nodes(blocks) = &rule.peer { Some(blocks) } else { None })
        .flatten()
        .map(|block| block.range.to_string())
        .collect();
    assert_eq!(found, BTreeSet::from(["169.254.20.10/32".to_owned(), "fe80::a/128".to_owned()]));
    // The same address as a peer of another kind keeps a rule of its own.
    let plain = address("169.254.20.10", dns);
    let node = edge(Peer::Node, dns, &["169.254.20.10"]);
    let draft = draft_of(vec![plain, node], "", Dialect::Cilium, "");
    let cited: usize = draft.baseline.iter().filter(|rule| rule.is_dns).map(|rule| rule.evidence.cites.len()).sum();
    assert_eq!(cited, 2);
    assert!(opens(&draft, dns, "169.254.20.10"));
}

#[test]
fn one_good_connection_does_not_vouch_for_a_thousand() {
    let graded = |pod: u64, cluster: u64| SeenEdge {
        grades: BTreeMap::from([(Grade::Pod, pod), (Grade::Cluster, cluster)]),
        connections: pod + cluster,
        ..named("api.example.com", (Protocol::TCP, 443), &["203.0.113.9"])
    };
    let id = "web/egress/api.example.com";
    let weak = draft_of(vec![graded(1, 999)], "", Dialect::Cilium, "");
    assert!(rule(&weak, id).is_none());
    assert!(pending(&weak, PendingKind::WeakEvidence)[0].contains("which 1 of the connections reach"));
    assert!(rule(&draft_of(vec![graded(600, 400)], "", Dialect::Cilium, ""), id).is_some());
    let lower = "[draft]\nmin_grade = \"cluster\"\n";
    assert!(rule(&draft_of(vec![graded(1, 999)], lower, Dialect::Cilium, ""), id).is_some());
}

#[test]
fn private_addresses_that_nobody_explains_are_left_out() {
    let approved = "[[review]]\ndestination = \"10.99.0.1\"\nnamespace = \"shop\"\nowner = \"o\"\ndecision = \"approved\"\nreason = \"bastion\"\n";
    let database = "[[draft.database]]\nname = \"d\"\nsubnets = [\"10.99.0.0/24\"]\n";
    let check = |target: &str, settings: &str, reviews: &str, expected: bool| {
        let at = (Protocol::TCP, 22);
        for dialect in Dialect::ALL {
            let draft = draft_of(vec![address(target, at)], settings, dialect, reviews);
            assert_eq!(opens(&draft, at, target), expected, "{dialect} {target} {settings}{reviews}");
            assert_eq!(pending(&draft, PendingKind::Unknown).len(), usize::from(!expected), "{dialect} {target}");
        }
    };
    for target in ["10.99.0.1", "192.168.77.5", "100.64.3.3", "fd00::7"] {
        check(target, "", "", false);
    }
    check("10.99.0.1", "[networks]\ninternal = [\"10.99.0.0/16\"]\n", "", true);
    check("10.99.0.1", database, "", true);
    check("10.99.0.1", "", approved, true);
    check("203.0.113.9", "", "", true);
}

#[test]
fn what_nobody_classified_is_asked_about() {
    let bucket = || named("reports.s3.example.com", (Protocol::TCP, 443), &["203.0.113.9"]);
    let unclassified = || SeenEdge { judgement: Some(judged(Category::Unclassified)), ..bucket() };
    let draft = draft_of(vec![unclassified()], "", Dialect::Cilium, "");
    let questions = pending(&draft, PendingKind::Question);
    let asked = questions.iter().find(|text| text.contains("reports.s3.example.com TCP/443")).unwrap();
    assert!(asked.starts_with("Deployment/web") && asked.contains("what this destination is for"), "{asked}");
    assert!(rule(&draft, "web/egress/reports.s3.example.com").is_some());
    assert_eq!(draft.decisions(), 0);
    let approved = "[[review]]\ndestination = \"reports.s3.example.com\"\nnamespace = \"*\"\nowner = \"o\"\ndecision = \"approved\"\nreason = \"ours\"\n";
    for (edge, reviews) in [(bucket(), ""), (unclassified(), approved)] {
        let draft = draft_of(vec![edge], "", Dialect::Cilium, reviews);
        assert!(!pending(&draft, PendingKind::Question).iter().any(|text| text.contains("reports.s3")));
    }
}

#[test]
fn what_is_denied_today_says_what_becomes_of_it() {
    let db = Peer::Workload { cluster: "".into(), namespace: "shop".into(), workload: workload("db") };
    let denied = || SeenEdge { denied: 10, judgement: None, ..edge(db.clone(), (Protocol::TCP, 5432), &["10.0.0.9"]) };
    let told = |edges: Vec<SeenEdge>, settings: &str| {
        let draft = draft_of(edges, settings, Dialect::Cilium, "");
        pending(&draft, PendingKind::Denied).remove(0)
    };
    let open = told(vec![denied()], "");
    assert!(open.ends_with("this side of the draft would open it, by rule `baseline/pod-to-pod`"), "{open}");
    let closed = told(vec![denied()], "[draft]\npod_to_pod = false\n");
    assert!(closed.ends_with("the draft keeps it closed"), "{closed}");
    // Allowed at another port of the same pods only.
    let other = SeenEdge { denied: 0, port: 80, ..denied() };
    let closed = told(vec![denied(), other], "[draft]\npod_to_pod = false\n");
    assert!(closed.ends_with("the draft keeps it closed"), "{closed}");
    let udp = named("api.example.com", (Protocol::TCP, 443), &["203.0.113.9"]);
    let closed = told(vec![SeenEdge { denied: 10, ..udp }], "");
    assert!(closed.ends_with("the draft keeps it closed"), "{closed}");
}

const WEB: (Protocol, u16) = (Protocol::TCP, 443);
const PUBLIC: &str = "[[draft.public]]\nworkloads = [\"web\"]\nports = [443]\nowner = \"o\"\nreason = \"crawler\"\n";

fn closed(name: &str, addresses: &[&str]) -> SeenEdge {
    SeenEdge { judgement: Some(suspect()), ..named(name, WEB, addresses) }
}

#[test]
fn the_public_internet_has_holes_where_suspects_are() {
    let good = || named("api.example.com", WEB, &["203.0.113.9"]);
    let evil = || closed("evil.duckdns.org", &["198.51.100.77", "2001:db8:7::7"]);
    let bare = || SeenEdge { judgement: Some(suspect()), ..address("198.51.100.78", (Protocol::TCP, 22)) };
    let approved = "[[review]]\ndestination = \"evil.duckdns.org\"\nnamespace = \"shop\"\nowner = \"o\"\ndecision = \"approved\"\nreason = \"ours\"\n";
    for dialect in Dialect::ALL {
        let draft = draft_of(vec![good(), evil(), bare()], PUBLIC, dialect, "");
        let public = rule(&draft, "web/egress/public-internet").unwrap();
        assert!(
            public.remarks.iter().any(|text| text.contains("without 3 address(es) of suspects")),
            "{:?}",
            public.remarks
        );
        for (target, expected) in [
            ("203.0.113.9", true),
            ("198.51.100.76", true),
            ("198.51.100.77", false),
            ("198.51.100.78", false),
            ("2001:db8:7::7", false),
            ("2001:db8:7::8", true),
        ] {
            assert_eq!(opens(&draft, WEB, target), expected, "{dialect} {target}");
        }
        assert_eq!(pending(&draft, PendingKind::Suspect).len(), 2, "{dialect}");
        let draft = draft_of(vec![good(), evil()], PUBLIC, dialect, approved);
        assert!(opens(&draft, WEB, "198.51.100.77"), "{dialect}: an approval fills the hole");
    }
    // Nobody knows all its addresses: the range is not written at all.
    let many: Vec<String> = (1..=64).map(|last| format!("198.51.100.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for wide in [closed("evil.duckdns.org", &many), closed("evil.duckdns.org", &[])] {
        let draft = draft_of(vec![good(), wide], PUBLIC, Dialect::Cilium, "");
        assert!(rule(&draft, "web/egress/public-internet").is_none());
        assert!(rule(&draft, "web/egress/api.example.com").is_some());
        let questions = pending(&draft, PendingKind::Question);
        assert!(questions.iter().any(|text| text.contains("`evil.duckdns.org` are known")), "{questions:?}");
    }
    // A good name on a suspect's address is not in the range; a rule by name says what else it opens.
    let shared = named("cdn.example.com", WEB, &["198.51.100.77"]);
    let draft = draft_of(vec![shared.clone(), evil()], PUBLIC, Dialect::Cilium, "");
    assert!(rule(&draft, "web/egress/public-internet").is_none());
    let told = pending(&draft, PendingKind::Suspect).remove(0);
    assert!(told.contains("rule `web/egress/cdn.example.com` opens 198.51.100.77 by its name"), "{told}");
    let draft = draft_of(vec![shared, evil()], PUBLIC, Dialect::Kubernetes, "");
    assert!(!opens(&draft, WEB, "198.51.100.77"));
}

#[test]
fn ranges_of_vendors_and_databases_leave_suspects_out() {
    let vendor = "[[draft.vendor]]\nmatch = \".example.com\"\nranges = [\"198.51.100.0/24\"]\nsource = \"s\"\nchecked = 2026-03-01\n";
    let database = "[[draft.database]]\nname = \"d\"\nsubnets = [\"198.51.100.0/24\"]\n";
    let good = || named("api.example.com", WEB, &["198.51.100.9"]);
    let evil = || closed("evil.duckdns.org", &["198.51.100.77"]);
    for settings in [vendor, database] {
        let draft = draft_of(vec![good(), evil()], settings, Dialect::Kubernetes, "");
        assert!(opens(&draft, WEB, "198.51.100.9") && opens(&draft, WEB, "198.51.100.78"), "{settings}");
        assert!(!opens(&draft, WEB, "198.51.100.77"), "{settings}");
        // Its own traffic to such an address is listed.
        let both = named("api.example.com", WEB, &["198.51.100.9", "198.51.100.77"]);
        let draft = draft_of(vec![both, evil()], settings, Dialect::Kubernetes, "");
        assert!(!opens(&draft, WEB, "198.51.100.77"), "{settings}");
        assert!(pending(&draft, PendingKind::Unknown)[0].contains("198.51.100.77"), "{settings}");
        // Nothing is left of a range that is the suspect.
        let narrow = settings.replace("198.51.100.0/24", "198.51.100.77/32");
        let draft =
            draft_of(vec![named("api.example.com", WEB, &["198.51.100.77"]), evil()], &narrow, Dialect::Kubernetes, "");
        assert!(!opens(&draft, WEB, "198.51.100.77"), "{settings}");
        assert_eq!(pending(&draft, PendingKind::Unknown).len(), 1, "{settings}");
    }
}

#[test]
fn an_address_that_a_suspect_shares_gets_no_rule() {
    let days = "[draft]\nstable_days = 1\n";
    let evil = || closed("evil.duckdns.org", &["198.51.100.77"]);
    let by_name = || named("cdn.example.com", WEB, &["198.51.100.77"]);
    let by_address = || SeenEdge { judgement: Some(judged(Category::Vendor)), ..address("198.51.100.77", WEB) };
    let alone = draft_of(vec![by_name()], days, Dialect::Kubernetes, "");
    assert!(opens(&alone, WEB, "198.51.100.77"));
    for edge in [by_name(), by_address()] {
        let draft = draft_of(vec![edge, evil()], days, Dialect::Kubernetes, "");
        assert!(!opens(&draft, WEB, "198.51.100.77"));
        let out = pending(&draft, PendingKind::NotExpressible).remove(0);
        assert!(out.contains("an address of the suspect `evil.duckdns.org` too"), "{out}");
    }
    // At another port it opens nothing of the suspect's.
    let other = SeenEdge { port: 5432, ..by_name() };
    assert!(opens(
        &draft_of(vec![other, evil()], days, Dialect::Kubernetes, ""),
        (Protocol::TCP, 5432),
        "198.51.100.77"
    ));
}
