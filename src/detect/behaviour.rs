//! All detectors of behaviour: those of one destination, and those of a workload as a whole.
//!
//! In: what was observed, the rules, the day. Out: findings with the user's exemptions applied; classes that the user switched off give none. Regular use of
//! a destination with a category is nobody's surprise: rhythm, duration, volume and novelty are judged for unknown and suspect destinations,
//! unless the settings say otherwise.

use std::collections::BTreeMap;

use super::asked_never_connected::asked_never_connected;
use super::beaconing::beaconing;
use super::connected_before_asked::connected_before_asked;
use super::denied_burst::denied_burst;
use super::dns_tunnel::dns_tunnel;
use super::finding::Finding;
use super::first_seen::first_seen;
use super::generated_name::{generated_domains, generated_name};
use super::long_connection::long_connection;
use super::metadata_access::metadata_access;
use super::metadata_answer::metadata_answer;
use super::odd_port::odd_port;
use super::own_resolver::own_resolver;
use super::rare_destination::rare_destination;
use super::scanning::scanning;
use super::surroundings::Observed;
use super::upload::upload;
use crate::catalog::Date;
use crate::classify::{Destination, Rules};
use crate::model::Workload;
use crate::summary::{Edge, Namespace};

/// Findings about one destination outside, beyond those of the lists. `listed` are the classes that lists found.
pub fn behaviour(
    observed: &Observed<'_>,
    destination: &Destination<'_>,
    listed: &[&str],
    rules: &Rules<'_>,
    day: Date,
) -> Vec<Finding> {
    let detect = &rules.settings.detect;
    let mut found = vec![
        own_resolver(observed),
        odd_port(observed, rules.catalog),
        metadata_access(observed, listed.contains(&"cloud_metadata"), detect),
    ];
    let is_platform = listed.contains(&"cloud_metadata");
    if (observed.is_unknown || observed.is_suspect || detect.known) && !is_platform {
        found.extend([
            beaconing(observed, detect),
            long_connection(observed, detect),
            upload(observed, detect),
            generated_name(observed, detect),
            first_seen(observed, detect).or_else(|| rare_destination(observed, detect)),
            connected_before_asked(observed, detect),
        ]);
    }
    let found = found.into_iter().flatten().filter(|finding| detect.is_on(&finding.class));
    found.map(|finding| finding.with_exemptions(destination, rules, day)).collect()
}

/// Findings about the workloads of a namespace as a whole, by workload.
pub fn workload_findings(
    (cluster, name): (&str, &str),
    namespace: &Namespace,
    rules: &Rules<'_>,
    day: Date,
) -> Vec<(Workload, Finding)> {
    let detect = &rules.settings.detect;
    let mut by_workload: BTreeMap<&Workload, Vec<&Edge>> = BTreeMap::new();
    for edge in &namespace.egress {
        by_workload.entry(&edge.key.workload).or_default().push(edge);
    }
    for (workload, _) in namespace.domains.keys() {
        by_workload.entry(workload).or_default();
    }
    let mut all = Vec::new();
    for (workload, edges) in by_workload {
        let destination = Destination { cluster, namespace: name, workload: &workload.name, ..Destination::default() };
        let mut found: Vec<Finding> = [
            scanning(&edges, detect),
            denied_burst(&edges, detect),
            generated_domains(workload, &namespace.domains, detect),
        ]
        .into_iter()
        .flatten()
        .collect();
        let asked = namespace.domains.range((workload.clone(), "".into())..).take_while(|((of, _), _)| of == workload);
        for ((_, domain), asked) in asked {
            found.extend(dns_tunnel(domain, asked, detect));
            found
                .extend(asked.inside.iter().filter_map(|(name, inside)| metadata_answer(name, *inside, rules.catalog)));
        }
        let mut found: Vec<Finding> =
            found.into_iter().map(|finding| with_subject(finding, &destination, rules, day)).collect();
        let silent = namespace.asked_only.iter().filter(|(_, asked)| asked.workloads.contains(workload));
        found.extend(silent.flat_map(|(name, asked)| asked_never_connected(name, asked, &destination, rules, day)));
        found.retain(|finding| detect.is_on(&finding.class));
        found.sort_by(|one, two| {
            two.severity.cmp(&one.severity).then_with(|| (&one.rule, &one.subject).cmp(&(&two.rule, &two.subject)))
        });
        all.extend(found.into_iter().map(|finding| (workload.clone(), finding)));
    }
    all
}

/// Exemptions may name the domain that the finding is about.
fn with_subject(finding: Finding, destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Finding {
    let subject = finding.subject.clone();
    let name = Some(&*subject).filter(|subject| !subject.is_empty());
    finding.with_exemptions(&Destination { name, ..*destination }, rules, day)
}
