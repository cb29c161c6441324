//! Verdicts per second: policies compiled once, distinct edges judged one after another.
//!
//! `cargo bench --bench replay`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::fmt::Write;

use divan::Bencher;
use divan::counter::ItemsCount;
use egress_atlas::model::Protocol;
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::{Connection, End, Evaluator, Names, Prepared, Profile};

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
                let connection =
                    Connection { client, server, port, protocol: Protocol::TCP, names: &names, guessed: false };
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
