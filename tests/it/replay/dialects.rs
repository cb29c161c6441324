//! What is particular to the dialects and to the CNIs: one line per fact.

use egress_atlas::model::Protocol;
use egress_atlas::policy::{Doubt, PolicySet, PolicySource};
use egress_atlas::replay::{
    End, EndKind, Evaluator, Miss, NameEvidence, Names, Profile, Recorded, ReplayEdge, Seen, Side, Verdict, replay,
};

use super::{Case, judge, set};

fn web() -> End {
    let mut end = End::pod("shop", &[("app", "web"), ("team", "red")]);
    end.address = Some("10.1.0.5".parse().unwrap());
    end.node = "n1".into();
    end
}

fn db() -> End {
    let mut end = End::pod("data", &[("app", "db")]);
    end.address = Some("10.1.0.6".parse().unwrap());
    end.node = "n2".into();
    end
}

fn world() -> End {
    End::outside("203.0.113.9".parse().unwrap())
}

fn of_kind(kind: EndKind, address: &str, node: &str) -> End {
    End { kind, address: Some(address.parse().unwrap()), node: node.into(), ..End::default() }
}

const ALLOWED: Result<Verdict, Doubt> = Ok(Verdict::Allowed);
const STOPPED: Result<Verdict, Doubt> = Ok(Verdict::WouldBreak);
const OPEN: Result<Verdict, Doubt> = Ok(Verdict::NotIsolated);

struct Question {
    profile: Profile,
    client: End,
    server: End,
    port: u16,
    protocol: Protocol,
    names: Names,
}

impl Question {
    fn new(profile: Profile, server: End, port: u16) -> Self {
        Self { profile, client: web(), server, port, protocol: Protocol::TCP, names: Names::default() }
    }

    fn named(mut self, name: &str) -> Self {
        self.names = Names::own(name);
        self
    }

    fn ask(&self, policies: &str) -> Result<Verdict, Doubt> {
        let judgement = judge(
            &set(policies),
            self.profile.clone(),
            &Case {
                client: &self.client,
                server: &self.server,
                port: self.port,
                protocol: self.protocol,
                names: self.names.clone(),
            },
        );
        judgement
            .doubt()
            .filter(|_| judgement.verdict == Verdict::Undecidable)
            .map_or(Ok(judgement.verdict), |(_, doubt)| Err(doubt))
    }
}

fn cilium(spec: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{endpointSelector: {{}}, {spec}}}\n"
    )
}

#[test]
fn cilium_sections_and_peers() {
    let to = |server: End, port| Question::new(Profile::CILIUM, server, port);
    let check = |question: Question, spec: &str, expected| assert_eq!(question.ask(&cilium(spec)), expected, "{spec}");
    check(to(world(), 443), "egress: []", OPEN);
    check(to(world(), 443), "egress: [{}]", STOPPED);
    check(to(world(), 443), "ingress: [{}]", OPEN);
    check(to(world(), 443), "egress: [{}], enableDefaultDeny: {egress: false}", OPEN);
    check(to(world(), 443), "egress: [{toPorts: [{ports: [{port: '443'}]}]}]", ALLOWED);
    check(to(world(), 443), "egress: [{toEntities: [], toPorts: [{ports: [{port: '443'}]}]}]", STOPPED);
    check(to(world(), 443), "egress: [{toEntities: [world]}]", ALLOWED);
    check(to(db(), 443), "egress: [{toEntities: [world]}]", STOPPED);
    check(to(db(), 443), "egress: [{toEntities: [cluster]}]", ALLOWED);
    check(to(world(), 443), "egress: [{toCIDR: [203.0.113.0/24]}]", ALLOWED);
    check(to(db(), 443), "egress: [{toCIDR: [10.0.0.0/8]}]", STOPPED);
    check(to(world(), 443), "egress: [{toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.9/32]}]}]", STOPPED);
    // Every pod of the policy's own namespace, not of the cluster.
    check(to(db(), 5432), "egress: [{toEndpoints: [{}]}]", STOPPED);
    check(to(web(), 5432), "egress: [{toEndpoints: [{}]}]", ALLOWED);
    let other = "egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': data, app: db}}]}]";
    check(to(db(), 5432), other, ALLOWED);
    check(to(world(), 443), "egress: [{toEntities: [all]}], egressDeny: [{toCIDR: [203.0.113.0/24]}]", STOPPED);
    check(to(world(), 443), "egressDeny: [{toCIDR: [198.51.100.0/24]}]", STOPPED);
    check(to(world(), 8443), "egress: [{toPorts: [{ports: [{port: '8000', endPort: 9000, protocol: TCP}]}]}]", ALLOWED);
    check(
        to(of_kind(EndKind::KubeApiserver, "10.0.0.1", ""), 6443),
        "egress: [{toEntities: [kube-apiserver]}]",
        ALLOWED,
    );
    check(to(of_kind(EndKind::Node, "10.0.0.1", "n1"), 10250), "egress: [{toEntities: [host]}]", ALLOWED);
    check(to(of_kind(EndKind::Node, "10.0.0.2", "n2"), 10250), "egress: [{toEntities: [host]}]", STOPPED);
    check(to(of_kind(EndKind::Node, "10.0.0.2", "n2"), 10250), "egress: [{toEntities: [remote-node]}]", ALLOWED);
    let ping = Question { protocol: Protocol::ICMPV4, ..to(world(), 0) };
    check(ping, "egress: [{toPorts: [{ports: [{port: '443', protocol: ANY}]}]}]", STOPPED);
}

