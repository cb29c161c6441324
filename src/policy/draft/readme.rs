//! `README.md` of a draft: what is in the folder, how to apply it, and how to take it back, by the exact name of every object.
//!
//! In: a draft and its objects. Out: Markdown. Commands never use labels or patterns: a rollback at night must not depend on either. Everything is
//! applied in one step, since policies that close by selecting have no safe order.

use std::collections::BTreeSet;

use super::dialect::Dialect;
use super::manifest::Manifest;
use super::model::Draft;
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// The document.
pub(super) fn document(draft: &Draft, manifests: &[Manifest]) -> String {
    let mut out = vec![format!("# Policies of namespace {}", draft.namespace), String::new()];
    out.push(format!(
        "Drafted for cluster `{}` as `{}` (`{}`). Read [PENDING.md](PENDING.md) first: it lists what breaks when this is applied as it is.",
        super::evidence::printable(&draft.cluster).replace('`', "'"),
        draft.dialect.kind(),
        draft.dialect.api_version()
    ));
    out.push(String::new());
    out.push("| file | objects | rules |".to_owned());
    out.push("| --- | --- | ---: |".to_owned());
    for policy in PolicyName::ALL {
        let names: Vec<String> = named(manifests, &[policy]).iter().map(|name| format!("`{name}`")).collect();
        let rules = draft.rules().filter(|(own, _)| *own == policy).count();
        let shown = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        out.push(format!("| `{}` | {shown} | {rules} |", policy.file()));
    }
    out.extend(notes(draft.dialect));
    out.push(String::new());
    out.push("## Apply".to_owned());
    out.push(String::new());
    out.extend(apply(draft, manifests));
    for direction in [Direction::Egress, Direction::Ingress] {
        out.push(String::new());
        out.extend(rollback(draft, manifests, direction));
    }
    out.push(String::new());
    out.join("\n")
}

/// How to apply it: all at once, since the first of these objects closes the pods that it selects, and the others open them again.
fn apply(draft: &Draft, manifests: &[Manifest]) -> Vec<String> {
    let mut out = Vec::new();
    if draft.dialect == Dialect::Cilium {
        out.push(
            "First let the DNS proxy learn names, without closing anything (Cilium 1.16 or later, for `enableDefaultDeny`). A name opens the addresses that the \
             proxy saw in answers, and a client that keeps an older answer, or an open connection, would be cut off. Wait until the answers from before \
             have run out (the longest TTL, and what clients cache beyond it), or restart the clients."
                .to_owned(),
        );
        out.extend([String::new(), "```sh".to_owned(), "kubectl apply -f - <<'EOF'".to_owned()]);
        if let Some(object) = super::cilium::dns_visibility(draft) {
            out.push(object.yaml().trim_end().to_owned());
        }
        out.extend(["EOF".to_owned(), "```".to_owned(), String::new()]);
        out.push("Then all objects at once, and the first one away.".to_owned());
    } else {
        out.push("All objects at once.".to_owned());
    }
    let why = match draft.dialect {
        Dialect::Antrea | Dialect::ClusterNetworkPolicy => {
            "`kustomization.yaml` names them with the denies last (`kubectl` 1.27 or later keeps that order)."
        }
        _ => {
            "One of them alone closes its pods to everything that the others open, so there is no order in which to apply them one by one."
        }
    };
    out.push(format!("{why} Try it with `--dry-run=server` before."));
    out.extend([String::new(), "```sh".to_owned(), "kubectl apply -k .".to_owned()]);
    if draft.dialect == Dialect::Cilium {
        out.push(format!(
            "kubectl delete {} -n {} {}",
            draft.dialect.resource(),
            draft.namespace,
            super::cilium::DNS_VISIBILITY
        ));
    }
    out.extend(["```".to_owned(), String::new(), "## Roll back everything".to_owned(), String::new()]);
    out.push("```sh".to_owned());
    out.push(match draft.dialect {
        // Where denies are rules of their own, they must not outlive the allow-lists.
        Dialect::Antrea | Dialect::ClusterNetworkPolicy => delete(draft, manifests, &denies_first()),
        _ => "kubectl delete -k . --ignore-not-found".to_owned(),
    });
    out.push("```".to_owned());
    out
}

