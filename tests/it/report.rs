//! Documents and tables as a user sees them, whole.

use std::collections::BTreeMap;

use egress_atlas::model::{
    Account, Category, Confidence, Excluded, Grade, Place, Protocol, Rejected, Severity, Timestamp, Verdict, Workload,
    WorkloadKind,
};
use egress_atlas::report::{
    AtlasDocument, AtlasView, Column, FindingView, Judgement, ReviewView, atlas_document, atlas_json, documents,
    egress_columns, index_document, ingress_columns, namespace_document, summary_text,
};
use egress_atlas::summary::{
    Activity, Asked, Atlas, Cluster, Edge, EdgeKey, EdgeSeen, InputAccount, Namespace, Peer, SourceCoverage,
    SourceKind, WorkloadSeen,
};
use proptest::prelude::*;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text.as_bytes()).unwrap()
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload { kind: WorkloadKind(kind.into()), name: name.into() }
}

fn name(name: &str) -> Peer {
    Peer::Name(name.into())
}

/// An edge from `Deployment/checkout`, seen daily from 14 to 20 November unless `on` says otherwise.
struct Build(Edge);

fn edge(peer: Peer, port: u16) -> Build {
    let key = EdgeKey { workload: workload("Deployment", "checkout"), peer, port, protocol: Protocol::TCP };
    let seen = EdgeSeen { pods: ["checkout-7d9f6b5c4d-x2x4z".into()].into(), ..EdgeSeen::default() };
    Build(Edge { key, seen }).on(&[14, 15, 16, 17, 18, 19, 20])
}

impl Build {
    fn of(mut self, kind: &str, name: &str) -> Self {
        self.0.key.workload = workload(kind, name);
        self.0.seen.pods = [format!("{name}-0").into()].into();
        self
    }

    fn udp(mut self) -> Self {
        self.0.key.protocol = Protocol::UDP;
        self
    }

    fn on(mut self, days: &[u32]) -> Self {
        let at = |day: &u32, clock: &str| time(&format!("2026-11-{day}T{clock}Z"));
        self.0.seen.days = days.iter().map(|day| at(day, "00:00:00").day()).collect();
        self.0.seen.first = days.first().map(|day| at(day, "08:30:00"));
        self.0.seen.last = days.last().map(|day| at(day, "17:05:09"));
        self
    }

    fn graded(mut self, grade: Grade, connections: u64, permille: u64) -> Self {
        *self.0.seen.grades.entry(grade).or_default() += connections;
        *self.0.seen.verdicts.entry(Verdict::Allowed).or_default() += connections;
        self.0.seen.confidence_permille += connections * permille;
        self
    }

    fn denied(mut self, connections: u64) -> Self {
        *self.0.seen.grades.entry(Grade::None).or_default() += connections;
        *self.0.seen.verdicts.entry(Verdict::Denied).or_default() += connections;
        self
    }

    fn at(mut self, addresses: &[(&str, u64)]) -> Self {
        self.0.seen.addresses =
            addresses.iter().map(|(address, connections)| (address.parse().unwrap(), *connections)).collect();
        self
    }

    fn looked_up(mut self, name: &str) -> Self {
        self.0.seen.names.insert(name.into(), 10);
        self
    }

    fn or(mut self, candidate: &str, connections: u64) -> Self {
        self.0.seen.candidates.insert(candidate.into(), connections);
        self
    }

    fn through(mut self, chain: &str) -> Self {
        self.0.seen.chains.insert(chain.into());
        self
    }
}

fn judged(category: Category, rule: &str, label: Option<&str>) -> Judgement {
    Judgement { category, rule: rule.to_owned(), label: label.map(str::to_owned), ..Judgement::default() }
}