const DNS: &str = "{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system}}], toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}";

#[test]
fn cilium_names() {
    let to = |name: &str| Question::new(Profile::CILIUM, world(), 443).named(name);
    let names = |name: &str| format!("egress: [{DNS}, {{toFQDNs: [{name}], toPorts: [{{ports: [{{port: '443'}}]}}]}}]");
    let check = |question: Question, spec: &str, expected| assert_eq!(question.ask(&cilium(spec)), expected, "{spec}");
    check(to("api.example.com"), &names("{matchName: api.example.com}"), ALLOWED);
    check(to("api.example.com"), &names("{matchPattern: '*.example.com'}"), ALLOWED);
    check(to("a.b.example.com"), &names("{matchPattern: '*.example.com'}"), STOPPED);
    check(to("example.com"), &names("{matchPattern: '*.example.com'}"), STOPPED);
    check(Question { server: db(), ..to("api.example.com") }, &names("{matchName: api.example.com}"), STOPPED);
    let without = "egress: [{toFQDNs: [{matchName: api.example.com}]}]";
    check(to("api.example.com"), without, STOPPED);
    let unnamed = Question { names: Names::default(), ..to("x") };
    check(unnamed, &names("{matchName: api.example.com}"), Err(Doubt::NameUnknown));
    let two = |evidence, list: &[&str]| Names { list: list.iter().map(|name| (*name).into()).collect(), evidence };
    let ambiguous = Question { names: two(NameEvidence::Own, &["other.example", "api.example.com"]), ..to("x") };
    check(ambiguous, &names("{matchName: api.example.com}"), Err(Doubt::NameAmbiguous));
    let weak = Question { names: two(NameEvidence::Weak, &["api.example.com"]), ..to("x") };
    check(weak, &names("{matchName: api.example.com}"), Err(Doubt::NameEvidenceWeak));
}

