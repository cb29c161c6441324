//! Writes the story down: flows and DNS week by week, and the objects of the cluster.
//!
//! In: a stage after its weeks. Out: named byte files, in order of time.

use serde_json::{Value, json};

use super::cast::{NAMESPACES, NODE, SETTLEMENT_SCHEDULE, WORKLOADS};
use super::script::RECORDED;
use super::stage::{MONDAY, Member, NODE_ADDRESS, Stage, at, minute_of, service_address};
use crate::simulate::hubble::HubbleWriter;
use crate::simulate::random::Random;
use crate::simulate::{DemoFile, dnstap, objects};

/// Every file of `stage`.
pub(super) fn files(mut stage: Stage) -> Vec<DemoFile> {
    let mut all = vec![DemoFile { name: "kube.json".to_owned(), bytes: inventory(&stage) }];
    let seen = std::mem::take(&mut stage.seen);
    let mut random = Random::new(stage.random.next_u64());
    for (week, from, until) in RECORDED {
        let span = from..until;
        let mut writer = HubbleWriter::default();
        let mut log = Vec::new();
        for observation in seen.iter().filter(|one| span.contains(&minute_of(one.time))) {
            let uuid = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
            stage.scene_at(observation).write(&mut writer, &mut log, observation, uuid);
        }
        all.push(DemoFile { name: format!("flows/{week}.log"), bytes: log });
        let mut capture = Vec::new();
        dnstap::start(&mut capture);
        for (_, payload) in stage.taps.iter().filter(|(time, _)| span.contains(&minute_of(*time))) {
            dnstap::frame(&mut capture, payload);
        }
        dnstap::stop(&mut capture);
        all.push(DemoFile { name: format!("dns/{week}.fstrm"), bytes: capture });
    }
    all
}

fn inventory(stage: &Stage) -> Vec<u8> {
    let mut items: Vec<Value> = NAMESPACES.iter().map(|(name, environment)| namespace(name, environment)).collect();
    items.push(objects::node(NODE, &NODE_ADDRESS.to_string(), &["10.0.0.0/16".to_owned()]));
    for cast in WORKLOADS.iter().filter(|cast| cast.kind != "Job") {
        if cast.kind == "CronJob" {
            items.push(objects::cron_job(cast.namespace, cast.name, SETTLEMENT_SCHEDULE));
            continue;
        }
        items.push(objects::controller(cast.kind, cast.namespace, cast.name, None));
        if let Some(address) = service_address(cast.namespace, cast.name).filter(|_| cast.port > 0) {
            let is_dns = cast.name == "coredns";
            let ports: &[(u16, &str)] = if is_dns { &[(53, "UDP"), (53, "TCP")] } else { &[(cast.port, "TCP")] };
            let name = if is_dns { "kube-dns" } else { cast.name };
            items.push(objects::service(cast.namespace, name, &address.to_string(), cast.name, ports));
        }
    }
    for member in &stage.members {
        let parent = Some(("Deployment", member.cast.name));
        items.push(objects::controller("ReplicaSet", member.cast.namespace, &member.owner, parent));
        items.push(pod(member));
    }
    let mut bytes = serde_json::to_vec_pretty(&objects::list(&items)).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn namespace(name: &str, environment: &str) -> Value {
    let mut object = objects::namespace(name);
    if let Some(labels) = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.insert("environment".to_owned(), json!(environment));
    }
    object
}

fn pod(member: &Member) -> Value {
    objects::pod(&objects::PodFacts {
        namespace: member.cast.namespace,
        name: &member.name,
        labels: &[("app", member.cast.name), ("app.kubernetes.io/name", member.cast.name)],
        owner: ("ReplicaSet", &member.owner),
        node: NODE,
        addresses: &[member.address.to_string()],
        host_address: &NODE_ADDRESS.to_string(),
        started: at(MONDAY - 604_800_000_000_000),
        finished: None,
    })
}
