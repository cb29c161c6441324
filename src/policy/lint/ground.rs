//! The run of all lints over one set of policies.

use std::collections::BTreeSet;

use super::facts::{AnyPodOf, LintCluster};
use super::finding::{LintFinding, LintRule};
use super::{block, default_deny, dns, idle, list, metadata, names, order, reach, undone};
use crate::catalog::Catalog;
use crate::model::Severity;
use crate::policy::{Action, Direction, Policy, PolicySet, Rule, RuleId};

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lint {
    /// The worst first, then by file and line.
    pub findings: Vec<LintFinding>,
    /// Checks that could not be made, each with what it would need.
    pub unchecked: Vec<String>,
}

/// Runs every lint.
pub fn lint(set: &PolicySet, clusters: &[LintCluster], catalog: &Catalog) -> Lint {
    let mut ground = Ground { set, clusters, catalog, findings: Vec::new(), unchecked: BTreeSet::new() };
    reach::check(&mut ground);
    metadata::check(&mut ground);
    names::check(&mut ground);
    idle::check(&mut ground);
    block::check(&mut ground);
    list::check(&mut ground);
    dns::check(&mut ground);
    order::check(&mut ground);
    undone::check(&mut ground);
    default_deny::check(&mut ground);
    ground.findings.sort_by_cached_key(LintFinding::order);
    ground.findings.dedup();
    Lint { findings: ground.findings, unchecked: ground.unchecked.into_iter().collect() }
}

/// Everything that a lint may look at, and where it puts what it finds.
pub(super) struct Ground<'a> {
    pub(super) set: &'a PolicySet,
    pub(super) clusters: &'a [LintCluster],
    pub(super) catalog: &'a Catalog,
    findings: Vec<LintFinding>,
    unchecked: BTreeSet<String>,
}

impl<'a> Ground<'a> {
    /// Says something about a policy.
    pub(super) fn policy(
        &mut self,
        rule: &'static LintRule,
        severity: Severity,
        policy: &Policy,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let texts = (message.into(), fix.into());
        self.findings.push(LintFinding::new(rule, severity, &policy.id, policy.id.line, texts));
    }

    /// Says something about a rule of a policy.
    pub(super) fn rule(
        &mut self,
        rule: &'static LintRule,
        severity: Severity,
        id: RuleId,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let set = self.set;
        let Some((policy, of)) = set.rule(id) else { return };
        let message = format!("{}: {}", place(of), message.into());
        self.findings.push(LintFinding::new(rule, severity, &policy.id, of.line, (message, fix.into())));
    }

    /// Says something about what no policy says.
    pub(super) fn finding(&mut self, finding: LintFinding) {
        self.findings.push(finding);
    }

    /// Says what could not be checked.
    pub(super) fn not_checked(&mut self, what: &str) {
        self.unchecked.insert(what.to_owned());
    }

    /// The policies that decide something in a cluster.
    pub(super) fn in_force(&self, cluster: &'a LintCluster) -> impl Iterator<Item = &'a Policy> + use<'a> {
        let set = self.set;
        set.policies.iter().filter(move |policy| is_for(policy, cluster))
    }

    /// The clusters in which a policy decides something.
    pub(super) fn clusters_of(&self, policy: &'a Policy) -> impl Iterator<Item = &'a LintCluster> + use<'a> {
        self.clusters.iter().filter(move |cluster| is_for(policy, cluster))
    }

    /// Rules that decide something, of one action.
    pub(super) fn rules(&self, action: Action) -> Vec<(RuleId, &'a Policy, &'a Rule)> {
        let set = self.set;
        let all = set.rules().filter(|(_, policy, rule)| policy.is_enforced && rule.action == action);
        all.filter(|(_, policy, _)| self.clusters_of(policy).next().is_some()).collect()
    }
}

/// `egress rule 2`, with its name where it has one.
pub(super) fn place(rule: &Rule) -> String {
    let number = rule.index + 1;
    if rule.name.is_empty() {
        format!("{} rule {number}", rule.list)
    } else {
        format!("{} rule {number} ({})", rule.list, rule.name)
    }
}

/// Whether a policy decides something in a cluster.
pub(super) fn is_for(policy: &Policy, cluster: &LintCluster) -> bool {
    policy.is_enforced
        && policy.id.cluster.as_ref().is_none_or(|own| *own == cluster.name)
        && cluster.enforces.contains(&policy.dialect)
}

/// Whether a policy is about every pod of a namespace for certain.
pub(super) fn is_about_all(policy: &Policy, pod: &AnyPodOf<'_>) -> bool {
    policy.subject.namespaces.matches(pod).and(policy.subject.pods.matches(pod)).is_yes()
}

/// Both directions.
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];
