//! Lints of policies: each rule fires where it should and is silent where it should be; the command; the demo's own drafts.

use egress_atlas::catalog::Catalog;
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Severity};
use egress_atlas::policy::lint::{LINT_RULES, lint};
use egress_atlas::policy::{PolicySet, PolicySource};
use egress_atlas::replay::Profile;
use egress_atlas::simulate::demo;
use egress_atlas::task::lint_cluster;

use crate::support::{Ran, folder, run};

const KUBE: &str = r#"{"apiVersion":"v1","kind":"List","items":[
 {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"}}},
 {"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"spec":{"podCIDR":"10.244.0.0/24","podCIDRs":["10.244.0.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.10"}]}},
 {"apiVersion":"v1","kind":"Service","metadata":{"name":"cart","namespace":"shop"},"spec":{"clusterIP":"10.96.0.7","clusterIPs":["10.96.0.7"],"ports":[{"port":80}]}},
 {"apiVersion":"v1","kind":"Pod","metadata":{"name":"cart-1","namespace":"shop","labels":{"app":"cart"}},"spec":{"nodeName":"n1"},"status":{"podIP":"10.244.0.5","podIPs":[{"ip":"10.244.0.5"}],"phase":"Running"}}
]}"#;

/// Rules that fire, as `rule/severity`, sorted; what concerns missing default-denies is left out unless asked for.
fn fired(policies: &str, profile: &Profile, with_kube: bool) -> Vec<String> {
    let set = PolicySet::parse(&[PolicySource { file: "p.yaml", text: policies, cluster: None }])
        .unwrap_or_else(|error| panic!("{error}"));
    let mut inventory = Inventory::default();
    if with_kube {
        inventory.add("c", KUBE.as_bytes(), &mut Account::default());
    }
    let cluster = lint_cluster("c", profile, &inventory, None);
    let found = lint(&set, &[cluster], &Catalog::embedded().unwrap());
    let mut names: Vec<String> =
        found.findings.iter().map(|finding| format!("{}/{}", finding.rule.id, finding.severity)).collect();
    names.sort();
    names.dedup();
    names
}

fn kubernetes(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
    )
}

fn cilium(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
    )
}

fn antrea(name: &str, priority: u32, spec: &str) -> String {
    format!(
        "apiVersion: crd.antrea.io/v1beta1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{priority: {priority}, appliedTo: [{{podSelector: {{}}}}], {spec}}}\n---\n"
    )
}

fn egress(to: &str) -> String {
    kubernetes("p", &format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{to}]}}"))
}

fn block(block: &str, rest: &str) -> String {
    egress(&format!("{{to: [{{ipBlock: {block}}}]{rest}}}"))
}

/// `rule/severity` fires for the first text, and `rule` in no severity for the second.
fn check(rule: &str, fires: &str, silent: &str) {
    check_with(rule, fires, silent, &Profile::GENERIC, false);
}

fn check_with(rule: &str, fires: &str, silent: &str, profile: &Profile, with_kube: bool) {
    let found = fired(fires, profile, with_kube);
    assert!(found.iter().any(|name| name == rule), "{rule} does not fire: {found:?}\n{fires}");
    let id = rule.split_once('/').unwrap().0;
    assert!(LINT_RULES.iter().any(|known| known.id == id), "{id}");
    let found = fired(silent, profile, with_kube);
    assert!(found.iter().all(|name| name.split_once('/').unwrap().0 != id), "{id} fires: {found:?}\n{silent}");
}

const SAFE_V4: &str = "{cidr: 0.0.0.0/0, except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 192.0.0.0/24, 168.63.129.16/32]}";

