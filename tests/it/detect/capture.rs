//! Traffic written down row by row, and what the program makes of it: rows → fold → join → summary → judgement.

use std::net::IpAddr;

use egress_atlas::attribute::{Evidence, Fold, FoldLimits, JoinOptions, attribute};
use egress_atlas::catalog::{Catalog, Reviews, RuleRanges, Settings};
use egress_atlas::detect::Baseline;
use egress_atlas::kube::Inventory;
use egress_atlas::model::{
    AnswerKind, AnswerRow, Batch, Bytes, Certainty, ChainId, Counter, Endpoint, EndpointId, FlowRow, IdentityKind,
    Initiator, NameId, Opened, Protocol, QuestionRow, RecordId, Severity, TextId, Timestamp, Verdict, Volume, Workload,
    WorkloadKind, registrable,
};
use egress_atlas::summary::{Atlas, Builder, Networks, build};
use egress_atlas::task::judge_against;

/// 2026-03-02T00:00:00Z in seconds.
pub(super) const BEGIN: i64 = 1_772_409_600;
pub(super) const MINUTE: f64 = 60.0;
pub(super) const HOUR: f64 = 3_600.0;
pub(super) const DAY: f64 = 86_400.0;

/// A pod of a workload: `namespace/workload`, number of the pod.
pub(super) type Pod<'a> = (&'a str, usize);

/// A capture under construction. Times are seconds since [`BEGIN`].
pub(super) struct Capture {
    fold: Fold,
    cluster: TextId,
    port: u16,
    random: u64,
    /// Bytes that the next connections send; a hundredth of it comes back, unless said otherwise.
    pub(super) sends: Option<u64>,
    /// Bytes that come back.
    pub(super) receives: Option<u64>,
    /// Length of the intervals that the next records stand for, and the connections that began in each.
    pub(super) interval: Option<(f64, u32)>,
}

/// A finding, as tests compare it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) class: String,
    pub(super) workload: String,
    pub(super) subject: String,
    pub(super) severity: Severity,
    pub(super) matched: String,
    pub(super) is_open: bool,
}

impl Capture {
    pub(super) fn new(seed: u64) -> Self {
        let mut fold = Fold::new(FoldLimits::default());
        let cluster = fold.vocabulary.text("prod");
        Self { fold, cluster, port: 20_000, random: seed, sends: None, receives: None, interval: None }
    }