fn denies_first() -> Vec<PolicyName> {
    let mut policies = PolicyName::ALL.to_vec();
    policies.sort_by_key(|policy| !policy.as_str().starts_with("default-deny"));
    policies
}

/// The objects of these policies away, in their order.
fn delete(draft: &Draft, manifests: &[Manifest], policies: &[PolicyName]) -> String {
    let place = if draft.dialect.is_cluster_wide() { String::new() } else { format!(" -n {}", draft.namespace) };
    let names: Vec<&str> = policies.iter().flat_map(|policy| named(manifests, &[*policy])).collect();
    format!("kubectl delete {}{place} --ignore-not-found {}", draft.dialect.resource(), names.join(" "))
}

/// The names of the objects of these policies, sorted.
fn named<'m>(manifests: &'m [Manifest], policies: &[PolicyName]) -> BTreeSet<&'m str> {
    manifests
        .iter()
        .filter(|manifest| policies.contains(&manifest.policy))
        .map(|manifest| manifest.name.as_str())
        .collect()
}

fn rollback(draft: &Draft, manifests: &[Manifest], direction: Direction) -> Vec<String> {
    let word = direction.as_str();
    let mut out = vec![format!("## Roll back {word}"), String::new()];
    out.push(match draft.dialect {
        Dialect::Antrea | Dialect::ClusterNetworkPolicy => {
            "The deny is the first to go: from then on nothing is closed.".to_owned()
        }
        _ => "All of them: an allow-list closes its pods on its own, also without the default deny.".to_owned(),
    });
    out.push(String::new());
    out.push("```sh".to_owned());
    let mut policies: Vec<PolicyName> =
        PolicyName::ALL.into_iter().filter(|policy| policy.direction() == direction).collect();
    policies.sort();
    out.push(delete(draft, manifests, &policies));
    out.push("```".to_owned());
    out
}

/// What a dialect does that a reader may not expect.
fn notes(dialect: Dialect) -> Vec<String> {
    let lines: &[&str] = match dialect {
        Dialect::Kubernetes => &[
            "Rules hold no names. Destinations known by name only are in PENDING.md, unless ranges or stable addresses stand for them.",
            "One object selects one set of pods, so the allow-lists are one object for each template, named behind the pinned name.",
        ],
        Dialect::Cilium => &[
            "Names are those that pods ask for, in full. They work because the baseline policy sends DNS through the proxy.",
            "A name opens the addresses of its answers; a connection to an address that was resolved before the proxy saw the answers is closed.",
            "The proxy has to keep the pods' addresses (Helm `dnsProxy.enableTransparentMode: true`; the default, but not beside another CNI in a chain): otherwise all questions reach CoreDNS from its node, and a capture of DNS there no longer tells which pod asked.",
        ],
        Dialect::Antrea => &[
            "Antrea asks these before any Kubernetes NetworkPolicy: an `Allow` here is final, also where a NetworkPolicy would close.",
            "`fqdn` follows answers over UDP; node-local caches and DNS over TCP hide them.",
        ],
        Dialect::Calico => &[
            "Rules of open-source Calico hold no names. Destinations known by name only are in PENDING.md.",
            "Each rule of an allow-list is bound to its template by the selector of its own side.",
        ],
        Dialect::ClusterNetworkPolicy => &[
            "`domainNames` need the experimental channel of the CRD. Objects belong to the cluster, so their names carry the namespace.",
            "Baseline tier: a NetworkPolicy that isolates a pod decides before these, and alone.",
            "Callers outside the cluster cannot be selected: ingress is closed to pods only.",
        ],
    };
    let mut out = vec![String::new()];
    out.extend(lines.iter().map(|line| format!("- {line}")));
    out
}
