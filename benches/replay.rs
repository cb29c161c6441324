//! Verdicts per second of one core: policies compiled once, distinct edges judged one after another; and connections per second
//! from attributed flows to verdicts, beside the attribution alone.
//!
//! `cargo bench --bench replay`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::fmt::Write;

use divan::Bencher;
use divan::counter::ItemsCount;
use egress_atlas::attribute::{Answer, Evidence, Fold, FoldLimits, JoinOptions, Named, PartyId, Sink, attribute};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Batch, Protocol, TextId};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::read::HubbleDecoder;
use egress_atlas::replay::{Connection, End, Evaluator, Names, Prepared, Profile, ReplayFold, Resolver, replay};
use egress_atlas::simulate::{Scenario, Sink as Generated, generate};

fn main() {
    divan::main();
}

const NAMESPACES: usize = 40;
const WORKLOADS: usize = 10;

/// A default-deny and ten rules for each of the namespaces.
fn policies() -> PolicySet {
    let mut text = String::new();
    for namespace in 0..NAMESPACES {
        write!(
            text,
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: ns-{namespace}}}\nspec:\n  podSelector: {{}}\n  policyTypes: [Ingress, Egress]\n  ingress: [{{}}]\n  egress:\n"
        )
        .unwrap();
        for rule in 0..10 {
            let other = (namespace + rule) % NAMESPACES;
            writeln!(
                text,
                "  - to: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: ns-{other}}}}}, podSelector: {{matchLabels: {{app: app-{rule}}}}}}}, {{ipBlock: {{cidr: 203.0.{rule}.0/24}}}}]\n    ports: [{{port: {}}}, {{port: 443}}]",
                8_000 + rule
            )
            .unwrap();
        }
        text.push_str("---\n");
    }
    PolicySet::parse(&[PolicySource { file: "bench.yaml", text: &text, cluster: None }]).unwrap()
}

fn ends(evaluator: &Evaluator<'_>) -> Vec<Prepared> {
    let pods = (0..NAMESPACES * WORKLOADS).map(|number| {
        let (namespace, app) = (format!("ns-{}", number / WORKLOADS), format!("app-{}", number % WORKLOADS));
        let mut end = End::pod(&namespace, &[("app", &app)]);
        end.address = Some(std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap()).into());
        end
    });
    let outside = (0..256_u32).map(|number| End::outside(std::net::Ipv4Addr::from(0xcb00_0000 + number * 7).into()));
    pods.chain(outside).map(|end| evaluator.prepare(end)).collect()
}

#[divan::bench]
fn judge(bencher: Bencher<'_, '_>) {
    let set = policies();
    let evaluator = Evaluator::new(&set, Profile::CALICO);
    let ends = ends(&evaluator);
    let names = Names::default();
    let pairs = NAMESPACES * WORKLOADS * ends.len();
    bencher.counter(ItemsCount::new(pairs)).bench(|| {
        let mut passed = 0_u64;
        for client in ends.iter().take(NAMESPACES * WORKLOADS) {
            for (place, server) in ends.iter().enumerate() {
                let port = if place % 3 == 0 { 443 } else { 8_001 };
                let connection = Connection {
                    client,
                    server,
                    port,
                    client_port: 0,
                    icmp: None,
                    protocol: Protocol::TCP,
                    names: &names,
                    guessed: false,
                };
                passed += u64::from(evaluator.judge(&connection).passes());
            }
        }
        passed
    });
}

#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    let set = policies();
    bencher.counter(ItemsCount::new(NAMESPACES * 10)).bench(|| Evaluator::new(&set, Profile::CALICO));
}

/// Flow logs and objects of a made-up cluster.
#[derive(Default)]
struct Memory {
    flows: Vec<u8>,
    kube: Vec<u8>,
}

impl Generated for Memory {
    fn flow_line(&mut self, _node: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, _payload: &[u8]) {}

    fn truth(&mut self, _flow_id: &str, _name: Option<&str>) {}

    fn kube(&mut self, json: &[u8]) {
        self.kube.extend_from_slice(json);
    }
}

const CLUSTER: &str = "made-up";

fn evidence() -> (Evidence, Inventory) {
    let mut data = Memory::default();
    generate(&Scenario { flows: 400_000, connections: 60_000, ..Scenario::easy(1) }, &mut data);
    let (mut fold, mut batch, mut account) = (Fold::new(FoldLimits::default()), Batch::default(), Account::default());
    HubbleDecoder::new(false).decode_lines(&data.flows, 0, &mut fold.vocabulary, &mut batch, &mut account);
    fold.add(&batch, TextId::NONE).unwrap();
    let mut inventory = Inventory::default();
    inventory.add(CLUSTER, &data.kube, &mut account);
    (Evidence::gather(vec![fold], &inventory, CLUSTER, 1).unwrap(), inventory)
}

/// Takes connections and only counts them.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn connection(&mut self, _: &Evidence, named: &Named<'_>) {
        self.0 += named.counts.connections;
    }

    fn answer(&mut self, _: &Evidence, _: &Answer, _: Option<PartyId>) {}
}

fn connections(evidence: &Evidence) -> u64 {
    attribute(evidence, &JoinOptions::default(), 1, Count::default).unwrap().iter().map(|count| count.0).sum()
}

#[divan::bench(sample_count = 10)]
fn flows_attributed_alone(bencher: Bencher<'_, '_>) {
    let (evidence, _) = evidence();
    bencher.counter(ItemsCount::new(connections(&evidence))).bench(|| connections(&evidence));
}

#[divan::bench(sample_count = 10)]
fn flows_attributed_and_judged(bencher: Bencher<'_, '_>) {
    let (evidence, inventory) = evidence();
    let set = policies();
    let evaluator = Evaluator::new(&set, Profile::CALICO);
    bencher.counter(ItemsCount::new(connections(&evidence))).bench(|| {
        let folds = attribute(&evidence, &JoinOptions::default(), 1, ReplayFold::default).unwrap();
        let recorded = ReplayFold::finish(folds, &evidence, &Resolver::new(&inventory, Vec::new()));
        replay(&recorded, false, |_| Some(&evaluator)).totals
    });
}
