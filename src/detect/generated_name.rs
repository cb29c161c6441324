//! Names that look made by a program: one that a workload connects to, or many that do not exist.
//!
//! In: one edge; or what one workload asked. Out: a finding with the score of the letters. Only the registrable domain is judged: host names of
//! clouds and CDNs are generated everywhere. Domains made of words are not found.

use super::finding::Finding;
use super::letters::generated;
use super::raised::Texts;
use super::surroundings::Observed;
use crate::catalog::Detect;
use crate::catalog::settings_detect::{GENERATED_DOMAINS, GENERATED_SCORE};
use crate::model::{Confidence, Severity, Workload, is_below_platform, registrable};
use crate::summary::Domains;

const TEXTS: Texts = Texts {
    class: "generated_name",
    why: "malware computes domains by the day, registers a few of them, and tries them all",
    attack: &["T1568.002"],
    innocent: "short-lived names of advertising and of content delivery, brand names in other languages, abbreviations",
    advice: "Look up who registered the domain and when; ask the owner of the workload.",
};

/// The first label of the registrable domain; none below platforms, which generate the labels of their tenants.
fn own_label(name: &str) -> Option<&str> {
    registrable(name).filter(|_| !is_below_platform(name))?.split('.').next()
}

/// The finding for a destination with a generated-looking domain.
pub(super) fn generated_name(observed: &Observed<'_>, detect: &Detect) -> Option<Finding> {
    let label = own_label(observed.name()?)?;
    let score = generated(label);
    let measured = || {
        format!(
            "letters of {label}: score {score:.2}, ordinary names stay below 0.40; {} connections",
            observed.seen().connections()
        )
    };
    (score >= detect.value(&GENERATED_SCORE))
        .then(|| TEXTS.finding(Severity::Low, Confidence::Low, &observed.subject(), measured()))
}

/// The finding for a workload that asked for many generated-looking domains that do not exist.
#[expect(clippy::cast_precision_loss, reason = "compared with a threshold of at most a million")]
pub(super) fn generated_domains(workload: &Workload, domains: &Domains, detect: &Detect) -> Option<Finding> {
    let missing: Vec<(&str, u64)> = domains
        .range((workload.clone(), "".into())..)
        .take_while(|((of, _), _)| of == workload)
        .filter(|(_, asked)| asked.asking.missing > 0 && asked.answers == 0)
        .filter_map(|((_, domain), asked)| Some((&**domain, own_label(domain)?, asked.asking.missing)))
        .filter(|(_, label, _)| generated(label) >= detect.value(&GENERATED_SCORE))
        .map(|(domain, _, questions)| (domain, questions))
        .collect();
    if (missing.len() as f64) < detect.value(&GENERATED_DOMAINS) {
        return None;
    }
    let questions: u64 = missing.iter().map(|(_, questions)| questions).sum();
    let examples: Vec<&str> = missing.iter().take(3).map(|(domain, _)| *domain).collect();
    let measured =
        format!("{} domains that do not exist, {questions} questions: {}", missing.len(), examples.join(", "));
    Some(TEXTS.finding(Severity::High, Confidence::Medium, "", measured))
}
