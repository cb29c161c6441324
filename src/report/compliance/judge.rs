//! What the evidence shows for each control of each namespace.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::json::AtlasDocument;
use super::super::wording::{count, counted, size};
use super::control::Control;
use super::evidence::{GateEvidence, GateResult, LeakSeen, NamespaceSeen, ReplaySeen, SoakSeen};
use crate::model::Severity;
use crate::policy::lint::{Lint, LintCluster, LintFinding, closing};
use crate::policy::{Dialect, Direction, Policy, PolicySet, fingerprints};

/// Version of the form.
const SCHEMA: &str = "egress-atlas-compliance/1";
/// Rules of the audit that let everything out, or in.
const WIDE_EGRESS: [&str; 4] = ["any-destination", "world", "whole-internet", "any-name"];
const WIDE_INGRESS: [&str; 1] = ["any-source"];
const UNDONE: [&str; 2] = ["deny-undone", "default-deny-ineffective"];

/// How a control stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Everything that it asks for is shown.
    Met,
    /// Nothing speaks against it, and something is not shown.
    NotProven,
    /// Something speaks against it.
    NotMet,
}

impl Standing {
    /// The words in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotProven => "not proven",
            Self::NotMet => "NOT MET",
        }
    }
}

/// One control of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlRow {
    /// Cluster; empty when nobody named it.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// The control.
    pub control: Control,
    /// How it stands.
    pub standing: Standing,
    /// What speaks for it, with its source.
    pub evidence: Vec<String>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// What is not shown.
    pub missing: Vec<String>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compliance {
    /// Version of the form.
    pub schema: &'static str,
    /// What the rows rest on and do not rest on, one sentence each.
    pub basis: Vec<String>,
    /// In the order of clusters, namespaces and controls.
    pub rows: Vec<ControlRow>,
}

/// What is at hand.
#[derive(Debug)]
pub struct ComplianceInput<'a> {
    /// The policies in force, as given.
    pub set: &'a PolicySet,
    /// Their lints.
    pub lint: &'a Lint,
    /// What is known of clusters.
    pub clusters: &'a [LintCluster],
    /// Results of gates.
    pub gates: &'a [GateEvidence],
    /// The baseline, if one was given.
    pub baseline: Option<&'a AtlasDocument>,
}

/// What speaks for, against, and what is missing.
#[derive(Default)]
struct Case {
    evidence: Vec<String>,
    against: Vec<String>,
    missing: Vec<String>,
}

impl Case {
    fn row(self, cluster: &str, namespace: &str, control: Control) -> ControlRow {
        let standing = match (self.against.is_empty(), self.missing.is_empty()) {
            (false, _) => Standing::NotMet,
            (true, false) => Standing::NotProven,
            (true, true) => Standing::Met,
        };
        let Self { evidence, against, missing } = self;
        ControlRow {
            cluster: cluster.into(),
            namespace: namespace.into(),
            control,
            standing,
            evidence,
            against,
            missing,
        }
    }
}

/// Judges every namespace that anything names.
pub fn compliance(input: &ComplianceInput<'_>) -> Compliance {
    let marks = fingerprints(input.set);
    let mut rows = Vec::new();
    for cluster in input.clusters {
        let mut namespaces: BTreeSet<&str> = cluster.namespaces.keys().map(|name| &**name).collect();
        let own = |policy: &&Policy| policy.id.cluster.as_ref().is_none_or(|named| *named == cluster.name);
        namespaces.extend(input.set.policies.iter().filter(own).map(|policy| &*policy.id.namespace));
        namespaces.remove("");
        for namespace in namespaces {
            let place = Place { input, marks: &marks, cluster, namespace };
            for control in Control::ALL {
                rows.push(place.judge(control).row(&cluster.name, namespace, control));
            }
        }
    }
    Compliance { schema: SCHEMA, basis: basis(input), rows }
}