#[test]
fn calico_order_tiers_and_selectors() {
    let policy = |name: &str, spec: &str| {
        format!(
            "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
        )
    };
    let to = |server: End, port| Question::new(Profile::CALICO, server, port);
    let check = |question: Question, text: &str, expected| assert_eq!(question.ask(text), expected, "{text}");
    let allow = |more: &str| format!("types: [Egress], selector: \"app == 'web'\", egress: [{{action: Allow{more}}}]");
    check(to(world(), 443), &policy("p", &allow("")), ALLOWED);
    check(to(world(), 443), &policy("p", "selector: \"app == 'db'\", egress: [{action: Allow}]"), OPEN);
    check(to(world(), 443), &policy("p", "selector: all(), types: [Egress]"), STOPPED);
    // Egress rules alone leave ingress as it is.
    let reverse = Question { client: db(), ..to(web(), 80) };
    check(reverse, &policy("p", "selector: all(), egress: [{action: Deny}]"), OPEN);
    check(to(world(), 443), &policy("p", &allow(", protocol: TCP, destination: {ports: [443, '8000:9000']}")), ALLOWED);
    check(to(world(), 444), &policy("p", &allow(", protocol: TCP, destination: {ports: [443, '8000:9000']}")), STOPPED);
    check(to(world(), 443), &policy("p", &allow(", protocol: TCP, destination: {notPorts: [443]}")), STOPPED);
    check(
        to(world(), 443),
        &policy("p", &allow(", destination: {nets: [203.0.113.0/24], notNets: [203.0.113.9/32]}")),
        STOPPED,
    );
    check(to(db(), 443), &policy("p", &allow(", destination: {selector: \"app == 'db'\"}")), STOPPED);
    let across = ", destination: {selector: \"app == 'db'\", namespaceSelector: \"projectcalico.org/name == 'data'\"}";
    check(to(db(), 443), &policy("p", &allow(across)), ALLOWED);
    check(to(world(), 443), &policy("p", &allow(", source: {selector: \"team == 'blue'\"}")), STOPPED);
    let two = |first: &str, second: &str| {
        let order = |order: u32, action: &str| {
            format!("order: {order}, types: [Egress], selector: all(), egress: [{{action: {action}}}]")
        };
        format!("{}---\n{}", policy("z", &order(1, first)), policy("a", &order(2, second)))
    };
    check(to(world(), 443), &two("Allow", "Deny"), ALLOWED);
    check(to(world(), 443), &two("Deny", "Allow"), STOPPED);
    check(to(world(), 443), &two("Log", "Allow"), ALLOWED);
    // `Pass` leaves the tier; behind the last one, a pod that policies select is open again.
    check(to(world(), 443), &two("Pass", "Deny"), OPEN);
    let tiered = format!(
        "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: sec}}\nspec: {{order: 10}}\n---\n{}---\n{}",
        policy("early", "tier: sec, types: [Egress], selector: all(), egress: [{action: Pass}]"),
        policy("late", "types: [Egress], selector: all(), egress: [{action: Deny}]")
    );
    check(to(world(), 443), &tiered, STOPPED);
    let kubernetes = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec: {policyTypes: [Egress], egress: [{}]}\n";
    let early = policy("d", "order: 999, types: [Egress], selector: all(), egress: [{action: Deny}]");
    let late = policy("d", "order: 1001, types: [Egress], selector: all(), egress: [{action: Deny}]");
    check(to(world(), 443), &format!("{kubernetes}---\n{early}"), STOPPED);
    check(to(world(), 443), &format!("{kubernetes}---\n{late}"), ALLOWED);
    let sets = format!(
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {{name: s, labels: {{partner: yes-it-is}}}}\nspec: {{nets: [203.0.113.0/24]}}\n---\n{}",
        policy("p", &allow(", destination: {selector: \"has(partner)\", namespaceSelector: global()}"))
    );
    check(to(world(), 443), &sets, ALLOWED);
    assert!(
        egress_atlas::policy::PolicySet::parse(&[egress_atlas::policy::PolicySource {
            file: "p",
            text: &policy("p", "tier: nobody, selector: all()"),
            cluster: None
        }])
        .unwrap_err()
        .to_string()
        .contains("tier is not among")
    );
}

