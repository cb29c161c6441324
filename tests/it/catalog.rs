//! The embedded catalog, categories and list findings, on the overlaps and traps that are known.

mod settings;

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::LazyLock;

use egress_atlas::catalog::{Catalog, Date, Settings, Subject};
use egress_atlas::classify::{Classification, Destination, Rules, classify};
use egress_atlas::detect::{Finding, findings};
use egress_atlas::model::{Category, Confidence, Protocol, Severity};
use insta::assert_snapshot;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

const NONE: &[&str] = &[];

/// `name` or address, `:port`, and `/udp`.
struct Target {
    name: Option<String>,
    addresses: Vec<IpAddr>,
    port: Option<u16>,
    protocol: Protocol,
}

fn target(text: &str) -> Target {
    let (text, protocol) = match text.strip_suffix("/udp") {
        Some(rest) => (rest, Protocol::UDP),
        None => (text, Protocol::TCP),
    };
    let (host, port) = match text.rsplit_once(' ') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (text, Some(443)),
    };
    let (name, addresses) = match host.split_once('@') {
        Some((name, address)) => (Some(name.to_owned()), vec![address.parse().unwrap()]),
        None => host.parse().map_or_else(|_| (Some(host.to_owned()), vec![]), |address| (None, vec![address])),
    };
    Target { name, addresses, port, protocol }
}

fn subject<'a>(target: &'a Target, chain: &'a [&'a str]) -> Subject<'a> {
    Subject {
        name: target.name.as_deref(),
        chain,
        addresses: &target.addresses,
        port: target.port,
        protocol: target.protocol,
    }
}

fn category(text: &str, chain: &[&str]) -> String {
    CATALOG.category(&subject(&target(text), chain)).map_or_else(
        || "nothing".to_owned(),
        |found| format!("{} by {}{}", found.category, found.matched, if found.withheld { ", withheld" } else { "" }),
    )
}

fn flags(text: &str, chain: &[&str]) -> String {
    let target = target(text);
    let found = CATALOG.flags(&subject(&target, chain));
    found.iter().map(|flag| format!("{} {}", flag.class, flag.severity)).collect::<Vec<_>>().join(", ")
}

fn reviews(text: &str) -> String {
    let target = target(text);
    let found = CATALOG.reviews(&subject(&target, NONE));
    found.iter().map(|flag| format!("{} {}", flag.class, flag.matched)).collect::<Vec<_>>().join(", ")
}

fn judge(destination: &Destination<'_>, settings: &Settings) -> (Classification, Vec<Finding>) {
    let rules = Rules { catalog: &CATALOG, settings, cluster_domain: "cluster.local" };
    let day = Date::parse("2026-11-21").unwrap();
    (classify(destination, &rules), findings(destination, &rules, day))
}

/// Category, deciding rule and findings of a destination of the namespace `shop`.
fn judged(text: &str, settings: &str) -> String {
    let target = target(text);
    let settings = Settings::parse(settings, "egress-atlas.toml").unwrap();
    let destination = Destination {
        cluster: "east",
        namespace: "shop",
        name: target.name.as_deref(),
        addresses: &target.addresses,
        port: target.port,
        protocol: target.protocol,
        ..Destination::default()
    };
    let (classification, found) = judge(&destination, &settings);
    let mut text = format!("{}; {}", classification.category, classification.rule);
    for finding in found {
        let state = match (&finding.exempted, &finding.expired_exemption) {
            (Some(by), _) => format!(", exempted by {} ({})", by.owner, by.rule),
            (None, Some(by)) => format!(", exemption expired {}", by.expires),
            (None, None) => String::new(),
        };
        write!(text, "; {} {}{state}", finding.rule, finding.severity).unwrap();
    }
    text
}

#[test]
fn names_in_two_suspect_classes_give_two_flags() {
    let check = |text: &str, expected: &str| assert_eq!(flags(text, NONE), expected, "{text}");
    check("a.requestbin.net", "oast high, webhook_receiver high");
    check("dnshook.site", "oast high, webhook_receiver high");
    check("x.requestrepo.com", "oast high, webhook_receiver high");
    check("me.beeceptor.com", "tunnel high, webhook_receiver high");
    check("gateway.pinata.cloud", "file_drop medium, ipfs_gateway medium");
}

