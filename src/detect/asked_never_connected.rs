//! Suspect names that were asked for and never connected to: the question alone may have been the message.
//!
//! In: names without a connection, and the catalog with the user's rules. Out: one finding for each name and class. Names that no list suspects are not
//! findings; every document counts them.

use super::finding::Finding;
use super::listed::listed;
use super::raised::Texts;
use crate::catalog::Date;
use crate::classify::{Destination, Rules};
use crate::model::Confidence;
use crate::summary::Asked;

const TEXTS: Texts = Texts {
    class: "asked_never_connected",
    why: "the name was resolved and nothing connected to it: a probe that reports by DNS alone, or a connection that was prevented or not recorded",
    attack: &["T1071.004"],
    innocent: "link previews, scanners of mail and logs that resolve whatever they read, a denied connection elsewhere",
    advice: "Ask the owner which text or library holds the name.",
};

/// The findings about one name.
pub(super) fn asked_never_connected(
    name: &str,
    asked: &Asked,
    destination: &Destination<'_>,
    rules: &Rules<'_>,
    day: Date,
) -> Vec<Finding> {
    let destination = Destination { name: Some(name), chain: &[], addresses: &[], port: None, ..*destination };
    // A resolver whose name is only asked for may belong to a test or a list; it carries nothing away.
    let telling = listed(&destination, rules, day).into_iter().filter(|finding| *finding.class != *"encrypted_dns");
    telling
        .map(|finding| {
            let measured = format!(
                "{} suffix or rule {}; {} answers, no connection",
                finding.class, finding.matched, asked.answers
            );
            let confidence = finding.confidence.min(Confidence::Medium);
            let mut raised = TEXTS.finding(finding.severity.lowered(), confidence, name, measured);
            raised.why = format!("{}; {}", finding.why, TEXTS.why).into();
            raised.exempted = finding.exempted;
            raised.expired_exemption = finding.expired_exemption;
            raised
        })
        .collect()
}