#[test]
fn rules_that_reach_too_far() {
    let narrow = block("{cidr: 192.0.2.0/24}", "");
    check("any-destination/high", &egress("{}"), &narrow);
    check("any-destination/medium", &egress("{ports: [{port: 443}]}"), &narrow);
    let ingress = |from: &str| kubernetes("p", &format!("{{podSelector: {{}}, ingress: [{from}]}}"));
    check("any-source/medium", &ingress("{}"), &ingress("{from: [{podSelector: {}}]}"));
    check("any-source/low", &ingress("{ports: [{port: 443}]}"), &ingress("{from: [{podSelector: {}}]}"));
    let world = |word: &str| cilium("p", &format!("{{endpointSelector: {{}}, egress: [{{toEntities: [{word}]}}]}}"));
    check("world/high", &world("world"), &world("kube-apiserver"));
    check("world/high", &world("all"), &world("host"));
    check("whole-internet/high", &block("{cidr: 0.0.0.0/0}", ""), &block(SAFE_V4, ""));
    check("whole-internet/medium", &block("{cidr: '::/0'}", ", ports: [{port: 443}]"), &narrow);
    let halves = egress("{to: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]}");
    check("whole-internet/high", &halves, &narrow);
    check("public-internet/low", &block(SAFE_V4, ""), &narrow);
    check("wide-range/medium", &block("{cidr: 52.0.0.0/8}", ""), &block("{cidr: 52.16.0.0/14}", ""));
    check("wide-range/low", &block("{cidr: 10.0.0.0/8}", ""), &block("{cidr: 10.1.0.0/16}", ""));
    check("any-port/low", &narrow, &block("{cidr: 192.0.2.0/24}", ", ports: [{port: 443}]"));
    check("any-port/low", &narrow, &block(SAFE_V4, ""));
    check("every-pod/low", &egress("{to: [{namespaceSelector: {}}]}"), &egress("{to: [{podSelector: {}}]}"));
}

#[test]
fn metadata_services_are_found_by_address_and_port() {
    let safe_v6 = "{cidr: '::/0', except: ['::/96', 'fc00::/7', 'fe80::/10', '64:ff9b::/96', '2002::/16']}";
    check("metadata-reachable/high", &block("{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}", ""), &block(SAFE_V4, ""));
    check("metadata-reachable/high", &block("{cidr: '::/0', except: ['fd00:ec2::254/128']}", ""), &block(safe_v6, ""));
    check(
        "metadata-reachable/high",
        &block("{cidr: 169.254.0.0/16}", ""),
        &block("{cidr: 169.254.0.0/16}", ", ports: [{port: 53, protocol: UDP}]"),
    );
    // Within IPv6 once the plain addresses are taken out.
    check(
        "metadata-reachable/low",
        &block("{cidr: '::/0', except: ['fc00::/7', 'fe80::/10']}", ""),
        &block(safe_v6, ""),
    );
    check(
        "metadata-reachable/low",
        &block("{cidr: 169.254.169.254/32}", ", ports: [{port: 80}]"),
        &block("{cidr: 169.254.20.10/32}", ""),
    );
}

#[test]
fn names() {
    let dns = "{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system}}], toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}";
    let named =
        |name: &str| cilium("p", &format!("{{endpointSelector: {{}}, egress: [{{toFQDNs: [{name}]}}, {dns}]}}"));
    check("any-name/high", &named("{matchPattern: '*'}"), &named("{matchName: api.stripe.com}"));
    check("wildcard-shared-suffix/high", &named("{matchPattern: '*.com'}"), &named("{matchPattern: '*.stripe.com'}"));
    check("wildcard-shared-suffix/high", &named("{matchPattern: '*.github.io'}"), &named("{matchName: me.github.io}"));
    check(
        "wildcard-shared-suffix/high",
        &named("{matchPattern: 'a*.co.uk'}"),
        &named("{matchPattern: 'a*.shop.example.com'}"),
    );
    let bare = cilium("p", "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.example.com}]}]}");
    check("name-without-dns/high", &bare, &named("{matchName: a.example.com}"));
    let other = named("{matchName: a.example.com}").replace("matchPattern: '*'", "matchName: b.example.com");
    check("name-without-dns/high", &other, &named("{matchPattern: 'x*.example.com'}"));
}

