//! Documents as a reader sees them, whole.
#![expect(clippy::too_many_lines, reason = "whole documents")]

use std::collections::BTreeMap;

use egress_atlas::report::{AtlasView, Paint, documents, index_document, namespace_document, summary_text};
use egress_atlas::summary::{Atlas, Cluster, Namespace};

use super::build::{atlas, shop, view};

#[test]
fn a_namespace_document_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    insta::assert_snapshot!(namespace_document(&view(&atlas, "shop", judgements), "prod", "shop").unwrap(), @r#"
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
| DNS    |       1 |  10,038 | 2026-11-14 00:00:00 | 2026-11-20 23:59:00 |  99.6 % | `coredns-6f6b679f8f-4xk2p` 99.6 % |

- **Gap:** DNS of `coredns-6f6b679f8f-4xk2p`, 2026-11-16 10:00:00 to 2026-11-16 10:42:00 (42 min).
- **Lost:** 120 events at `frame stream` of DNS `coredns-6f6b679f8f-4xk2p`, as reported by the source.
- Clocks: the traffic does not tell whether those of flows and DNS answers agree.
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
# tunnel from Deployment/checkout, port 443
destination = "ab12.ngrok-free.app"
cluster = "prod"
namespace = "shop"
decision = ""  # "approved" or "rejected"
owner = ""     # who answers for it
reason = ""    # what it is for
expires = ""   # last day, YYYY-MM-DD; leave the line out if it never does
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

## What this baseline cannot know

No workload is known that was not seen. Only Kubernetes objects (`--kube`, with deployments, statefulsets, daemonsets and cronjobs) can tell of workloads that never spoke.

Seen on one day alone, so that whether and when they come again is not known (a peer for failures, a job with a longer period): `ghcr.io` on 443/TCP. A failure that did not happen has peers that nobody saw.

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
"#);
}

#[test]
fn an_index_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    insta::assert_snapshot!(index_document(&view(&atlas, "shop", judgements)), @r#"
# Egress atlas

Times are UTC. A destination is a peer with a port and a protocol; it counts once per namespace.

## Cluster `prod`

Window: 2026-11-14 00:00:00 to 2026-11-21 00:00:00 (7 d, as asked). Covered: flows 100 % (2 sources), DNS 99.6 % (1 source). 1 gap, 120 events reported lost.

| Namespace         | Destinations | Outside | Unclassified | Open suspects | Rejected, in use | Address only | Ambiguous | Denied | Named by own pod |
| ----------------- | -----------: | ------: | -----------: | ------------: | ---------------: | -----------: | --------: | -----: | ---------------: |
| [`shop`](shop.md) |            9 |       6 |            2 |             1 |                0 |            1 |         1 |      3 |           99.2 % |

Open suspects wait for an owner's decision; those that an owner rejected and that are in use all the same are counted apart, and `--fail-on` goes by both. Denied counts connections. The last column is the share of connections to the outside whose name rests on a DNS answer to the pod itself; `-` when there were none.

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
"#);
}

#[test]
fn a_terminal_summary_reads_like_this() {
    let (namespace, judgements) = shop();
    let atlas = atlas("shop", namespace);
    let text = summary_text(&view(&atlas, "shop", judgements), 100, Paint(false));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    insta::assert_snapshot!(text, @r###"
    NAMESPACE  DESTINATIONS  OUTSIDE  UNCLASSIFIED  SUSPECTS  IP-ONLY  OWN-POD NAMES
    shop                  9        6             2         1        1         99.2 %

    Coverage of prod: flows 100 %, DNS 99.6 % of 7 d; 1 gap, 120 events reported lost.

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
    insta::assert_snapshot!(namespace_document(&AtlasView::new(&atlas), "prod", "quiet").unwrap(), @r#"
# Traffic of namespace `quiet`

Cluster `prod`. Times are UTC. A destination is a peer with a port and a protocol.

## Verdict

1. **Not proven:** no source of flows was read, so nothing can be said about connections. Reservations: no source of flows and no source of DNS.
2. **Looked:** no record carries a time, so nothing can be said about the time covered.
3. **Names:** no connection left the cluster.
4. **Seen:** 0 workloads, 0 destinations, 0 outside the cluster.
5. **Needs you:** nothing.

## Coverage

No window was asked for, and no record carries a time.

| Source | Sources | Records | First   | Last    |   Covered | Least covered |
| ------ | ------: | ------: | ------- | ------- | --------: | ------------- |
| flows  |       0 |       0 | unknown | unknown | no source | -             |
| DNS    |       0 |       0 | unknown | unknown | no source | -             |

- Gaps: cannot be told.
- Losses: no source reported any.
- Clocks: the traffic does not tell whether those of flows and DNS answers agree.
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

## What this baseline cannot know

No workload is known that was not seen. Only Kubernetes objects (`--kube`, with deployments, statefulsets, daemonsets and cronjobs) can tell of workloads that never spoke.

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
"#);
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
