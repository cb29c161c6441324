//! Writes down what happened on a demo stage: one Hubble log per node, one dnstap capture, one list of objects.
//!
//! In: a stage after its day. Out: named byte files, in order of time.

use std::net::IpAddr;

use serde_json::Value;

use super::DemoFile;
use super::cast::WORKLOADS;
use super::stage::{Line, MIDNIGHT, MINUTE, Member, NODES, ProxiedDns, Stage, at};
use crate::simulate::dns_message::QueryType;
use crate::simulate::hubble::{DnsMessage, DnsResponse, Event, HubbleWriter, Record, Side, Transport};
use crate::simulate::random::Random;
use crate::simulate::{dnstap, objects};

/// `node-b` of `prod-eu` writes nothing from here ...
const GAP_FROM: i64 = MIDNIGHT + 550 * MINUTE;
/// ... to here.
const GAP_UNTIL: i64 = GAP_FROM + 12 * MINUTE;

/// Every file of `stage`.
pub(super) fn files(mut stage: Stage) -> Vec<DemoFile> {
    let end = MIDNIGHT + 1_440 * MINUTE;
    stage.lines.retain(|(time, ..)| (MIDNIGHT..end).contains(time));
    if stage.cluster == "prod-eu" {
        stage.lines.retain(|(time, node, _)| *node != 1 || !(GAP_FROM..GAP_UNTIL).contains(time));
        stage.lines.push((GAP_UNTIL, 1, Line::Lost { from: GAP_FROM, count: 1_482 }));
    }
    stage.lines.sort_by_key(|(time, node, _)| (*node, *time));
    stage.taps.sort_by_key(|(time, _)| *time);
    let mut files: Vec<DemoFile> = NODES
        .iter()
        .enumerate()
        .map(|(node, name)| DemoFile {
            name: format!("{}/hubble/{name}.log", stage.cluster),
            bytes: log(&stage, node, name),
        })
        .collect();
    let mut capture = Vec::new();
    dnstap::start(&mut capture);
    for (_, payload) in &stage.taps {
        dnstap::frame(&mut capture, payload);
    }
    dnstap::stop(&mut capture);
    files.push(DemoFile { name: format!("{}/dns/coredns.fstrm", stage.cluster), bytes: capture });
    files.push(DemoFile { name: format!("{}/kube.json", stage.cluster), bytes: inventory(&stage) });
    files
}

fn log(stage: &Stage, node: usize, name: &str) -> Vec<u8> {
    let mut writer = HubbleWriter::default();
    let mut out = Vec::with_capacity(4_000_000);
    let mut random = Random::new(stage.random.clone().next_u64() ^ u64::from(node == 0));
    for (time, _, line) in stage.lines.iter().filter(|(_, at, _)| *at == node) {
        let uuid = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        match line {
            Line::Flow(observation) => stage.scene.write(&mut writer, &mut out, observation, uuid),
            Line::Lost { from, count } => writer.write_lost(&mut out, name, at(*from), at(*time), *count),
            Line::Dns(dns) => proxied(stage, &mut writer, &mut out, (*time, uuid), dns),
        }
    }
    out
}

fn proxied(stage: &Stage, writer: &mut HubbleWriter, out: &mut Vec<u8>, (time, uuid): (i64, u128), dns: &ProxiedDns) {
    let server = stage.pods_of("coredns").first().copied().unwrap_or(0);
    let (Some(pod), Some(resolver)) = (stage.scene.pods.get(dns.pod), stage.scene.pods.get(server)) else { return };
    let Some(node) = stage.scene.nodes.get(pod.node) else { return };
    let client = Side { address: IpAddr::V4(pod.v4), port: dns.port, object: &pod.object.local };
    let object = if pod.node == resolver.node { &resolver.object.local } else { &resolver.object.remote };
    let server = Side { address: IpAddr::V4(resolver.v4), port: 53, object };
    let (source, destination) = if dns.is_response { (server, client) } else { (client, server) };
    let addresses: Vec<IpAddr> =
        dns.zone.addresses().into_iter().filter(|address| dns.query_type.fits(*address)).collect();
    // An alias without an address is still an answer, as in the wild.
    let response =
        DnsResponse { addresses: &addresses, aliases: dns.zone.aliases, ttl: dns.zone.ttl.min(30), rcode: 0 };
    let record = Record {
        time: at(time + node.skew),
        uuid,
        source,
        destination,
        transport: Transport::Udp,
        node_name: &node.full_name,
        node_labels: &node.labels,
        destination_names: &[],
        event: Event::Dns(DnsMessage {
            query: dns.zone.name,
            query_type: if dns.query_type == QueryType::A { "A" } else { "AAAA" },
            response: dns.is_response.then_some(response),
        }),
    };
    writer.write(out, &record);
}

fn inventory(stage: &Stage) -> Vec<u8> {
    let mut items: Vec<Value> = ["kube-system", "payments", "platform", "shop"].map(objects::namespace).into();
    for (index, node) in stage.scene.nodes.iter().enumerate() {
        let name = NODES.get(index).copied().unwrap_or_default();
        let subnet = index + 1;
        let ranges = [format!("10.0.{subnet}.0/24"), format!("fd00:10:0:{subnet}::/64")];
        items.push(objects::node(name, &node.address.to_string(), &ranges));
    }
    let services = Stage::services();
    for workload in WORKLOADS {
        if let Some(address) = services.get(&(workload.namespace, workload.name)) {
            let name = if workload.name == "coredns" { "kube-dns" } else { workload.name };
            items.push(objects::service(workload.namespace, name, &address.to_string(), workload.name, workload.ports));
        }
        items.push(objects::controller(workload.kind, workload.namespace, workload.name, None));
    }
    // Two that ran, and two that an allowlist made from this one day would not know.
    items.push(objects::cron_job("shop", "nightly-export", "0 2 * * *"));
    items.push(objects::cron_job("shop", "price-sync", "58 1-23/6 * * *"));
    items.push(objects::cron_job("payments", "month-end-statements", "30 4 1 * *"));
    items.push(objects::scaled_to_zero("shop", "flash-sale"));
    let mut owners = Vec::new();
    for member in &stage.members {
        let (kind, name) = (member.owner.0, member.owner.1.as_str());
        if matches!(kind, "ReplicaSet" | "Job") && !owners.contains(&name) {
            owners.push(name);
            let parent = if kind == "Job" { "CronJob" } else { "Deployment" };
            items.push(objects::controller(kind, member.cast.namespace, name, Some((parent, member.cast.name))));
        }
        items.push(pod(stage, member));
    }
    let mut bytes = serde_json::to_vec_pretty(&objects::list(&items)).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn pod(stage: &Stage, member: &Member) -> Value {
    let host = stage.scene.nodes.get(member.node).map(|node| node.address.to_string()).unwrap_or_default();
    let labels = [
        ("app", member.cast.name),
        ("app.kubernetes.io/name", member.cast.name),
        ("app.kubernetes.io/part-of", member.cast.namespace),
    ];
    objects::pod(&objects::PodFacts {
        namespace: member.cast.namespace,
        name: &member.name,
        labels: &labels,
        owner: (member.owner.0, &member.owner.1),
        node: NODES.get(member.node).copied().unwrap_or_default(),
        addresses: &[member.v4.to_string(), member.v6.to_string()],
        host_address: &host,
        started: at(member.started),
        finished: member.finished.map(at),
    })
}