fn tunnel() -> FindingView {
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
fn source(kind: SourceKind, name: &str, silent: std::ops::Range<u32>) -> SourceCoverage {
    let start = time("2026-11-14T00:00:00Z");
    let mut activity = Activity::default();
    for minute in (0..10_080_u32).filter(|minute| !silent.contains(&minute.wrapping_sub(2_880))) {
        activity.record(start.plus_nanos(i64::from(minute) * 60_000_000_000));
    }
    SourceCoverage { kind, name: name.into(), activity }
}

fn shop() -> (Namespace, Vec<Judgement>) {
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

fn atlas(namespace: &str, seen: Namespace) -> Atlas {
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

fn view<'a>(atlas: &'a Atlas, namespace: &'a str, judgements: Vec<Judgement>) -> AtlasView<'a> {
    let mut view = AtlasView::new(atlas);
    view.judgements.insert(("prod", namespace), judgements);
    view
}

#[test]
fn a_namespace_document_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    insta::assert_snapshot!(namespace_document(&view(&atlas, "shop", judgements), "prod", "shop").unwrap(), @r###"
    # Traffic of namespace `shop`

    Cluster `prod`. Times are UTC. A destination is a peer with a port and a protocol.

    ## Verdict

    1. **Not ready to sign:** 1 open suspect and 2 unclassified destinations. Reservations: 1 gap and 120 events reported lost.
    2. **Looked:** 2026-11-14 00:00:00 to 2026-11-21 00:00:00 (7 d, as asked). Flows cover: 100 %. DNS covers: 99.6 %.
    3. **Names:** of 12,460 connections to the outside, 96.5 % have one name from the pod's own DNS answers, 2.9 % a name that is less certain, 0.6 % no name.
    4. **Seen:** 2 workloads, 9 destinations (internal 3, infra 1, vendor 1, registries 1, customer 1, unclassified 2), 6 outside the cluster.
    5. **Needs you:** 1 open suspect (1 high), 2 unclassified, 1 known by address only, 1 ambiguous name, 3 denied connections and 1 gap.

    ## Coverage

    Asked window: from 2026-11-14 00:00:00 until 2026-11-21 00:00:00, 7 d. The sources watch the whole cluster, not this namespace alone.

    | Source | Sources | Records | First               | Last                | Covered | Least covered                     |
    | ------ | ------: | ------: | ------------------- | ------------------- | ------: | --------------------------------- |
    | flows  |       2 |  20,160 | 2026-11-14 00:00:00 | 2026-11-20 23:59:00 |   100 % | `node-a` 100 %                    |
    | dns    |       1 |  10,038 | 2026-11-14 00:00:00 | 2026-11-20 23:59:00 |  99.6 % | `coredns-6f6b679f8f-4xk2p` 99.6 % |

    - **Gap:** dns of `coredns-6f6b679f8f-4xk2p`, 2026-11-16 10:00:00 to 2026-11-16 10:42:00 (42 min).
    - **Lost:** 120 events at `frame stream` of dns `coredns-6f6b679f8f-4xk2p`, as reported by the source.
    - Clocks: no disagreement between sources was noted.
    - Direction: for 31 of 106,094 connections the side that opened it was guessed from the ports.
    - DNS: 20,400 answers, of which 51 (0.3 %) went to nodes: a node-local cache or host network hides the pod.

    ## Which names are guesses

    12,460 connections to destinations outside the cluster. For 99.2 % the pod itself asked for a name of the address (for 2.7 % of all it asked for several); for 0.1 % the name rests on somebody else's answer or on the flow record alone; 0.6 % have no name.

    | Grade           | Connections |  Share | The name comes from            |
    | --------------- | ----------: | -----: | ------------------------------ |
    | `pod`           |      12,019 | 96.5 % | an answer to this very pod, inside the window, one candidate |
    | `pod-ambiguous` |         340 |  2.7 % | the same, several candidates   |
    | `pod-later`     |           7 |  0.1 % | an answer to this very pod, recorded only after the flow began |
    | `workload`      |          14 |  0.1 % | an answer to another pod of the same workload |
    | `none`          |          80 |  0.6 % | nothing: known by address only |

    ## Workloads

    | Workload              | Pods | Owner                      | Destinations | First seen          | Last seen           |
    | --------------------- | ---: | -------------------------- | -----------: | ------------------- | ------------------- |
    | `CronJob/settle`      |    1 | **guessed** from pod names |            2 | 2026-11-14 00:00:00 | 2026-11-20 23:59:00 |
    | `Deployment/checkout` |    2 | stated                     |            8 | 2026-11-14 00:00:00 | 2026-11-20 23:59:00 |

    Labels to select by: each was on every pod seen, and survives a rollout.

    - `CronJob/settle`: no record carried labels.
    - `Deployment/checkout`: `app.kubernetes.io/name=checkout`. Refused: `pod-template-hash=7d9f6b5c4d` (one revision).

    ## Egress

    ### Internal (3)

    Inside: pods, services, nodes, private networks.

    | Destination                      | Port     | Workloads             | Connections | Days | Evidence | What | Review |
    | -------------------------------- | -------- | --------------------- | ----------: | ---: | -------- | ---- | ------ |
    | `kube-system/Deployment/coredns` | 53/UDP   | `Deployment/checkout` |      88,012 |  7/7 | identity | -    | -      |
    | `payments/Deployment/ledger`     | 8443/TCP | `Deployment/checkout` |       5,210 |  7/7 | identity | -    | -      |
    | Kubernetes API server            | 6443/TCP | `Deployment/checkout` |         412 |  7/7 | identity | -    | -      |

    ### Infra (1)

    What the platform itself needs: clouds, CDNs, DNS, time, certificates.

    | Destination              | Port    | Workloads             | Connections | Days | Evidence             | What              | Review |
    | ------------------------ | ------- | --------------------- | ----------: | ---: | -------------------- | ----------------- | ------ |
    | `cdn.example-assets.net` | 443/TCP | `Deployment/checkout` |         340 |  7/7 | pod-ambiguous (0.52) | Amazon CloudFront | -      |

    ### Vendor (1)

    Products that somebody bought or signed up for.

    | Destination      | Port    | Workloads                               | Connections | Days | Evidence                                   | What   | Review |
    | ---------------- | ------- | --------------------------------------- | ----------: | ---: | ------------------------------------------ | ------ | ------ |
    | `api.stripe.com` | 443/TCP | `CronJob/settle`, `Deployment/checkout` |      12,021 |  7/7 | pod 99.8 %, workload 0.1 %, +1 more (0.99) | Stripe | -      |

    ### Registries (1)

    Container and package registries.

    | Destination | Port    | Workloads             | Connections | Days | Evidence   | What                      | Review |
    | ----------- | ------- | --------------------- | ----------: | ---: | ---------- | ------------------------- | ------ |
    | `ghcr.io`   | 443/TCP | `Deployment/checkout` |           3 |  1/7 | pod (1.00) | GitHub Container Registry | -      |

    ### Customer (1)

    Customers and partners, as your own rules say.

    | Destination            | Port   | Workloads        | Connections | Days | Evidence   | What         | Review |
    | ---------------------- | ------ | ---------------- | ----------: | ---: | ---------- | ------------ | ------ |
    | `sftp.partner.example` | 22/TCP | `CronJob/settle` |           4 |  4/7 | pod (0.99) | Partner Bank | -      |

    ### Unclassified (2)

    No rule knows these. Each needs a rule or an owner's word.

    | Destination           | Port     | Workloads             |          Connections | Days | Evidence   | What | Review                       |
    | --------------------- | -------- | --------------------- | -------------------: | ---: | ---------- | ---- | ---------------------------- |
    | `ab12.ngrok-free.app` | 443/TCP  | `Deployment/checkout` |                   12 |  2/7 | pod (0.98) | -    | `tunnel` (high), **pending** |
    | `203.0.113.9`         | 8443/TCP | `Deployment/checkout` | 77 allowed, 3 denied |  7/7 | none       | -    | -                            |

    ## Ambiguous names

    The pod had asked for several names that share the address. The number after a candidate is how many connections it could explain.

    | Chosen name              | Port    | Workloads             |  Ambiguous | Confidence | Could also be |
    | ------------------------ | ------- | --------------------- | ---------: | ---------: | ------------- |
    | `cdn.example-assets.net` | 443/TCP | `Deployment/checkout` | 340 of 340 |       0.52 | `img.example-assets.net` (300), `fonts.example-assets.net` (41) |

    ## Known by address only

    No DNS answer explains these: the address is written into a configuration, the pod uses a resolver that was not recorded, or the name was cached before the recording.

    | Address          | Port     | Workloads             |          Connections | Days | Category     | Review |
    | ---------------- | -------- | --------------------- | -------------------: | ---: | ------------ | ------ |
    | `203.0.113.9/32` | 8443/TCP | `Deployment/checkout` | 77 allowed, 3 denied |  7/7 | unclassified | -      |

    ## Asked for, never connected to

    These names were resolved, and no recorded connection could have used the answer: checks, prefetching, failed attempts, data carried in the names, or connections that the flow source did not see.

    | Name                | Workloads             | Answers | First               | Last                |
    | ------------------- | --------------------- | ------: | ------------------- | ------------------- |
    | `status.stripe.com` | `Deployment/checkout` |      42 | 2026-11-14 09:00:00 | 2026-11-20 21:00:00 |

    ## Connected before asked

    The pod's first recorded answer came after the connection: the name was cached before the recording began.

    | Destination      | Port    | Workloads             | Connections | Share of the row |
    | ---------------- | ------- | --------------------- | ----------: | ---------------: |
    | `api.stripe.com` | 443/TCP | `Deployment/checkout` |           7 |            0.1 % |

    ## Suspects

    Severity says how bad it would be if true, confidence how sure the match is. Until an owner decides, a suspect is open.

    | No. | Destination           | Port    | Severity | Class    | Connections | Review  |
    | --: | --------------------- | ------- | -------- | -------- | ----------: | ------- |
    |   1 | `ab12.ngrok-free.app` | 443/TCP | high     | `tunnel` |          12 | pending |

    ### 1. `ab12.ngrok-free.app` on 443/TCP

    - `tunnel`, severity **high**, confidence high: gives a host behind the firewall a public name (rule `catalog/tunnel`, matched `ngrok-free.app`)
    - Innocent reading: preview environments of developers
    - MITRE ATT&CK: `T1572`.
    - To do: ask the owner which process opened it
    - When: 2026-11-19 08:30:00 to 2026-11-20 17:05:09, on 2 of 7 days.
    - Who: `Deployment/checkout`; pods `checkout-7d9f6b5c4d-x2x4z`.
    - How much: 12 connections.
    - Name known by: pod (0.98). Addresses: `3.125.209.94/32`.
    - **Review: pending.** Nobody has decided. To decide, complete this in `reviews.toml`:

    ```toml
    [[review]]
    destination = "ab12.ngrok-free.app"
    ports = [443]
    cluster = "prod"
    namespace = "shop"
    workloads = ["Deployment/checkout"]
    classes = ["tunnel"]
    decision = ""  # "approved" or "rejected"
    owner = ""     # who answers for it
    reason = ""    # what it is for
    expires = ""   # last day, YYYY-MM-DD
    ```

    ## Ingress

    | Caller                              | Port     | Workloads called      | Connections | Days | First seen          | Last seen           |
    | ----------------------------------- | -------- | --------------------- | ----------: | ---: | ------------------- | ------------------- |
    | `monitoring/StatefulSet/prometheus` | 8080/TCP | `Deployment/checkout` |       9,000 |  7/7 | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 |
    | cluster nodes                       | 8080/TCP | `Deployment/checkout` |       9,000 |  7/7 | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 |
    | outside the cluster                 | 8080/TCP | `Deployment/checkout` |       9,000 |  7/7 | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 |

    - Cluster nodes: health probes of the kubelet, host-network pods, and outside traffic that entered by a node port and lost its origin to address translation. The records do not tell them apart.
    - Outside the cluster: all external clients taken together. Behind a load balancer that translates addresses the real origin is hidden.

    ## Rare and periodic

    Seen on only one of the 7 days covered; a job with a longer period looks the same:

    | Destination | Port    | Workloads             | Connections | First seen          | Last seen           |
    | ----------- | ------- | --------------------- | ----------: | ------------------- | ------------------- |
    | `ghcr.io`   | 443/TCP | `Deployment/checkout` |           3 | 2026-11-17 08:30:00 | 2026-11-17 17:05:09 |

    - Every 2 days: `sftp.partner.example` on 22/TCP, 4 times.

    Workloads that run by schedule or once: `CronJob/settle`. Their next run may want something new.

    ## Infrastructure needs

    - DNS: `kube-system/Deployment/coredns` on 53/UDP (88,012 connections).
    - Kubernetes API server: 6443/TCP (412 connections).
    - Time (NTP): not seen.
    - Instance metadata: not seen.
    - Nodes: not seen.

    ## Questions for the owner

    Each can be answered with yes or no.

    1. Is `Deployment/checkout` meant to reach `ab12.ngrok-free.app` on 443/TCP (`tunnel`)?
    2. Does `203.0.113.9` on 8443/TCP, called by `Deployment/checkout`, belong to you or to a party you know?
    3. Does `Deployment/checkout` use `cdn.example-assets.net` on 443/TCP, and not `img.example-assets.net`?
    4. Should connections from `Deployment/checkout` to `203.0.113.9` on 8443/TCP stay denied (3 so far)?
    5. Will the traffic of a single day come again: `ghcr.io` on 443/TCP?
    6. Is any of the names asked for and never connected to (1) needed in a failover, a renewal or a monthly job?
    7. Are these owners, guessed from pod names, right: `CronJob/settle` (1 pod)?

    ## Details: times, addresses, rules

    In the order of the tables above. Addresses are what was seen, the most used first.

    | Destination                      | Port     | First seen          | Last seen           | Decided by                    | Addresses or names      |
    | -------------------------------- | -------- | ------------------- | ------------------- | ----------------------------- | ----------------------- |
    | `kube-system/Deployment/coredns` | 53/UDP   | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | internal: `cluster`           | -                       |
    | `payments/Deployment/ledger`     | 8443/TCP | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | internal: `cluster`           | asked for as `ledger.payments.svc.cluster.local` |
    | Kubernetes API server            | 6443/TCP | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | internal: `identity`          | -                       |
    | `cdn.example-assets.net`         | 443/TCP  | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | infra: `infra/cloudfront`     | `2600:9000:2000::1/128` |
    | `api.stripe.com`                 | 443/TCP  | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | vendor: `vendors/stripe`      | `54.187.174.169/32`, `54.187.205.235/32`, `54.187.216.72/32` |
    | `ghcr.io`                        | 443/TCP  | 2026-11-17 08:30:00 | 2026-11-17 17:05:09 | registries: `registries/ghcr` | `140.82.121.34/32`      |
    | `sftp.partner.example`           | 22/TCP   | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | customer: `rules/partners`    | -                       |
    | `ab12.ngrok-free.app`            | 443/TCP  | 2026-11-19 08:30:00 | 2026-11-20 17:05:09 | no rule                       | `3.125.209.94/32`       |
    | `203.0.113.9`                    | 8443/TCP | 2026-11-14 08:30:00 | 2026-11-20 17:05:09 | no rule                       | `203.0.113.9/32`        |

    ## Details: CNAME evidence

    The name on the left is the one that was asked for and the one to allow; the rest is how the answer got to an address.

    - `cdn.example-assets.net` → `d111111abcdef8.cloudfront.net`

    ## How to read this document

    A connection counts once, however many records tell of it. The number after a grade is the mean confidence in the chosen name, from 0 to 1. `identity` instead of a grade means that the flow record itself identifies the peer inside the cluster, so no name is needed. Days are days with traffic of days with flow records.

    | Grade           | The name comes from                     | How to take it                              |
    | --------------- | --------------------------------------- | ------------------------------------------- |
    | `pod`           | an answer to this very pod, inside the window, one candidate | Take it.                                    |
    | `pod-ambiguous` | the same, several candidates            | Compare with the other candidates: any of them may be the one. |
    | `pod-stale`     | an answer to this very pod, older than the window | Likely: the pod held on to an old answer.   |
    | `pod-later`     | an answer to this very pod, recorded only after the flow began | Likely: the first answer was cached before recording began. |
    | `workload`      | an answer to another pod of the same workload | Likely, when all pods of the workload run the same code. |
    | `node`          | an answer to the pod's node             | Possible: any pod of the node may have asked. |
    | `cluster`       | an answer to anyone else in the cluster | A guess: shared addresses serve many names. |
    | `reported`      | the flow record names it, no DNS answer confirms it | As good as the network plugin's own table of names. |
    | `none`          | nothing: known by address only          | Ask the owner.                              |
    "###);
}

#[test]
fn an_index_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    insta::assert_snapshot!(index_document(&view(&atlas, "shop", judgements)), @r###"
    # Egress atlas

    Times are UTC. A destination is a peer with a port and a protocol; it counts once per namespace.

    ## Cluster `prod`

    Window: 2026-11-14 00:00:00 to 2026-11-21 00:00:00 (7 d, as asked). Covered: flows 100 % (2 sources), dns 99.6 % (1 source). 1 gap, 120 events reported lost.

    | Namespace         | Destinations | Outside | Unclassified | Open suspects | Address only | Ambiguous | Denied | Named by own pod |
    | ----------------- | -----------: | ------: | -----------: | ------------: | -----------: | --------: | -----: | ---------------: |
    | [`shop`](shop.md) |            9 |       6 |            2 |             1 |            1 |         1 |      3 |           99.2 % |

    Denied counts connections. The last column is the share of connections to the outside whose name rests on a DNS answer to the pod itself; `-` when there were none.

    Clients that belong to no namespace (nodes, host-network pods, unnamed addresses): 0 destinations, 0 outside, 0 open suspects. [Their document](_no-namespace.md).

    ## Warnings

    - no Kubernetes objects were given: owners come from flow records

    ## Inputs

    Each record read is used, rejected as broken, or excluded for a stated reason.

    | Input            | Format |  Read |  Used | Rejected | Excluded | Problem |
    | ---------------- | ------ | ----: | ----: | -------: | -------: | ------- |
    | `node-a.json.gz` | hubble | 1,502 | 1,500 |        1 |        1 | -       |

    - `node-a.json.gz`: rejected 1 record: not JSON; the first at byte 90.
    - `node-a.json.gz`: excluded: agent event (1).
    - `node-a.json.gz`: noted: record without a time (1).
    "###);
}

#[test]
fn a_terminal_summary_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let text = summary_text(&view(&atlas, "shop", judgements));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text, @r###"
    NAMESPACE  DESTINATIONS  OUTSIDE  UNCLASSIFIED  SUSPECTS  IP-ONLY  OWN-POD NAMES
    shop                  9        6             2         1        1         99.2 %

    Coverage of prod: flows 100 %, dns 99.6 % of 7 d; 1 gap, 120 events reported lost.

    Look here first:
      high    shop  ab12.ngrok-free.app 443/TCP  tunnel
    Most unclassified destinations: shop (2)
    "###);
}

#[test]
fn an_empty_namespace_is_a_short_document() {
    let atlas = Atlas {
        clusters: BTreeMap::from([(
            "prod".into(),
            Cluster { namespaces: BTreeMap::from([("quiet".into(), Namespace::default())]), ..Cluster::default() },
        )]),
        ..Atlas::default()
    };
    insta::assert_snapshot!(namespace_document(&AtlasView::new(&atlas), "prod", "quiet").unwrap(), @r###"
    # Traffic of namespace `quiet`

    Cluster `prod`. Times are UTC. A destination is a peer with a port and a protocol.

    ## Verdict

    1. **Not proven:** no flow source was read, so that nothing was seen means nothing. Reservations: no flows source and no dns source.
    2. **Looked:** no record carries a time, so nothing can be said about the time covered.
    3. **Names:** no connection left the cluster.
    4. **Seen:** 0 workloads, 0 destinations, 0 outside the cluster.
    5. **Needs you:** nothing.

    ## Coverage

    No window was asked for, and no record carries a time.

    | Source | Sources | Records | First   | Last    |   Covered | Least covered |
    | ------ | ------: | ------: | ------- | ------- | --------: | ------------- |
    | flows  |       0 |       0 | unknown | unknown | no source | -             |
    | dns    |       0 |       0 | unknown | unknown | no source | -             |

    - Gaps: cannot be told.
    - Losses: no source reported any.
    - Clocks: no disagreement between sources was noted.
    - DNS: no answer to a client of this namespace was recorded.

    ## Which names are guesses

    No connection left the cluster, so no name had to be found.

    ## Workloads

    None was seen.

    ## Egress

    No connection that began here was seen.

    ## Ambiguous names

    None: no address stood for several names that the same pod had asked for.

    ## Known by address only

    None: every destination has a name or an identity.

    ## Asked for, never connected to

    None.

    ## Connected before asked

    None.

    ## Suspects

    None.

    ## Ingress

    No connection into this namespace was seen.

    ## Rare and periodic

    0 days covered: too short to tell the rare from the regular. Weekly and monthly jobs may be missing.

    ## Infrastructure needs

    - DNS: no connection to a DNS port was seen; the pods may ask a cache on their node.
    - Kubernetes API server: not seen.
    - Time (NTP): not seen.
    - Instance metadata: not seen.
    - Nodes: not seen.

    ## Questions for the owner

    None.

    ## Details: times, addresses, rules

    None.

    ## Details: CNAME evidence

    No answer went through a CNAME.

    ## How to read this document

    A connection counts once, however many records tell of it. The number after a grade is the mean confidence in the chosen name, from 0 to 1. `identity` instead of a grade means that the flow record itself identifies the peer inside the cluster, so no name is needed. Days are days with traffic of days with flow records.

    | Grade           | The name comes from                     | How to take it                              |
    | --------------- | --------------------------------------- | ------------------------------------------- |
    | `pod`           | an answer to this very pod, inside the window, one candidate | Take it.                                    |
    | `pod-ambiguous` | the same, several candidates            | Compare with the other candidates: any of them may be the one. |
    | `pod-stale`     | an answer to this very pod, older than the window | Likely: the pod held on to an old answer.   |
    | `pod-later`     | an answer to this very pod, recorded only after the flow began | Likely: the first answer was cached before recording began. |
    | `workload`      | an answer to another pod of the same workload | Likely, when all pods of the workload run the same code. |
    | `node`          | an answer to the pod's node             | Possible: any pod of the node may have asked. |
    | `cluster`       | an answer to anyone else in the cluster | A guess: shared addresses serve many names. |
    | `reported`      | the flow record names it, no DNS answer confirms it | As good as the network plugin's own table of names. |
    | `none`          | nothing: known by address only          | Ask the owner.                              |
    "###);
}

/// Everything that a stranger can name, named with the same hostile text.
fn hostile(text: &str) -> (Namespace, Vec<Judgement>) {
    let finding = FindingView {
        rule: text.to_owned(),
        class: text.to_owned(),
        matched: text.to_owned(),
        why: text.to_owned(),
        false_positive: Some(text.to_owned()),
        attack: vec![text.to_owned()],
        advice: text.to_owned(),
        ..tunnel()
    };
    let exempt = FindingView { exempted: Some(text.to_owned()), class: format!("{text}2"), ..finding.clone() };
    let expired =
        ReviewView::Expired { owner: text.to_owned(), reason: text.to_owned(), expires: Some(text.to_owned()) };
    let mut first =
        edge(name(text), 443).of(text, text).graded(Grade::PodAmbiguous, 1, 500).graded(Grade::PodLater, 1, 0);
    first = first.or(text, 1).through(text).looked_up(text);
    first.0.seen.pods = [text.into()].into();
    let peer = Peer::Workload { cluster: text.into(), namespace: text.into(), workload: workload(text, text) };
    let service = Peer::Service { namespace: text.into(), name: text.into() };
    let plain = || judged(Category::Internal, text, Some(text));
    let egress = vec![
        (
            first.on(&[16]).0,
            Judgement {
                findings: vec![finding, exempt],
                review: expired,
                ..judged(Category::Unclassified, text, Some(text))
            },
        ),
        (edge(peer.clone(), 1).looked_up(text).graded(Grade::None, 1, 0).0, plain()),
        (edge(service, 1).graded(Grade::None, 1, 0).denied(1).0, plain()),
    ];
    let (egress, judgements) = egress.into_iter().unzip();
    let workload_seen = WorkloadSeen {
        pods: [text.into()].into(),
        labels: Some([text.into()].into()),
        guessed: true,
        ..WorkloadSeen::default()
    };
    let asked = Asked { workloads: [workload(text, text)].into(), ..Asked::default() };
    let namespace = Namespace {
        egress,
        ingress: vec![edge(peer, 1).graded(Grade::None, 1, 0).0],
        workloads: BTreeMap::from([(workload(text, text), workload_seen)]),
        asked_only: BTreeMap::from([(text.into(), asked)]),
        ..Namespace::default()
    };
    (namespace, judgements)
}

/// Every text that is written for an atlas in which `text` is the name of everything.
fn hostile_texts(text: &str) -> Vec<String> {
    let (namespace, judgements) = hostile(text);
    let mut cluster = atlas(text, namespace).clusters.remove("prod").unwrap();
    cluster.coverage = vec![
        source(SourceKind::Flows, text, 600..700),
        SourceCoverage {
            kind: SourceKind::Dns,
            name: text.into(),
            activity: Activity { lost: BTreeMap::from([(text.into(), 1)]), ..Activity::default() },
        },
    ];
    let input =
        InputAccount { name: text.into(), format: "hubble", account: Account::default(), problem: Some(text.into()) };
    let atlas = Atlas {
        clusters: BTreeMap::from([(text.into(), cluster)]),
        inputs: vec![input],
        warnings: [text.into()].into(),
        ..Atlas::default()
    };
    let mut view = AtlasView::new(&atlas);
    view.judgements.insert((text, text), judgements);
    view.clock_notes.insert(text, vec![text.to_owned()]);
    let documents = [text, ""].map(|namespace| namespace_document(&view, text, namespace).unwrap());
    documents.into_iter().chain([index_document(&view), summary_text(&view)]).collect()
}

/// Headings, list items, fences and the number of cells in each table row: what a reader's eye takes for structure.
fn structure(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| match line.split(' ').next().unwrap_or_default() {
            mark @ ("-" | "#" | "##" | "###") => mark.to_owned(),
            mark if mark.starts_with("```") => mark.to_owned(),
            "|" => line.replace("\\|", "").matches('|').count().to_string(),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn hostile_names_are_shown_and_not_obeyed() {
    let text = "a|b`<script>\n# x\u{1b}[31m[y](javascript:z)\u{202e}";
    let texts = hostile_texts(text);
    let document = texts.iter().find(|text| text.contains("## Suspects")).unwrap();
    let suspects = document.split("## Suspects").nth(1).unwrap().split("## Ingress").next().unwrap();
    insta::assert_snapshot!(suspects, @r###"
    Severity says how bad it would be if true, confidence how sure the match is. Until an owner decides, a suspect is open.

    | No. | Destination | Port    | Severity | Class | Connections | Review  |
    | --: | ----------- | ------- | -------- | ----- | ----------: | ------- |
    |   1 | `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` | 443/TCP | high     | `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` |           2 | expired |

    ### 1. `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` on 443/TCP

    - `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`, severity **high**, confidence high: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e} (rule `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`, matched `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`)
    - Innocent reading: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
    - MITRE ATT&CK: `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`.
    - To do: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
    - When: 2026-11-16 08:30:00 to 2026-11-16 17:05:09, on 1 of 7 days.
    - Who: `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}/a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`; pods `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`.
    - How much: 2 connections.
    - Name known by: pod-ambiguous 50.0 %, pod-later 50.0 % (0.25). Addresses: -.
    - **Review: expired** by a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}, since a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}. To renew it, complete this in `reviews.toml`:

    ```toml
    [[review]]
    destination = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
    ports = [443]
    cluster = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
    namespace = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
    workloads = ["a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E/a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"]
    classes = ["a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"]
    decision = ""  # "approved" or "rejected"
    owner = ""     # who answers for it
    reason = ""    # what it is for
    expires = ""   # last day, YYYY-MM-DD
    ```

    Matched, and not held against the namespace:

    - `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` on 443/TCP, `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}2`: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
    "###);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_name_changes_the_structure_of_a_document(text in "[ -~\n\r\t\u{1b}\u{9b}\u{202e}\u{2028}é]{1,40}") {
        let (hostile, harmless) = (hostile_texts(&text), hostile_texts("harmless"));
        for (hostile, harmless) in hostile.iter().zip(&harmless) {
            let controls = hostile.contains(|c: char| c.is_control() && c != '\n');
            prop_assert!(!controls);
            let turns_text = hostile.contains(['\u{202e}', '\u{2028}']);
            prop_assert!(!turns_text);
            prop_assert_eq!(structure(hostile), structure(harmless), "{}\n{}", hostile, harmless);
        }
    }
}

#[test]
fn the_same_edges_in_any_order_give_the_same_documents() {
    let (namespace, judgements) = shop();
    let mut turned = namespace.clone();
    turned.egress.reverse();
    turned.ingress.reverse();
    let (straight, turned) = (atlas("shop", namespace), atlas("shop", turned));
    let reversed = judgements.iter().cloned().rev().collect();
    let (straight, turned) = (view(&straight, "shop", judgements), view(&turned, "shop", reversed));
    assert_eq!(documents(&straight), documents(&turned));
    assert_eq!(documents(&straight).into_keys().collect::<Vec<_>>(), ["_no-namespace.md", "shop.md"]);
}

#[test]
fn the_json_form_reads_back_and_every_field_is_described() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let view = view(&atlas, "shop", judgements);
    let text = atlas_json(&view).unwrap();
    assert_eq!(serde_json::from_str::<AtlasDocument>(&text).unwrap(), atlas_document(&view));
    assert!(text.starts_with("{\n  \"schema\": \"egress-atlas/1\",\n  \"window\": {"), "{text}");

    let described = include_str!("../../docs/atlas-json.md");
    let mut open = vec![serde_json::from_str::<serde_json::Value>(&text).unwrap()];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Array(values) => open.extend(values),
            serde_json::Value::Object(fields) => {
                for (field, value) in fields {
                    let is_field = field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                    let is_data = ["prod", "shop", "coredns"].contains(&field.as_str()) || field.is_empty();
                    assert!(
                        !is_field || is_data || described.contains(&format!("`{field}`")),
                        "{field} is not described"
                    );
                    open.push(value);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn every_edge_is_a_row_of_its_table() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let view = view(&atlas, "shop", judgements);
    for (columns, rows) in [(egress_columns(&view), 10), (ingress_columns(&view), 3)] {
        assert!(columns.iter().all(|(name, column)| column.len() == rows && !name.is_empty()));
    }
    let egress: BTreeMap<_, _> = egress_columns(&view).into_iter().collect();
    assert_eq!(egress.len(), egress_atlas::model::columns::EGRESS.len());
    assert_eq!(ingress_columns(&view).len(), egress_atlas::model::columns::INGRESS.len());
    let text = |name: &str, row: usize| match &egress[name] {
        Column::Text(values) => values[row].clone(),
        Column::Texts(values) => values[row].join(";"),
        other => format!("{other:?}"),
    };
    assert_eq!([text("peer_type", 7), text("peer", 7)], ["name", "ab12.ngrok-free.app"]);
    assert_eq!([text("suspect", 7), text("severity", 7), text("review", 7)], ["tunnel", "high", "pending"]);
    assert_eq!(
        [text("candidates", 5), text("evidence", 5)],
        ["fonts.example-assets.net;img.example-assets.net", "pod-ambiguous"]
    );
    assert_eq!([text("addresses", 8), text("category", 8)], ["203.0.113.9", "unclassified"]);
}
