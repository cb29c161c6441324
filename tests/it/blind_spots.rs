//! What a baseline cannot know, from objects of workloads that never spoke.

use egress_atlas::report::AtlasDocument;

use crate::support::{folder, run};

const OBJECTS: &str = r"
apiVersion: batch/v1
kind: CronJob
metadata: {name: quarterly, namespace: shop}
spec: {schedule: '0 3 1 */3 *'}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: hourly, namespace: shop}
spec: {schedule: '@hourly'}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: local-time, namespace: shop}
spec: {schedule: '0 3 * * *', timeZone: Europe/Berlin}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: paused, namespace: shop}
spec: {schedule: '@hourly', suspend: true}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, namespace: shop}
spec: {replicas: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: asleep, namespace: quiet}
spec: {replicas: 0}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: idle-5d4f8b7c9, namespace: shop, ownerReferences: [{kind: Deployment, name: idle, controller: true}]}
spec: {replicas: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: storefront, namespace: shop}
spec: {replicas: 2}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-agent, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: node-agent-x2x4z, namespace: shop, ownerReferences: [{kind: DaemonSet, name: node-agent, controller: true}]}
spec: {hostNetwork: true, nodeName: node-a}
status: {podIP: 192.168.7.1, hostIP: 192.168.7.1}
";

#[test]
fn workloads_that_never_spoke_are_listed_with_the_reason() {
    let folder = folder(&[("more.yaml", OBJECTS.as_bytes())]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    run(&["demo", "--out", &at("demo")]);
    let ran = run(&[
        "discover",
        "--flows",
        &at("demo/data/prod-eu/hubble"),
        "--dns",
        &at("demo/data/prod-eu/dns"),
        "--kube",
        &at("demo/data/prod-eu/kube.json"),
        "--kube",
        &at("more.yaml"),
        "--out",
        &at("out"),
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let atlas: AtlasDocument = serde_json::from_slice(&std::fs::read(at("out/atlas.json")).unwrap()).unwrap();
    let mut lines = String::new();
    for (namespace, content) in atlas.clusters.values().flat_map(|cluster| &cluster.namespaces) {
        for spot in &content.blind_spots {
            let run = spot.run.as_deref().unwrap_or("-");
            let workload = format!("{}/{}", spot.workload.kind, spot.workload.name);
            lines.extend([namespace, " ", &workload, ": ", &spot.reason, " ", run, "\n"]);
        }
    }
    insta::assert_snapshot!(lines, @r#"
payments CronJob/month-end-statements: not-due 2026-04-01T04:30:00Z
quiet Deployment/asleep: scaled-to-zero -
shop CronJob/hourly: due-and-never-seen 2026-03-02T01:00:00Z
shop CronJob/local-time: not-due -
shop CronJob/paused: suspended -
shop CronJob/quarterly: not-due 2026-04-01T03:00:00Z
shop DaemonSet/node-agent: host-network -
shop Deployment/flash-sale: scaled-to-zero -
shop Deployment/idle: never-seen -
"#);
    let document = std::fs::read_to_string(at("out/shop.md")).unwrap();
    assert!(document.contains("- `CronJob/hourly`: **should have run** at 2026-03-02 01:00:00 UTC"), "{document}");
    assert!(std::fs::read_to_string(at("out/quiet.md")).unwrap().contains("`Deployment/asleep`: scaled to zero"));
}
