//! Traffic twice: as the baseline that drafts are made from, and as the connections that a replay judges.

use std::net::IpAddr;
use std::sync::LazyLock;

use egress_atlas::attribute::{Answer, Evidence, Fold, FoldLimits, JoinOptions, Named, PartyId, Sink, attribute};
use egress_atlas::catalog::{Catalog, Reviews, RuleRanges, Settings};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Batch, Verdict as Recording};
use egress_atlas::policy::draft::{Baseline, Dialect, Draft, DraftInput, Manifest, plan};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::read::{DnstapDecoder, HubbleDecoder};
use egress_atlas::replay::{Evaluator, Profile, Recorded, ReplayFold, Resolver, Verdict};
use egress_atlas::report::atlas_document;
use egress_atlas::simulate::{Scenario, Sink as Generated, demo, dnstap, generate};
use egress_atlas::summary::{Builder, Networks, build};
use egress_atlas::task::{baselines, judge};

use super::estate::{Estate, Files};

pub(super) static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

/// The traffic of some clusters.
pub(super) struct World {
    pub(super) baselines: Vec<Baseline>,
    pub(super) recorded: Recorded,
    pub(super) inventory: Inventory,
}

struct Both<'a>(ReplayFold, Builder<'a>);

impl Sink for Both<'_> {
    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        self.0.connection(evidence, named);
        self.1.connection(evidence, named);
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>) {
        self.1.answer(evidence, answer, client);
    }
}

fn world(clusters: &[Files], settings: &Settings, reviews: &Reviews) -> World {
    let mut account = Account::default();
    let mut inventory = Inventory::default();
    let mut folds = Vec::new();
    for files in clusters {
        let (mut fold, mut batch) = (Fold::new(FoldLimits::default()), Batch::default());
        HubbleDecoder::new(false).decode_lines(&files.flows, 0, &mut fold.vocabulary, &mut batch, &mut account);
        DnstapDecoder::new().decode(&files.frames, 0, &mut fold.vocabulary, &mut batch, &mut account);
        let cluster = fold.vocabulary.text(files.cluster);
        fold.add(&batch, cluster).unwrap();
        folds.push(fold);
        inventory.add(files.cluster, &files.kube, &mut account);
    }
    assert_eq!(account.rejected_total(), 0, "{account:?}");
    let evidence = Evidence::gather(folds, &inventory, clusters[0].cluster, 1).unwrap();
    let declared = &settings.networks;
    let inside = [&declared.pods, &declared.services, &declared.nodes, &declared.internal];
    let networks = Networks { inside: inside.into_iter().flatten().map(|net| (None, *net)).collect() };
    let sinks = attribute(&evidence, &JoinOptions::default(), 1, || {
        Both(ReplayFold::default(), Builder::new(&inventory, &networks))
    })
    .unwrap();
    let (folds, builders): (Vec<_>, Vec<_>) = sinks.into_iter().map(|both| (both.0, both.1)).unzip();
    let pods = declared.pods.iter().map(|net| (None, *net)).collect();
    let recorded = ReplayFold::finish(folds, &evidence, &Resolver::new(&inventory, pods));
    let atlas = build(&evidence, &inventory, &RuleRanges::of(&CATALOG, settings), builders);
    let document = atlas_document(&judge(&atlas, &CATALOG, settings, reviews));
    let mut baselines = baselines(&document);
    baselines.retain(|baseline| clusters.iter().any(|files| files.cluster == baseline.cluster));
    World { baselines, recorded, inventory }
}

#[derive(Default)]
struct Memory(Files);

impl Generated for Memory {
    fn flow_line(&mut self, _node: usize, line: &[u8]) {
        self.0.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.0.frames, payload);
    }

    fn truth(&mut self, _flow_id: &str, _name: Option<&str>) {}

    fn kube(&mut self, json: &[u8]) {
        self.0.kube.extend_from_slice(json);
    }
}