#[test]
fn rules_without_effect() {
    let mirror = |name: &str, to: &str| {
        kubernetes(
            name,
            &format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{to}], ports: [{{port: 443}}]}}]}}"),
        )
    };
    check(
        "selector-for-internet/medium",
        &mirror("allow-package-mirror", "{namespaceSelector: {}}"),
        &mirror("allow-neighbours", "{namespaceSelector: {}}"),
    );
    check(
        "selector-for-internet/medium",
        &mirror("external-https", "{namespaceSelector: {}}"),
        &mirror("external-https", "{namespaceSelector: {}}, {ipBlock: {cidr: 192.0.2.0/24}}"),
    );
    check(
        "selects-nobody/medium",
        &cilium("open", "{endpointSelector: {}, egress: [{}]}"),
        &cilium("deny-all", "{endpointSelector: {}, egress: [{}]}"),
    );
    check(
        "selects-nobody/medium",
        &cilium("p", "{endpointSelector: {}, egress: [{toCIDR: []}]}"),
        &cilium("p", "{endpointSelector: {}, egress: [{toCIDR: [192.0.2.0/24]}]}"),
    );
    let subject = |app: &str| kubernetes("p", &format!("{{podSelector: {{matchLabels: {{app: {app}}}}}}}"));
    check_with("no-such-pod/medium", &subject("crat"), &subject("cart"), &Profile::GENERIC, true);
    let peer = |app: &str| egress(&format!("{{to: [{{podSelector: {{matchLabels: {{app: {app}}}}}}}]}}"));
    check_with("no-such-pod/low", &peer("crat"), &peer("cart"), &Profile::GENERIC, true);
    check(
        "not-in-force/low",
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: {nodeSelector: {}, ingress: [{fromEntities: [cluster]}]}\n",
        &peer("cart"),
    );
    check_with("unenforced-kind/high", &cilium("p", "{endpointSelector: {}}"), &peer("cart"), &Profile::CALICO, false);
    check_with(
        "block-on-cluster-addresses/medium",
        &block("{cidr: 10.244.0.0/28}", ""),
        &block("{cidr: 10.200.0.0/16}", ""),
        &Profile::CILIUM,
        true,
    );
    check_with(
        "block-on-cluster-addresses/medium",
        &block("{cidr: 10.96.0.7/32}", ""),
        &block("{cidr: 10.96.0.8/32}", ""),
        &Profile::GENERIC,
        true,
    );
}

/// A private range with pods and other things in it; where ranges match pods, it means them.
#[test]
fn ranges_that_cover_pods() {
    let range = |net: &str| cilium("p", &format!("{{endpointSelector: {{}}, egress: [{{toCIDRSet: [{net}]}}]}}"));
    let covering = range("{cidr: 10.244.0.0/16}");
    let excepted = range("{cidr: 10.244.0.0/16, except: [10.244.0.0/20]}");
    check_with("block-on-cluster-addresses/low", &covering, &excepted, &Profile::CILIUM, true);
    check_with("block-on-cluster-addresses/low", &covering, &range("{cidr: 172.16.0.0/12}"), &Profile::CILIUM, true);
    assert!(
        !fired(&block("{cidr: 10.244.0.0/16}", ""), &Profile::CALICO, true)
            .iter()
            .any(|name| name.starts_with("block-on"))
    );
}

/// A policy that closes all namespaces at once has no pinned name to bear.
#[test]
fn a_deny_for_the_cluster_needs_no_pinned_name() {
    let global = |selector: &str| {
        format!(
            "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: closed}}\nspec: {{namespaceSelector: \"{selector}\", types: [Ingress, Egress]}}\n"
        )
    };
    let one = global("projectcalico.org/name == 'shop'");
    check_with("default-deny-other-name/low", &one, &global("all()"), &Profile::CALICO, true);
}

