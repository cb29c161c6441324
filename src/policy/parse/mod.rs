//! Texts of policy files → policies, one file per dialect.
//!
//! In: sources, each of any number of YAML documents, JSON objects or lists. Out: policies in the order of their identity, or every
//! mistake that was found. Objects that are no policies are counted by kind and passed over; an object that does not say its
//! kind is a mistake.

mod antrea;
mod calico;
mod cilium;
mod cluster_network_policy;
mod definitions;
mod expression;
mod fields;
mod icmp;
mod kubernetes;
mod labels;
mod node;
mod object;

use std::collections::BTreeMap;

use self::definitions::Definitions;
use self::fields::{Item, Origin};
use self::node::{Content, Node};
use super::{Note, PolicyError, PolicySet, PolicySource, Problem};
use crate::kube::yaml_documents;

/// Lists inside lists come from joining files by hand; deeper than this is no one's intention.
const LIST_DEPTH_MAX: usize = 4;

const NAME_NOTE: &str = "the API server refuses this name: lower case letters, digits, `-` and `.`";

/// Reads all sources.
pub(super) fn parse(sources: &[PolicySource<'_>]) -> Result<PolicySet, PolicyError> {
    let mut reader = Reader::default();
    for source in sources {
        reader.source(*source);
    }
    // Groups and tiers may stand behind the policies that refer to them.
    let objects = std::mem::take(&mut reader.objects);
    for object in &objects {
        let item = Item { node: &object.node, path: String::new(), origin: &object.origin };
        if let Err(problem) = reader.definitions.learn(&object.group, &object.kind, &item) {
            reader.problems.push(problem);
        }
    }
    for object in &objects {
        reader.object(object);
    }
    reader.finish()
}

/// The items of a list; tools in Go write and read `Items` as well.
fn items_of(list: &Node) -> Option<&Node> {
    list.get("items").or_else(|| list.get("Items").filter(|_| list.text("kind").ends_with("List")))
}

/// One object of a list or of a document.
struct Found<'a> {
    node: &'a Node,
    kind: &'a str,
    api_version: &'a str,
    depth: usize,
}

/// An object that says what it is.
struct Object {
    node: Node,
    origin: Origin,
    group: String,
    kind: String,
    cluster: Option<Box<str>>,
}

#[derive(Default)]
struct Reader {
    set: PolicySet,
    objects: Vec<Object>,
    definitions: Definitions,
    problems: Vec<Problem>,
}

impl Reader {
    fn source(&mut self, source: PolicySource<'_>) {
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
        for (place, (offset, document)) in yaml_documents(text).into_iter().enumerate() {
            let before = text.get(..offset).unwrap_or_default();
            let first_line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let origin = Origin { file: source.file.into(), document: place + 1, object: "".into() };
            match node::read(document, first_line) {
                Ok(node) => self.document(&node, &origin, source.cluster),
                Err(broken) => self.problems.push(Problem {
                    file: origin.file,
                    line: broken.line,
                    document: origin.document,
                    object: "".into(),
                    path: "".into(),
                    message: format!("not valid YAML or JSON: {}", broken.message).into(),
                }),
            }
        }
    }

    fn document(&mut self, node: &Node, origin: &Origin, cluster: Option<&str>) {
        let mut waiting = vec![Found { node, kind: "", api_version: "", depth: 0 }];
        while let Some(found) = waiting.pop() {
            let item = Item { node: found.node, path: String::new(), origin };
            let inner = match &found.node.content {
                Content::Null => continue,
                Content::List(items) => Some((items, "", "")),
                Content::Map(_) => match (found.node.text("kind"), items_of(found.node).map(|node| &node.content)) {
                    (kind, Some(Content::List(items))) if kind.is_empty() || kind.ends_with("List") => {
                        Some((items, kind.strip_suffix("List").unwrap_or_default(), found.node.text("apiVersion")))
                    }
                    // What kubectl prints when there is nothing: `items: null` or no items at all.
                    (kind, None | Some(Content::Null)) if kind.ends_with("List") => {
                        // A misspelt key must not make all policies of the list vanish.
                        let known = ["apiVersion", "kind", "metadata", "items"];
                        self.problems.extend(item.fields(&known).err());
                        continue;
                    }
                    _ => None,
                },
                _ => {
                    self.problems.push(
                        item.refuse(format!("a Kubernetes object is a mapping, found {}", found.node.content.kind())),
                    );
                    continue;
                }
            };
            if let Some((items, kind, api_version)) = inner {
                if found.depth >= LIST_DEPTH_MAX {
                    self.problems.push(item.refuse("lists inside lists, more than four deep"));
                    continue;
                }
                let depth = found.depth + 1;
                waiting.extend(items.iter().rev().map(|node| Found { node, kind, api_version, depth }));
                continue;
            }
            self.keep(&found, origin, cluster);
        }
    }

