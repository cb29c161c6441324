//! The join against the nested-loop oracle, and the same result for any slicing, order and number of threads.

use std::collections::BTreeSet;
use std::net::IpAddr;

use egress_atlas::attribute::oracle::{PlainAnswer, PlainConnection, attribute_naively};
use egress_atlas::attribute::{Evidence, Fold, FoldLimits, JoinOptions, Rows, attribute, in_order};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{
    AnswerKind, AnswerRow, Batch, Certainty, ChainId, Endpoint, EndpointId, FlowRow, IdentityKind, Initiator, Protocol,
    RecordId, TextId, Timestamp, Verdict, Vocabulary, Workload, WorkloadKind,
};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_772_409_600 * SECOND;

/// Pods 0 to 5 in workloads 0 to 2.
fn pod_address(pod: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, pod + 1])
}

fn destination(number: u8) -> IpAddr {
    IpAddr::from([93, 184, 216, number])
}

#[derive(Clone, Debug)]
struct Told {
    pod: u8,
    second: i64,
    name: u8,
    address: u8,
    ttl: u32,
}

#[derive(Clone, Debug)]
struct Connected {
    pod: u8,
    second: i64,
    address: u8,
}

fn endpoint(pod: u8) -> Endpoint {
    Endpoint {
        namespace: "shop".into(),
        pod: format!("pod-{pod}").into(),
        workload: Some(Workload { kind: WorkloadKind("Deployment".into()), name: format!("w{}", pod / 2).into() }),
        identity: IdentityKind::Pod,
        local: true,
        ..Endpoint::default()
    }
}

fn flow(vocabulary: &mut Vocabulary, connected: &Connected, client_port: u16) -> FlowRow {
    FlowRow {
        time: Timestamp::from_nanos(START + connected.second * SECOND),
        cluster: TextId::NONE,
        node: vocabulary.text("node-a"),
        source: vocabulary.endpoint(endpoint(connected.pod)),
        destination: vocabulary.endpoint(Endpoint { identity: IdentityKind::World, ..Endpoint::default() }),
        source_address: vocabulary.address(pod_address(connected.pod)),
        destination_address: vocabulary.address(destination(connected.address)),
        source_port: client_port,
        destination_port: 443,
        protocol: Protocol::TCP,
        verdict: Verdict::Allowed,
        initiator: Initiator::Source,
        certainty: Certainty::Tracked,
        reported: ChainId::NONE,
        id: RecordId::NONE,
    }
}

fn answer(vocabulary: &mut Vocabulary, told: &Told) -> AnswerRow {
    AnswerRow {
        time: Timestamp::from_nanos(START + told.second * SECOND),
        cluster: TextId::NONE,
        client: vocabulary.address(pod_address(told.pod)),
        client_hint: EndpointId::NONE,
        name: vocabulary.name(&format!("n{}.example.com", told.name)),
        address: vocabulary.address(destination(told.address)),
        chain: ChainId::NONE,
        ttl_seconds: told.ttl,
        position: 0,
        addresses: 1,
        kind: AnswerKind::Address,
        resolver: TextId::NONE,
    }
}