    /// `SplitMix64`, 0 to 1.
    pub(super) fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.chance()
    }

    /// A gap of a Poisson process.
    pub(super) fn waiting(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.chance()).ln()
    }

    pub(super) fn letters(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[(self.chance() * letters.len() as f64) as usize]).collect()
    }

    fn time(seconds: f64) -> Timestamp {
        Timestamp::from_nanos(BEGIN * 1_000_000_000 + (seconds * 1e9) as i64)
    }

    fn pod(&mut self, (workload, number): Pod<'_>) -> (EndpointId, IpAddr) {
        let (namespace, name) = workload.split_once('/').unwrap();
        let (kind, name) = name.split_once(':').unwrap_or(("Deployment", name));
        let endpoint = Endpoint {
            namespace: namespace.into(),
            pod: format!("{name}-{number}").into(),
            workload: Some(Workload { kind: WorkloadKind(kind.into()), name: name.into() }),
            identity: IdentityKind::Pod,
            local: true,
            ..Endpoint::default()
        };
        let hash = egress_atlas::model::stable_hash(workload).to_be_bytes();
        let address = IpAddr::from([10, hash[0], hash[1], u8::try_from(number + 1).unwrap()]);
        (self.fold.vocabulary.endpoint(endpoint), address)
    }

    /// A connection that lasts `seconds`.
    pub(super) fn connect(
        &mut self,
        pod: Pod<'_>,
        at: f64,
        (address, port, protocol): (&str, u16, Protocol),
        seconds: f64,
        verdict: Verdict,
    ) {
        let (source, source_address) = self.pod(pod);
        self.port = if self.port > 60_000 { 20_000 } else { self.port + 1 };
        let vocabulary = &mut self.fold.vocabulary;
        let destination = vocabulary.endpoint(Endpoint { identity: IdentityKind::World, ..Endpoint::default() });
        let row = FlowRow {
            time: Self::time(at),
            cluster: self.cluster,
            node: vocabulary.text("node-a"),
            source,
            destination,
            source_address: vocabulary.address(source_address),
            destination_address: vocabulary.address(address.parse().unwrap()),
            source_port: self.port,
            destination_port: port,
            protocol,
            verdict,
            initiator: Initiator::Source,
            certainty: Certainty::Tracked,
            reported: ChainId::NONE,
            id: RecordId::NONE,
        };
        let steps = (seconds / 300.0) as usize;
        let mut flows: Vec<FlowRow> =
            (0..=steps).map(|step| FlowRow { time: Self::time(at + step as f64 * 300.0), ..row }).collect();
        flows.push(FlowRow { time: Self::time(at + seconds), ..row });
        let received = |sent: u64| self.receives.unwrap_or(sent / 100);
        let bytes = self.sends.map(|sent| Bytes { sent, received: received(sent), ..Bytes::default() });
        let mut batch = Batch { flows, ..Batch::default() };
        if let Some((length, began)) = self.interval {
            for row in &mut batch.flows {
                row.source_port = 0;
            }
            let connections = Some(Opened { began, open: 1 });
            let since = Self::time(at - length);
            batch.volumes.push((0, Volume { bytes, counter: Counter::Source, since, is_total: false, connections }));
        } else if bytes.is_some() {
            let since = Self::time(at);
            batch
                .volumes
                .push((0, Volume { bytes, counter: Counter::Source, since, is_total: false, connections: None }));
        }
        self.fold.add(&batch, TextId::NONE).unwrap();
    }

    /// An answer with one address.
    pub(super) fn answer(&mut self, pod: Pod<'_>, at: f64, name: &str, address: &str) {
        let (_, client) = self.pod(pod);
        let vocabulary = &mut self.fold.vocabulary;
        let row = AnswerRow {
            time: Self::time(at),
            cluster: self.cluster,
            client: vocabulary.address(client),
            client_hint: EndpointId::NONE,
            name: vocabulary.name(name),
            address: vocabulary.address(address.parse().unwrap()),
            chain: ChainId::NONE,
            ttl_seconds: 60,
            position: 0,
            addresses: 1,
            kind: AnswerKind::Address,
            resolver: vocabulary.text("coredns"),
        };
        self.fold.add(&Batch { answers: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
    }

    /// A question that got no address.
    pub(super) fn ask(&mut self, pod: Pod<'_>, at: f64, name: &str, kind: u16, is_missing: bool) {
        let (_, client) = self.pod(pod);
        let vocabulary = &mut self.fold.vocabulary;
        let row = QuestionRow {
            time: Self::time(at),
            cluster: self.cluster,
            client: vocabulary.address(client),
            client_hint: EndpointId::NONE,
            domain: registrable(name).map_or(NameId::NONE, |domain| vocabulary.name(domain)),
            kind,
            is_missing,
            start: 0,
            end: u32::try_from(name.len()).unwrap(),
        };
        let batch = Batch { questions: vec![row], question_text: name.to_owned(), ..Batch::default() };
        self.fold.add(&batch, TextId::NONE).unwrap();
    }

    /// Looks a name up and connects to its address for two seconds.
    pub(super) fn visit(&mut self, pod: Pod<'_>, at: f64, name: &str, port: u16) {
        self.visit_for(pod, at, name, port, 2.0);
    }

    pub(super) fn visit_for(&mut self, pod: Pod<'_>, at: f64, name: &str, port: u16, seconds: f64) {
        let address = address_of(name);
        self.answer(pod, at, name, &address);
        let protocol = if port == 123 { Protocol::UDP } else { Protocol::TCP };
        self.connect(pod, at + 0.05, (&address, port, protocol), seconds, Verdict::Allowed);
    }

    /// Makes the atlas of everything.
    pub(super) fn atlas(self) -> Atlas {
        self.atlas_for("")
    }

    /// Makes the atlas for whoever judges by these settings.
    pub(super) fn atlas_for(self, settings: &str) -> Atlas {
        let settings = Settings::parse(settings, "egress-atlas.toml").unwrap();
        let ranges = RuleRanges::of(&Catalog::embedded().unwrap(), &settings);
        let inventory = Inventory::default();
        let networks = Networks::default();
        let evidence = Evidence::gather(vec![self.fold], &inventory, "prod", 1).unwrap();
        let parts = attribute(&evidence, &JoinOptions::default(), 1, || Builder::new(&inventory, &networks)).unwrap();
        build(&evidence, &inventory, &ranges, parts)
    }
}

/// The address that a made-up name has, outside every special range.
pub(super) fn address_of(name: &str) -> String {
    let hash = egress_atlas::model::stable_hash(name).to_be_bytes();
    format!("45.{}.{}.{}", hash[0], hash[1], hash[2])
}

/// Every finding about an atlas, sorted.
pub(super) fn judged(atlas: &Atlas, settings: &str, baseline: Option<&Baseline>) -> Vec<Found> {
    let settings = Settings::parse(settings, "egress-atlas.toml").unwrap();
    let catalog = Catalog::embedded().unwrap();
    let view = judge_against(atlas, &catalog, &settings, &Reviews::default(), baseline);
    let mut found = Vec::new();
    for (cluster, namespace) in view.judgements.keys() {
        for (edge, judgement) in view.judged_egress(cluster, namespace) {
            for finding in &judgement.findings {
                found.push(Found {
                    class: finding.class.clone(),
                    workload: format!("{namespace}/{}", edge.key.workload.name),
                    subject: egress_atlas::detect::outside_name(&edge.key.peer).unwrap_or_default().to_string(),
                    severity: finding.severity,
                    matched: finding.matched.clone(),
                    is_open: finding.exempted.is_none(),
                });
            }
        }
        for of_workload in view.workload_findings(cluster, namespace) {
            found.push(Found {
                class: of_workload.finding.class.clone(),
                workload: format!("{namespace}/{}", of_workload.workload.name),
                subject: of_workload.subject.clone(),
                severity: of_workload.finding.severity,
                matched: of_workload.finding.matched.clone(),
                is_open: of_workload.finding.exempted.is_none(),
            });
        }
    }
    found.sort();
    found
}