#[test]
fn allow_lists_and_order() {
    let allow = "{action: Allow, to: [{ipBlock: {cidr: 192.0.2.0/24}}]}";
    let list = |rules: &str| antrea("list", 5, &format!("egress: [{rules}]"));
    let ended = format!("{allow}, {{action: Drop}}");
    check("allow-list-without-deny/high", &list(allow), &list(&ended));
    check(
        "allow-list-without-deny/high",
        &list(allow),
        &(list(allow) + &kubernetes("d", "{podSelector: {}, policyTypes: [Egress]}")),
    );
    check("deny-undone/high", &list(&format!("{{action: Allow}}, {allow}, {{action: Drop}}")), &list(&ended));
    check("shadowed-rule/medium", &list(&format!("{{action: Drop}}, {allow}")), &list(&ended));
    check(
        "shadowed-rule/low",
        &(egress("{to: [{podSelector: {}}]}")
            + &kubernetes(
                "q",
                "{podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}",
            )),
        &egress("{to: [{podSelector: {}}]}"),
    );
    // Neither what lies in a hole nor another protocol is covered.
    let beside = |to: &str, port: &str| {
        block("{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}", ", ports: [{port: 443}]")
            + &kubernetes(
                "q",
                &format!(
                    "{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {to}}}}}], ports: [{port}]}}]}}"
                ),
            )
    };
    let covered = beside("192.0.2.0/26", "{port: 443}");
    check("shadowed-rule/low", &covered, &beside("192.0.2.128/26", "{port: 443}"));
    check("shadowed-rule/low", &covered, &beside("192.0.2.0/26", "{port: 443, protocol: UDP}"));
    let deny = cilium(
        "p",
        "{endpointSelector: {}, egressDeny: [{toCIDR: [192.0.2.0/24]}], egress: [{toCIDR: [192.0.2.7/32]}]}",
    );
    check("shadowed-rule/medium", &deny, &deny.replace("192.0.2.7", "198.51.100.7"));
    let closed = kubernetes("default-deny-egress", "{podSelector: {}, policyTypes: [Egress]}");
    check("deny-undone/high", &(closed.clone() + &egress("{}")), &(closed + &block("{cidr: 192.0.2.0/24}", "")));
    let filled = |net: &str| {
        block(SAFE_V4, "")
            + &kubernetes(
                "q",
                &format!(
                    "{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {net}}}}}]}}]}}"
                ),
            )
    };
    check("except-undone/medium", &filled("169.254.0.0/16"), &filled("10.7.0.0/16"));
    check("except-undone/low", &filled("10.0.0.0/8"), &filled("198.51.100.0/24"));
}

#[test]
fn default_deny_and_names() {
    let deny = |name: &str, spec: &str| kubernetes(name, spec);
    let both = deny("default-deny-egress", "{podSelector: {}, policyTypes: [Egress]}")
        + &deny("default-deny-ingress", "{podSelector: {}, policyTypes: [Ingress]}");
    check(
        "default-deny-missing/medium",
        &deny("default-deny-egress", "{podSelector: {}, policyTypes: [Egress]}"),
        &both,
    );
    check("default-deny-other-name/low", &deny("deny-all", "{podSelector: {}, policyTypes: [Egress]}"), &both);
    check(
        "default-deny-ineffective/high",
        &deny("default-deny-egress", "{podSelector: {matchLabels: {app: cart}}, policyTypes: [Egress]}"),
        &both,
    );
    check(
        "default-deny-ineffective/high",
        &deny("default-deny-egress", "{podSelector: {}, policyTypes: [Ingress]}"),
        &both,
    );
    check(
        "default-deny-ineffective/high",
        &deny("default-deny-egress", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}"),
        &both,
    );
    check("drifted-name/medium", &deny("default-deny-egres", "{podSelector: {}}"), &both);
    let dns = |ports: &str| {
        both.clone()
            + &egress(&format!(
                "{{to: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: kube-system}}}}}}], ports: [{ports}]}}"
            ))
    };
    let full = dns("{port: 53}, {port: 53, protocol: UDP}");
    check("dns-closed/low", &both, &full);
    check("dns-closed/medium", &(both.clone() + &block("{cidr: 192.0.2.0/24}", ", ports: [{port: 443}]")), &full);
    check("dns-closed/medium", &dns("{port: 53}"), &full);
    check("dns-one-transport/low", &dns("{port: 53, protocol: UDP}"), &full);
    check_with("dns-closed/low", &both, &full, &Profile::GENERIC, true);
}