fn basis(input: &ComplianceInput<'_>) -> Vec<String> {
    let mut basis = vec![format!(
        "{} as given with `--policies`. This program asks no cluster: that they are what is in force is for whoever fetched them to vouch for.",
        counted(size(input.set.policies.len()), "policy object")
    )];
    if input.clusters.iter().all(|cluster| cluster.namespaces.values().all(Option::is_none)) {
        basis.push("No list of namespaces (`--kube`): those without any policy may be missing here.".to_owned());
    }
    for gate in input.gates {
        basis.push(match &gate.result {
            GateResult::Soak(soak) => {
                format!("`{}`: soak from {} to {}.", gate.name, soak.asked.from, soak.asked.until)
            }
            GateResult::Replay(replay) => {
                let spans = replay.profiles.iter().map(|cluster| {
                    let or_unknown = |time: &Option<String>| time.clone().unwrap_or_else(|| "unknown".to_owned());
                    format!("{} from {} to {}", cluster.cluster, or_unknown(&cluster.first), or_unknown(&cluster.last))
                });
                format!("`{}`: replay of traffic of {}.", gate.name, spans.collect::<Vec<_>>().join(", "))
            }
        });
    }
    if input.gates.is_empty() {
        basis.push("No result of `soak` or `replay` (`--evidence`): that policies are written is known, that they work is not.".to_owned());
    }
    if let Some(baseline) = input.baseline {
        for (name, cluster) in &baseline.clusters {
            let flows = || cluster.coverage.iter().filter(|source| source.kind == "flows");
            let events: u64 = flows().flat_map(|source| source.lost.values()).sum();
            let gaps: usize = flows().map(|source| source.gaps.len()).sum();
            let (first, last) = (
                flows().filter_map(|source| source.first.as_deref()).min(),
                flows().filter_map(|source| source.last.as_deref()).max(),
            );
            basis.push(format!(
                "Baseline of {name}: flows from {} to {}, {} gaps, {} events reported lost.",
                first.unwrap_or("unknown"),
                last.unwrap_or("unknown"),
                count(size(gaps)),
                count(events)
            ));
        }
    }
    basis
}

struct Place<'a> {
    input: &'a ComplianceInput<'a>,
    marks: &'a BTreeMap<String, String>,
    cluster: &'a LintCluster,
    namespace: &'a str,
}

impl<'a> Place<'a> {
    fn judge(&self, control: Control) -> Case {
        let mut case = Case::default();
        match control {
            Control::Sc7 => {
                for direction in [Direction::Egress, Direction::Ingress] {
                    self.denied_by_default(direction, &mut case);
                }
            }
            Control::Cis532 => self.has_policies(&mut case),
            Control::Pci131 => {
                self.denied_by_default(Direction::Ingress, &mut case);
                self.necessary(Direction::Ingress, &mut case);
            }
            Control::Pci132 => {
                self.denied_by_default(Direction::Egress, &mut case);
                self.necessary(Direction::Egress, &mut case);
            }
        }
        for list in [&mut case.evidence, &mut case.against, &mut case.missing] {
            let mut seen = BTreeSet::new();
            list.retain(|sentence| seen.insert(sentence.clone()));
        }
        case
    }