#[test]
fn antrea_has_no_isolation_of_its_own() {
    let policy = |name: &str, spec: &str| {
        format!(
            "apiVersion: crd.antrea.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    };
    let to = |server: End, port| Question::new(Profile::ANTREA, server, port);
    let check = |question: Question, text: &str, expected| assert_eq!(question.ask(text), expected, "{text}");
    let on = "priority: 5, appliedTo: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]";
    let dns = "{action: Allow, ports: [{protocol: UDP, port: 53}]}";
    check(to(world(), 443), &policy("p", &format!("{on}, egress: [{dns}]")), OPEN);
    check(to(world(), 443), &policy("p", &format!("{on}, egress: [{dns}, {{action: Drop}}]")), STOPPED);
    let names = format!("{on}, egress: [{{action: Allow, to: [{{fqdn: '*.example.com'}}]}}, {{action: Drop}}]");
    check(to(world(), 443).named("a.b.example.com"), &policy("p", &names), ALLOWED);
    check(to(world(), 443).named("example.com"), &policy("p", &names), STOPPED);
    let by_group = "egress: [{action: Allow, to: [{group: g}]}, {action: Reject}]";
    let group = "apiVersion: crd.antrea.io/v1beta1\nkind: ClusterGroup\nmetadata: {name: g}\nspec: {podSelector: {matchLabels: {app: db}}}\n";
    check(to(db(), 1), &format!("{}---\n{group}", policy("p", &format!("{on}, {by_group}"))), ALLOWED);
    let kubernetes = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec: {policyTypes: [Egress]}\n";
    check(
        to(world(), 443),
        &format!("{}---\n{kubernetes}", policy("p", &format!("{on}, egress: [{{action: Allow}}]"))),
        ALLOWED,
    );
    check(
        to(world(), 443),
        &format!("{}---\n{kubernetes}", policy("p", &format!("{on}, egress: [{{action: Pass}}]"))),
        STOPPED,
    );
    let baseline = format!("tier: baseline, {on}, egress: [{{action: Allow}}]");
    check(to(world(), 443), &format!("{}---\n{kubernetes}", policy("p", &baseline)), STOPPED);
    let own = format!("{on}, egress: [{{action: Allow, to: [{{namespaces: {{match: Self}}}}]}}, {{action: Drop}}]");
    check(to(web(), 1), &policy("p", &own), ALLOWED);
    check(to(db(), 1), &policy("p", &own), STOPPED);
}

#[test]
fn cluster_network_policies_stand_around_those_of_namespaces() {
    let policy = |tier: &str, priority: u32, action: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {}-{priority}}}\nspec: {{tier: {tier}, priority: {priority}, subject: {{namespaces: {{}}}}, egress: [{{action: {action}, to: [{{networks: [203.0.113.0/24]}}]}}]}}\n",
            tier.to_ascii_lowercase()
        )
    };
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec: {policyTypes: [Egress]}\n";
    let check = |parts: &[&str], expected| {
        let question = Question::new(Profile::GENERIC, world(), 443);
        assert_eq!(question.ask(&parts.join("---\n")), expected, "{parts:?}");
    };
    check(&[&policy("Admin", 1, "Accept"), &policy("Admin", 2, "Deny")], ALLOWED);
    check(&[&policy("Admin", 2, "Accept"), &policy("Admin", 1, "Deny")], STOPPED);
    check(&[&policy("Admin", 1, "Accept"), deny], ALLOWED);
    check(&[&policy("Admin", 1, "Pass"), &policy("Admin", 2, "Accept"), deny], STOPPED);
    check(&[&policy("Admin", 1, "Pass"), &policy("Baseline", 1, "Deny")], STOPPED);
    check(&[&policy("Baseline", 1, "Accept"), deny], STOPPED);
    check(&[&policy("Baseline", 1, "Deny")], STOPPED);
    let old = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec: {priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [203.0.113.0/24]}], ports: [{portNumber: {protocol: TCP, port: 443}}]}]}\n";
    check(&[old], STOPPED);
    let names =
        policy("Admin", 1, "Accept").replace("{networks: [203.0.113.0/24]}", "{domainNames: ['*.example.com']}");
    let question = Question::new(Profile::GENERIC, world(), 443).named("a.b.example.com");
    assert_eq!(question.ask(&format!("{names}---\n{deny}")), ALLOWED);
}