const MESSY: &str = "apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: default-deny-egress, namespace: shop}
  spec: {podSelector: {}, policyTypes: [Egress]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: temporary-open, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: cart}}
    policyTypes: [Egress]
    egress: [{}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: allow-package-mirror, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: build}}
    policyTypes: [Egress]
    egress:
    - to: [{namespaceSelector: {}}]
      ports: [{port: 443}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: default-deny-ingres, namespace: shop}
  spec: {podSelector: {}, policyTypes: [Ingress]}
- apiVersion: cilium.io/v2
  kind: CiliumNetworkPolicy
  metadata: {name: vendor, namespace: shop}
  spec:
    endpointSelector: {matchLabels: {app: cart}}
    egress:
    - toFQDNs: [{matchName: api.stripe.com}]
    - toCIDR: [10.244.0.0/28]
";

fn messy(more: &[&str]) -> Ran {
    let folder = folder(&[("policies.yaml", MESSY.as_bytes()), ("kube.json", KUBE.as_bytes())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (policies, kube) = (path("policies.yaml"), path("kube.json"));
    let mut arguments = vec!["audit", "--policies", &policies, "--kube", &kube, "--profile", "cilium"];
    arguments.extend(more);
    let mut ran = run(&arguments);
    ran.out = ran.out.replace(&format!("{}/", folder.path().display()), "");
    ran
}

#[test]
fn a_messy_cluster_as_users_see_it() {
    let ran = messy(&[]);
    assert_eq!(ran.status, 1, "{}", ran.err);
    insta::assert_snapshot!(ran.out, @r#"
high    any-destination  NetworkPolicy shop/temporary-open  policies.yaml:14
        egress rule 1: names no destination, so any address inside and outside is allowed at any
        port
        fix: name the destinations: selectors for pods, names or ranges for what is outside
high    deny-undone  NetworkPolicy shop/temporary-open  policies.yaml:14
        egress rule 1: allows all egress, so that NetworkPolicy shop/default-deny-egress closes
        nothing for pods of `app=cart`
        fix: list what these pods need, and remove this rule
high    name-without-dns  CiliumNetworkPolicy shop/vendor  policies.yaml:34
        egress rule 1: `api.stripe.com`: no rule sends DNS through the proxy, so that the name never
        gets an address
        fix: allow port 53 to the DNS pods with `rules.dns` that match the name, for the same pods
medium  no-such-pod  NetworkPolicy shop/allow-package-mirror  policies.yaml:15
        `app=build` selects no pod of --kube, so that the policy protects none
        fix: compare the selector with the pods' labels; keep it if the pods run only at times
        (jobs)
medium  selector-for-internet  NetworkPolicy shop/allow-package-mirror
        policies.yaml:22
        egress rule 1: the name says `mirror`, and `namespaceSelector: {}` means pods of the cluster
        alone: nothing outside is reached
        fix: write an `ipBlock`, or names in a dialect that has them; keep the selector if pods are
        meant, and rename the policy
medium  drifted-name  NetworkPolicy shop/default-deny-ingres  policies.yaml:24
        `default-deny-ingres` is close to the pinned name `default-deny-ingress`, and checks and
        rollback commands go by that
        fix: rename it to `default-deny-ingress`, or to something unlike it if it is another policy
medium  block-on-cluster-addresses  CiliumNetworkPolicy shop/vendor
        policies.yaml:35
        egress rule 2: `10.244.0.0/28` holds only addresses of pods; profile `cilium` knows these by
        identity and matches no range on them
        fix: select the pods by labels (nodes by the CNI's own word for them)
low     default-deny-other-name  NetworkPolicy shop/default-deny-ingres
        policies.yaml:24
        closes ingress of `shop` under another name than `default-deny-ingress`
        fix: rename it to `default-deny-ingress`: apply the new object before the old one is deleted
low     any-port  CiliumNetworkPolicy shop/vendor  policies.yaml:34
        egress rule 1: reaches its destinations at every port and protocol
        fix: list the ports in use
low     shadowed-rule  CiliumNetworkPolicy shop/vendor  policies.yaml:34
        egress rule 1: changes nothing while NetworkPolicy shop/temporary-open egress rule 1 stands,
        which covers it
        fix: remove it, or narrow the wider rule
low     any-port  CiliumNetworkPolicy shop/vendor  policies.yaml:35
        egress rule 2: reaches its destinations at every port and protocol
        fix: list the ports in use
low     shadowed-rule  CiliumNetworkPolicy shop/vendor  policies.yaml:35
        egress rule 2: changes nothing while NetworkPolicy shop/temporary-open egress rule 1 stands,
        which covers it
        fix: remove it, or narrow the wider rule

5 policies: 3 high, 4 medium, 5 low
"#);
    assert_eq!(messy(&["--fail-on", "high"]).status, 1);
}

#[test]
fn machines_get_the_same_findings() {
    let json: serde_json::Value = serde_json::from_str(&messy(&["--format", "json"]).out).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let sarif: serde_json::Value = serde_json::from_str(&messy(&["--format", "sarif"]).out).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    for (result, finding) in results.iter().zip(findings) {
        assert_eq!(result["ruleId"], finding["rule"]);
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], finding["rule"]);
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert_eq!(region["startLine"], finding["line"]);
        let (fix, text) = (finding["fix"].as_str().unwrap(), result["message"]["text"].as_str().unwrap());
        assert!(!fix.is_empty() && text.contains(fix), "{text}");
    }
    let open = findings.iter().find(|finding| finding["rule"] == "any-destination").unwrap();
    assert_eq!(
        MESSY.lines().nth(usize::try_from(open["line"].as_u64().unwrap()).unwrap() - 1),
        Some("    egress: [{}]")
    );
    let csv = messy(&["--format", "csv"]).out;
    assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), findings.len());
    assert!(messy(&["--format", "markdown"]).out.starts_with("# Audit of policies\n"));
}