    fn policies(&self) -> impl Iterator<Item = &'a Policy> {
        let (cluster, namespace) = (self.cluster, self.namespace);
        self.input.set.policies.iter().filter(move |policy| {
            policy.is_enforced
                && policy.id.cluster.as_ref().is_none_or(|own| *own == cluster.name)
                && cluster.enforces.contains(&policy.dialect)
                && (policy.id.namespace.is_empty() || *policy.id.namespace == *namespace)
        })
    }

    fn has_policies(&self, case: &mut Case) {
        let own = || self.policies().filter(|policy| !policy.id.namespace.is_empty());
        let kubernetes: Vec<&Policy> = own().filter(|policy| policy.dialect == Dialect::Kubernetes).collect();
        if let Some(first) = kubernetes.first() {
            case.evidence.push(format!(
                "{} of this namespace, among them {}",
                counted(size(kubernetes.len()), "NetworkPolicy object"),
                first.id
            ));
            return;
        }
        let directions = [Direction::Egress, Direction::Ingress];
        let closes = |direction| closing(self.input.set, self.cluster, self.namespace, direction).into_iter().next();
        let Some(first) = own().next().or_else(|| directions.into_iter().find_map(closes)) else {
            case.against.push("no network policy object in this namespace".to_owned());
            return;
        };
        // Another kind counts when it does what the control is for, and that is shown; that it exists shows nothing.
        let mut purpose = Case::default();
        for direction in directions {
            self.denied_by_default(direction, &mut purpose);
        }
        let kind = &first.id.kind;
        if purpose.against.is_empty() && purpose.missing.is_empty() {
            case.evidence = purpose.evidence;
            case.evidence.push(format!(
                "{kind} stands in for Kubernetes `NetworkPolicy`, the one kind that the benchmark's own check lists: every pod is isolated by \
                 default in both directions, and that is enforced; an assessor who goes by the check alone wants this recorded as an equivalent"
            ));
            return;
        }
        case.evidence.push(format!("policies of another kind, among them {}", first.id));
        case.missing.push(format!(
            "no Kubernetes `NetworkPolicy`, the one kind that the benchmark's own check lists; {kind} stands in for it once default deny is in force in both \
             directions and shown to be enforced"
        ));
        case.missing.extend(purpose.against.into_iter().chain(purpose.missing));
    }

    fn denied_by_default(&self, direction: Direction, case: &mut Case) {
        let word = direction.as_str();
        let closed = closing(self.input.set, self.cluster, self.namespace, direction);
        match closed.first() {
            Some(policy) => case.evidence.push(format!(
                "{word} of every pod is closed by {} ({}:{})",
                policy.id, policy.id.file, policy.id.line
            )),
            None => case.against.push(format!("no policy closes {word} of every pod")),
        }
        self.wide(direction, case);
        self.enforced(direction, case);
    }

    /// Rules that undo the default.
    fn wide(&self, direction: Direction, case: &mut Case) {
        let wide: &[&str] = match direction {
            Direction::Egress => &WIDE_EGRESS,
            Direction::Ingress => &WIDE_INGRESS,
        };
        // Findings of these rules name the direction in their sentence.
        let is_undone = |finding: &LintFinding| {
            UNDONE.contains(&finding.rule.id) && finding.message.split(' ').any(|word| word == direction.as_str())
        };
        let here = self.input.lint.findings.iter().filter(|finding| {
            finding.cluster.as_ref().is_none_or(|own| *own == self.cluster.name)
                && (wide.contains(&finding.rule.id) || is_undone(finding))
                && finding.severity >= Severity::Medium
        });
        for finding in here {
            let sentence = format!("{}: {} ({})", finding.object(), finding.message, finding.rule.id);
            if *finding.namespace == *self.namespace {
                case.against.push(sentence);
            } else if finding.namespace.is_empty() {
                // Whether a cluster-wide object is about this namespace is for its selector to say.
                case.missing.push(format!("that this is not about the namespace: {sentence}"));
            }
        }
    }

    /// Whether something was stopped, and nothing passed that must not have.
    fn enforced(&self, direction: Direction, case: &mut Case) {
        let word = direction.as_str();
        let Some((gate, soak, seen)) = self.latest_soak() else {
            case.missing.push(format!("a soak of this namespace: nothing shows that {word} is enforced"));
            return;
        };
        let name = format!("`{}`, soak to {}", gate.name, soak.asked.until);
        // A leak that does not say on which side speaks against both.
        let is_here = |leak: &&LeakSeen| leak.side.is_empty() || leak.side == word;
        let leaks = seen.leaks.iter().filter(is_here).count();
        if leaks > 0 {
            let number = counted(size(leaks), "kind");
            case.against.push(format!("{number} of traffic passed that policies must have stopped ({name})"));
        }
        // The canary is outside: what reached it says nothing of ingress.
        let reached = seen.probes.iter().filter(|probe| probe.answer == "reachable" && direction == Direction::Egress);
        for probe in reached {
            case.against.push(format!("the probe {} reached its canary ({name})", probe.pod));
        }
        if let Some(other) = self.differs(&soak.policies) {
            case.missing.push(format!("a soak of the policies in force: {name} judged another {other}"));
            return;
        }
        if !seen.doubts.is_empty() {
            case.missing.push(format!("evidence for the whole span ({name}: {})", seen.doubts.join("; ")));
        }
        let denied = match direction {
            Direction::Egress => seen.explained_denials.saturating_sub(seen.explained_on_ingress),
            Direction::Ingress => seen.explained_on_ingress,
        };
        let blocked = seen.probes.iter().find(|probe| probe.answer == "blocked" && direction == Direction::Egress);
        if denied > 0 {
            case.evidence.push(format!("{} on {word} that these policies explain ({name})", counted(denied, "denial")));
        } else if let Some(probe) = blocked {
            case.evidence.push(format!("the probe {} was blocked ({name})", probe.pod));
        } else {
            for probe in seen.probes.iter().filter(|probe| probe.answer == "cannot-tell") {
                case.missing.push(format!("an answer of the probe {}: it could not tell ({name})", probe.pod));
            }
            case.missing.push(format!("a denial on {word}: nothing shows that it is enforced ({name})"));
        }
    }

    /// Whether every rule was used.
    fn necessary(&self, direction: Direction, case: &mut Case) {
        let word = direction.as_str();
        let mut any = false;
        for (gate, replay) in self.replays() {
            any = true;
            if let Some(other) = self.differs(&replay.policies) {
                case.missing.push(format!("a replay of the policies in force: `{}` judged another {other}", gate.name));
                continue;
            }
            let own = || {
                let is_own = |rule: &&super::evidence::RuleSeen| {
                    (rule.namespace == self.namespace || rule.namespace.is_empty())
                        && rule.direction.eq_ignore_ascii_case(word)
                };
                replay.rules.iter().filter(is_own)
            };
            let unused: Vec<&str> = own().filter(|rule| rule.connections == 0).map(|rule| rule.rule.as_str()).collect();
            match unused.first() {
                None if own().next().is_none() => case.evidence.push(format!("no rule opens {word} (`{}`)", gate.name)),
                None => case.evidence.push(format!(
                    "recorded traffic used every one of {} (`{}`)",
                    counted(size(own().count()), "rule"),
                    gate.name
                )),
                Some(first) => case.missing.push(format!(
                    "why {} without any recorded traffic {} necessary, first {first} (`{}`)",
                    counted(size(unused.len()), "rule"),
                    if unused.len() == 1 { "is" } else { "are" },
                    gate.name
                )),
            }
        }
        if !any {
            case.missing.push(format!("a replay: nothing shows which rules of {word} are necessary"));
        }
    }

    /// The latest soak of this namespace: what an earlier one found may have been mended.
    fn latest_soak(&self) -> Option<(&'a GateEvidence, &'a SoakSeen, &'a NamespaceSeen)> {
        let all = self.input.gates.iter().filter_map(|gate| match &gate.result {
            GateResult::Soak(soak) => {
                let is_here = |seen: &&NamespaceSeen| {
                    seen.namespace == self.namespace
                        && (self.cluster.name.is_empty() || seen.cluster == *self.cluster.name)
                };
                Some((gate, soak, soak.namespaces.iter().find(is_here)?))
            }
            GateResult::Replay(_) => None,
        });
        all.max_by(|one, two| (&one.1.asked.until, &one.0.name).cmp(&(&two.1.asked.until, &two.0.name)))
    }

    fn replays(&self) -> impl Iterator<Item = (&'a GateEvidence, &'a ReplaySeen)> {
        let name = &self.cluster.name;
        self.input.gates.iter().filter_map(move |gate| match &gate.result {
            GateResult::Replay(replay)
                if name.is_empty() || replay.profiles.iter().any(|cluster| *cluster.cluster == **name) =>
            {
                Some((gate, replay))
            }
            _ => None,
        })
    }

    /// The first policy of this namespace that a result did not judge as it is now, or judged and that is gone: without it something else is in force.
    fn differs(&self, judged: &BTreeMap<String, String>) -> Option<String> {
        let mark = |marks: &BTreeMap<String, String>, policy: &Policy| {
            let plain = policy.id.to_string();
            marks.get(&format!("{}: {plain}", self.cluster.name)).or_else(|| marks.get(&plain)).cloned()
        };
        let differs = |policy: &&Policy| mark(judged, policy).is_none_or(|was| Some(was) != mark(self.marks, policy));
        let changed = self.policies().find(differs).map(|policy| policy.id.to_string());
        changed.or_else(|| judged.keys().find_map(|name| self.is_gone(name)))
    }

    /// The name of a policy that was judged for this namespace and is not given any more.
    fn is_gone(&self, judged: &str) -> Option<String> {
        let (cluster, plain) = judged.split_once(": ").map_or(("", judged), |(cluster, plain)| (cluster, plain));
        let is_of_cluster = cluster.is_empty() || self.cluster.name.is_empty() || cluster == &*self.cluster.name;
        let (_, object) = plain.split_once(' ')?;
        let is_of_namespace = object.split_once('/').is_none_or(|(namespace, _)| namespace == self.namespace);
        let is_given = |policy: &Policy| {
            policy.id.cluster.as_ref().is_none_or(|own| cluster.is_empty() || **own == *cluster)
                && policy.id.to_string() == plain
        };
        let is_missing = is_of_cluster && is_of_namespace && !self.input.set.policies.iter().any(is_given);
        is_missing.then(|| plain.to_owned())
    }
}