#[test]
fn what_the_api_leaves_open_is_said() {
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";
    let check = |question: Question, expected| assert_eq!(question.ask(deny), expected);
    let to = |profile: Profile| Question::new(profile, world(), 443);
    let ping = |profile| Question { protocol: Protocol::ICMPV4, port: 0, ..to(profile) };
    check(ping(Profile::GENERIC), Err(Doubt::ProtocolOutsideApi));
    check(ping(Profile::CILIUM), STOPPED);
    let on_host = End { kind: EndKind::HostPod, ..web() };
    check(Question { client: on_host.clone(), ..to(Profile::GENERIC) }, Err(Doubt::HostNetwork));
    check(Question { client: on_host, ..to(Profile::CALICO) }, OPEN);
    let own_node = of_kind(EndKind::Node, "10.0.0.1", "n1");
    check(Question { client: own_node, server: web(), ..to(Profile::GENERIC) }, OPEN);
    let other_node = of_kind(EndKind::Node, "10.0.0.2", "n2");
    check(Question { client: other_node, server: web(), ..to(Profile::GENERIC) }, STOPPED);
    let some_node = of_kind(EndKind::Node, "10.0.0.3", "");
    check(Question { client: some_node, server: web(), ..to(Profile::GENERIC) }, Err(Doubt::NodeTraffic));
    check(Question { server: web(), ..to(Profile::GENERIC) }, Err(Doubt::SelfTraffic));
    let blind = End { labels: None, ..web() };
    let by_label = deny.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}");
    assert_eq!(Question { client: blind, ..to(Profile::GENERIC) }.ask(&by_label), Err(Doubt::LabelsUnknown));
    // Cilium's records lack some labels that pods have.
    let filtered = End { labels_are_filtered: true, ..web() };
    let by_hash = deny.replace("podSelector: {}", "podSelector: {matchLabels: {pod-template-hash: abc}}");
    assert_eq!(Question { client: filtered, ..to(Profile::GENERIC) }.ask(&by_hash), Err(Doubt::LabelsUnknown));
    let by_port =
        deny.replace("policyTypes: [Ingress, Egress]", "policyTypes: [Egress], egress: [{ports: [{port: 443}]}]");
    assert_eq!(Question { port: 0, ..to(Profile::GENERIC) }.ask(&by_port), Err(Doubt::PortUnknown));
}

#[test]
fn the_nearest_miss_says_what_is_lacking() {
    let check = |server: End, port: u16, protocol: Protocol, spec: &str, expected: Option<&Miss>| {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: k, namespace: shop}}\nspec: {{policyTypes: [Egress], egress: {spec}}}\n"
        );
        let client = web();
        let case = Case { client: &client, server: &server, port, protocol, names: Names::default() };
        let judgement = judge(&set(&text), Profile::CILIUM, &case);
        let Side::Denied(denial) = judgement.egress else { panic!("{spec}: {judgement:?}") };
        assert_eq!(denial.nearest.as_ref().map(|nearest| &nearest.miss), expected, "{spec}");
    };
    let data = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}";
    check(db(), 80, Protocol::TCP, &format!("[{{to: [{data}}}], ports: [{{port: 5432}}]}}]"), Some(&Miss::Port));
    check(db(), 5432, Protocol::UDP, &format!("[{{to: [{data}}}], ports: [{{port: 5432}}]}}]"), Some(&Miss::Protocol));
    let labels = Miss::Labels("app=cache".to_owned());
    check(
        db(),
        1,
        Protocol::TCP,
        &format!("[{{to: [{data}, podSelector: {{matchLabels: {{app: cache}}}}}}]}}]"),
        Some(&labels),
    );
    let namespace = Miss::Namespace("namespace=shop".to_owned());
    check(db(), 1, Protocol::TCP, "[{to: [{podSelector: {matchLabels: {app: db}}}]}]", Some(&namespace));
    let hole = Miss::Hole("203.0.113.0/28".to_owned());
    check(
        world(),
        1,
        Protocol::TCP,
        "[{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}]}]",
        Some(&hole),
    );
    check(db(), 1, Protocol::TCP, "[{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", Some(&Miss::BlockOnCluster));
    check(world(), 1, Protocol::TCP, "[{to: [{podSelector: {}}]}]", None);
}