#[test]
fn statuses() {
    let check = |text: &str, more: &[&str], status: u8, expected: &str| {
        let folder = folder(&[("p.yaml", text.as_bytes())]);
        let path = folder.path().join("p.yaml").display().to_string();
        let mut arguments = vec!["audit", "--policies", &path];
        arguments.extend(more);
        let ran = run(&arguments);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(expected) || ran.out.contains(expected), "{expected}: {}{}", ran.out, ran.err);
    };
    let both = kubernetes("default-deny-egress", "{podSelector: {}, policyTypes: [Egress]}")
        + &kubernetes("default-deny-ingress", "{podSelector: {}, policyTypes: [Ingress]}");
    check(&both, &[], 0, "not checked: selectors without pods: give --kube");
    check(&both, &["--fail-on", "low"], 1, "dns-closed");
    check(&egress("{}"), &[], 1, "any-destination");
    check(&both.replace("podSelector", "podSelecter"), &[], 2, "did you mean `podSelector`?");
    check("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", &[], 2, "no network policy in --policies");
}

#[test]
fn drafts_of_the_demo_pass_their_own_audit() {
    let data = tempfile::tempdir().unwrap();
    for file in demo().files {
        let path = data.path().join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.bytes).unwrap();
    }
    let at = |name: &str| data.path().join(name).display().to_string();
    let (eu, us) = (format!("prod-eu={}", at("prod-eu/hubble")), format!("prod-us={}", at("prod-us/hubble")));
    let (eu_dns, us_dns) = (format!("prod-eu={}", at("prod-eu/dns")), format!("prod-us={}", at("prod-us/dns")));
    let (eu_kube, us_kube) =
        (format!("prod-eu={}", at("prod-eu/kube.json")), format!("prod-us={}", at("prod-us/kube.json")));
    let (config, reviews, baseline) = (at("egress-atlas.toml"), at("reviews.toml"), at("discovery"));
    let ran = run(&[
        "discover",
        "--flows",
        &eu,
        "--flows",
        &us,
        "--dns",
        &eu_dns,
        "--dns",
        &us_dns,
        "--kube",
        &eu_kube,
        "--kube",
        &us_kube,
        "--config",
        &config,
        "--reviews",
        &reviews,
        "--out",
        &baseline,
    ]);
    assert_ne!(ran.status, 2, "{}", ran.err);
    for dialect in ["kubernetes", "cilium", "antrea", "calico", "cluster-network-policy"] {
        let out = at(dialect);
        let ran = run(&["draft", "--baseline", &baseline, "--dialect", dialect, "--config", &config, "--out", &out]);
        assert_ne!(ran.status, 2, "{}", ran.err);
        let profile = if ["cilium", "antrea", "calico"].contains(&dialect) { dialect } else { "generic" };
        let (eu, us) = (format!("prod-eu={out}/prod-eu"), format!("prod-us={out}/prod-us"));
        let ran = run(&[
            "audit",
            "--policies",
            &eu,
            "--policies",
            &us,
            "--kube",
            &eu_kube,
            "--kube",
            &us_kube,
            "--baseline",
            &baseline,
            "--profile",
            profile,
            "--config",
            &config,
        ]);
        assert_eq!(ran.status, 0, "{dialect}\n{}{}", ran.out, ran.err);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn kyverno_policies_are_written_with_their_test() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let ran = run(&["audit", "--kyverno", &out]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    insta::assert_snapshot!(text("require-default-deny-audit.yaml"), @r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: require-default-deny-audit
  annotations:
    policies.kyverno.io/title: Namespaces have both default-deny policies
    policies.kyverno.io/category: Network
    policies.kyverno.io/severity: medium
    policies.kyverno.io/subject: Namespace, NetworkPolicy
    policies.kyverno.io/description: >-
      Reports every namespace that lacks `default-deny-egress` or `default-deny-ingress`, by exact name.
spec:
  background: true
  rules:
    - name: has-default-deny-egress
      match:
        any:
          - resources:
              kinds:
                - Namespace
      exclude:
        any:
          - resources:
              names:
                - kube-system
                - kube-public
                - kube-node-lease
                - kyverno
      context:
        - name: default_deny_egress_count
          apiCall:
            urlPath: "/apis/networking.k8s.io/v1/namespaces/{{ request.object.metadata.name }}/networkpolicies"
            jmesPath: "items[?metadata.name == 'default-deny-egress'] | length(@)"
      validate:
        failureAction: Audit
        message: "namespace {{ request.object.metadata.name }} has no NetworkPolicy `default-deny-egress`"
        deny:
          conditions:
            any:
              - key: "{{ default_deny_egress_count }}"
                operator: LessThan
                value: 1
    - name: has-default-deny-ingress
      match:
        any:
          - resources:
              kinds:
                - Namespace
      exclude:
        any:
          - resources:
              names:
                - kube-system
                - kube-public
                - kube-node-lease
                - kyverno
      context:
        - name: default_deny_ingress_count
          apiCall:
            urlPath: "/apis/networking.k8s.io/v1/namespaces/{{ request.object.metadata.name }}/networkpolicies"
            jmesPath: "items[?metadata.name == 'default-deny-ingress'] | length(@)"
      validate:
        failureAction: Audit
        message: "namespace {{ request.object.metadata.name }} has no NetworkPolicy `default-deny-ingress`"
        deny:
          conditions:
            any:
              - key: "{{ default_deny_ingress_count }}"
                operator: LessThan
                value: 1
"#);
    assert!(text("require-default-deny-enforce.yaml").contains("failureAction: Enforce"));
    assert!(text("test/kyverno-test.yaml").contains("kind: Test") && text("test/values.yaml").contains("kind: Values"));
}

#[test]
fn the_documentation_lists_every_rule_with_its_severity() {
    let text = include_str!("../../docs/audit.md");
    for rule in LINT_RULES {
        let row = format!("| `{}` | {} |", rule.id, rule.severity);
        assert!(text.contains(&row), "{row}");
    }
    assert!(LINT_RULES.iter().all(|rule| rule.severity >= Severity::Low));
}

#[test]
fn every_rule_has_a_case_that_fires() {
    let cases = include_str!("audit.rs");
    for rule in LINT_RULES {
        assert!(cases.contains(&format!("\"{}/", rule.id)), "{}: no case in this file", rule.id);
    }
}

#[test]
fn a_list_of_egress_without_policy_types_closes_ingress_too() {
    let spec = |types: &str| {
        kubernetes("web", &format!("{{podSelector: {{}}, {types}egress: [{{to: [{{podSelector: {{}}}}]}}]}}"))
    };
    check("ingress-implied/medium", &spec(""), &spec("policyTypes: [Egress], "));
    check("ingress-implied/medium", &spec(""), &spec("policyTypes: [Ingress, Egress], "));
    check("ingress-implied/medium", &spec(""), &spec("ingress: [{from: [{podSelector: {}}]}], "));
    let set = PolicySet::parse(&[PolicySource { file: "p.yaml", text: &spec(""), cluster: None }]).unwrap();
    let cluster = lint_cluster("c", &Profile::GENERIC, &Inventory::default(), None);
    let found = lint(&set, &[cluster], &Catalog::embedded().unwrap()).findings;
    let renamed =
        |finding: &&egress_atlas::policy::lint::LintFinding| finding.message.contains("closes ingress of `shop`");
    assert_eq!(found.iter().find(renamed), None, "its name is not the matter");
    assert!(found.iter().any(|finding| finding.fix.contains("policyTypes: [Egress]")));
}

/// One message of ICMP is told from another one.
#[test]
fn messages_of_icmp_are_named_by_type_and_code() {
    let check = |protocols: &str, expected: &str| {
        let spec =
            format!("egress: [{{action: Allow, to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}], protocols: [{protocols}]}}]");
        let text = antrea("p", 5, &spec);
        let set = PolicySet::parse(&[PolicySource { file: "p.yaml", text: &text, cluster: None }]).unwrap();
        let cluster = lint_cluster("c", &Profile::ANTREA, &Inventory::default(), None);
        let found = lint(&set, &[cluster], &Catalog::embedded().unwrap());
        let messages: Vec<&str> = found.findings.iter().map(|finding| &*finding.message).collect();
        assert!(messages.iter().any(|message| message.contains(expected)), "{expected}: {messages:?}");
    };
    check("{icmp: {icmpType: 3, icmpCode: 4}}", "at ICMP type 3 code 4:");
    check("{icmp: {icmpCode: 4}}", "at ICMP code 4:");
    check("{icmp: {icmpType: 8}}", "at ICMP type 8:");
    check(
        "{icmp: {icmpType: 3, icmpCode: 1}}, {icmp: {icmpType: 3, icmpCode: 4}}",
        "at ICMP type 3 code 1, ICMP type 3 code 4:",
    );
}
