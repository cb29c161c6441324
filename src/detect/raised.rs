//! The fixed texts of a detector, and the making of a finding from them and from what was measured.
//!
//! In: texts, a subject, severity, confidence, the measured numbers in words. Out: a [`Finding`]. Decides nothing.

use super::finding::Finding;
use crate::model::{Confidence, Severity};

/// What is always said about findings of one class.
pub(super) struct Texts {
    /// The class, `beaconing`.
    pub(super) class: &'static str,
    /// Why it is suspicious.
    pub(super) why: &'static str,
    /// MITRE ATT&CK techniques.
    pub(super) attack: &'static [&'static str],
    /// The innocent reading.
    pub(super) innocent: &'static str,
    /// What to do.
    pub(super) advice: &'static str,
}

impl Texts {
    /// A finding of this class about `subject`, with the numbers that made it.
    pub(super) fn finding(
        &self,
        severity: Severity,
        confidence: Confidence,
        subject: &str,
        measured: String,
    ) -> Finding {
        Finding {
            rule: format!("behaviour/{}", self.class.replace('_', "-")).into(),
            class: self.class.into(),
            label: "".into(),
            severity,
            confidence,
            subject: subject.into(),
            matched: measured.into(),
            via_chain: false,
            why: self.why.into(),
            attack: self.attack.iter().map(|id| (*id).into()).collect(),
            false_positive: self.innocent.into(),
            advice: self.advice.into(),
            exempted: None,
            expired_exemption: None,
        }
    }
}