/// A service is judged at the pods behind it; where they disagree nobody can say.
#[test]
fn all_pods_behind_a_service_have_to_agree() {
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: data}\nspec: {podSelector: {matchLabels: {app: closed}}, policyTypes: [Ingress]}\n";
    let pod = |app: &str| std::sync::Arc::new(End { address: db().address, ..End::pod("data", &[("app", app)]) });
    let service = |apps: [&str; 2]| End {
        backends: apps.map(|app| (pod(app), 5_432)).to_vec(),
        ..of_kind(EndKind::Service, "10.96.0.10", "")
    };
    for (apps, expected) in [
        (["db", "db"], OPEN),
        (["closed", "closed"], STOPPED),
        (["db", "closed"], Err(Doubt::ServiceAddress)),
        (["closed", "db"], Err(Doubt::ServiceAddress)),
    ] {
        assert_eq!(Question::new(Profile::CALICO, service(apps), 5_432).ask(deny), expected, "{apps:?}");
    }
}

/// What was denied already breaks no more; whether it would pass now is told.
#[test]
fn what_the_records_say_was_denied_is_counted_apart() {
    let deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Egress]}\n";
    let open = deny.replace("policyTypes: [Egress]", "policyTypes: [Egress], egress: [{}]");
    let edge = |recorded| ReplayEdge {
        client: 0,
        server: 1,
        port: 443,
        client_port: 0,
        icmp: None,
        protocol: Protocol::TCP,
        names: Names::default(),
        guessed: false,
        recorded,
        seen: Seen { flows: 3, first: None, last: None },
    };
    let edges = [egress_atlas::model::Verdict::Denied, egress_atlas::model::Verdict::Allowed].map(edge).to_vec();
    let recorded = Recorded { ends: vec![web(), world()], edges };
    for (text, would_break, would_pass) in [(deny, 3, 0), (&open, 0, 3)] {
        let set = set(text);
        let evaluator = Evaluator::new(&set, Profile::CALICO);
        let totals = replay(&recorded, false, |_| Some(&evaluator)).totals;
        let found = (totals.would_break, totals.already_denied, totals.denied_would_pass);
        assert_eq!(found, (would_break, 3, would_pass));
    }
}

/// A connection from one cluster into another is let in, or not, by the network plugin there.
#[test]
fn the_servers_side_is_judged_by_the_servers_network_plugin() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: in, namespace: shop}\nspec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}\n";
    let set = PolicySet::parse(&[PolicySource { file: "p", text, cluster: Some("east") }]).unwrap();
    let address = |text: &str| Some(text.parse().unwrap());
    let client = End { cluster: "west".into(), address: address("10.0.0.7"), ..End::pod("web", &[("app", "web")]) };
    let server = End { cluster: "east".into(), address: address("10.1.0.7"), ..End::pod("shop", &[("app", "db")]) };
    let edge = ReplayEdge {
        client: 0,
        server: 1,
        port: 5432,
        client_port: 0,
        icmp: None,
        protocol: Protocol::TCP,
        names: Names::default(),
        guessed: false,
        recorded: egress_atlas::model::Verdict::Allowed,
        seen: Seen { flows: 1, first: None, last: None },
    };
    let recorded = Recorded { ends: vec![client, server], edges: vec![edge] };
    let check = |west: Profile, east: Profile, broken: u64| {
        let (west, east) = (Evaluator::new(&set, west), Evaluator::new(&set, east));
        let outcome = replay(&recorded, false, |cluster| Some(if cluster == "east" { &east } else { &west }));
        assert_eq!((outcome.totals.would_break, outcome.totals.passed()), (broken, 1 - broken));
    };
    // Cilium goes by identity, and a range means no pod; Calico goes by address.
    check(Profile::CILIUM, Profile::CALICO, 0);
    check(Profile::CALICO, Profile::CILIUM, 1);
}