#[test]
fn names_in_a_benign_and_the_review_file_keep_their_category() {
    for (name, expected) in [
        ("d1.cloudfront.net", "unclassified by cloudfront.net"),
        ("x.azurefd.net", "unclassified by azurefd.net"),
        ("x.azureedge.net", "unclassified by azureedge.net"),
        ("x.b-cdn.net", "unclassified by b-cdn.net"),
        ("iaas.eu-frankfurt-1.oraclecloud.com", "infra by oraclecloud.com"),
        ("api.github.com", "vendor by api.github.com"),
    ] {
        assert_eq!(category(name, NONE), expected, "{name}");
        assert!(reviews(name).starts_with("shared_hosting"), "{name}");
        assert_eq!(flags(name, NONE), "", "a review is never a flag: {name}");
    }
}

#[test]
fn a_vendor_name_does_not_clear_a_flag_and_a_flag_sets_no_category() {
    assert_eq!(category("hooks.slack.com", NONE), "vendor by slack.com");
    assert_eq!(flags("hooks.slack.com", NONE), "messaging low");
    assert_eq!(flags("a.hooks.slack.com", NONE), "", "the row is exact");
    assert_eq!(category("x.ngrok.io", NONE), "nothing");
    assert_eq!(flags("x.ngrok.io", NONE), "tunnel high");
}