    fn keep(&mut self, found: &Found<'_>, origin: &Origin, cluster: Option<&str>) {
        let or = |own: &'_ str, given: &'_ str| -> String { if own.is_empty() { given.into() } else { own.into() } };
        let kind = or(found.node.text("kind"), found.kind);
        let api_version = or(found.node.text("apiVersion"), found.api_version);
        let metadata = found.node.get("metadata");
        let named = |key: &str| metadata.map(|metadata| metadata.text(key)).unwrap_or_default();
        let object = match (named("namespace"), named("name")) {
            (_, "") => kind.clone(),
            ("", name) => format!("{kind} {name}"),
            (namespace, name) => format!("{kind} {namespace}/{name}"),
        };
        let object: String = object.chars().take(200).collect();
        let origin = Origin { object: object.into(), ..origin.clone() };
        if kind.is_empty() || api_version.is_empty() {
            let item = Item { node: found.node, path: String::new(), origin: &origin };
            self.problems.push(item.refuse("an object needs `apiVersion` and `kind`; is this a policy at all?"));
            return;
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let cluster = cluster.map(Into::into);
        self.objects.push(Object { node: found.node.clone(), origin, group, kind, cluster });
    }

    fn object(&mut self, object: &Object) {
        let item = Item { node: &object.node, path: String::new(), origin: &object.origin };
        let cluster = object.cluster.as_deref();
        let definitions = &self.definitions;
        let read = match (object.group.as_str(), object.kind.as_str()) {
            ("networking.k8s.io" | "extensions", "NetworkPolicy") => {
                kubernetes::policy(&item, cluster).map(|policy| vec![policy])
            }
            ("cilium.io", kind @ ("CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy")) => {
                cilium::policies(&item, kind, cluster, definitions)
            }
            ("projectcalico.org" | "crd.projectcalico.org", kind) if calico::KINDS.contains(&kind) => {
                calico::policy(&item, kind, cluster, definitions).map(|policy| vec![policy])
            }
            ("crd.antrea.io", kind @ ("NetworkPolicy" | "ClusterNetworkPolicy")) => {
                antrea::policy(&item, kind, cluster, definitions).map(|policy| vec![policy])
            }
            ("policy.networking.k8s.io", kind) if cluster_network_policy::KINDS.contains(&kind) => {
                cluster_network_policy::policy(&item, kind, cluster).map(|policy| vec![policy])
            }
            (group, kind) if definitions::is_definition(group, kind) => return,
            (group, kind) if is_other_policy(group, kind) => {
                let message = format!(
                    "policies of kind `{kind}` ({group}) are not modelled; leave this object out to replay the others"
                );
                Err(item.refuse(message))
            }
            (_, kind) => {
                *self.set.passed.entry(kind.into()).or_default() += 1;
                return;
            }
        };
        match read {
            Ok(mut policies) => {
                for policy in policies.iter_mut().filter(|policy| !object::is_good_name(&policy.id)) {
                    policy.notes.push(NAME_NOTE);
                }
                self.set.policies.extend(policies);
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn finish(mut self) -> Result<PolicySet, PolicyError> {
        self.set.policies.sort_by(|one, two| one.id.cmp(&two.id));
        let mut known = BTreeMap::new();
        for policy in &self.set.policies {
            let id = &policy.id;
            let name = (&id.cluster, policy.dialect, &id.kind, &id.namespace, &id.name);
            if let Some((file, line)) = known.insert(name, (&id.file, id.line))
                && (file, line) != (&id.file, id.line)
            {
                self.problems.push(Problem {
                    file: id.file.clone(),
                    line: id.line,
                    document: id.document,
                    object: id.to_string().into(),
                    path: "".into(),
                    message: format!(
                        "the same object stands in {file} line {line}; which one is in force? If they are of two clusters, give each as NAME=PATH"
                    )
                    .into(),
                });
            }
        }
        let notes = self.set.policies.iter().flat_map(|policy| {
            let rules = [&policy.egress, &policy.ingress].into_iter().flatten().flat_map(|section| &section.rules);
            let texts = policy.notes.iter().chain(rules.flat_map(|rule| &rule.notes));
            texts.map(|text| Note { object: policy.id.clone(), text })
        });
        self.set.notes = notes.collect();
        self.set.notes.sort();
        self.set.notes.dedup();
        if self.problems.is_empty() {
            return Ok(self.set);
        }
        self.problems.sort();
        Err(PolicyError { problems: self.problems })
    }
}

/// Policies of other controllers: what they allow or stop would be missing from every verdict.
fn is_other_policy(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        ("networking.k8s.aws", _)
            | ("k8s.ovn.org", "EgressFirewall" | "AdminPolicyBasedExternalRoute")
            | ("networking.gke.io", "FQDNNetworkPolicy")
            | ("crd.projectcalico.org" | "projectcalico.org", "StagedClusterNetworkPolicy")
    )
}