/// A cluster of the generator that benchmarks use.
pub(super) fn generated(scenario: &Scenario, settings: &Settings) -> World {
    let mut data = Memory(Files { cluster: "made-up", ..Files::default() });
    generate(scenario, &mut data);
    world(&[data.0], settings, &Reviews::default())
}

/// Everything of an estate, with its settings.
pub(super) fn of_estate(estate: &Estate) -> (World, Settings) {
    let settings = Settings::parse(&estate.settings, "egress-atlas.toml").unwrap();
    let reviews = Reviews::parse(&estate.reviews, "reviews.toml").unwrap();
    (world(&estate.clusters, &settings, &reviews), settings)
}

/// The payloads of a Frame Streams capture: data frames of four-byte lengths behind the START frame.
fn frames(capture: &[u8]) -> Vec<u8> {
    // START: an escape, its length, and a control frame of 34 bytes; STOP: an escape, 4, and 4 bytes.
    capture[42..capture.len() - 12].to_vec()
}

pub(super) fn demo_world(settings: &Settings) -> World {
    let data = demo();
    let file = |name: &str| &data.files.iter().find(|file| file.name == name).unwrap().bytes;
    let flows = [file("prod-eu/hubble/node-a.log").as_slice(), file("prod-eu/hubble/node-b.log")].concat();
    let reviews = Reviews::parse(std::str::from_utf8(file("reviews.toml")).unwrap(), "reviews.toml").unwrap();
    let frames = frames(file("prod-eu/dns/coredns.fstrm"));
    let kube = file("prod-eu/kube.json").clone();
    world(&[Files { cluster: "prod-eu", flows, frames, kube }], settings, &reviews)
}

pub(super) fn settings(draft: &str) -> Settings {
    Settings::parse(&format!("[draft]\n{draft}"), "egress-atlas.toml").unwrap()
}

/// The drafts of all clusters.
pub(super) fn drafts(world: &World, settings: &Settings, dialect: Dialect) -> Vec<Draft> {
    let (inventory, catalog) = (&world.inventory, &*CATALOG);
    let of =
        |baseline| plan(&DraftInput { baseline, inventory, settings, catalog, reviews: None, dialect }, &[]).drafts;
    world.baselines.iter().flat_map(of).collect()
}

/// Policies of clusters, as texts.
pub(super) fn parsed<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>) -> PolicySet {
    let source = |(cluster, text)| PolicySource { file: "draft.yaml", text, cluster: Some(cluster) };
    let sources: Vec<PolicySource<'_>> = texts.into_iter().map(source).collect();
    PolicySet::parse(&sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The objects of a draft, as texts.
pub(super) fn texts(draft: &Draft) -> Vec<String> {
    egress_atlas::policy::draft::manifests(draft).iter().map(Manifest::yaml).collect()
}

/// What becomes of some connections under policies; `None` for those that were denied when they were recorded.
pub(super) fn judged(
    recorded: &Recorded,
    set: &PolicySet,
    profile: &Profile,
    which: impl Iterator<Item = usize>,
) -> std::collections::BTreeMap<usize, Option<Verdict>> {
    let evaluator = Evaluator::new(set, profile.clone());
    let mut prepared = std::collections::BTreeMap::new();
    which
        .map(|index| {
            let edge = &recorded.edges[index];
            for end in [edge.client, edge.server] {
                prepared.entry(end).or_insert_with(|| evaluator.prepare(recorded.ends[end].clone()));
            }
            let judgement = evaluator.judge(&edge.connection(&prepared[&edge.client], &prepared[&edge.server]));
            (index, (edge.recorded != Recording::Denied).then_some(judgement.verdict))
        })
        .collect()
}

/// Whether an address lies in a rule's ranges.
pub(super) fn in_blocks(blocks: &[egress_atlas::policy::draft::Block], address: Option<IpAddr>) -> bool {
    let Some(address) = address.map(|address| address.to_canonical()) else { return false };
    let inside = |block: &egress_atlas::policy::draft::Block| {
        block.range.contains(&address) && !block.except.iter().any(|hole| hole.contains(&address))
    };
    blocks.iter().any(inside)
}
