//! Small atlases, built by hand.
#![expect(clippy::too_many_lines, reason = "data of tests")]

use std::collections::BTreeMap;

use egress_atlas::model::{
    Account, Category, Confidence, Excluded, Grade, Place, Protocol, Rejected, Severity, Timestamp, Verdict, Workload,
    WorkloadKind,
};
use egress_atlas::report::{AtlasView, FindingView, Judgement, ReviewView};
use egress_atlas::summary::{
    Activity, Asked, Atlas, Cluster, Edge, EdgeKey, EdgeSeen, InputAccount, Namespace, Peer, SourceCoverage,
    SourceKind, WorkloadSeen,
};

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text.as_bytes()).unwrap()
}

pub(super) fn workload(kind: &str, name: &str) -> Workload {
    Workload { kind: WorkloadKind(kind.into()), name: name.into() }
}

pub(super) fn name(name: &str) -> Peer {
    Peer::Name(name.into())
}

/// An edge from `Deployment/checkout`, seen daily from 14 to 20 November unless `on` says otherwise.
pub(super) struct Build(pub(super) Edge);

pub(super) fn edge(peer: Peer, port: u16) -> Build {
    let key = EdgeKey { workload: workload("Deployment", "checkout"), peer, port, protocol: Protocol::TCP };
    let seen = EdgeSeen { pods: ["checkout-7d9f6b5c4d-x2x4z".into()].into(), ..EdgeSeen::default() };
    Build(Edge { key, seen }).on(&[14, 15, 16, 17, 18, 19, 20])
}

impl Build {
    pub(super) fn of(mut self, kind: &str, name: &str) -> Self {
        self.0.key.workload = workload(kind, name);
        self.0.seen.pods = [format!("{name}-0").into()].into();
        self
    }

    pub(super) fn udp(mut self) -> Self {
        self.0.key.protocol = Protocol::UDP;
        self
    }

    pub(super) fn on(mut self, days: &[u32]) -> Self {
        let at = |day: &u32, clock: &str| time(&format!("2026-11-{day}T{clock}Z"));
        self.0.seen.days = days.iter().map(|day| at(day, "00:00:00").day()).collect();
        self.0.seen.first = days.first().map(|day| at(day, "08:30:00"));
        self.0.seen.last = days.last().map(|day| at(day, "17:05:09"));
        self
    }

    pub(super) fn graded(mut self, grade: Grade, connections: u64, permille: u64) -> Self {
        *self.0.seen.grades.entry(grade).or_default() += connections;
        *self.0.seen.verdicts.entry(Verdict::Allowed).or_default() += connections;
        self.0.seen.confidence_permille += connections * permille;
        self
    }

    pub(super) fn denied(mut self, connections: u64) -> Self {
        *self.0.seen.grades.entry(Grade::None).or_default() += connections;
        *self.0.seen.verdicts.entry(Verdict::Denied).or_default() += connections;
        self
    }

    pub(super) fn at(mut self, addresses: &[(&str, u64)]) -> Self {
        self.0.seen.addresses =
            addresses.iter().map(|(address, connections)| (address.parse().unwrap(), *connections)).collect();
        self
    }

    pub(super) fn looked_up(mut self, name: &str) -> Self {
        self.0.seen.names.insert(name.into(), 10);
        self
    }

    pub(super) fn or(mut self, candidate: &str, connections: u64) -> Self {
        self.0.seen.candidates.insert(candidate.into(), connections);
        self
    }

    pub(super) fn through(mut self, chain: &str) -> Self {
        self.0.seen.chains.insert(chain.into());
        self
    }
}

pub(super) fn judged(category: Category, rule: &str, label: Option<&str>) -> Judgement {
    Judgement { category, rule: rule.to_owned(), label: label.map(str::to_owned), ..Judgement::default() }
}

pub(super) fn tunnel() -> FindingView {
    FindingView {
        rule: "catalog/tunnel".to_owned(),
        class: "tunnel".to_owned(),
        severity: Severity::High,
        confidence: Confidence::High,
        matched: "ngrok-free.app".to_owned(),
        why: "gives a host behind the firewall a public name".to_owned(),
        false_positive: Some("preview environments of developers".to_owned()),
        attack: vec!["T1572".to_owned()],
        advice: "ask the owner which process opened it".to_owned(),
        exempted: None,
    }
}

/// A source that spoke each minute from 14 November to the end of the 20th, but for `silent` minutes of the 16th.
pub(super) fn source(kind: SourceKind, name: &str, silent: std::ops::Range<u32>) -> SourceCoverage {
    let start = time("2026-11-14T00:00:00Z");
    let mut activity = Activity::default();
    for minute in (0..10_080_u32).filter(|minute| !silent.contains(&minute.wrapping_sub(2_880))) {
        activity.record(start.plus_nanos(i64::from(minute) * 60_000_000_000));
    }
    SourceCoverage { kind, name: name.into(), activity }
}