#[test]
fn a_longer_review_takes_the_category_away_and_a_longer_benign_match_gives_it_back() {
    let check = |name: &str, expected: &str| assert_eq!(category(name, NONE), expected, "{name}");
    check("sts.eu-west-1.amazonaws.com", "infra by sts.*.amazonaws.com");
    check("ec2.eu-west-1.amazonaws.com", "infra by amazonaws.com");
    check("mybucket.s3.eu-west-1.amazonaws.com", "unclassified by s3.*.amazonaws.com, withheld");
    check("mybucket.s3-eu-west-1.amazonaws.com", "unclassified by s3-*.amazonaws.com, withheld");
    check("ec2-1-2-3-4.compute.amazonaws.com", "unclassified by compute.amazonaws.com, withheld");
    check(
        "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com",
        "registries by prod-*-starport-layer-bucket.s3.*.amazonaws.com",
    );
    check("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "registries by *.dkr.ecr.*.amazonaws.com");
    check("prometheus-community.github.io", "registries by prometheus-community.github.io");
    assert_eq!(reviews("prometheus-community.github.io"), "");
    check("someone.github.io", "unclassified by github.io, withheld");
    assert_eq!(reviews("someone.github.io"), "shared_hosting github.io suffix");
}

#[test]
fn suffixes_end_at_labels_and_the_provider_is_not_its_customers() {
    let check = |name: &str, expected: &str| assert_eq!(flags(name, NONE), expected, "{name}");
    check("myhome.ddns.net", "dynamic_dns high");
    check("notddns.net", "");
    check("duckdns.org", "");
    check("www.duckdns.org", "dynamic_dns low");
    check("myhome.duckdns.org", "dynamic_dns medium");
    check("evilngrok.io", "");
    check("log.tailscale.com", "remote_access low");
    check("other.tailscale.com", "remote_access medium");
    check("something.onion", "anonymity high");
    check("169.254.169.254.nip.io", "ip_in_name medium");
    check("169.254.169.254.nip.io@169.254.169.254 80", "cloud_metadata high, ip_in_name medium");
}

#[test]
fn metadata_is_told_from_its_neighbours_by_address_and_port() {
    let check = |text: &str, category_expected: &str, flags_expected: &str| {
        let found = (category(text, NONE), flags(text, NONE));
        assert_eq!(found, (category_expected.to_owned(), flags_expected.to_owned()), "{text}");
    };
    check("169.254.169.254 80", "infra by 169.254.0.0/16", "cloud_metadata high");
    check("169.254.169.254 53/udp", "infra by 169.254.169.254/32", "");
    check("169.254.169.254 123/udp", "infra by 169.254.169.254/32", "");
    check("169.254.169.253 53/udp", "infra by 169.254.169.253/32", "");
    check("169.254.169.123 123/udp", "infra by 169.254.169.123/32", "");
    check("169.254.169.250 1688", "infra by 169.254.169.250/32", "");
    check("169.254.169.250 80", "infra by 169.254.169.250/32", "cloud_metadata low");
    check("169.254.170.23 80", "infra by 169.254.0.0/16", "cloud_metadata low");
    check("169.254.20.10 53/udp", "infra by 169.254.20.10/32", "");
    check("168.63.129.16 53/udp", "infra by 168.63.129.16/32", "");
    check("168.63.129.16 80", "nothing", "cloud_metadata high");
    check("169.254.169.252 988", "infra by 169.254.0.0/16", "cloud_metadata medium");
    check("169.254.42.42 80", "infra by 169.254.0.0/16", "cloud_metadata high");
    check("100.100.100.200 80", "infra by 100.100.100.200/32", "cloud_metadata high");
    check("100.64.3.4 80", "internal by 100.64.0.0/10", "");
    check("fd00:ec2::254 80", "infra by fd00:ec2::254/128", "cloud_metadata high");
    check("fd20:ce::254 80", "infra by fd20:ce::254/128", "cloud_metadata high");
    check("fd00:c1::a9fe:a9fe 80", "infra by fd00:c1::a9fe:a9fe/128", "cloud_metadata high");
    check("fe80::a9fe:a9fe 80", "infra by fe80::/10", "cloud_metadata high");
    check("fd12:3456::1 80", "internal by fc00::/7", "");
    check("64:ff9b::a9fe:a9fe 80", "infra by 169.254.0.0/16", "cloud_metadata high");
    check("::ffff:169.254.169.254 80", "infra by 169.254.0.0/16", "cloud_metadata high");
    check("::ffff:169.254.169.254 53/udp", "infra by 169.254.169.254/32", "");
    check("2002:a9fe:a9fe::1 80", "infra by 169.254.0.0/16", "cloud_metadata high");
    check("metadata.google.internal 80", "nothing", "cloud_metadata high");
    check("metadata.google.internal 123/udp", "nothing", "");
}

#[test]
fn an_unknown_port_rules_no_row_out() {
    let address = ["169.254.169.254".parse().unwrap()];
    let subject = Subject { addresses: &address, protocol: Protocol::UNKNOWN, ..Subject::default() };
    assert_eq!(CATALOG.flags(&subject).len(), 1);
}

#[test]
fn ports_and_protocols_bind_rows() {
    assert_eq!(flags("dns.google 443", NONE), "encrypted_dns medium");
    assert_eq!(flags("8.8.8.8 853", NONE), "encrypted_dns medium");
    assert_eq!(flags("8.8.8.8 53/udp", NONE), "");
    assert_eq!(flags("8.8.8.8 80", NONE), "");
    assert_eq!(category("pool.ntp.org 123/udp", NONE), "infra by pool.ntp.org");
    assert_eq!(category("pool.ntp.org 123", NONE), "nothing");
    assert_eq!(reviews("203.0.113.9 3333"), "port port 3333");
    assert_eq!(reviews("203.0.113.9 443"), "");
}

#[test]
fn a_match_in_the_chain_is_weaker_except_where_chains_are_the_way_it_is_used() {
    let check = |chain: &[&str], expected: &str| assert_eq!(flags("files.shop.example", chain), expected, "{chain:?}");
    check(&["x.pastebin.com"], "paste medium");
    check(&["a.example", "x.ngrok.io"], "tunnel high");
    check(&["x.oast.pro"], "oast high");
    assert_eq!(flags("pastebin.com", NONE), "paste high");
    assert_eq!(flags("pastebin.com", &["pastebin.com"]), "paste high", "the queried name is no chain");
    assert_eq!(category("help.shop.example", &["acme.zendesk.com"]), "vendor by zendesk.com");
    assert_eq!(category("www.partner.example", &["lb.eu-west-1.elb.amazonaws.com"]), "nothing");
    assert_eq!(category("www.partner.example", &["ec2.eu-west-1.amazonaws.com"]), "nothing");
}

#[test]
fn more_sources_make_a_flag_surer() {
    let confidence = |text: &str| {
        let target = target(text);
        let found = CATALOG.flags(&subject(&target, NONE));
        found.first().map(|flag| flag.confidence)
    };
    assert_eq!(confidence("x.ngrok.io"), Some(Confidence::High));
    assert_eq!(confidence("emailhook.site"), Some(Confidence::Medium));
    assert_eq!(confidence("fd20:ce::254 80"), Some(Confidence::Low));
}

#[test]
fn every_rule_that_decides_is_named() {
    let settings = "[networks]\nservices = [\"10.96.0.0/12\"]\n\
        [[category]]\ncategory = \"customer\"\nmatch = [\".partner.example\", \"198.18.7.0/24\"]\nwhy = \"contract\"\n\
        [[category]]\ncategory = \"infra\"\nmatch = \"*.datadoghq.com\"\nnamespaces = [\"other\"]\n\
        [[category]]\ncategory = \"vendor\"\nmatch = \"x.corp\"\nports = [8443]\n";
    let lines: Vec<String> = [
        "eu.partner.example",
        "198.18.7.9",
        "198.18.8.9",
        "api.datadoghq.com",
        "x.corp 8443",
        "x.corp",
        "10.96.0.10 53/udp",
        "64:ff9b::a60:a 53/udp",
        "10.1.2.3",
        "db.shop.svc.cluster.local 5432",
        "api.github.com.shop.svc.cluster.local",
        "127.0.0.1",
        "bucket.s3.eu-west-1.amazonaws.com",
        "sts.eu-west-1.amazonaws.com@10.1.2.3",
        "d1.cloudfront.net@3.160.1.1",
        "34.118.230.1",
        "nobody.example@3.160.1.1",
    ]
    .iter()
    .map(|text| format!("{text} -> {}", judged(text, settings)))
    .collect();
    assert_snapshot!(lines.join("\n"), @r"
    eu.partner.example -> customer; egress-atlas.toml rule 1: .partner.example (contract)
    198.18.7.9 -> customer; egress-atlas.toml rule 1: 198.18.7.0/24 (contract)
    198.18.8.9 -> internal; private address: 198.18.0.0/15 (RFC 2544 benchmarking; some meshes and proxies hand out fake addresses here)
    api.datadoghq.com -> vendor; catalog: datadoghq.com (Datadog, observability)
    x.corp 8443 -> vendor; egress-atlas.toml rule 3: x.corp
    x.corp -> unclassified; no rule knows it
    10.96.0.10 53/udp -> internal; egress-atlas.toml networks.services: 10.96.0.0/12
    64:ff9b::a60:a 53/udp -> internal; egress-atlas.toml networks.services: 10.96.0.0/12
    10.1.2.3 -> internal; private address: 10.0.0.0/8 (RFC 1918)
    db.shop.svc.cluster.local 5432 -> internal; cluster name: cluster.local
    api.github.com.shop.svc.cluster.local -> vendor; catalog: api.github.com (GitHub API, ci and code quality)
    127.0.0.1 -> infra; local address: 127.0.0.0/8 (loopback)
    bucket.s3.eu-west-1.amazonaws.com -> unclassified; catalog: s3.*.amazonaws.com (Amazon S3 (regional), shared hosting: anybody can be behind it)
    sts.eu-west-1.amazonaws.com@10.1.2.3 -> infra; catalog: sts.*.amazonaws.com (AWS, cloud api)
    d1.cloudfront.net@3.160.1.1 -> unclassified; catalog: cloudfront.net (Amazon CloudFront, cdn)
    34.118.230.1 -> infra; catalog: 34.118.224.0/20 (GKE Service range, link local helper)
    nobody.example@3.160.1.1 -> unclassified; no rule knows it
    ");
}

#[test]
fn a_known_peer_of_the_cluster_is_internal_whatever_its_address() {
    let address = ["203.0.113.80".parse().unwrap()];
    let peer = Destination { addresses: &address, in_cluster: true, port: Some(80), ..Destination::default() };
    let (classification, found) = judge(&peer, &Settings::default());
    assert_eq!((classification.category, &*classification.rule), (Category::Internal, "cluster workload"));
    assert_eq!(found, []);
}

#[test]
fn findings_by_list_by_address_and_by_the_user() {
    let settings = "[networks]\npods = [\"240.1.0.0/16\"]\n\
        [[suspect]]\nmatch = [\"*.legacy.example\", \"9.9.9.0/24\"]\nclass = \"retired_proxy\"\nseverity = \"medium\"\nwhy = \"old\"\n\
        [[suspect]]\nmatch = \"x.ngrok.io\"\nclass = \"tunnel\"\nseverity = \"low\"\nwhy = \"the demo tunnel\"\n\
        [[category]]\ncategory = \"customer\"\nmatch = \"5.5.5.5\"\n";
    let lines: Vec<String> = [
        "a.legacy.example",
        "9.9.9.9 53/udp",
        "x.ngrok.io",
        "y.ngrok.io",
        "8.8.4.4 80",
        "5.5.5.5",
        "10.1.1.1",
        "240.1.2.3",
        "240.2.2.3",
        "2001:db8::1",
        "192.0.0.192 80",
        "fd00:ec2::254 80",
        "169.254.169.254 80",
    ]
    .iter()
    .map(|text| format!("{text} -> {}", judged(text, settings)))
    .collect();
    assert_snapshot!(lines.join("\n"), @r#"
a.legacy.example -> unclassified; no rule knows it; suspect/retired_proxy medium
9.9.9.9 53/udp -> unclassified; no rule knows it; suspect/retired_proxy medium; suspect/ip-only low
x.ngrok.io -> unclassified; no rule knows it; suspect/tunnel low
y.ngrok.io -> unclassified; no rule knows it; suspect/tunnel high
8.8.4.4 80 -> unclassified; no rule knows it; suspect/ip-only low
5.5.5.5 -> customer; egress-atlas.toml rule 1: 5.5.5.5
10.1.1.1 -> internal; private address: 10.0.0.0/8 (RFC 1918)
240.1.2.3 -> internal; egress-atlas.toml networks.pods: 240.1.0.0/16
240.2.2.3 -> unclassified; reserved address: 240.0.0.0/4 (reserved; a few clusters use it for pods); suspect/reserved-range medium
2001:db8::1 -> unclassified; reserved address: 2001:db8::/32 (documentation); suspect/reserved-range medium
192.0.0.192 80 -> infra; catalog: 192.0.0.192/32 (Oracle Cloud Classic, metadata service); suspect/cloud_metadata high
fd00:ec2::254 80 -> infra; catalog: fd00:ec2::254/128 (AWS IMDS over IPv6, metadata service); suspect/cloud_metadata high
169.254.169.254 80 -> infra; local address: 169.254.0.0/16 (link-local); suspect/cloud_metadata high
"#);
}

#[test]
fn exemptions_clear_for_a_time_and_stay_visible() {
    let exempt = |matched: &str, class: &str, more: &str, expires: &str| {
        format!(
            "[[exempt]]\nmatch = \"{matched}\"\nclass = \"{class}\"\n{more}\nowner = \"sre\"\nreason = \"r\"\nexpires = {expires}\n"
        )
    };
    let check = |text: &str, settings: &str, expected: &str| {
        let judged = judged(text, settings);
        assert_eq!(judged.split_once("suspect/").map(|(_, finding)| finding), Some(expected), "{text} {settings}");
    };
    let cleared = "messaging low, exempted by sre (egress-atlas.toml exemption 1: hooks.slack.com)";
    check("hooks.slack.com", &exempt("hooks.slack.com", "messaging", "", "2026-11-21"), cleared);
    check("hooks.slack.com", &exempt("hooks.slack.com", "all", "", "2026-12-31"), cleared);
    let expired = exempt("hooks.slack.com", "all", "", "2026-11-20");
    check("hooks.slack.com", &expired, "messaging low, exemption expired 2026-11-20");
    let renewed = expired + &exempt("*.slack.com", "messaging", "", "2027-01-01");
    check("hooks.slack.com", &renewed, "messaging low, exempted by sre (egress-atlas.toml exemption 2: *.slack.com)");
    check("hooks.slack.com", &exempt("hooks.slack.com", "tunnel", "", "2026-12-31"), "messaging low");
    let elsewhere = exempt("hooks.slack.com", "all", "namespaces = [\"other\"]", "2026-12-31");
    check("hooks.slack.com", &elsewhere, "messaging low");
    let address = exempt("3.3.3.3", "all", "", "2026-12-31");
    check("x.ngrok.io@3.3.3.3", &address, "tunnel high");
    check("3.3.3.3", &address, "ip-only low, exempted by sre (egress-atlas.toml exemption 1: 3.3.3.3)");
}

#[test]
fn platform_components_may_ask_the_metadata_service() {
    let address = ["169.254.169.254".parse().unwrap()];
    let severity = |namespace: &str| {
        let pod = Destination { namespace, addresses: &address, port: Some(80), ..Destination::default() };
        judge(&pod, &Settings::default()).1.first().map(|finding| finding.severity)
    };
    assert_eq!(severity("shop"), Some(Severity::High));
    assert_eq!(severity("kube-system"), Some(Severity::Medium));
}