/// Rows as text, one line each, after the given slicing.
fn attributed(
    told: &[Told],
    connected: &[Connected],
    slices: usize,
    limits: FoldLimits,
    threads: usize,
    options: &JoinOptions,
) -> Vec<String> {
    let mut folds: Vec<Fold> = (0..slices).map(|_| Fold::new(limits)).collect();
    for (at, one) in connected.iter().enumerate() {
        let fold = &mut folds[at * 7 % slices];
        let row = flow(&mut fold.vocabulary, one, 20_000 + u16::try_from(at).unwrap());
        fold.add(&Batch { flows: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
    }
    for (at, one) in told.iter().enumerate() {
        let fold = &mut folds[at * 5 % slices];
        let row = answer(&mut fold.vocabulary, one);
        fold.add(&Batch { answers: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
    }
    let evidence = Evidence::gather(folds, &Inventory::default(), "test", threads).unwrap();
    let sinks = attribute(&evidence, options, threads, || Rows::new(|_, _| true)).unwrap();
    let mut rows: Vec<_> = sinks.into_iter().flat_map(|sink| sink.rows).collect();
    in_order(&evidence, &mut rows);
    let name = |id| evidence.vocabulary.name_of(id).to_owned();
    rows.iter()
        .map(|row| {
            let pod = row.client.and_then(|party| evidence.parties.get(party)).map(|party| party.pod.to_string());
            let names: Vec<String> = row.names.iter().map(|id| name(*id)).collect();
            format!(
                "{} {} {} {} {} {:?} {:.6}",
                row.time,
                pod.unwrap_or_default(),
                evidence.vocabulary.address_of(row.server_address),
                row.grade,
                row.answered_at,
                names,
                row.confidence
            )
        })
        .collect()
}

fn tolds() -> impl Strategy<Value = Vec<Told>> {
    let one = (0..6_u8, 0..4_000_i64, 0..4_u8, 0..3_u8, prop_oneof![Just(0_u32), Just(60), Just(3_000)])
        .prop_map(|(pod, second, name, address, ttl)| Told { pod, second, name, address, ttl });
    prop::collection::vec(one, 0..40)
}

fn connecteds() -> impl Strategy<Value = Vec<Connected>> {
    let one = (0..6_u8, 0..4_000_i64, 0..3_u8).prop_map(|(pod, second, address)| Connected { pod, second, address });
    // Every pod is seen once, so that its address is known to be its own.
    prop::collection::vec(one, 0..30).prop_map(|mut some| {
        some.extend((0..6).map(|pod| Connected { pod, second: 2_000, address: 99 }));
        some
    })
}

fn options() -> JoinOptions {
    JoinOptions { window_nanos: 600 * SECOND, skew_nanos: 2 * SECOND, later_nanos: 300 * SECOND }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_join_allows_what_the_oracle_allows(told in tolds(), connected in connecteds()) {
        let rows = attributed(&told, &connected, 1, FoldLimits::default(), 1, &options());
        let plain: Vec<PlainAnswer> = told
            .iter()
            .map(|told| PlainAnswer {
                time: Timestamp::from_nanos(START + told.second * SECOND),
                pod: format!("pod-{}", told.pod),
                workload: format!("w{}", told.pod / 2),
                name: format!("n{}.example.com", told.name),
                address: destination(told.address),
                ttl_seconds: told.ttl,
            })
            .collect();
        let mut expected: Vec<String> = connected
            .iter()
            .map(|one| {
                let connection = PlainConnection {
                    time: Timestamp::from_nanos(START + one.second * SECOND),
                    pod: format!("pod-{}", one.pod),
                    workload: format!("w{}", one.pod / 2),
                    address: destination(one.address),
                };
                let (grade, names) = attribute_naively(&connection, &plain, &options());
                format!("{} {} {} {grade} {names:?}", connection.time, connection.pod, connection.address)
            })
            .collect();
        let mut found: Vec<String> = rows
            .iter()
            .map(|row| {
                let (head, names) = row.split_once('[').unwrap();
                let head: Vec<&str> = head.split_whitespace().take(4).collect();
                let names = names.split(']').next().unwrap();
                let names: BTreeSet<&str> = names.split(", ").filter(|name| !name.is_empty()).map(|name| name.trim_matches('"')).collect();
                format!("{} {names:?}", head.join(" "))
            })
            .collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn slicing_order_and_threads_change_nothing(told in tolds(), connected in connecteds(), slices in 2..5_usize, threads in 1..4_usize) {
        let whole = attributed(&told, &connected, 1, FoldLimits::default(), 1, &options());
        let tight = FoldLimits { open_connections_max: 2, parked_rows_max: 3, ..FoldLimits::default() };
        prop_assert_eq!(&attributed(&told, &connected, slices, tight, threads, &options()), &whole);
        let (mut backwards_told, mut backwards) = (told, connected.clone());
        backwards_told.reverse();
        backwards.reverse();
        // Client ports follow the order here, and with them nothing that is shown.
        prop_assert_eq!(attributed(&backwards_told, &backwards, slices, tight, threads, &options()).into_iter().collect::<BTreeSet<_>>(), whole.into_iter().collect::<BTreeSet<_>>());
    }
}

/// One observation of the connection 10.0.0.1:40000 → 93.184.216.1:443.
fn observed(
    vocabulary: &mut Vocabulary,
    at: (i64, &str),
    reply: bool,
    known: (Initiator, Certainty),
    verdict: Verdict,
) -> FlowRow {
    let connected = Connected { pod: 0, second: at.0, address: 1 };
    let mut row = flow(vocabulary, &connected, 40_000);
    row.node = vocabulary.text(at.1);
    row.verdict = verdict;
    (row.initiator, row.certainty) = known;
    if reply {
        std::mem::swap(&mut row.source, &mut row.destination);
        std::mem::swap(&mut row.source_address, &mut row.destination_address);
        std::mem::swap(&mut row.source_port, &mut row.destination_port);
    }
    row
}

#[test]
fn many_records_of_one_connection_are_one_flow() {
    let tracked = (Initiator::Source, Certainty::Tracked);
    let answered = (Initiator::Destination, Certainty::Tracked);
    let mut records = vec![
        (0, "node-a", false, (Initiator::Source, Certainty::Policy), Verdict::Allowed),
        (0, "node-a", false, tracked, Verdict::Allowed),
        (0, "node-a", false, tracked, Verdict::Allowed),
        (1, "node-b", false, tracked, Verdict::Allowed),
    ];
    // A repeat every five seconds for an hour, with replies; some without any sign of who began.
    for second in (5..3_600).step_by(5) {
        records.push((second, "node-a", false, tracked, Verdict::Allowed));
        records.push((second, "node-a", true, answered, Verdict::Allowed));
        records.push((second, "node-b", true, (Initiator::Unknown, Certainty::None), Verdict::Unknown));
    }
    for (slices, backwards) in [(1, false), (3, false), (3, true)] {
        let mut folds: Vec<Fold> = (0..slices).map(|_| Fold::new(FoldLimits::default())).collect();
        let order: Vec<usize> =
            if backwards { (0..records.len()).rev().collect() } else { (0..records.len()).collect() };
        for at in order {
            let (second, node, reply, known, verdict) = records[at];
            let fold = &mut folds[at % slices];
            let row = observed(&mut fold.vocabulary, (second, node), reply, known, verdict);
            fold.add(&Batch { flows: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
        }
        let evidence = Evidence::gather(folds, &Inventory::default(), "test", 2).unwrap();
        let sinks = attribute(&evidence, &JoinOptions::default(), 2, || Rows::new(|_, _| true)).unwrap();
        let rows: Vec<_> = sinks.into_iter().flat_map(|sink| sink.rows).collect();
        let ends: Vec<_> = rows
            .iter()
            .map(|row| (evidence.vocabulary.address_of(row.client_address), row.port, row.time, row.verdict))
            .collect();
        assert_eq!(
            ends,
            [(pod_address(0), 443, Timestamp::from_nanos(START), Verdict::Allowed)],
            "{slices} {backwards}"
        );
    }
}

#[test]
fn silence_beyond_the_idle_time_ends_a_connection() {
    let tracked = (Initiator::Source, Certainty::Tracked);
    for (gap, connections) in [(600, 1), (601, 2)] {
        let mut fold = Fold::new(FoldLimits::default());
        for second in [0, gap] {
            let row = observed(&mut fold.vocabulary, (second, "node-a"), false, tracked, Verdict::Allowed);
            fold.add(&Batch { flows: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
        }
        let evidence = Evidence::gather(vec![fold], &Inventory::default(), "test", 1).unwrap();
        let sinks = attribute(&evidence, &JoinOptions::default(), 1, || Rows::new(|_, _| true)).unwrap();
        assert_eq!(sinks.iter().map(|sink| sink.rows.len()).sum::<usize>(), connections, "after {gap} seconds");
    }
}

/// Rows of flows and answers in plain form: (grade, pod, name) of every connection, in order of time.
fn named(flows: &[(i64, u8, u16, &str)], told: &[Told]) -> Vec<(String, String, String)> {
    let mut fold = Fold::new(FoldLimits::default());
    for (second, address, client_port, pod) in flows {
        let connected = Connected { pod: *address, second: *second, address: 1 };
        let mut row = flow(&mut fold.vocabulary, &connected, *client_port);
        row.source = fold.vocabulary.endpoint(Endpoint {
            namespace: "shop".into(),
            pod: (*pod).into(),
            identity: IdentityKind::Pod,
            ..Endpoint::default()
        });
        fold.add(&Batch { flows: vec![row], ..Batch::default() }, TextId::NONE).unwrap();
    }
    let answers = told.iter().map(|told| answer(&mut fold.vocabulary, told)).collect();
    fold.add(&Batch { answers, ..Batch::default() }, TextId::NONE).unwrap();
    let evidence = Evidence::gather(vec![fold], &Inventory::default(), "test", 1).unwrap();
    let sinks = attribute(&evidence, &JoinOptions::default(), 1, || Rows::new(|_, _| true)).unwrap();
    let mut rows: Vec<_> = sinks.into_iter().flat_map(|sink| sink.rows).collect();
    in_order(&evidence, &mut rows);
    rows.iter()
        .map(|row| {
            let pod = row.client.and_then(|party| evidence.parties.get(party)).map(|party| party.pod.to_string());
            let name = row.names.first().map(|name| evidence.vocabulary.name_of(*name).to_owned());
            (row.grade.to_string(), pod.unwrap_or_default(), name.unwrap_or_default())
        })
        .collect()
}

fn row(grade: &str, pod: &str, name: &str) -> (String, String, String) {
    (grade.to_owned(), pod.to_owned(), name.to_owned())
}

#[test]
fn successive_pods_of_one_address_keep_their_own_connections_and_names() {
    let told = [
        Told { pod: 0, second: 0, name: 1, address: 1, ttl: 60 },
        Told { pod: 0, second: 299, name: 2, address: 1, ttl: 60 },
    ];
    // The same ends, ports unknown, five minutes apart: two pods, two connections.
    let found = named(&[(1, 0, 0, "old"), (300, 0, 0, "zew")], &told);
    assert_eq!(found, [row("pod", "old", "n1.example.com"), row("pod", "zew", "n2.example.com")]);
}

#[test]
fn a_namespace_without_pods_is_not_one_client() {
    let told = [Told { pod: 1, second: 0, name: 1, address: 1, ttl: 60 }];
    assert_eq!(named(&[(1, 0, 40_000, "")], &told), [row("cluster", "", "n1.example.com")]);
    assert_eq!(named(&[(1, 1, 40_000, "")], &told), [row("pod", "", "n1.example.com")]);
}

#[test]
fn many_answers_and_connections_of_one_client_cost_no_more_than_their_number() {
    let cost = |count: i64| {
        let mut fold = Fold::new(FoldLimits::default());
        let target = fold.vocabulary.name("edge.cdn.example");
        let chain = fold.vocabulary.chain(&[target]);
        let answers = (0..count)
            .map(|second| {
                let told = Told { pod: 0, second, name: u8::try_from(second % 3).unwrap(), address: 1, ttl: 60 };
                AnswerRow { chain, ..answer(&mut fold.vocabulary, &told) }
            })
            .collect();
        let flows = (0..count)
            .map(|second| {
                let connected = Connected { pod: 0, second, address: 1 };
                flow(&mut fold.vocabulary, &connected, 10_000 + u16::try_from(second % 50_000).unwrap())
            })
            .collect();
        fold.add(&Batch { answers, flows, ..Batch::default() }, TextId::NONE).unwrap();
        let evidence = Evidence::gather(vec![fold], &Inventory::default(), "test", 1).unwrap();
        let begun = std::time::Instant::now();
        attribute(&evidence, &JoinOptions::default(), 1, || Rows::new(|_, _| false)).unwrap();
        begun.elapsed()
    };
    // Eight times as many cost eight times as much; with a pass over all answers for each connection it would be sixty-four times. What
    // else the machine does may double either.
    let (few, many) = (cost(5_000), cost(40_000));
    assert!(many < few * 30, "{few:?} for 5,000, {many:?} for 40,000");
}