pub(super) fn shop() -> (Namespace, Vec<Judgement>) {
    use Category::{Customer, Infra, Internal, Registries, Unclassified, Vendor};
    let payments =
        Peer::Workload { cluster: "".into(), namespace: "payments".into(), workload: workload("Deployment", "ledger") };
    let coredns = Peer::Workload {
        cluster: "".into(),
        namespace: "kube-system".into(),
        workload: workload("Deployment", "coredns"),
    };
    let address = |text: &str| Peer::Address(text.parse().unwrap());
    let edges = vec![
        (
            edge(payments, 8443).graded(Grade::None, 5_210, 0).looked_up("ledger.payments.svc.cluster.local"),
            judged(Internal, "cluster", None),
        ),
        (edge(coredns, 53).udp().graded(Grade::None, 88_012, 0), judged(Internal, "cluster", None)),
        (edge(Peer::KubeApiserver, 6443).graded(Grade::None, 412, 0), judged(Internal, "identity", None)),
        (
            edge(name("api.stripe.com"), 443).graded(Grade::Pod, 12_000, 990).graded(Grade::PodLater, 7, 900).at(&[
                ("54.187.174.169", 9_000),
                ("54.187.205.235", 3_000),
                ("54.187.216.72", 7),
            ]),
            judged(Vendor, "vendors/stripe", Some("Stripe")),
        ),
        (
            edge(name("api.stripe.com"), 443)
                .of("CronJob", "settle")
                .graded(Grade::Workload, 14, 600)
                .on(&[14, 16, 18, 20]),
            judged(Vendor, "vendors/stripe", Some("Stripe")),
        ),
        (
            edge(name("cdn.example-assets.net"), 443)
                .graded(Grade::PodAmbiguous, 340, 520)
                .or("img.example-assets.net", 300)
                .or("fonts.example-assets.net", 41)
                .through("d111111abcdef8.cloudfront.net")
                .at(&[("2600:9000:2000::1", 340)]),
            judged(Infra, "infra/cloudfront", Some("Amazon CloudFront")),
        ),
        (
            edge(name("ghcr.io"), 443).graded(Grade::Pod, 3, 1_000).on(&[17]).at(&[("140.82.121.34", 3)]),
            judged(Registries, "registries/ghcr", Some("GitHub Container Registry")),
        ),
        (
            edge(name("ab12.ngrok-free.app"), 443)
                .graded(Grade::Pod, 12, 980)
                .on(&[19, 20])
                .at(&[("3.125.209.94", 12)]),
            Judgement { findings: vec![tunnel()], review: ReviewView::Pending, ..judged(Unclassified, "", None) },
        ),
        (
            edge(address("203.0.113.9"), 8443).graded(Grade::None, 77, 0).denied(3).at(&[("203.0.113.9", 80)]),
            judged(Unclassified, "", None),
        ),
        (
            edge(name("sftp.partner.example"), 22)
                .of("CronJob", "settle")
                .graded(Grade::Pod, 4, 990)
                .on(&[14, 16, 18, 20]),
            judged(Customer, "rules/partners", Some("Partner Bank")),
        ),
    ];
    let seen = |pods: &[&str], labels: Option<&[&str]>, guessed| WorkloadSeen {
        pods: pods.iter().map(|pod| (*pod).into()).collect(),
        labels: labels.map(|labels| labels.iter().map(|label| (*label).into()).collect()),
        guessed,
        first: Some(time("2026-11-14T00:00:00Z")),
        last: Some(time("2026-11-20T23:59:00Z")),
    };
    let ingress = |peer| edge(peer, 8080).graded(Grade::None, 9_000, 0).0;
    let prometheus = Peer::Workload {
        cluster: "".into(),
        namespace: "monitoring".into(),
        workload: workload("StatefulSet", "prometheus"),
    };
    let asked = Asked {
        answers: 42,
        workloads: [workload("Deployment", "checkout")].into(),
        first: Some(time("2026-11-14T09:00:00Z")),
        last: Some(time("2026-11-20T21:00:00Z")),
    };
    let (egress, judgements) = edges.into_iter().map(|(build, judgement)| (build.0, judgement)).unzip();
    let mut namespace = Namespace {
        egress,
        ingress: vec![ingress(prometheus), ingress(Peer::Node), ingress(Peer::Outside)],
        workloads: BTreeMap::from([
            (
                workload("Deployment", "checkout"),
                seen(
                    &["checkout-7d9f6b5c4d-x2x4z", "checkout-7d9f6b5c4d-q8k2m"],
                    Some(&["app.kubernetes.io/name=checkout", "pod-template-hash=7d9f6b5c4d", "team=web"]),
                    false,
                ),
            ),
            (workload("CronJob", "settle"), seen(&["settle-29391840-x7k2p"], None, true)),
        ]),
        asked_only: BTreeMap::from([("status.stripe.com".into(), asked)]),
        ..Namespace::default()
    };
    namespace.totals.egress_connections = 106_094;
    namespace.totals.guessed_orientation = 31;
    namespace.totals.answers = 20_400;
    namespace.totals.answers_to_nodes = 51;
    (namespace, judgements)
}

pub(super) fn atlas(namespace: &str, seen: Namespace) -> Atlas {
    let mut dns = source(SourceKind::Dns, "coredns-6f6b679f8f-4xk2p", 600..642);
    dns.activity.lost.insert("frame stream".into(), 120);
    let cluster = Cluster {
        namespaces: BTreeMap::from([(namespace.into(), seen), ("".into(), Namespace::default())]),
        coverage: vec![source(SourceKind::Flows, "node-a", 0..0), source(SourceKind::Flows, "node-b", 0..0), dns],
        ..Cluster::default()
    };
    let mut account = Account::default();
    for _ in 0..1_500 {
        account.accept();
    }
    account.reject(Rejected("not JSON"), Place::Byte(90));
    account.exclude(Excluded("agent event"));
    account.note("record without a time");
    Atlas {
        since: Some(time("2026-11-14T00:00:00Z")),
        until: Some(time("2026-11-21T00:00:00Z")),
        clusters: BTreeMap::from([("prod".into(), cluster)]),
        inputs: vec![InputAccount { name: "node-a.json.gz".into(), format: "hubble", account, problem: None }],
        warnings: ["no Kubernetes objects were given: owners come from flow records".into()].into(),
    }
}

pub(super) fn view<'a>(atlas: &'a Atlas, namespace: &'a str, judgements: Vec<Judgement>) -> AtlasView<'a> {
    let mut view = AtlasView::new(atlas);
    view.judgements.insert(("prod", namespace), judgements);
    view
}
